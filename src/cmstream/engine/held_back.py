"""The beginning of a stream, held back until it says how to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from .gate import Buffer

Found_co = TypeVar("Found_co", covariant=True)


class Find(Protocol[Found_co]):
    """Searches the beginning of a stream."""

    def __call__(
        self, beginning: Buffer, resume: int, *, final: bool
    ) -> tuple[Found_co | None, int]:
        """``resume`` is 0 the first time, then the second value of the call before: nothing is
        searched twice. ``final``: nothing more will come. Gives None while more is needed."""


class HeldBack(Generic[Found_co]):
    """Holds the beginning of a stream back until ``find`` finds in it what it looks for."""

    _resume = 0

    def __init__(self, find: Find[Found_co]) -> None:
        self._find = find
        self._held = bytearray()

    def __len__(self) -> int:
        return len(self._held)

    def with_(self, data: memoryview) -> Buffer:
        """All bytes from the first one, with ``data``, which isn't taken yet."""
        if not self._held:
            return data
        return self._held + data if data else self._held

    def hold(self, data: memoryview) -> None:
        """Takes the next bytes, with which there isn't enough yet to search in."""
        self._held += data

    def clear(self) -> None:
        """Forgets what was held back: it has gone another way."""
        self._held = bytearray()

    def take(self, data: memoryview, *, final: bool = False) -> tuple[Found_co, memoryview] | None:
        """Takes the next bytes. Gives what was found and all bytes from the first one, ``data``
        itself where all came in one piece; None while more is needed. Raises what ``find``
        raises."""
        if self._held:
            self._held += data
        beginning: Buffer = self._held or data
        found, self._resume = self._find(beginning, self._resume, final=final)
        if found is None:
            self._held = self._held or bytearray(data)
            return None
        self._held = bytearray()
        return found, memoryview(beginning)
