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
    (told,) = mails(outbox)
    assert told["To"] == ALICE
    assert told["Auto-Submitted"] == "auto-generated"
    text = told.get_content()
    (held,) = telling.certificates(ALICE)
    assert "root (administrator) added a certificate: CN=Alice" in text
    assert held.fingerprint in text


def test_each_owner_is_told_once_of_what_was_changed_together(telling, outbox):
    with telling.together() as store:
        for address in (ALICE, "bob@example.org"):
            store.add_account(address, by=ADMINISTRATOR)
            store.change_account(address, by=ADMINISTRATOR, clients=["mutt"])
        store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
        assert mails(outbox) == []
    first, second = mails(outbox)
    assert [first["To"], second["To"]] == [ALICE, "bob@example.org"]
    assert "added the account" in first.get_content()
    assert "changed the settings: read with: Mutt" in first.get_content()
    assert "added a certificate" in first.get_content()


def test_nobody_is_told_of_what_was_undone(telling, outbox):
    with pytest.raises(Conflict), telling.together() as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        store.change_account(ALICE, by=ADMINISTRATOR, clients=["mutt"])
        store.add_account(ALICE, by=ADMINISTRATOR)
    assert mails(outbox) == []


def test_a_new_account_with_its_owner_alarms_nobody(telling, outbox):
    people = People(telling)
    telling.add_account(ALICE, by=ADMINISTRATOR)
    people.add(ALICE, "owner", account=ALICE, by=ADMINISTRATOR)
    for _ in range(2):
        secret = people.add_link("first-sign-in", ALICE, by=ADMINISTRATOR)
    assert mails(outbox) == []
    people.use_link(secret, "seven green teapots")
    people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    people.add("mallory", "owner", account=ALICE, by=ADMINISTRATOR)
    told = [mail.get_content() for mail in mails(outbox)]
    assert "made a sign-in link: alice@example.org" in told[0]
    assert "let somebody sign in: mallory" in told[1]
    assert len(told) == 2


def test_a_link_for_a_password_that_somebody_has_is_told(telling, outbox):
    people = People(telling)
    telling.add_account(ALICE, by=ADMINISTRATOR)
    people.add(ALICE, "owner", account=ALICE, password="seven green teapots", by=ADMINISTRATOR)
    assert mails(outbox) == []
    people.add_link("first-sign-in", ALICE, by=ADMINISTRATOR)
    assert len(mails(outbox)) == 1


def test_the_owner_is_told_who_else_may_act_for_the_account(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.import_certificates(ALICE, pem(), by=OWNER)
    people = People(telling)
    people.add("mallory", "owner", account=ALICE, by=ADMINISTRATOR)
    people.add_link("set-password", "mallory", by=ADMINISTRATOR)
    _, token = people.add_token("script", scopes=["certificates:write"], account=ALICE,
                                by=ADMINISTRATOR)  # fmt: skip
    people.revoke_token(token.id, by=OWNER)
    told = [mail.get_content() for mail in mails(outbox)]
    actions = [
        "let somebody sign in: mallory",
        "made a sign-in link: mallory",
        "made a token for a machine: script",
    ]
    assert all(action in text for action, text in zip(actions, told, strict=True))


def test_settings_are_told_as_they_were_and_as_they_are(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR, aliases=["al@example.org"])
    telling.import_certificates(ALICE, pem(), by=OWNER)
    telling.change_account(
        ALICE, by=ADMINISTRATOR, cipher="aes128-cbc", encrypt_on_append=True, aliases=[]
    )
    (held,) = telling.certificates(ALICE)
    telling.describe_certificate(ALICE, held.fingerprint, "card", by=ADMINISTRATOR)
    changed, described = (" ".join(one.get_content().split()) for one in mails(outbox))
    assert "cipher: AES-128 (was: encryption is off)" in changed
    assert "drafts and sent mail: encrypted too (was: stay as they are)" in changed
    assert "aliases: none (was: al@example.org)" in changed
    assert "described a certificate: card (was: without words)" in described
    assert held.fingerprint in described


def test_one_change_is_one_mail(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.import_certificates(ALICE, pem(), by=OWNER)
    telling.import_certificates(
        ALICE, pem(number=1) + pem(number=2), by=ADMINISTRATOR, retire_others=True
    )
    text = mails(outbox)[-1].get_content()
    assert len(mails(outbox)) == 1
    assert text.count("added a certificate") == 2
    assert text.count("retired a certificate") == 1


def test_nobody_is_told_of_their_own_change_nor_of_the_servers(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    telling.set_switch("encryption", "off", by=ADMINISTRATOR)
    assert mails(outbox) == []


def test_the_owner_of_a_removed_account_is_told(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.remove_account(ALICE, by=ADMINISTRATOR)
    assert "removed the account" in mails(outbox)[-1].get_content()


@pytest.mark.parametrize("address", ["jürgen@example.org", '"a, b"@example.org', "a..b@[10.0.0.1]"])
def test_an_odd_address_is_told_too(telling, outbox, address, caplog):
    telling.add_account(address, by=ADMINISTRATOR)
    telling.change_account(address, by=Actor("Zoë \udcff\n", "administrator"), clients=["mutt"])
    (mail,) = mails(outbox)
    (to,) = mail["To"].addresses
    assert to.addr_spec.encode("ascii", "surrogateescape").decode("utf-8") == address
    assert "Zoë" in mail.get_content()
    assert caplog.records == []


def test_a_change_that_failed_is_told_to_nobody(telling, outbox):
    telling.add_account(ALICE, by=ADMINISTRATOR)
    telling.add_account("bob@example.org", by=ADMINISTRATOR, aliases=["al@example.org"])
    with pytest.raises(Conflict):
        telling.change_account(ALICE, by=ADMINISTRATOR, aliases=["al@example.org"])
    assert mails(outbox) == []


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
        store.change_account(ALICE, by=ADMINISTRATOR, clients=["mutt"])
        assert store.account(ALICE).clients == ("mutt",)
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert ALICE in line.getMessage()
    assert words in line.getMessage()
