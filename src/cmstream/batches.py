"""Puts what is to be worked on together into groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def batches(
    items: Iterable[T],
    size: Callable[[T], int],
    *,
    count: int,
    octets: int,
    alone: int | None = None,
) -> Iterator[list[T]]:
    """Groups of at most ``count`` items, which have at most ``octets`` bytes together unless it is
    one. ``size``: the bytes of an item; one that has more than ``alone`` is a group of its own, and
    comes at once."""
    group: list[T] = []
    total = 0
    for one in items:
        length = size(one)
        if alone is not None and length > alone:
            yield [one]
            continue
        if group and (len(group) == count or total + length > octets):
            yield group
            group, total = [], 0
        group.append(one)
        total += length
    if group:
        yield group
