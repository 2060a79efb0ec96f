"""A message between DATA and its end: dots are taken away and put in (RFC 5321, section 4.5.2).

Everything here searches whole pieces, of any size and cut anywhere, and never goes by lines, so
lines may be of any length and hold any byte. Only CR LF . CR LF ends a message. What other
programs may take for its end is known by ``LookAlikes``.
"""

from __future__ import annotations

import re

_LINE = b"\r\n"
_DOT = b"\r\n."
_END = b"\r\n.\r\n"
# How the end of a message may begin at the end of a piece, the longest first, and how many bytes
# of it are content for sure. A dot isn't: it goes, or it ends the message.
_BEGUN = ((b"\r\n.\r", 2), (_DOT, 2), (_LINE, 2), (b"\r", 1))
_GIVEN = dict(_BEGUN)
_FEW_DOTS = 50


class Unstuffer:
    """Takes the dots out of one message after the other, and finds where each ends.

    A dot at the beginning of a line goes. Lines end with CR LF alone: a dot behind a bare LF or a
    bare CR is content, and so is all of ``LF . CR LF``.
    """

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = _LINE

    def feed(self, data: bytes, at: int = 0) -> tuple[bytes, int]:
        """Takes what has come, from the position ``at`` on.

        Gives the content in it, and the position in ``data`` behind the message's end, or -1 as
        long as it hasn't come. The next call begins a new message then.
        """
        if at >= len(data):
            return b"", -1
        begun = self._begun
        if not begun or (begun == _LINE and data[at] != _DOT[2]):
            return self._cut(data, at)
        content, end = self._cut(begun + data[at:], 0)
        return content[_GIVEN[begun] :], end if end < 0 else end - len(begun) + at

    def _cut(self, data: bytes, at: int) -> tuple[bytes, int]:
        """The same, when nothing that came before ``at`` matters."""
        dot = _first_dot(data, at)
        end = data.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            self._begun = _LINE
            content = data[at : end + 2]
            return content if dot == end else content.replace(_DOT, _LINE), end + len(_END)
        stop = len(data)
        self._begun = b""
        for begun, given in _BEGUN:
            if data.endswith(begun, at):
                self._begun, stop = begun, stop - len(begun) + given
                break
        content = data[at:stop]
        return content if dot < 0 else content.replace(_DOT, _LINE), -1


class Stuffer:
    """Puts the dots into one message that is to be sent: each one that begins a line is doubled."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun = _LINE

    def feed(self, content: bytes) -> bytes:
        """What is sent for a piece of the message."""
        if not content:
            return content
        begun = self._begun
        self._begun = (begun + content if len(content) == 1 else content)[-2:]
        stuffed = content
        if _first_dot(content, 0) >= 0:
            stuffed = content.replace(_DOT, b"\r\n..")
        if begun == _LINE and content[0] == _DOT[2]:
            return b"." + stuffed
        if begun[-1:] == b"\r" and content[:2] == b"\n.":
            return b"\n." + stuffed[1:]
        return stuffed

    def finish(self) -> bytes:
        """The end of the message, with a line end before it where the message has none."""
        return b".\r\n" if self._begun == _LINE else _END


def _first_dot(data: bytes, at: int) -> int:
    """Where the first line end with a dot behind it begins, or -1.

    To find a single byte is fifty times faster than to find three. Sealed mail has no dots but in
    its header, so that it goes from dot to dot, and gives that up where there are many.
    """
    dot = at
    for _ in range(_FEW_DOTS):
        dot = data.find(b".", dot)
        if dot < 0:
            return -1
        if dot >= at + 2 and data[dot - 2 : dot] == _LINE:
            return dot - 2
        dot += 1
    return data.find(_DOT, max(dot - 2, at))


class LookAlikes:
    """Knows whether a message has what some programs take for its end: a lone dot between two
    line ends of which one at least is a bare LF or a bare CR.

    To such programs one message is two, the second of the sender's making (SMTP smuggling). No
    doubled dot helps, so that such a message can be sent by BDAT alone. Its beginning and its end
    count as line ends. NULs around the dot count as nothing, since some programs drop them; with
    them CR LF on both sides is one, too.
    """

    __slots__ = ("_before", "found")

    found: bool
    """Whether there is one in what has come so far."""

    def __init__(self) -> None:
        self._before = _LINE
        self.found = False

    def feed(self, content: bytes) -> None:
        """Takes a piece of the message, without the dots that are put in for sending."""
        if self.found or not content:
            return
        data = self._before + content
        if b"\0" in data:
            data = _NULS.sub(b"\0", data)
        self.found = any(_is_lookalike(data, lone) for lone in _LONE.finditer(data))
        self._before = data[-_NEAR:]

    def finish(self) -> bool:
        """Whether the whole message has one."""
        self.feed(_LINE)
        return self.found


_NULS = re.compile(rb"\0\0+")
# A dot, what must stand right before it, and what is behind it. The dot comes first, because one
# byte is found faster than one of several.
_LONE = re.compile(rb"\.(?<=[\r\n\0]\.)\0?[\r\n]")
_NEAR = len(b"\r\n\0.\0\r\n")


def _is_lookalike(data: bytes, lone: re.Match[bytes]) -> bool:
    """``data`` begins before all that wasn't looked at yet, by _NEAR bytes or with a line end."""
    before = lone.start() - 1
    if data[before] == 0:
        before -= 1
    if before < 1 or data[before] not in b"\r\n":
        return False
    around = data[before - 1 : lone.end() + 1]
    return around != _END and not (around == _END[:-1] and lone.end() == len(data))
