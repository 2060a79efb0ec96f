"""What a disk may hold after a power cut.

A file's data is sure to be there once the file, or its file system, was synced; a name once its
folder was. Of all else any part may be there: each 512 bytes of a write, each name on its own. A
rename is there or isn't, never half.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from helpers.disk.record import Event

SECTOR = 512
WAYS = ("some", "nothing", "some", "names", "some", "in order", "data", "all")
"""What is left of what wasn't synced, in turn: ``names`` without data, as after a delayed
allocation; ``in order``: names up to an instant, as a journal of the file system keeps them."""


class File:
    """A file's bytes: those on the disk, and what was done to it since."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable
        self.pending: list[tuple[int, bytes] | int] = []

    def now(self) -> bytes:
        return bytes(_applied(self.durable, self.pending))

    def sync(self) -> None:
        self.durable, self.pending = self.now(), []

    def after(self, chance: random.Random) -> bytes:
        """With any part of what wasn't synced."""
        left = bytearray(self.durable)
        for one in self.pending:
            if isinstance(one, int):
                if chance.random() < 0.5:
                    _resize(left, one)
                continue
            start, data = one
            for at in range(start, start + len(data), SECTOR):
                piece = data[at - start : at - start + SECTOR]
                if chance.random() < 0.5:
                    _put(left, at, piece)
                elif chance.random() < 0.5:  # the size may be there, and the data not
                    _resize(left, max(len(left), at + len(piece)))
        return bytes(left)


def _applied(durable: bytes, changes: Iterable[tuple[int, bytes] | int]) -> bytearray:
    whole = bytearray(durable)
    for one in changes:
        if isinstance(one, int):
            _resize(whole, one)
        else:
            _put(whole, *one)
    return whole


def _resize(whole: bytearray, size: int) -> None:
    del whole[size:]
    whole += bytes(size - len(whole))


def _put(whole: bytearray, at: int, data: bytes) -> None:
    _resize(whole, max(len(whole), at))
    whole[at : at + len(data)] = data


FOLDER = "a folder"


class Change(NamedTuple):
    """What a name leads to from an instant on: None if it is gone. ``pair``: the instant is that
    of a rename, which has two changes."""

    instant: int
    value: File | str | None
    pair: str = ""


