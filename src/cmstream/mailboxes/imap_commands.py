"""The commands of IMAP that a sweep needs and IMAPClient hasn't: FETCH whose answers are told apart
by UID alone, and APPEND of several messages that aren't in memory.

IMAPClient gives the answer for one message to another where a server speaks of a message without
its UID, as it may when another mail program changes flags.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from imapclient.exceptions import IMAPClientAbortError, IMAPClientError
from imapclient.response_parser import parse_response

from ..mail.fields import split

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from imapclient import IMAPClient

    from .mailbox import Content

_AT_ONCE = 500  # UIDs in a command: lines of 8 KiB are what all servers take (RFC 7162 section 4)
_PIECE = 256 << 10
_UIDS = re.compile(rb"\[APPENDUID (\d+) ([\d,:]+)\]", re.IGNORECASE)
_ID = re.compile(rb"[!#-\[\]-~]+")


class Addition(NamedTuple):
    """A message to be appended. ``date``: INTERNALDATE as the server wrote it."""

    content: Content
    flags: Collection[bytes]
    date: bytes


def uid_sets(uids: Iterable[int]) -> Iterator[bytes]:
    """Sets of UIDs (RFC 3501 section 9, ``sequence-set``) that are short enough for a command."""
    runs: list[list[int]] = []
    for count, uid in enumerate(sorted(uids)):
        if count % _AT_ONCE == 0 and runs:
            yield _written(runs)
            runs = []
        if runs and runs[-1][1] == uid - 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    if runs:
        yield _written(runs)


def _written(runs: Iterable[Sequence[int]]) -> bytes:
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in runs)


def fetch(client: IMAPClient, uids: Iterable[int], items: bytes) -> dict[int, dict[bytes, Any]]:
    """What the server tells of messages, by UID; without those that aren't there."""
    found: dict[int, dict[bytes, Any]] = {}
    for some in uid_sets(uids):
        try:
            data = _fetched(client, some, items)
        except IMAPClientAbortError:
            raise
        except IMAPClientError:  # as where one was removed meanwhile (RFC 5530, EXPUNGEISSUED)
            client.noop()
            data = _fetched(client, some, items)
        for about in data:
            found.setdefault(about[b"UID"], {}).update(about)
    return found


def _fetched(client: IMAPClient, uids: bytes, items: bytes) -> list[dict[bytes, Any]]:
    data = client._raw_command_untagged(b"FETCH", [uids, b"(UID " + items + b")"])  # noqa: SLF001
    if data == [None]:
        return []
    parts = parse_response(data)
    values = (dict(zip(one[::2], one[1::2], strict=False)) for one in parts[1::2])
    return [one for one in values if isinstance(one.get(b"UID"), int)]


def flags_of(about: dict[bytes, Any]) -> frozenset[bytes]:
    """The flags and keywords in an answer to FETCH, without the one for what is new (Recent),
    which nobody can set."""
    found = (_atom(one) for one in about.get(b"FLAGS") or ())
    return frozenset(one for one in found if one.lower() != b"\\recent")


def _atom(parsed: Any) -> bytes:
    """A keyword as it is written: IMAPClient takes some for a number, or for nothing."""
    return b"NIL" if parsed is None else b"%d" % parsed if isinstance(parsed, int) else parsed


class Appended(NamedTuple):
    """Where messages are that were appended: the folder's UIDVALIDITY, and their UIDs, in no order
    to rely on. None where the server doesn't tell."""

    validity: int = 0
    uids: Sequence[int] = ()


def append(client: IMAPClient, folder: bytes, messages: Sequence[Addition]) -> Appended:
    """Appends messages to a folder, several in one command (MULTIAPPEND, RFC 3502): all or none.
    Raises IMAPClientError if the server refuses them. It is IMAPClient's own way of sending, in
    pieces."""
    imap: Any = client._imap  # noqa: SLF001
    plus = client.has_capability("LITERAL+")
    tag = imap._new_tag()  # noqa: SLF001
    line = tag + b" APPEND " + client._normalise_folder(folder)  # noqa: SLF001
    for one in messages:
        size = b"%d+" % len(one.content) if plus else b"%d" % len(one.content)
        line += b' (%s) "%s" {%s}\r\n' % (b" ".join(sorted(one.flags)), one.date, size)
        if not plus:
            imap.send(line)
            line = b""
            if not _may_go_on(imap, tag):
                break
        for piece in one.content.chunks():
            line += piece
            if len(line) >= _PIECE:
                imap.send(line)
                line = b""
    else:
        imap.send(line + b"\r\n")
    kind, data = imap._command_complete("APPEND", tag)  # noqa: SLF001
    client._checkok("append", kind, data)  # noqa: SLF001
    return appended_uids(data[0])


def _may_go_on(imap: Any, tag: bytes) -> bool:
    """Waits for the server's leave to send a literal."""
    while imap._get_response():  # noqa: SLF001
        if imap.tagged_commands[tag]:
            return False
    return True


def appended_uids(answer: bytes) -> Appended:
    """What an answer to APPEND tells (RFC 4315 section 3)."""
    found = _UIDS.search(answer)
    if not found:
        return Appended()
    uids: list[int] = []
    for one in found[2].split(b","):
        first, _, last = one.partition(b":")
        low, high = sorted((int(first), int(last or first)))
        uids += range(low, min(high, low + _AT_ONCE) + 1)
    return Appended(int(found[1]), uids)


def search_key(header: bytes) -> str:
    """What finds a message by SEARCH HEADER, which looks for a part of a field's value: the longest
    part of the Message-ID that needs no quoting. Empty if there is none."""
    found = (one.value for one in split(header) if one.name == b"message-id")
    return max(_ID.findall(next(found, b"")), key=len, default=b"").decode("ascii")
