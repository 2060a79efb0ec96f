"""Each input that fuzzing kept, and changes of others, through its target as an ordinary test: what
was found once stays found. And each target finds a fault that is put in on purpose."""

from __future__ import annotations

import importlib
import io
import random
import re
import subprocess
import sys
import tarfile
from importlib import util
from pathlib import Path
from unittest import mock

import pytest

from cmstream.certificates import containers, pfx, pfx_outline
from cmstream.cms import already_encrypted
from cmstream.gateway.protocol import data, milter, replies, seal

HERE = Path(__file__).parent
KEPT = HERE.parent / "native" / "corpus"
NAMES = sorted(path.stem for path in HERE.glob("fuzz_*.py"))
TARGETS = [importlib.import_module(name) for name in NAMES]
EACH = pytest.mark.parametrize("target", TARGETS, ids=NAMES)


def learnt(name: str) -> list[bytes]:
    """What fuzzing learnt, of which one archive is kept."""
    path = KEPT / name / "learnt.tar.gz"
    if not path.exists():
        return []
    with tarfile.open(path) as archive:
        files = [archive.extractfile(one) for one in archive]
        return [one.read() for one in files if isinstance(one, io.BufferedReader)]


def found() -> list[Path]:
    """Inputs that a target once failed with, by what was wrong."""
    paths = [path for name in NAMES for path in (KEPT / name).glob("*")]
    return sorted(path for path in paths if path.name != "learnt.tar.gz")


@pytest.mark.parametrize("path", found(), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_wrong_once(path):
    importlib.import_module(path.parent.name).check(path.read_bytes())


@EACH
def test_what_was_learnt(target):
    for one in learnt(target.__name__):
        target.check(one)


@EACH
def test_seeds_and_changes_of_them(target):
    source = random.Random(target.__name__)
    seeds = list(target.seeds())
    for one in seeds:
        target.check(one)
    for _ in range(100):
        target.check(target.mutate(source.choice(seeds), source))
    target.check(b"")
    assert target.mutate(b"", source) is not None


# --- faults put in on purpose --------------------------------------------------------------------


def unchecked(content, octets):
    content._len += len(octets)


nobody = pfx.PfxContents((), (), private_key=True)
FAULTS = {
    "fuzz_certificates": mock.patch.object(containers, "_signed", lambda _: "csr"),
    "fuzz_pfx": mock.patch.object(pfx, "open_pfx", lambda *_: nobody),
    "fuzz_encrypted": mock.patch.object(already_encrypted.Ciphertext, "add", unchecked),
    "fuzz_session": mock.patch.object(data.Stuffer, "feed", lambda _, content: content),
    "fuzz_milter": mock.patch.object(milter.MilterSession, "add_header", lambda *_: None),
    "fuzz_replies": mock.patch.object(replies.ReplyReader, "empty", True),
    "fuzz_seal": mock.patch.object(seal, "DIGITS", 11),
}


@EACH
def test_a_fault_is_found(target):
    with FAULTS[target.__name__], pytest.raises(AssertionError):
        for one in target.seeds():
            target.check(one)


def test_rounds_without_end_are_found():
    target = importlib.import_module("fuzz_pfx")
    few = mock.patch.object(target, "FEW_ROUNDS", 20)
    many = mock.patch.object(pfx_outline, "_count", lambda *_, **__: 6000)
    with few, many, pytest.raises(AssertionError):
        for one in target.seeds():
            target.check(one)


@pytest.mark.slow
@EACH
def test_atheris_runs_it(target, tmp_path):
    if not util.find_spec("atheris"):
        pytest.skip("needs atheris: pip install atheris")
    command = [sys.executable, HERE / "run.py", target.__name__]
    subprocess.run([*command, "seeds", tmp_path], check=True)
    done = subprocess.run([*command, "-runs=200", tmp_path], check=True, capture_output=True)
    (runs,) = re.findall(rb"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert int(runs) >= 200  # the seeds alone may be more
