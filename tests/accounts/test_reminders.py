"""``cmstream account remind``: each owner gets each reminder once, by mail."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from email import message_from_bytes, policy

import pytest

from cmstream.accounts import figures, open_store, record, reminders
from cmstream.accounts.people.people import People
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.authorities import key_usage
from helpers.command import run

ALICE, BOB, OFF = "alice@example.org", "bob@example.org", "off@example.org"
NOW = datetime.now(timezone.utc)
SEND = (
    "import sys, time; open(f'{sys.argv[1]}/{time.time_ns()}', 'wb').write(sys.stdin.buffer.read())"
)


@pytest.fixture
def outbox(tmp_path):
    folder = tmp_path / "outbox"
    folder.mkdir()
    return folder


def to(outbox):
    return [sys.executable, "-c", SEND, str(outbox)]


def taken(outbox):
    """The messages, which are gone then."""
    found = []
    for path in sorted(outbox.iterdir()):
        found.append(message_from_bytes(path.read_bytes(), policy=policy.default))
        path.unlink()
    return found


def expiring(days, number=0, address=ALICE, **options):
    return pem(number, emails=(address,), not_before=NOW - timedelta(days=400),
               not_after=NOW + timedelta(days=days, hours=-1), **options)  # fmt: skip


def held(store, address, days, number=0, cipher="aes256-cbc"):
    store.add_account(address, by=ADMINISTRATOR)
    store.import_certificates(address, expiring(days, number, address), by=ADMINISTRATOR)
    store.change_account(address, cipher=cipher, by=ADMINISTRATOR)


def addressed(found):
    return [one.account.address for one in found]


def test_an_owner_is_told_where_to_sign_in(store, outbox):
    held(store, ALICE, 20)
    People(store).add(ALICE, "owner", account=ALICE, by=ADMINISTRATOR)
    reminders.remind(store, to(outbox), (30,), "https://keys.example.org")
    (mail,) = taken(outbox)
    assert "sign in at https://keys.example.org and add it." in mail.get_content()


def test_each_reminder_is_sent_once(store, outbox):
    held(store, ALICE, 20)
    held(store, BOB, 50, 1)
    held(store, OFF, 5, 2, cipher=None)
    (one,) = reminders.remind(store, to(outbox), (30, 7, 1))
    assert (one.account.address, one.days, one.error) == (ALICE, 30, "")
    (mail,) = taken(outbox)
    assert mail["To"] == ALICE
    assert "send it to your administrator" in mail.get_content()
    day = f"{NOW + timedelta(days=20, hours=-1):%Y-%m-%d}"
    assert mail["Subject"] == f"Your certificate expires on {day}"
    assert "Keep the old private key" in mail.get_content()
    assert reminders.remind(store, to(outbox), (30, 7, 1)) == []
    assert addressed(reminders.remind(store, to(outbox), (25,))) == [ALICE]
    assert addressed(reminders.remind(store, to(outbox), (60, 30))) == [BOB]
    assert len(taken(outbox)) == 2


def test_a_late_one_takes_the_place_of_those_that_were_missed(store, outbox):
    held(store, ALICE, 5)
    assert [one.days for one in reminders.remind(store, to(outbox), (30, 7, 1))] == [7]
    assert reminders.remind(store, to(outbox), (30,)) == []
    assert len(taken(outbox)) == 1


def test_a_new_certificate_begins_anew(store, outbox):
    held(store, ALICE, 20)
    reminders.remind(store, to(outbox), (30,))
    store.import_certificates(ALICE, expiring(25, 1), by=ADMINISTRATOR)
    assert addressed(reminders.remind(store, to(outbox), (30,))) == [ALICE]
    store.import_certificates(ALICE, expiring(100, 2), by=ADMINISTRATOR)
    assert reminders.remind(store, to(outbox), (30,)) == []


def test_an_expired_one_is_told_in_other_words(store, outbox):
    held(store, ALICE, -3)
    assert reminders.remind(store, to(outbox), (0,))[0].days == 0
    (mail,) = taken(outbox)
    assert mail["Subject"] == "Your certificate has expired"


def test_what_cant_be_sent_is_due_again(store, outbox):
    held(store, ALICE, 5)
    held(store, BOB, 5, 1)
    code = "import sys; sys.exit('alice' in sys.stdin.read() and 'no way')"
    failed, good = reminders.remind(store, [sys.executable, "-c", code], (30, 7))
    assert failed.error == "the mail command ended with 1: no way"
    assert good.error == ""
    assert addressed(reminders.remind(store, to(outbox), (30, 7))) == [ALICE]
    store.remove_account(ALICE, by=ADMINISTRATOR)


def test_two_at_the_same_time_send_one(store, url, outbox):
    for number in range(4):
        held(store, f"{number}@example.org", 5, number)
    together, done = threading.Barrier(2), []

    def call():
        with open_store(url) as mine:
            together.wait()
            done.extend(addressed(reminders.remind(mine, to(outbox), (7,))))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [f"{number}@example.org" for number in range(4)]
    assert len(taken(outbox)) == 4


def test_whoever_is_killed_in_the_middle_loses_no_more_than_the_mail_at_hand(sqlite_url, outbox):
    """The mail command kills the program that calls it, at the first of three mails."""
    with open_store(sqlite_url) as store:
        for number in range(3):
            held(store, f"{number}@example.org", 5, number)
        code = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
        words = ["-m", "cmstream", "account", "remind", "--database", sqlite_url]
        notify = shlex.join([sys.executable, "-c", code])
        done = subprocess.run([sys.executable, *words, "--notify", notify], check=False)
        assert done.returncode == -signal.SIGKILL
        told = addressed(reminders.remind(store, to(outbox), (7,)))
    assert told == ["1@example.org", "2@example.org"]


def test_reminders_empty_no_cache(store, outbox):
    held(store, ALICE, 5)
    before = store.database.counter()
    reminders.remind(store, to(outbox), (7,))
    assert store.database.counter() == before


def test_figures_have_groups_and_no_names(store):
    for number, (address, days) in enumerate(((ALICE, -2), (BOB, 5), ("c@example.org", 20))):
        held(store, address, days, number)
    assert figures.count(store.database).expiring == {0: 1, 7: 2, 30: 3, 90: 3}


def test_what_nothing_is_sealed_to_puts_no_reminder_off(store, outbox):
    """A card's certificate for signing lives longer than the one for encrypting."""
    held(store, ALICE, 5)
    (good,) = store.certificates(ALICE)
    usage = key_usage("digital_signature")
    signing = expiring(400, 1, usage=usage)
    (other,) = store.import_certificates(ALICE, signing, by=ADMINISTRATOR).certificates

    def seen():
        """When the account's last certificate in use expires, by each way to ask."""
        with store.database.asked() as ask:
            looked_up = record.read(ask, ALICE).account
        soon = store.accounts(expiring_before=NOW + timedelta(days=30))
        assert bool(figures.count(store.database).expiring[30]) == bool(soon)
        ends = {one.expires_at for one in (looked_up, store.account(ALICE), *soon)}
        return ends, {one.fingerprint for one in store.certificates(ALICE) if one.set_aside}

    longer = other.recipient
    assert seen() == ({good.not_after}, {longer.fingerprint})
    assert addressed(reminders.remind(store, to(outbox), (7,))) == [ALICE]
    store.retire_certificate(ALICE, good.fingerprint, by=ADMINISTRATOR)
    assert seen() == ({longer.not_after}, set())
    store.activate_certificate(ALICE, good.fingerprint, by=ADMINISTRATOR)
    assert seen() == ({good.not_after}, {longer.fingerprint})
    store.delete_certificate(ALICE, good.fingerprint, by=ADMINISTRATOR)
    assert seen() == ({longer.not_after}, set())


