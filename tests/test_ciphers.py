"""The table of ciphers: every other list agrees with it, and a new cipher needs nothing but a row
there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from cmstream import accounts, ciphers, policy
from cmstream.accounts import cipher_words
from cmstream.accounts.pages import words
from cmstream.engine import encoder, gate
from helpers import wishes
from helpers.authorities import certificate, rsa_key

WRITTEN = [one.name for one in ciphers.WRITTEN]


def test_names_identifiers_and_ranks_are_unique():
    for field in ("name", "oid", "title"):
        assert len({getattr(one, field) for one in ciphers.CIPHERS}) == len(ciphers.CIPHERS)
    for rank in ("strength", "reach"):
        assert len({getattr(one, rank) for one in ciphers.WRITTEN}) == len(WRITTEN)
    assert all(one.strength > 0 for one in ciphers.WRITTEN)


def test_type_checkers_see_the_same_names():
    assert get_args(policy.Cipher) == policy.CIPHER_CHOICES == (*WRITTEN, "auto")


def test_accounts_and_pages_offer_every_cipher():
    assert accounts.CIPHERS == policy.CIPHER_CHOICES
    assert sorted(words.BY_NAME) == sorted(policy.CIPHER_CHOICES)
    assert words.CIPHERS[0].value == policy.DEFAULT.cipher
    assert cipher_words._CIPHERS.keys() == words.BY_NAME.keys()


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_names_the_cipher(alice, name):
    one = ciphers.BY_NAME[name]
    sealed = cmstream.encrypt(b"text", alice.recipient, policy=cmstream.Policy(cipher=name))
    assert wishes.oid(one.oid) in sealed
    assert (wishes.oid("1.2.840.113549.1.9.16.1.23") in sealed) == one.authenticated


# --- what C refuses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "key_len"),
    [("cbc", 24), ("cbc", 0), ("cbc", 33), ("gcm", 15), ("gcm", 40),
     ("chacha20-poly1305", 16), ("chacha20-poly1305", 24), ("none", 32)],
)  # fmt: skip
def test_c_refuses_what_is_no_cipher(mode, key_len):
    modes = encoder.MODES | {"none": 3}
    seal = gate.allocate("struct seal *")
    assert gate.lib.seal_init(seal, key_len) == 0
    plan = gate.ffi.new("struct seal_plan *", {"mode": modes[mode]})
    assert gate.lib.seal_begin(seal, plan) == gate.lib.SEAL_NO_CIPHER
    room = gate.ffi.new("uint8_t[]", 4096)
    assert gate.lib.seal_update(seal, room, 16, room, 4096) == gate.lib.SEAL_STATE
    assert bytes(room) == bytes(4096)


def test_c_begins_a_stream_once():
    seal, plan = gate.allocate("struct seal *"), gate.ffi.new("struct seal_plan *")
    assert gate.lib.seal_init(seal, 32) == 0
    assert gate.lib.seal_begin(seal, plan) > 0
    assert gate.lib.seal_begin(seal, plan) == gate.lib.SEAL_STATE


def test_c_refuses_many_for_what_is_no_cipher():
    to = gate.ffi.new("struct seal_to *", {"key_len": 24})
    data, jobs = gate.ffi.new("uint8_t[]", 10), gate.ffi.new("struct seal_job *")
    keep = (
        gate.ffi.new("uint8_t *[]", [data]),
        gate.ffi.new("size_t[]", [10]),
        gate.ffi.new("struct seal_to *[]", [to]),
    )
    inputs = gate.ffi.new("struct seal_inputs *", (*keep, 1))
    form, totals = gate.ffi.new("struct seal_form *"), gate.ffi.new("int64_t[]", 1)
    assert gate.lib.seal_plan_sizes(jobs, inputs, form, 0, totals)
    assert totals[0] == gate.lib.SEAL_NO_CIPHER
    gate.lib.seal_forget(jobs, 1)


def test_an_error_of_c_for_what_is_no_cipher_is_told(monkeypatch):
    broken = ciphers.BY_NAME["aes256-gcm"]._replace(key_len=33)
    monkeypatch.setitem(ciphers.BY_NAME, "aes256-gcm", broken)
    seal = encoder.NativeEncoder("aes256-gcm")
    with pytest.raises(ValueError, match="no cipher has this mode"):
        seal.plan(infos=b"", version=0, size=0)


# --- a new cipher -----------------------------------------------------------------------------

READ_ONLY = 'ContentCipher("aes192-gcm", "AES-192-GCM", f"{_AES}.26", "gcm", 24, 0)'


@pytest.fixture
def changed_package(tmp_path):
    """A copy of the package whose table says that AES-192-GCM is written."""
    package = tmp_path / "cmstream"
    shutil.copytree(Path(cmstream.__file__).parent, package,
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    table = package / "ciphers.py"
    text = table.read_text("utf-8")
    assert READ_ONLY in text
    table.write_text(text.replace(READ_ONLY, f"{READ_ONLY[:-1]}, strength=35, reach=25)"), "utf-8")
    return tmp_path


def test_a_row_of_the_table_is_all_that_a_cipher_needs(changed_package, alice):
    """AES-192-GCM is sealed by a program that has it in its table alone, and opened by this one."""
    wish = wishes.capability("2.16.840.1.101.3.4.1.26")
    reader = certificate(rsa_key(), extra=(wishes.wishes(wish, "aes128-gcm"),))
    (changed_package / "alice.der").write_bytes(alice.recipient.der)
    (changed_package / "reader.der").write_bytes(reader.public_bytes(Encoding.DER))
    script = Path(__file__).parent / "helpers" / "new_cipher.py"
    done = subprocess.run(
        [sys.executable, script], cwd=changed_package, capture_output=True, check=False,
        env={"PYTHONPATH": str(changed_package)}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["package"] == str(changed_package / "cmstream")
    me = cmstream.Identity(alice.key, alice.recipient)
    for sealed in map(bytes.fromhex, found["sealed"]):
        assert wishes.oid("2.16.840.1.101.3.4.1.26") in sealed
        assert cmstream.decrypt(sealed, me) == b"third flower pot"
    assert found["auto"] == "aes192-gcm"
    assert found["order"] == [
        "aes256-cbc", "aes128-cbc", "aes256-gcm", "aes192-gcm", "aes128-gcm",
        "chacha20-poly1305", "auto",
    ]  # fmt: skip
    assert found["page"]["aes192-gcm"] == "AES-192-GCM"
    assert found["account"] == found["both"] == "aes192-gcm"
    assert found["forbidden"] == "aes128-gcm"
    assert "AES-192-GCM" in found["finding"]
    assert found["schema"] == [*found["order"], None]
