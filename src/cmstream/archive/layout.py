"""How a mail stood before it became an S/MIME message, so that its own octets come back.

Sealing takes the fields ``Content-*`` and ``MIME-Version`` out of a header block and makes all line
ends CRLF. A layout says where they stood, and nothing of what they said but for ``MIME-Version``.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import NamedTuple

from ..errors import MessageError
from ..mail import fields, mime

_INSIDE = re.compile(fields.named(rb"(content-)[!-9;-~]*|mime-version"), re.IGNORECASE)
_WORD = re.compile(r"[oi][0-9]{1,9}|v[\x00-\xff]*")
_CR, _LF, _CRLF = b"\r", b"\n", b"\r\n"


class Ends(NamedTuple):
    """How many lines end in LF, and how many of them in CRLF."""

    lf: int
    crlf: int

    @property
    def alike(self) -> bool:
        """Whether all line ends are the same."""
        return self.crlf in {0, self.lf}


def of_mail(data: bytes) -> str | None:
    """The layout of a whole mail; None if an S/MIME message can't give its octets back."""
    ends = Ends(data.count(_LF), data.count(_CRLF))
    return of_head(data, ends) if ends.alike else None


def of_head(beginning: bytes, ends: Ends) -> str | None:
    """The same of a mail's beginning that holds at least its header block, and the line ends of all
    of it."""
    try:
        end, _ = mime.header_end(beginning, 0, final=True)
    except MessageError:
        return None
    if not end or not ends.alike:
        return None
    head, bare = beginning[:end], not ends.crlf
    if bare:
        head = head.replace(_LF, _CRLF)
    if not head.endswith(b"\r\n\r\n"):
        return None
    outside, inside, canonical = mime.frame(head)
    if bare and not canonical:
        return None
    plan = _plan(head)
    opened = outside[: -len(mime.ENTITY_HEADER)] + mime.VERSION + inside
    if _reordered(opened, plan) != head:
        return None
    return json.dumps(["lf" if bare else "crlf", *plan], separators=(",", ":"))


def _plan(head: bytes) -> list[str]:
    """The fields in their order: ``o3`` stands for three that stay outside, ``i2`` for two that go
    inside, ``v`` for MIME-Version, with its text unless it is the usual one."""
    text = _LF + head[: -len(_CRLF)]
    plan: list[str] = []
    begin = 1
    for found in _INSIDE.finditer(text):
        _count(plan, "o", len(fields.END.findall(text[begin : found.start() + 1])))
        end = fields.END.search(text, found.end())
        start, begin = found.start() + 1, end.end() if end else len(text)
        if found[1]:
            _count(plan, "i", 1)
        else:
            raw = text[start:begin]
            plan.append("v" if raw == mime.VERSION else "v" + raw.decode("latin-1"))
    _count(plan, "o", len(fields.END.findall(text[begin:])))
    return plan


def _count(plan: list[str], what: str, count: int) -> None:
    if plan and plan[-1][0] == what:
        count += int(plan.pop()[1:])
    if count:
        plan.append(f"{what}{count}")


def _reordered(opened: bytes, plan: list[str]) -> bytes:
    """An opened mail's header block as it stood. Raises ValueError where it doesn't fit."""
    every = [one.raw for one in fields.split(opened)]
    outside = iter(every)
    count = sum(int(word[1:]) for word in plan if word[0] == "o")
    inside = iter(every[count + 1 : -1])
    parts: list[bytes] = []
    for word in plan:
        if word[0] == "v":
            parts.append(word[1:].encode("latin-1") or mime.VERSION)
        else:
            which = outside if word[0] == "o" else inside
            parts += itertools.islice(which, int(word[1:]))
    return b"".join([*parts, _CRLF])


def _is_word(word: object) -> bool:
    return isinstance(word, str) and bool(_WORD.fullmatch(word))


class Restorer:
    """Gives an opened mail's octets as they stood, piece by piece, by its layout."""

    def __init__(self, layout: str) -> None:
        """Raises ValueError for what :func:`of_mail` doesn't give."""
        try:
            words = json.loads(layout)
        except RecursionError:
            raise ValueError(layout) from None
        if not isinstance(words, list) or not all(map(_is_word, words[1:])):
            raise ValueError(layout)
        ends, *self._plan = words
        self._bare = ends == "lf"
        self._head: bytearray | None = bytearray()
        self._resume = 0
        self._held = b""

    def take(self, piece: bytes, *, final: bool = False) -> bytes:
        """What the next bytes of the opened mail give."""
        if self._head is not None:
            self._head += piece
            end, self._resume = mime.header_end(self._head, self._resume, final=final)
            if end is None:
                return b""
            piece = _reordered(bytes(self._head[:end]), self._plan) + bytes(self._head[end:])
            self._head = None
        return self._lines(piece, final=final) if self._bare else piece

    def _lines(self, piece: bytes, *, final: bool) -> bytes:
        piece = self._held + piece
        self._held = b""
        if piece.endswith(_CR) and not final:
            piece, self._held = piece[:-1], _CR
        return piece.replace(_CRLF, _LF)
