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
from ..mail.readable import Runs, check_little_text, check_no_text, check_random
from ..mail.unproved import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..asn1.tlv import Tlv
    from ..mail.readable import Ciphertext

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TIME = re.compile(  # figures that are no time would be somebody's
    rb"(?:19|20)?\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d"
    rb"(?:[0-5]\d(?:\.\d{1,3})?)?(?:Z|[+-][01]\d[0-5]\d)"
)
_LONGEST_SHORT = 64  # bytes of a value that isn't looked at alone
_DEEPEST, _MOST = 10, 64  # levels, and elements for each recipient or name: more than any has
# What is built of other tags says something by them: application tags are letters.
_TAGS = frozenset(range(0x1F)) | {0x30, 0x31} | {*range(0x80, 0x85), *range(0xA0, 0xA5)}


class Textless:
    """Values are added as they come; ``check`` looks at all of them."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}
        self._every: list[bytes] = []  # those that come again too: a text goes on with one
        self._runs = Runs()

    def add(self, element: Tlv, names: Collection[bytes] = (), *, most: int = _MOST) -> None:
        """The values inside an element, which holds ``most`` elements at most. ``names``: elements
        and values that may be read. Raises UnprovedError, TlvError."""
        found = list(islice(_elements(element, names), most + 1))
        if len(found) > most:
            raise UnprovedError("more elements than any recipient has")
        own = dict.fromkeys(value for value in found if value is not None)
        self._runs.include(check_little_text(b"".join(own)))
        for value in own:
            if len(value) > _LONGEST_SHORT:
                check_random(value)
        short = [value for value in found if value is not None and len(value) <= _LONGEST_SHORT]
        self._seen |= dict.fromkeys(short)
        self._every += short

    def add_content(self, content: Ciphertext) -> None:
        """Its first and last octets, and the text in it that is too little to be told alone."""
        self._seen[content.edges] = None
        self._every.append(content.edges)
        self._runs.include(content.runs)

    def check(self) -> None:
        """Raises UnprovedError."""
        check_little_text(b"".join(self._seen))
        check_no_text(b"".join(self._every), again=True)
        self._runs.check()


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
