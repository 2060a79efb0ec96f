"""Can somebody read the values that stand beside the encrypted content of CMS: keys, parameters,
attributes?

Each value may be short, and a text may stand in many of them. So they are looked at one by one and
all together, without those names of recipients that everybody may read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..asn1 import tlv
from ..mail.readable import check_little_text, check_random
from ..mail.unproved import UnprovedError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..asn1.tlv import Tlv

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TIME = re.compile(rb"\d{10,14}(?:\.\d{1,6})?(?:Z|[+-]\d{4})")
_LONGEST_SHORT = 64  # octets of a value that isn't looked at alone


class Textless:
    """Values are added as they come; the end looks at all of them."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}

    def add(self, element: Tlv, names: Collection[bytes] = ()) -> None:
        """The values inside an element. ``names``: elements and values that may be read. Raises
        UnprovedError, TlvError."""
        own = dict.fromkeys(_values(element, names))
        check_little_text(b"".join(own))
        for value in own:
            if len(value) > _LONGEST_SHORT:
                check_random(value)
        self._seen |= {value: None for value in own if len(value) <= _LONGEST_SHORT}

    def end(self) -> None:
        """Raises UnprovedError."""
        check_little_text(b"".join(self._seen))


def _values(element: Tlv, names: Collection[bytes], depth: int = 0) -> Iterator[bytes]:
    tag, content = element.tag, element.content
    if element.whole in names or content in names:
        return
    if tag & tlv.CONSTRUCTED:
        if depth == tlv.MAX_DEPTH:
            raise UnprovedError("values that are nested too deep")
        for child in element.children():
            yield from _values(child, names, depth + 1)
    elif tag not in {_UTC_TIME, _GENERALIZED_TIME} or not _TIME.fullmatch(content):
        yield content
