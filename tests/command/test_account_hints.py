"""What ``cmstream account`` says to do where something was wrong with what was given."""

from __future__ import annotations

import json
import os

import pytest

from helpers.accounts.support import pem
from helpers.authorities import key_usage
from helpers.command import run

ALICE = "alice@example.org"


@pytest.fixture
def account(tmp_path):
    env = {"CMSTREAM_DATABASE": f"sqlite:///{tmp_path}/accounts.sqlite3"}
    (tmp_path / "alice.pem").write_bytes(pem())

    def call(*words, code=0):
        done = run("account", *words, env=env, code=code)
        return (done.stderr + done.stdout).decode()

    return call


def test_an_import_names_its_options(account, tmp_path):
    file = tmp_path / "alice.pem"
    told = account("import", ALICE, file, code=os.EX_NOUSER)
    assert f"there is no account {ALICE}: --add makes it [no-such-account]" in told
    told = account("import", "--add", "bob@example.org", file, code=os.EX_DATAERR)
    assert "if that is right, by --confirm-mismatch [address-mismatch]" in told


@pytest.mark.parametrize("line", ["x", f"{ALICE};", ";alice.pem"])
def test_a_list_with_a_wrong_line_says_that_nothing_was_imported(account, tmp_path, line):
    table = tmp_path / "people.csv"
    table.write_text(f"address;file\n{ALICE};alice.pem\n{line}\n")
    told = account("import", "--add", table, code=os.EX_DATAERR)
    assert "line 3: an address or a file is missing: nothing of the list was imported" in told
    assert "no account" in account("show", ALICE, code=os.EX_NOUSER)


def test_a_mail_program_that_nobody_knows(account):
    account("add", ALICE)
    told = account("set", ALICE, "--clients", "thunderbird,thunderbrid")
    assert told.startswith("cmstream: warning: thunderbrid is no mail program that is known")
    assert told.count("warning") == 1
    assert "thunderbird" in told


def test_a_certificate_that_nothing_is_sealed_to(account, tmp_path):
    file = tmp_path / "signing.pem"
    file.write_bytes(pem(1, usage=key_usage("digital_signature")))
    account("import", "--add", ALICE, tmp_path / "alice.pem")
    told = account("import", ALICE, file)
    assert told.count("cmstream: warning: ") == 1
    assert "The key usage doesn't allow key encipherment" in told
    assert "Nothing is sealed to this one [set-aside]" in told
    shown = [
        one.split(maxsplit=1)[1] for one in account("show", ALICE).splitlines() if "state:" in one
    ]
    assert sorted(shown) == ["active", "active, but not used beside another"]
    (found,) = json.loads(account("show", "--json", ALICE))["certificates"][1:]
    assert (found["key"], found["set_aside"]) == ("RSA-2048", True)
