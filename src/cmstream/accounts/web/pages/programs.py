"""The mail programs on the pages: which there are, and what one of them can't read."""

from __future__ import annotations


def choices() -> list[tuple[str, str]]:
    return []


def label(name: str) -> str:
    return name


def refusals(cipher: str, names: list[str]) -> list[str]:
    return []
