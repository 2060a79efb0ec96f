"""How far the resident memory of a process grows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def above_base(work: Callable[[], object], process: int | str = "self") -> int:
    """By how many bytes the peak exceeds what the process has before ``work`` is done. Linux."""
    Path(f"/proc/{process}/clear_refs").write_text("5")  # the peak falls to what it is now
    base = _status(process, "VmRSS")
    work()
    return _status(process, "VmHWM") - base


def _status(process: int | str, field: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    (line,) = (one for one in lines if one.startswith(field))
    return int(line.split()[1]) << 10
