"""Tests of peers in processes of their own: what they seal is opened, and their clocks count."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import peer_process
import samples
from engines import Absent, Engine, Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PEER = """
import sys, time
from pathlib import Path
import cmstream

to = cmstream.Recipients(cmstream.load_recipients(Path(sys.argv[-1]).read_bytes()))
print("a peer", flush=True)
for line in sys.stdin:
    word, *rest = line.rstrip("\\n").split("\\t")
    if word == "load":
        messages = [Path(one).read_bytes() for one in rest]
        answer = len(messages)
    elif word == "run":
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        for _ in range(int(rest[0])):
            cmstream.encrypt_message(messages[0], to)
        cpu = time.process_time_ns() - cpu
        answer = f"{time.perf_counter_ns() - wall}\\t{cpu}"
    else:
        answer = Path(rest[0]).write_bytes(cmstream.encrypt_message(messages[0]CHANGED, to))
    print(answer, flush=True)
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


def _engine(lab: Lab, folder: Path, program: str) -> Engine:
    path = folder / "peer.py"
    path.write_text(program, "utf-8")
    return peer_process.engine(lab, "the peer", [sys.executable, path], peer_process.Warming())


def test_a_peer_is_asked_and_times_itself(lab: Lab, tmp_path: Path) -> None:
    engine = _engine(lab, tmp_path, PEER.replace("CHANGED", ""))
    assert lab.versions == {"the peer": "a peer"}
    run = engine.prepare(samples.column("75 KiB", 32))
    before = run.clocks()
    assert run() == 3  # of 75 KiB, in 256 KiB
    after = run.clocks()
    assert after.wall > before.wall
    assert after.cpu > before.cpu


def test_a_peer_that_seals_something_else_is_an_error(lab: Lab, tmp_path: Path) -> None:
    engine = _engine(lab, tmp_path, PEER.replace("CHANGED", "[:-9]"))
    with pytest.raises(RuntimeError, match="a peer: what it seals opens to another message"):
        engine.prepare(samples.column("4 KiB", 256))


def test_a_peer_that_ends_is_left_out(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(Absent, match="the peer has ended"):
        _engine(lab, tmp_path, "print('a peer')")
