"""The API's description for people to read: one page made from the OpenAPI document."""

from __future__ import annotations

from typing import Any

routes: list[Any] = []
