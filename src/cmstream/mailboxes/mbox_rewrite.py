"""Reads an mbox file whose messages are named by what is in them, and writes it anew with some of
them replaced."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ..mail import mbox
from ..mail.fields import BLANK_LINE, split
from ..sync import sync_folder
from .errors import MailboxError
from .likeness import PRIVATE, liken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from .mailbox import Change

TEMPORARY = ".cmstream-"
"""How the new file's name begins until it has the old one's place."""
_HEADER = 1 << 20  # in a longer header block no fields of servers are looked for
_CHUNK = 256 << 10
_MARKS = {b"status", b"x-status", b"x-keywords", b"x-imapbase"}
"""Fields in which servers keep flags and keywords; they go over to the new message."""
_OWN = _MARKS | {b"x-imap", b"x-uid", b"content-length"}
"""All fields that belong to the file, not to the message."""
_UIDS = re.compile(rb"[ \t]*\d{1,10}[ \t]+\d{1,10}\b")
"""UIDVALIDITY and the last UID, as servers note them in their own message."""


class Entry(NamedTuple):
    """A message of a file. ``identity``: the SHA-256 of its content, and how many like it stand
    behind it, which a sweep from the first to the last doesn't change; ``size``: its bytes in the
    file, from ``start`` on; ``is_internal``: it is the one in which servers keep their notes, which
    is the first: a sender may write such a field, too."""

    identity: str
    start: int
    size: int
    from_line: bytes
    marks: bytes
    is_internal: bool


class Apart(NamedTuple):
    """A message taken apart: its header block without the file's fields; those of them that hold
    marks; whether it may be a server's own; from the blank line on, the rest."""

    header: bytes
    marks: bytes
    is_internal: bool
    rest: Iterator[bytes]

    def content(self) -> Iterator[bytes]:
        """All that isn't the file's."""
        return chain((self.header,), self.rest)


def messages(file: BinaryIO, start: int = 0) -> Iterator[mbox.Message]:
    """The messages from a place on; their own places are counted from it."""
    file.seek(start)
    chunks = iter(lambda: file.read(_CHUNK), b"")
    return mbox.messages(chunks, lambda at, count: os.pread(file.fileno(), count, start + at))


def taken_apart(chunks: Iterator[bytes]) -> Apart:
    """A message, by the end of its header block."""
    head = bytearray()
    end = 0
    for chunk in chunks:
        head += chunk
        blank = BLANK_LINE.search(head)
        end = 0 if head[:1] == b"\n" or head[:2] == b"\r\n" else blank.start() + 1 if blank else -1
        if end >= 0 or len(head) > _HEADER:
            break
    else:
        end = len(head)
    end = max(end, 0)
    fields = list(split(bytes(head[:end])))
    return Apart(
        b"".join(one.raw for one in fields if one.name not in _OWN),
        b"".join(one.raw for one in fields if one.name in _MARKS),
        any(one.name == b"x-imap" and _UIDS.match(one.value) for one in fields),
        chain((bytes(head[end:]),), chunks),
    )


def scan(file: BinaryIO) -> list[Entry]:
    """All messages of a file."""
    found: list[Entry] = []
    for one in messages(file):
        apart = taken_apart(one.chunks)
        digest = hashlib.sha256()
        for piece in apart.content():
            digest.update(piece)
        is_internal = apart.is_internal and not found
        name = digest.hexdigest()
        found.append(Entry(name, one.start, 0, one.from_line, apart.marks, is_internal))
    return _numbered(found, os.fstat(file.fileno()).st_size)


def _numbered(entries: list[Entry], end: int) -> list[Entry]:
    """With what only those behind them tell. ``end``: of the file."""
    behind: Counter[str] = Counter()
    for at in reversed(range(len(entries))):
        one = entries[at]
        name = f"{one.identity}.{behind[one.identity]}"
        behind[one.identity] += 1
        entries[at], end = one._replace(identity=name, size=end - one.start), one.start
    return entries


class Rewritten:
    """The new file. ``file``: the old one, which nobody else may change until :meth:`settle`.
    ``before``: what :func:`changed` gave of it before it was scanned."""

    def __init__(self, path: Path, file: BinaryIO, before: tuple[int, int]) -> None:
        self._path, self._old, self._before = path, file, before
        self._temporary = path.with_name(f"{TEMPORARY}{path.name}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._temporary.unlink(missing_ok=True)
        self._new: BinaryIO = os.fdopen(os.open(self._temporary, flags, PRIVATE), "w+b")

    def write(self, entries: Sequence[Entry], going: Mapping[str, Change]) -> dict[str, str]:
        """Writes all of it, and reads it again. Gives the new identities by the old ones. Raises
        MailboxError if it isn't what it should be, OSError."""
        wanted = []
        for one in entries:
            if change := going.get(one.identity):
                wanted.append(self._put(one, change))
            else:
                self._copy(one)
                wanted.append(one.identity.partition(".")[0])
        self._new.flush()
        found = [one.identity for one in scan(self._new)]
        if [one.partition(".")[0] for one in found] != wanted:
            text = f"{self._path}: the new file reads otherwise than it was written: it is dropped"
            raise MailboxError("unavailable", text)
        new = {one.identity: name for one, name in zip(entries, found, strict=True)}
        return {one: new[one] for one in going}

    def settle(self) -> None:
        """Brings it to the disk, and gives it the old one's place, owner, mode and times. Raises
        MailboxError ``busy`` where a program that heeds no lock has changed the old one."""
        about, fd = os.fstat(self._old.fileno()), self._new.fileno()
        liken(fd, about)
        os.fsync(fd)
        if changed(self._old) != self._before:
            text = f"{self._path} was changed by a program that locks it otherwise: end it before"
            raise MailboxError("busy", text)
        self._temporary.rename(self._path)
        sync_folder(self._path.parent)

    def close(self) -> None:
        """Removes it, if it hasn't the other's place."""
        self._new.close()
        with contextlib.suppress(FileNotFoundError):
            self._temporary.unlink()

    def _copy(self, entry: Entry) -> None:
        self._old.seek(entry.start)
        left = entry.size
        while left and (piece := self._old.read(min(left, _CHUNK))):
            self._new.write(piece)
            left -= len(piece)

    def _put(self, entry: Entry, change: Change) -> str:
        """Writes a new message; gives its SHA-256 as :func:`scan` will find it."""
        end = b"\r\n" if entry.from_line.endswith(b"\r\n") else b"\n"
        chunks = (bytes(one) for one in change.new.chunks())
        apart = taken_apart(iter(_with_ends(chunks, end)))
        self._new.write(entry.from_line + apart.header + entry.marks)
        digest, last = hashlib.sha256(apart.header), b""
        rest = _seen(apart.rest, digest.update)
        for piece in mbox.quote(rest):
            self._new.write(piece)
            last = piece[-1:] or last
        if last != b"\n":
            digest.update(end)
            self._new.write(end)
        self._new.write(end)
        return digest.hexdigest()


def changed(file: BinaryIO) -> tuple[int, int]:
    """Its size in bytes, and when it was changed, in nanoseconds."""
    about = os.fstat(file.fileno())
    return about.st_size, about.st_mtime_ns


def _seen(pieces: Iterable[bytes], see: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        see(piece)
        yield piece


def _with_ends(chunks: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """A text with these line ends."""
    left = b""
    for chunk in chunks:
        text = left + chunk
        left = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(left)].replace(b"\r\n", b"\n")
        yield text.replace(b"\n", end) if end != b"\n" else text
    yield left
