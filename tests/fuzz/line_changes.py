"""Changes of what comes line by line, for the targets whose input is such."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


def changed(wire: bytes, new: bytes, source: random.Random) -> bytes:
    """Something new comes in, and some of the old goes, at the beginning of a line mostly."""
    places = [0, *(one.end() for one in re.finditer(b"\n", wire)), source.randint(0, len(wire))]
    begin, end = sorted(source.choices(places, k=2))
    return wire[:begin] + new + wire[source.choice((begin, begin, end)) :]
