"""Encryption isn't switched on by mistake while no certificate can be used: all mail would wait."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cmstream.accounts import UnusableAccount
from helpers.accounts.served import ACCOUNTS, serving
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.authorities import NOW
from helpers.command import run

ALICE = "alice@example.org"
ON = {"cipher": "aes256-cbc"}
SURE = {"without_certificate": "true"}


def refused(function, *arguments, **options):
    with pytest.raises(UnusableAccount) as caught:
        function(*arguments, by=ADMINISTRATOR, need_certificate=True, **options)
    assert (caught.value.code, caught.value.account) == ("no-usable-certificate", ALICE)
    return str(caught.value)


# --- the store -------------------------------------------------------------------------------


def test_the_store_refuses_it_if_asked_to_and_changes_nothing(store):
    assert "all its mail would wait" in refused(store.add_account, ALICE, **ON)
    assert store.accounts() == []
    store.add_account(ALICE, by=ADMINISTRATOR, need_certificate=True)
    refused(store.change_account, ALICE, aliases=["al@example.org"], **ON)
    assert (store.account(ALICE).cipher, store.account(ALICE).aliases) == (None, ())
    assert [one.action for one in store.audit()] == ["add-account"]
    store.change_account(ALICE, by=ADMINISTRATOR, **ON)
    changed = store.change_account(ALICE, by=ADMINISTRATOR, need_certificate=True, cipher="auto")
    assert changed.cipher == "auto"  # it was on: nothing is worse than before


def test_a_certificate_that_can_be_used_suffices(store):
    store.add_account(ALICE, by=ADMINISTRATOR)
    store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
    fingerprint = store.certificates(ALICE)[0].fingerprint
    store.retire_certificate(ALICE, fingerprint, by=ADMINISTRATOR)
    refused(store.change_account, ALICE, **ON)
    store.activate_certificate(ALICE, fingerprint, by=ADMINISTRATOR)
    store.change_account(ALICE, by=ADMINISTRATOR, need_certificate=True, **ON)
    assert store.seal_for(ALICE).action == "seal"


def test_an_expired_certificate_suffices_too(store):
    store.add_account(ALICE, by=ADMINISTRATOR)
    old = pem(not_before=NOW - timedelta(days=90), not_after=NOW - timedelta(days=30))
    store.import_certificates(ALICE, old, by=ADMINISTRATOR)
    store.change_account(ALICE, by=ADMINISTRATOR, need_certificate=True, **ON)
    assert store.seal_for(ALICE).action == "seal"


def test_it_says_what_would_become_of_the_mail(store):
    store.add_account(ALICE, by=ADMINISTRATOR, when_unusable="clear")
    assert "still be stored unencrypted" in refused(store.change_account, ALICE, **ON)
    store.set_switch("when_unusable", "error", by=ADMINISTRATOR)
    store.set_switch("encryption", "off", by=ADMINISTRATOR)
    assert "would wait" in refused(store.change_account, ALICE, **ON)


# --- the API ---------------------------------------------------------------------------------


def test_the_api_wants_it_confirmed(sqlite_url):
    from cmstream.accounts import open_store
    from helpers.accounts.served import populate

    with open_store(sqlite_url) as opened:
        populate(opened)
    with serving(sqlite_url) as world:
        api, place = world.administrator, f"{ACCOUNTS}/{ALICE}"
        new = {"address": "new@example.org", **ON}
        api.patch(place, json={"cipher": None})
        for ask, where, body in (
            (api.patch, place, ON),
            (api.put, place, ON),
            (api.post, ACCOUNTS, new),
            (api.put, f"{ACCOUNTS}/other@example.org", ON),
        ):
            answer = ask(where, json=body)
            assert (answer.status_code, answer.json()["code"]) == (409, "no-usable-certificate")
        for ask, where, body in ((api.patch, place, ON), (api.post, ACCOUNTS, new)):
            answer = ask(where, json=body, params=SURE)
            assert answer.status_code in {200, 201}
            assert answer.json()["cipher"] == "aes256-cbc"


# --- the command -----------------------------------------------------------------------------


def test_the_command_wants_it_confirmed(sqlite_url):
    def account(*words, code=0):
        return run("account", *words, code=code, env={"CMSTREAM_DATABASE": sqlite_url})

    on = ["--cipher", "aes256-cbc"]
    said = account("add", ALICE, *on, code=65).stderr
    assert b"all its mail would wait in the mail server" in said
    assert b"--without-certificate" in said
    assert account("list").stdout == b""
    assert b"nothing is sealed for alice@example.org until" in account("add", ALICE).stderr
    account("set", ALICE, *on, code=65)
    account("set", ALICE, *on, "--without-certificate")
    line = account("list").stdout.decode().rstrip().split("\t")
    assert line == [ALICE, "aes256-cbc", "no certificate: mail waits", "0 active", "-"]
    account("disable", ALICE)
    assert account("list").stdout.decode().split("\t")[1:3] == ["off", "-"]


def test_the_list_flags_the_expired(sqlite_url, tmp_path):
    old = tmp_path / "old.pem"
    old.write_bytes(pem(not_before=NOW - timedelta(days=90), not_after=NOW - timedelta(days=30)))
    env = {"CMSTREAM_DATABASE": sqlite_url}
    done = run("account", "import", "--add", ALICE, old, env=env)
    assert b"nothing is sealed for alice@example.org until a cipher is chosen" in done.stderr
    run("account", "set", ALICE, "--cipher", "aes256-cbc", env=env)
    line = run("account", "list", env=env).stdout.decode().split("\t")
    assert line[1:4] == ["aes256-cbc", "expired", "1 active"]
    (found,) = json.loads(run("account", "list", "--json", env=env).stdout)
    assert found["protected"] is True


def test_an_import_with_a_cipher_says_nothing_of_it(sqlite_url, tmp_path):
    (tmp_path / "new.pem").write_bytes(pem())
    env = {"CMSTREAM_DATABASE": sqlite_url}
    words = ["--add", "--cipher", "aes256-cbc", ALICE, tmp_path / "new.pem"]
    assert run("account", "import", *words, env=env).stderr == b""
