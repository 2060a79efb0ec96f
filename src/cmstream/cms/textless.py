"""Can somebody read the values that stand beside the encrypted content of CMS: keys, parameters,
attributes, tags?

Each value may be short, and a text may stand in many of them. So they are looked at one by one and
all together, without those names of recipients that everybody may read.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from ..asn1 import tlv
from ..mail.readable import check_little_text, check_no_text, check_random
from ..mail.unproved import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..asn1.tlv import Tlv

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TIME = re.compile(rb"\d{10,14}(?:\.\d{1,6})?(?:Z|[+-]\d{4})")
_LONGEST_SHORT = 64  # bytes of a value that isn't looked at alone
_DEEPEST, _MOST = 10, 64  # levels, and elements for each recipient or name: more than any has
# What is built of other tags says something by them: application tags are letters.
_TAGS = frozenset(range(0x1F)) | {0x30, 0x31} | {*range(0x80, 0x85), *range(0xA0, 0xA5)}


class Textless:
    """Values are added as they come; ``check`` looks at all of them."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}
        self._every: list[bytes] = []  # those that come again too: a text goes on with one

    def add(self, element: Tlv, names: Collection[bytes] = (), *, most: int = _MOST) -> None:
        """The values inside an element, which holds ``most`` elements at most. ``names``: elements
        and values that may be read. Raises UnprovedError, TlvError."""
        found = list(islice(_elements(element, names), most + 1))
        if len(found) > most:
            raise UnprovedError("more elements than any recipient has")
        own = dict.fromkeys(value for value in found if value is not None)
        check_little_text(b"".join(own))
        for value in own:
            if len(value) > _LONGEST_SHORT:
                check_random(value)
        short = [value for value in found if value is not None and len(value) <= _LONGEST_SHORT]
        self._seen |= dict.fromkeys(short)
        self._every += short

    def add_edges(self, edges: bytes) -> None:
        """The first and the last octets of the content."""
        self._seen[edges] = None
        self._every.append(edges)

    def check(self) -> None:
        """Raises UnprovedError."""
        check_little_text(b"".join(self._seen))
        check_no_text(b"".join(self._every))


def _elements(element: Tlv, names: Collection[bytes], depth: int = 0) -> Iterator[bytes | None]:
    """An element and all inside: the values that may hold a text, None for each of the others."""
    tag, content = element.tag, element.content
    if element.whole in names or content in names:
        return
    if tag not in _TAGS or depth == _DEEPEST:
        raise UnprovedError("a tag, or a depth, that nothing in it has")
    if tag & tlv.CONSTRUCTED:
        yield None
        for child in element.children():
            yield from _elements(child, names, depth + 1)
    else:
        is_time = tag in {_UTC_TIME, _GENERALIZED_TIME} and _TIME.fullmatch(content)
        yield None if is_time else content
