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

from cmstream.certificates import containers, pfx, pfx_outline, text_forms, x509
from cmstream.gateway import header_changes, milter_message
from cmstream.gateway.protocol import (
    conversation,
    data,
    envelope,
    milter,
    replies,
    seal,
    server_rules,
)
from cmstream.gateway.protocol.server import ServerSession
from cmstream.mail import pgp_mail, transfer
from cmstream.mail.readable import Ciphertext

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


def patched(owner, name, new):
    return pytest.param(mock.patch.object(owner, name, new), id=f"{owner.__name__}.{name}")


def nothing(*_, **__):
    """In the place of a check."""


def unchecked(content, octets):
    content._len += len(octets)


def one_recipient(request):
    return b"seal/1\nfor %b\n\n" % request.addresses[0].encode("utf-8", "surrogateescape")


nobody = pfx.PfxContents((), (), private_key=True)
anything, no_text = re.compile(rb".*", re.DOTALL), re.compile(rb"(?!)")
any_order = dict.fromkeys(server_rules.ORDER, (None,) * 6)
FAULTS = {
    "fuzz_certificates": [
        patched(containers, "_signed", lambda _: "csr"),
        patched(containers, "_PADDING", bytes(range(256))),
        patched(x509, "_key_identifier", lambda value: value),
        patched(x509, "_text", lambda _: "nobody"),
        patched(x509, "_PIVOT_YEAR", 70),
        patched(text_forms, "plain", lambda data: data + b"-----END CERTIFICATE-----"),
    ],
    "fuzz_pfx": [
        patched(pfx, "open_pfx", lambda *_: nobody),
        patched(pfx, "_certified", lambda _, certified: set(certified)),
        patched(pfx_outline.Mac, "fits", lambda *_: True),
        patched(pfx_outline, "_NESTED_BAGS", ""),
        patched(pfx_outline, "MAX_ENCRYPTED_PARTS", 101),
        patched(pfx_outline, "_count", lambda iterations, *_, **__: iterations),
    ],
    "fuzz_encrypted": [
        patched(Ciphertext, "add", unchecked),
        patched(Ciphertext, "end", nothing),
        patched(transfer, "check_digits", nothing),
        patched(pgp_mail, "_PREAMBLE", anything),
        patched(pgp_mail, "_VERSION_1", anything),
        patched(pgp_mail, "_PLAIN_NAME", anything),
    ],
    "fuzz_session": [
        patched(data.Stuffer, "feed", lambda _, content: content),
        patched(data.LookAlikes, "finish", lambda self: self.found),
        patched(data, "_NULS", no_text),
        patched(conversation, "lacks", lambda *_: False),
        patched(conversation, "mail_line", lambda mail, *_: b"MAIL FROM:%b\r\n" % mail.path),
        patched(server_rules, "ORDER", any_order),
        patched(server_rules, "BROWSERS", frozenset()),
        patched(ServerSession, "_error", ServerSession._say),
        patched(envelope, "_ROUTE", no_text),
    ],
    "fuzz_milter": [
        patched(milter.MilterSession, "add_header", nothing),
        patched(milter.MilterSession, "_forget", nothing),
        patched(milter, "_STAGES", {b"C", b"M", b"T", b"E"}),
        patched(milter, "_NAME", anything),
        patched(milter_message, "FIELD_COST", 0),
        patched(header_changes, "_FOLDS", ()),
    ],
    "fuzz_replies": [
        patched(replies.ReplyReader, "empty", True),
        patched(replies.Reply, "octets", lambda one: b"%d %b\r\n" % (one.code, one.lines[-1])),
    ],
    "fuzz_seal": [
        patched(seal, "DIGITS", 11),
        patched(seal, "CODES", (0, 64, 65, 70, 75)),
        patched(seal.Request, "octets", one_recipient),
    ],
}
EVERY_FAULT = [
    pytest.param(target, *one.values, id=f"{target.__name__}-{one.id}")
    for target in TARGETS
    for one in FAULTS[target.__name__]
]


@pytest.mark.parametrize(("target", "fault"), EVERY_FAULT)
def test_a_fault_is_found(target, fault):
    with fault, pytest.raises(AssertionError):
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
