"""Changes of DER (ITU-T X.690) that leave the lengths right: a reader gets past them, and sees the
change. What isn't DER stays as it is."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

_CONSTRUCTED, _BIT_STRING, _OCTET_STRING = 0x20, 0x03, 0x04
_DEEPEST, _MOST = 24, 2000
_TAGS = (1, 2, 3, 4, 5, 6, 0x0C, 0x13, 0x16, 0x17, 0x18, 0x1E, 0x24, 0x30, 0x31, 0x80, 0xA0, 0xA1)
_NUMBERS = (b"", b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0\x80", b"\0\0", b"\x7f" + b"\xff" * 3,
            b"\0" + b"\xff" * 8, b"\x40" + bytes(20), b"\xff" * 70)  # fmt: skip


class Element:
    """``parts``: the elements inside, or None; ``content`` has the octets before them, or all."""

    def __init__(self, tag: int, content: bytes, parts: list[Element] | None) -> None:
        self.tag, self.content, self.parts = tag, content, parts
        self.form = "shortest"

    def inside(self) -> bytes:
        """Its content, as it is written."""
        return self.content + b"".join(one.octets() for one in self.parts or ())

    def octets(self) -> bytes:
        """As it is written."""
        content = self.inside()
        if self.form == "indefinite" and self.tag & _CONSTRUCTED:
            return bytes([self.tag, 0x80]) + content + b"\0\0"
        count = len(content).to_bytes(4, "big")
        if self.form == "long":
            return bytes([self.tag, 0x84]) + count + content
        short = count.lstrip(b"\0") or b"\0"
        length = short if len(content) < 0x80 else bytes([0x80 | len(short)]) + short
        return bytes([self.tag]) + length + content

    def copy(self) -> Element:
        """Another one, of a piece."""
        return Element(self.tag, self.inside(), None)

    def each(self) -> Iterator[Element]:
        """It and all inside."""
        yield self
        for one in self.parts or ():
            yield from one.each()


def read(data: bytes, depth: int = 0) -> list[Element] | None:
    """The elements side by side that ``data`` consists of; None if it is no DER. Strings that hold
    elements are taken apart too."""
    found, at = [], 0
    while at < len(data):
        body = _body(data, at)
        if body is None or depth > _DEEPEST:
            return None
        begin, end = body
        found.append(_element(data[at], data[begin:end], depth))
        at = end
    return found


def _body(data: bytes, at: int) -> tuple[int, int] | None:
    if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
        return None
    begin, length = at + 2, data[at + 1]
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(data[at + 2 : begin], "big")
    indefinite = data[at + 1] == 0x80
    return None if indefinite or begin + length > len(data) else (begin, begin + length)


def _element(tag: int, content: bytes, depth: int) -> Element:
    if tag & _CONSTRUCTED:
        parts = read(content, depth + 1)
        return Element(tag, content if parts is None else b"", parts)
    before = {_BIT_STRING: 1, _OCTET_STRING: 0}.get(tag)
    parts = None
    if before is not None and content[before : before + 1] in (b"0", b"1", b"\2", b"\3", b"\4"):
        parts = read(content[before:], depth + 1)
    return Element(tag, content if parts is None else content[:before], parts)


def changed(data: bytes, source: random.Random, texts: tuple[bytes, ...] = ()) -> bytes:
    """With one to three changes. ``texts``: what may come in besides numbers."""
    roots = read(data)
    if not roots:
        return data
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        _change(Element(0x30, b"", roots), source, texts)
    return b"".join(one.octets() for one in roots)


def _change(top: Element, source: random.Random, texts: tuple[bytes, ...]) -> None:
    every = list(islice(top.each(), _MOST))
    owner = source.choice([one for one in every if one.parts] or [top])
    if not owner.parts or len(every) == _MOST:
        return
    if source.random() < 0.4:
        leaf = source.choice([one for one in every if not one.parts])
        _change_content(leaf, source, texts or _NUMBERS)
    elif source.random() < 0.5:
        _change_place(owner.parts, source.choice(every[1:]).copy(), source)
    else:
        _change_frame(owner.parts, source)


def _change_place(parts: list[Element], other: Element, source: random.Random) -> None:
    at = source.randrange(len(parts))
    match source.randrange(5):
        case 0:
            del parts[at]
        case 1:
            parts[at:at] = [parts[at]] * source.choice((1, 1, 2, 30, 101))
        case 2:
            parts[at] = other
        case 3:
            parts.insert(at, other)
        case _:
            source.shuffle(parts)


def _change_frame(parts: list[Element], source: random.Random) -> None:
    at = source.randrange(len(parts))
    chosen = parts[at]
    match source.randrange(4):
        case 0:
            chosen.tag = source.choice(_TAGS)
        case 1:
            parts[at] = Element(source.choice(_TAGS) | _CONSTRUCTED, b"", [chosen])
        case 2:
            parts[at : at + 1] = chosen.parts or [chosen]
        case _:
            chosen.form = source.choice(("indefinite", "long"))


def _change_content(leaf: Element, source: random.Random, others: tuple[bytes, ...]) -> None:
    octets = bytearray(leaf.content)
    at = source.randint(0, len(octets))
    match source.randrange(5):
        case 0:
            octets[at : at + source.choice((0, 1))] = source.randbytes(1)
        case 1:
            octets[at:] = b""
        case 2 if octets:
            octets[at % len(octets)] ^= 1 << source.randrange(8)
        case 3:
            octets[at:at] = octets[: source.choice((1, 4, 70))]
        case _:
            octets[:] = source.choice(others)
    leaf.content = bytes(octets)
