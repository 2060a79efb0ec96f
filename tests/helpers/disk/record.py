"""Runs a work of :mod:`helpers.disk.works` while tests/native/disk_faults.c notes what it does to
files, and reads those notes."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[2]
SOURCE = TESTS / "native" / "disk_faults.c"
_HEAD = struct.Struct("<B7xQQQIIQ")
MARK = "m"
"""Kind of a record that the work itself writes: what it has promised by then."""


class Event(NamedTuple):
    """A call that changed something, by the letters of disk_faults.c."""

    kind: str
    inode: int = 0
    offset: int = 0
    size: int = 0
    path: str = ""
    other: str = ""
    data: bytes = b""


def built(folder) -> Path:
    """The library to load before all others."""
    library = folder / "disk_faults.so"
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-pthread"]
    subprocess.run(["cc", *options, "-o", library, SOURCE, "-ldl"], check=True)
    return library


def environment(library, root, log=None) -> dict[str, str]:
    """What a process needs whose calls below ``root`` are to be noted, or to fail."""
    own = {"LD_PRELOAD": str(library), "DISK_FAULTS_ROOT": str(root), "PYTHONPATH": str(TESTS)}
    return {**os.environ, **own} | ({"DISK_FAULTS_LOG": str(log)} if log else {})


def recorded(library, root, log, name, *words) -> list[Event]:
    """What a work does below ``root``."""
    command = [sys.executable, "-m", "helpers.disk.works", name, root, *map(str, words)]
    subprocess.run(command, env=environment(library, root, log), check=True)
    return events(log)


def mark(text: str) -> None:
    """Notes what is promised from now on."""
    name = os.fsencode(text)
    with open(os.environ["DISK_FAULTS_LOG"], "ab", buffering=0) as log:  # noqa: PTH123
        log.write(_HEAD.pack(ord(MARK), 0, 0, 0, len(name), 0, 0) + name)


def events(log) -> list[Event]:
    """All notes, in order."""
    data, at, found = Path(log).read_bytes(), 0, []
    while at < len(data):
        kind, inode, offset, size, *lengths = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        parts = []
        for length in lengths:
            parts.append(data[at : at + length])
            at += length
        path, other = map(os.fsdecode, parts[:2])
        found.append(Event(chr(kind), inode, offset, size, path, other, parts[2]))
    return found