# --- the command -----------------------------------------------------------------------------


def test_a_dry_run_says_what_each_is_told(sqlite_url):
    with open_store(sqlite_url) as store:
        held(store, ALICE, 20)
        held(store, BOB, -3)
    told = run("account", "remind", "--database", sqlite_url, "--dry-run").stdout.decode()
    alice, bob = told.splitlines()
    assert alice.endswith("\twould be sent: the reminder of 30 days before")
    assert bob.endswith("\twould be sent: that it has expired")


def test_the_command(sqlite_url, outbox):
    with open_store(sqlite_url) as store:
        held(store, ALICE, 20)

    def remind(*words, code=0, **env):
        words = ["account", "remind", "--database", sqlite_url, *words]
        return run(*words, code=code, env=env)

    assert b"give --notify" in remind(code=64, CMSTREAM_NOTIFY="").stderr
    assert b"no program /nowhere/x" in remind("--notify", "/nowhere/x -t", code=64).stderr
    for wrong in ("x", "", "-1", "30,,7", "99999"):
        assert b"--before: numbers of days" in remind("--before", wrong, code=64).stderr
    assert b"\twould be sent: the reminder of " in remind("--dry-run").stdout
    for _ in range(2):
        assert remind("--dry-run").stdout.startswith(ALICE.encode() + b"\t")
    assert remind("--dry-run", "--before", "7,1").stdout == b""
    assert remind("--notify", "false", code=75).stderr.count(ALICE.encode()) == 1
    program = " ".join([sys.executable, "-c", f'"{SEND}"', str(outbox)])
    assert remind(CMSTREAM_NOTIFY=program).stdout.startswith(ALICE.encode())
    assert remind(CMSTREAM_NOTIFY=program).stdout == b""
    assert [one["To"] for one in taken(outbox)] == [ALICE]
