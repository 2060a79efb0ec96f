"""The API's description (OpenAPI 3.1), as data."""

from __future__ import annotations

from typing import Any

DOCUMENT: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "cmstream", "version": "1"}}
routes: list[Any] = []