class Disk:
    """Below ``root``, as the first of the events found it; :meth:`do` them one after the other.
    ``systems``: folders that are file systems of their own."""

    def __init__(self, root, systems: Iterable[str] = ()) -> None:
        self._root = os.path.realpath(root)
        self._systems = sorted((f"{self._root}/{one}" for one in systems), key=len, reverse=True)
        self._names: dict[str, list[Change]] = defaultdict(lambda: [Change(-1, None)])
        self._files: dict[int, File] = {}
        self._instant = 0
        for path in Path(self._root).rglob("*"):
            value: File | str = FOLDER
            if not path.is_dir():
                value = self._files[path.stat().st_ino] = File(path.read_bytes())
            self._names[str(path)] = [Change(-1, value)]

    def do(self, event: Event) -> None:
        """One more call was made."""
        self._instant += 1
        kind, path, other = event.kind, event.path, event.other
        if kind == "o":
            self._files[event.inode] = File()
            self._set(path, self._files[event.inode])
        elif kind in "wt":
            change = (event.offset, event.data) if kind == "w" else event.size
            self._files[event.inode].pending.append(change)
        elif kind == "l":
            self._set(other, self._now(path))
        elif kind == "r":
            moved = self._now(path)
            if moved == FOLDER:
                raise NotImplementedError("a folder was renamed")
            self._set(path, None, other)
            self._set(other, moved, path)
        elif kind in "uxd":
            self._set(path, FOLDER if kind == "d" else None)
        elif kind in "sS":
            self._sync(event)

    def _set(self, path: str, value: File | str | None, pair: str = "") -> None:
        self._names[path].append(Change(self._instant, value, pair))

    def _now(self, path: str) -> File | str | None:
        return self._names[path][-1].value

    def _sync(self, event: Event) -> None:
        if event.kind == "S":
            system = self._system(event.path)
            for path in self._names:
                if self._system(path) == system:
                    self._settle(path)
            for file in self._files.values():
                if any(file is self._now(p) for p in self._names if self._system(p) == system):
                    file.sync()
        elif self._now(event.path) == FOLDER or event.path == self._root:
            for path in [*self._names]:
                if path.rpartition("/")[0] == event.path:
                    self._settle(path)
        else:
            self._files[event.inode].sync()

    def _system(self, path: str) -> str:
        return next((s for s in self._systems if f"{path}/".startswith(f"{s}/")), self._root)

    def _settle(self, path: str) -> None:
        """What it leads to is on the disk; so is where a file was moved from here."""
        changes = self._names[path]
        self._names[path] = [changes[-1]._replace(pair="")]
        for one in changes[1:]:
            if one.pair and one.value is None:
                rest = self._names[one.pair]
                at = next((n for n, two in enumerate(rest) if two.instant == one.instant), 0)
                self._names[one.pair] = rest[at:]

    # After a cut

    def now(self) -> dict[str, bytes | None]:
        """What programs see: the content of each file by its path, None for a folder."""
        return {
            path: changes[-1].value.now() if isinstance(changes[-1].value, File) else None
            for path, changes in self._names.items()
            if changes[-1].value is not None
        }

    def after(self, way: str, chance: random.Random) -> dict[str, bytes | None]:
        """What is there after a power cut at this instant."""
        if way == "all":
            return self.now()
        kept = self._kept(way, chance)
        contents: dict[int, bytes] = {}
        found: dict[str, bytes | None] = {}
        for path, changes in self._names.items():
            value = changes[kept[path]].value
            if isinstance(value, File):
                if id(value) not in contents:
                    contents[id(value)] = self._content(value, way, chance)
                found[path] = contents[id(value)]
            elif value == FOLDER:
                found[path] = None
        return {path: value for path, value in found.items() if self._is_reached(path, found)}

    def _content(self, file: File, way: str, chance: random.Random) -> bytes:
        if way in {"nothing", "names"}:
            return file.durable
        return file.now() if way == "data" else file.after(chance)

    def _kept(self, way: str, chance: random.Random) -> dict[str, int]:
        """Of each name how many of its changes are there."""
        last = chance.randrange(self._instant + 1)
        choose = {
            "nothing": lambda _: 0,
            "data": lambda _: 0,
            "names": lambda changes: len(changes) - 1,
            "some": lambda changes: chance.randrange(len(changes)),
            "in order": lambda changes: max(
                (n for n, one in enumerate(changes) if one.instant <= last), default=0
            ),
        }[way]
        kept = {path: choose(changes) for path, changes in self._names.items()}
        while sum(self._is_torn(path, kept) for path in self._names):
            pass
        return kept

    def _is_torn(self, path: str, kept: dict[str, int]) -> bool:
        """Takes back renames of which one half isn't there."""
        for number, one in enumerate(self._names[path][1 : kept[path] + 1], 1):
            if not one.pair:
                continue
            rest = self._names[one.pair]
            at = next((n for n, two in enumerate(rest) if two.instant == one.instant), None)
            if at is not None and at > kept[one.pair]:
                kept[path] = number - 1
                return True
        return False

    def _is_reached(self, path: str, found: dict[str, bytes | None]) -> bool:
        folder = path.rpartition("/")[0]
        if folder == self._root:
            return True
        return folder in found and found[folder] is None and self._is_reached(folder, found)


def laid(found: dict[str, bytes | None], root, *, without=("-shm",)) -> None:
    """Makes files of it. ``without``: what is made anew by whoever needs it."""
    root.mkdir()
    for path, content in sorted(found.items()):
        place = Path(path)
        if content is None:
            place.mkdir(mode=0o700)
        elif not path.endswith(without):
            place.write_bytes(content)
            place.chmod(0o600)


class Cut(NamedTuple):
    """A power cut: after how many events, what was left then, and what had been promised."""

    at: int
    way: str
    found: dict[str, bytes | None]
    marks: list[str]


def cuts(events: list[Event], count: int, seed: int, disk: Disk):
    """So many of them, at random instants; half of them right before something is synced, when most
    is at stake; the last one at the end."""
    chance = random.Random(seed)
    anywhere = range(len(events))
    syncs = [at for at, one in enumerate(events) if one.kind in "sS"]
    instants = [len(events), *chance.choices(syncs or anywhere, k=count // 2)]
    instants += chance.choices(anywhere, k=count - len(instants))
    done, marks = 0, []
    for number, at in enumerate(sorted(instants)):
        for event in events[done:at]:
            if event.kind == "m":
                marks.append(event.path)
            else:
                disk.do(event)
        done = at
        way = WAYS[number % len(WAYS)] if at < len(events) else "nothing"
        yield Cut(at, way, disk.after(way, random.Random(f"{seed} {number}")), [*marks])
