"""What becomes known of a change: mail to the owner, and refusals that spare them shut mail."""

from __future__ import annotations

import logging
import sys
from email import message_from_bytes, policy

import pytest

from cmstream.accounts import Actor, Conflict, create_store
from cmstream.accounts.people.people import People
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem

ALICE = "alice@example.org"


@pytest.fixture
def outbox(tmp_path):
    folder = tmp_path / "outbox"
    folder.mkdir()
    return folder


def sendmail(outbox):
    """A mail command that keeps what it gets, each message in a file of its own."""
    code = (
        "import sys, time; "
        "open(f'{sys.argv[1]}/{time.time_ns()}', 'wb').write(sys.stdin.buffer.read())"
    )
    return [sys.executable, "-c", code, str(outbox)]


@pytest.fixture
def telling(sqlite_url, outbox):
    with create_store(sqlite_url, notify=sendmail(outbox)) as store:
        yield store


def mails(outbox):
    read = [path.read_bytes() for path in sorted(outbox.iterdir())]
    return [message_from_bytes(one, policy=policy.default) for one in read]


def test_the_owner_is_told_by_mail_what_somebody_else_changed(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
    first, second = mails(outbox)
    assert first["To"] == second["To"] == ALICE
    assert second["Auto-Submitted"] == "auto-generated"
    text = second.get_content()
    (held,) = telling.certificates(ALICE)
    assert "root (administrator): import-certificate" in text
    assert held.fingerprint in text
    assert "CN=Alice" in text


def test_each_owner_is_told_once_of_what_was_changed_together(telling, outbox):
    with telling.together() as store:
        for address in (ALICE, "bob@example.org"):
            store.add_account(address, by=ADMINISTRATOR)
        store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
        assert mails(outbox) == []
    first, second = mails(outbox)
    assert [first["To"], second["To"]] == [ALICE, "bob@example.org"]
    assert "add-account" in first.get_content()
    assert "import-certificate" in first.get_content()


def test_nobody_is_told_of_what_was_undone(telling, outbox):
    with pytest.raises(Conflict), telling.together() as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        store.add_account(ALICE, by=ADMINISTRATOR)
    assert mails(outbox) == []


def test_the_owner_is_told_who_else_may_act_for_the_account(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    people = People(telling)
    people.add("mallory", "owner", account=ALICE, by=ADMINISTRATOR)
    people.add_link("set-password", "mallory", by=ADMINISTRATOR)
    _, token = people.add_token("script", scopes=["certificates:write"], account=ALICE,
                                by=ADMINISTRATOR)  # fmt: skip
    people.revoke_token(token.id, by=OWNER)
    told = [mail.get_content() for mail in mails(outbox)]
    actions = ["add-account", "add-person", "add-link", "add-token"]
    assert all(action in text for action, text in zip(actions, told, strict=True))


def test_settings_are_told_as_they_were_and_as_they_are(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR, aliases=["al@example.org"])
    telling.import_certificates(ALICE, pem(), by=OWNER)
    telling.change_account(
        ALICE, by=ADMINISTRATOR, cipher="aes128-cbc", encrypt_on_append=True, aliases=[]
    )
    (held,) = telling.certificates(ALICE)
    telling.describe_certificate(ALICE, held.fingerprint, "card", by=ADMINISTRATOR)
    added, changed, described = (one.get_content() for one in mails(outbox))
    assert "aliases: al@example.org" in added
    assert "cipher: none -> aes128-cbc" in changed
    assert "encrypt_on_append: no -> yes" in changed
    assert "aliases: al@example.org -> none" in changed
    assert f'{held.fingerprint}, "" -> card' in described


def test_one_change_is_one_mail(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.import_certificates(ALICE, pem(), by=OWNER)
    telling.import_certificates(
        ALICE, pem(number=1) + pem(number=2), by=ADMINISTRATOR, retire_others=True
    )
    text = mails(outbox)[-1].get_content()
    assert len(mails(outbox)) == 2
    assert text.count("import-certificate") == 2
    assert text.count("retire-certificate") == 1


def test_nobody_is_told_of_their_own_change_nor_of_the_servers(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    telling.set_switch("encryption", "off", by=ADMINISTRATOR)
    assert len(mails(outbox)) == 1


def test_the_owner_of_a_removed_account_is_told(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.remove_account(ALICE, by=ADMINISTRATOR)
    assert "remove-account" in mails(outbox)[-1].get_content()


@pytest.mark.parametrize("address", ["jürgen@example.org", '"a, b"@example.org', "a..b@[10.0.0.1]"])
def test_an_odd_address_is_told_too(telling, outbox, address, caplog):
    telling.add_account(address, by=Actor("Zoë \udcff\n", "administrator"))
    (mail,) = mails(outbox)
    (to,) = mail["To"].addresses
    assert to.addr_spec.encode("ascii", "surrogateescape").decode("utf-8") == address
    assert "Zoë" in mail.get_content()
    assert caplog.records == []


def test_a_change_that_failed_is_told_to_nobody(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    with pytest.raises(Conflict):
        telling.add_account(ALICE, by=ADMINISTRATOR)
    assert len(mails(outbox)) == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/nonexistent/sendmail"], "No such file"),
        ([sys.executable, "-c", "import sys; sys.exit('queue is full')"], "ended with 1: queue"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], "timed out"),
    ],
)
def test_a_mail_command_that_fails_is_logged_and_loses_nothing(
    sqlite_url, caplog, monkeypatch, command, words
):
    monkeypatch.setattr("cmstream.accounts.owner_mail.TIMEOUT", 2)
    with create_store(sqlite_url, notify=command) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        assert store.account(ALICE)
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert ALICE in line.getMessage()
    assert words in line.getMessage()
