"""The crates that Stalwart seals with, and Go's smallstep/pkcs7: a program of this folder around
each, at pinned versions. It is built when its compiler is there, at first from the registry's
sources, which takes some minutes; then what was built stays in the user's cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import peer_process
from engines import Absent
from goals import SMALLSTEP, STALWART, STALWART_ENCODIFY

if TYPE_CHECKING:
    from engines import Engine, Lab

HERE = Path(__file__).parent
COLD = peer_process.Warming()  # nothing is compiled while it runs


def stalwart(lab: Lab) -> list[Engine]:
    """Rust, built as Stalwart is: a row for each of the crates that have written its base64."""
    source, target = HERE / "stalwart", _cache() / "bench-stalwart"
    _build(["cargo", "build", "--quiet", "--locked", "--release", "--target-dir", target], source)
    program = target / "release" / "stalwart_peer"
    return [
        peer_process.engine(lab, name, [program, encoder], COLD)
        for name, encoder in ((STALWART, "mail-builder"), (STALWART_ENCODIFY, "encodify"))
    ]


def smallstep(lab: Lab) -> list[Engine]:
    """One row: Go."""
    program = _cache() / "bench-smallstep"
    _build(["go", "build", "-o", program, "."], HERE / "smallstep")
    return [peer_process.engine(lab, SMALLSTEP, [program], COLD)]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "cmstream"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _build(command: list[str | Path], source: Path) -> None:
    compiler = str(command[0])
    if not shutil.which(compiler):
        raise Absent(f"{compiler} is not installed")
    done = subprocess.run(command, cwd=source, capture_output=True, check=False, text=True)
    if done.returncode:
        raise Absent(f"{compiler} doesn't build it: {done.stderr.strip()}")
