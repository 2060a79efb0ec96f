"""``cmstream mailbox``: its options, its report, its exit codes, and --watch."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from cmstream.mailboxes import mbox_lock
from cmstream.mailboxes.change import Why
from cmstream.mailboxes.errors import LeftAlone, MailboxError
from cmstream.mailboxes.pace import Pace, until
from cmstream.mailboxes.places import for_account
from cmstream.mailboxes.report import Report
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem
from helpers.mailboxes import (
    ALICE,
    files,
    fill,
    mails,
    make,
    protect,
    put,
    seal,
    sealed,
    started,
    text,
)
from helpers.servers.place import wait

ROOT = Path(__file__).parents[2]


def test_the_owner_must_have_the_key(cmstream, store, root):
    before = fill(root, 3)
    code, out, err = cmstream("seal", "--for", ALICE, f"maildir:{root}")
    assert (code, out) == (os.EX_NOPERM, "")
    assert "test message" in err
    assert "--yes-the-owner-has-the-key" in err
    assert err.endswith("[key-not-proved]\n")
    assert mails(root) == before
    assert cmstream("seal", "--dry-run", "--for", ALICE, f"maildir:{root}")[0] == 0
    assert mails(root) == before
    store.confirm_test(ALICE, by=OWNER)
    code, out, _ = cmstream("seal", "--for", ALICE, f"maildir:{root}")
    assert code == 0
    assert out.startswith("3 messages were sealed (")
    assert all(sealed(root))


YES = "--yes-the-owner-has-the-key"


def test_there_and_back(cmstream, root, key):
    before = fill(root, 20)
    make(root / ".Drafts")
    put(root / ".Drafts", text(99))
    place = f"maildir:{root}"
    code, out, _ = cmstream("seal", YES, "--json", "--for", ALICE, place)
    facts = json.loads(out)
    assert (code, facts["replaced"], facts["left"]) == (0, 20, {"draft": 1})
    assert facts["bytes_after"] == sum(path.stat().st_size for path in files(root))
    code, out, _ = cmstream("seal", YES, "--for", ALICE, place)
    assert out.splitlines()[0] == "0 messages were sealed."
    assert cmstream("seal", YES, "--drafts", "--for", ALICE, place)[1].startswith("1 message was")
    code, out, _ = cmstream("open", "--for", ALICE, "-k", key, "--drafts", place)
    assert (code, out.splitlines()[0].partition(" (")[0]) == (0, "21 messages were opened")
    assert mails(root) == before


def test_a_dry_run_tells_sizes_and_time(cmstream, root):
    fill(root, 20)
    _, out, _ = cmstream("seal", "--dry-run", "--for", ALICE, f"maildir:{root}")
    first, second, *_ = out.splitlines()
    assert first.startswith("Nothing was changed. 20 messages would be sealed (")
    assert second.startswith("It takes ")
    assert not any(sealed(root))


def test_all_accounts(cmstream, store, tmp_path, alice):
    for name in ("bob", "carol", "dave"):
        address = f"{name}@example.org"
        store.add_account(address, by=ADMINISTRATOR)
        if name != "dave":
            store.import_certificates(address, pem(emails=(address,)), by=ADMINISTRATOR)
            store.change_account(address, by=ADMINISTRATOR, cipher="aes256-cbc")
    for name in ("alice", "bob", "dave"):
        make(tmp_path / "example.org" / name)
        fill(tmp_path / "example.org" / name, 2)
    store.confirm_test(ALICE, by=OWNER)
    place = f"maildir:{tmp_path}/{{domain}}/{{local}}"
    code, out, err = cmstream("seal", "--accounts", "--json", place)
    facts = json.loads(out)
    assert (code, facts["replaced"], facts["mailboxes"]) == (os.EX_NOPERM, 2, 1)
    assert facts["accounts_left"].keys() == {"bob@example.org", "carol@example.org"}
    assert "accounts left: 2" in err
    code, out, _ = cmstream("seal", "--accounts", YES, place)
    assert code == os.EX_NOINPUT
    assert "carol@example.org left: " in out
    assert all(sealed(tmp_path / "example.org" / "bob"))
    assert not any(sealed(tmp_path / "example.org" / "dave"))


WRONG = [
    (os.EX_USAGE, "", ["maildir:x"]),
    (os.EX_USAGE, "one place for all", ["--accounts", "maildir:x"]),
    (os.EX_USAGE, "one place for all", ["--for", ALICE, "--for", "b@x", "imaps://host/"]),
    (os.EX_USAGE, "no place", ["--for", ALICE, "/var/mail"]),
    (os.EX_USAGE, "no place", ["--for", ALICE, "maildir:"]),
    (os.EX_USAGE, "no place", ["--for", ALICE, "mbox:"]),
    (os.EX_USAGE, "password-file", ["--for", ALICE, "imaps://alice:geheim@host/"]),
    (os.EX_USAGE, "password-file", ["--accounts", "imaps://alice:geheim@host/"]),
    (os.EX_USAGE, "isn't one of", ["--for", ALICE, "maildir:{user}"]),
    (os.EX_USAGE, "--dry-run", ["--watch", "--dry-run", "--for", ALICE, "maildir:x"]),
    (os.EX_USAGE, "500K", ["--limit-rate", "quick", "--for", ALICE, "maildir:x"]),
    (os.EX_USAGE, "22:00-06:00", ["--between", "night", "--for", ALICE, "maildir:x"]),
    (os.EX_USAGE, "22:00-06:00", ["--between", "22:00-22:00", "--for", ALICE, "maildir:x"]),
    (os.EX_NOUSER, "[no-such-account]", ["--for", "b@example.org", "maildir:x"]),
    (os.EX_DATAERR, "[invalid-address]", ["--for", "nonsense", "maildir:x"]),
    (os.EX_NOINPUT, "[no-such-mailbox]", [YES, "--for", ALICE, "maildir:missing"]),
]


@pytest.mark.parametrize(("code", "says", "words"), WRONG, ids=lambda one: str(one)[:40])
def test_wrong_usage(code, says, words, cmstream, notes):
    done, out, err = cmstream("seal", *words)
    assert (done, out) == (code, "")
    assert says in err
    assert "geheim" not in err
    assert not any(b"geheim" in one.read_bytes() for one in notes.parent.glob("*"))


def test_messages_that_were_left_make_an_exit_code(cmstream, root):
    fill(root, 2)
    put(root, b"")
    code, out, err = cmstream("seal", YES, "--for", ALICE, f"maildir:{root}")
    assert code == os.EX_DATAERR
    assert "1 left: " in out
    assert "[malformed-message]" in out
    assert "1 message couldn't be sealed" in err


def test_messages_that_were_left_are_named(cmstream, store, root):
    names = [f"1600000000.M{number}P77.mail" for number in range(23)]
    for name in names:
        put(root, b"", name=name)
    put(root, text(1))
    code, out, _ = cmstream("seal", YES, "--for", ALICE, f"maildir:{root}")
    assert code == os.EX_DATAERR
    told = out.splitlines()
    assert told[1].startswith("23 left: the message is empty")
    assert {line.strip() for line in told[2:22]} < {f"INBOX {name}" for name in names}
    assert told[22] == "  and 3 more"
    protect(store, "bob@example.org", pem(emails=("bob@example.org",)))
    root.rename(root.with_name(ALICE))
    place = f"maildir:{root.parent}/{{address}}"
    _, out, _ = cmstream("seal", YES, "--json", "--accounts", place)
    named = json.loads(out)["places"]["malformed-message"]
    assert named[0].startswith(f"{ALICE} INBOX 1600000000.M")


def test_opening_leaves_what_is_for_others(cmstream, root, key, bob):
    import cmstream as engine

    put(root, engine.encrypt_message(text(1), bob.recipient))
    put(root, text(2))
    before = {path.name: path.read_bytes() for path in files(root)}
    keys = ["-k", key, "-c", key.with_name("alice.pem")]
    code, out, _ = cmstream("open", "--json", "--for", ALICE, *keys, f"maildir:{root}")
    assert json.loads(out)["left"] == {"no-recipient": 1, "not-encrypted": 1}
    assert code == os.EX_DATAERR
    assert {path.name: path.read_bytes() for path in files(root)} == before


def test_opening_loses_no_part_that_nobody_sealed(cmstream, root, key, store):
    import cmstream as engine

    one = engine.encrypt_message(text(1), store.seal_for(ALICE).recipients)
    head = b"From: list@example.org\r\nMIME-Version: 1.0\r\n"
    boundary = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
    inner = one[one.index(b"MIME-Version") :]
    mail = b"".join([head, boundary, inner, b"\r\n--b\r\n\r\nA footer.\r\n--b--\r\n"])
    put(root, mail)
    put(root, one)
    code, out, _ = cmstream("open", "--json", "--for", ALICE, "-k", key, f"maildir:{root}")
    facts = json.loads(out)
    assert (code, facts["replaced"]) == (os.EX_DATAERR, 1)
    assert facts["left"] == {"unsealed-parts": 1}
    assert mail in [path.read_bytes() for path in files(root)]


# --- the process -----------------------------------------------------------------------------


def test_watch_seals_what_is_filed_and_ends_with_a_report(store, sqlite_url, root, notes):
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=True)
    make(root / ".Sent")
    fill(root, 2)
    process = started(sqlite_url, notes, YES, "--watch", "--for", ALICE, f"maildir:{root}")
    wait(lambda: all(sealed(root)) or process.poll() is not None)
    put(root / ".Sent", text(77))
    wait(lambda: all(sealed(root / ".Sent")) or process.poll() is not None)
    make(root / ".New")
    put(root / ".New", text(78))
    wait(lambda: all(sealed(root / ".New")) or process.poll() is not None)
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert out.startswith("4 messages were sealed")
    assert "before the run was stopped" in out


def test_watch_of_several_accounts(store, sqlite_url, tmp_path, notes):
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=True)
    bob = "bob@example.org"
    protect(store, bob, pem(emails=(bob,)), encrypt_on_append=True)
    roots = [tmp_path / name for name in (ALICE, bob)]
    for root in roots:
        make(root)
        fill(root, 2)
    place = f"maildir:{tmp_path}/{{address}}"
    process = started(sqlite_url, notes, YES, "--watch", "--accounts", place)
    for number in (2, 3, 4):
        wait(lambda: all(all(sealed(root)) for root in roots) or process.poll() is not None)
        for root in roots:
            put(root, text(number))
    wait(lambda: all(all(sealed(root)) for root in roots) or process.poll() is not None)
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert out.startswith("10 messages were sealed")
    assert not list(notes.parent.glob("*.lock"))


def test_watch_counts_a_message_that_stays_once(store, sqlite_url, root, notes):
    """And says at its start that nothing will be sealed."""
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=True)
    make(root / ".Drafts")
    put(root / ".Drafts", text(1))
    process = started(
        sqlite_url, notes, YES, "--watch", "--json", "--for", ALICE, f"maildir:{root}"
    )
    for number in (2, 3):
        put(root, text(number))
        put(root / ".Drafts", text(number))
        wait(lambda: all(sealed(root)) or process.poll() is not None)
    time.sleep(3)
    process.terminate()
    out, _ = process.communicate(timeout=30)
    facts = json.loads(out)
    assert (facts["replaced"], facts["left"], facts["messages"]) == (2, {"draft": 3}, 5)


def test_no_account_at_all_is_no_success(cmstream, store, root):
    store.change_account(ALICE, by=ADMINISTRATOR, cipher=None)
    code, out, err = cmstream("seal", "--dry-run", "--accounts", f"maildir:{root}/{{local}}")
    assert (code, out) == (os.EX_NOUSER, "")
    assert "no account of the store has encryption on" in err


def test_watch_says_at_once_what_it_cannot_watch(store, sqlite_url, root, notes):
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=True)
    bob = "bob@example.org"
    protect(store, bob, pem(emails=(bob,)), encrypt_on_append=True)
    root.rename(root.with_name(ALICE))
    place = f"maildir:{root.parent}/{{address}}"
    process = started(sqlite_url, notes, YES, "--watch", "--accounts", place)
    line = process.stderr.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert line.startswith(f"cmstream: warning: {bob} isn't watched: ")
    assert line.endswith("[no-such-mailbox]\n")


def test_a_reason_of_one_account_is_not_said_of_all():
    report = Report()
    for name in ("alice", "bob", "carol", "alice"):
        report.leave(Why("disabled", f"{name} is disabled"), "INBOX 1")
    assert report.reasons == {"disabled": "for example, alice is disabled"}
    assert report.left == {"disabled": 4}


def test_watch_says_that_an_account_does_not_wish_it(store, sqlite_url, root, notes):
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=False)
    process = started(sqlite_url, notes, YES, "--watch", "--for", ALICE, f"maildir:{root}")
    line = process.stderr.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert f"cmstream account set {ALICE} --encrypt-on-append yes [not-on-append]" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_reports_and_goes_on_later(number, sqlite_url, mine, cmstream):
    root, notes = mine.root, mine.notes
    before = fill(root, 800)
    words = [YES, "--limit-rate", "100K", "--json", "--for", ALICE, f"maildir:{root}"]
    process = started(sqlite_url, notes, *words)
    wait(lambda: any(sealed(root)) or process.poll() is not None)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    facts = json.loads(out)
    assert facts["stopped"]
    assert 0 < facts["replaced"] < 800
    assert cmstream("seal", YES, "--for", ALICE, f"maildir:{root}")[0] == 0
    assert mine.mails() == before
    assert all(sealed(root))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_waits_for_a_lock_can_be_stopped(number, sqlite_url, tmp_path, mine):
    box, lock = tmp_path / "box", tmp_path / "box.lock"
    box.write_bytes(b"From bob@example.net Thu Jan  1 00:00:00 2026\n" + text(1) + b"\n")
    before = box.read_bytes()
    lock.touch()
    process = started(sqlite_url, mine.notes, YES, "--for", ALICE, f"mbox:{box}")
    assert f"{box} locked" in process.stderr.readline()
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert time.monotonic() - begun < mbox_lock._WAIT / 4
    assert box.read_bytes() == before
    assert lock.exists()


def test_nohup_keeps_a_watch_running(store, sqlite_url, root, notes):
    """Somebody signs out, and the mail that comes later is sealed all the same."""
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=True)
    fill(root, 2)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = started(sqlite_url, notes, YES, "--watch", "--for", ALICE, f"maildir:{root}")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait(lambda: all(sealed(root)) or process.poll() is not None)
    process.send_signal(signal.SIGHUP)
    put(root, text(77))
    wait(lambda: all(sealed(root)) or process.poll() is not None)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM


# --- the pace --------------------------------------------------------------------------------

NIGHT = dt.time(22), dt.time(6)
DAY = dt.time(8), dt.time(18, 30)


@pytest.mark.parametrize(
    ("hours", "now", "seconds"),
    [
        (NIGHT, "21:00:00", 3600),
        (NIGHT, "22:00:00", 0),
        (NIGHT, "03:00:00", 0),
        (NIGHT, "06:00:00", 16 * 3600),
        (DAY, "07:59:30", 30),
        (DAY, "18:29:59", 0),
        (DAY, "18:30:00", 13.5 * 3600),
    ],
)
def test_hours(hours, now, seconds):
    moment = dt.datetime.fromisoformat(f"2026-03-04T{now}+00:00")
    assert until(moment, hours) == seconds


def test_rate():
    pace = Pace(rate=1000)
    assert pace.pause() <= 0
    pace.spent(10_000_000)
    assert 9_000 < pace.pause() <= 10_000
    pace = Pace()
    pace.spent(10_000_000)
    assert pace.pause() == 0


def test_a_wait_for_the_hours_is_told_once(monkeypatch):
    late, told = [20.0, 20.0, 0.0], []
    monkeypatch.setattr("cmstream.mailboxes.pace.until", lambda *_: late.pop(0))
    monkeypatch.setattr("time.sleep", lambda _: None)
    Pace(between=NIGHT, told=told.append).wait()
    assert told == [20.0]


def test_a_place_in_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/alice")
    assert for_account("maildir:~/Maildir", ALICE) == "maildir:/home/alice/Maildir"


# --- the guide -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MailboxError, LeftAlone])
def test_the_guide_names_every_code(kind):
    guide = (ROOT / "src" / "cmstream" / "mailboxes" / "README.md").read_text("utf-8")
    codes = re.findall(r"``([a-z-]+)``", kind.__doc__)
    assert len(codes) > 3
    assert [one for one in codes if f"`{one}`" not in guide] == []


def test_a_key_that_changes_during_the_run_must_be_proved_anew(cmstream, root, store, monkeypatch):
    fill(root, 3)
    store.confirm_test(ALICE, by=OWNER)
    monkeypatch.setattr("cmstream.mailboxes.sweep.BATCH", 1)
    spent, read = Pace.spent, []

    def changed(pace, octets):
        spent(pace, octets)
        read.append(octets)
        if len(read) != 2:
            return
        (old,) = store.certificates(ALICE)
        store.import_certificates(ALICE, pem(emails=(ALICE,)), by=ADMINISTRATOR)
        store.retire_certificate(ALICE, old.recipient.fingerprint, by=ADMINISTRATOR)

    monkeypatch.setattr(Pace, "spent", changed)
    code, out, _ = cmstream("seal", "--json", "--for", ALICE, f"maildir:{root}")
    assert (code, json.loads(out)["left"]) == (os.EX_DATAERR, {"key-not-proved": 2})
    assert sealed(root).count(True) == 1


def test_a_folder_that_is_broken_keeps_no_other_from_its_turn(cmstream, store, root):
    put(root, text(1))
    make(root / ".Sent")
    put(root / ".Sent", text(2))
    make(root / ".Archive")
    shutil.rmtree(root / ".Archive" / "new")
    code, out, _ = cmstream("seal", YES, "--for", ALICE, f"maildir:{root}")
    assert code == os.EX_DATAERR
    assert out.startswith("2 messages were sealed")
    assert "Archive is no Maildir" in out


@pytest.mark.parametrize("part", ["cur", "tmp"])
def test_a_folder_that_cannot_be_written_keeps_no_other_from_its_turn(
    store, sqlite_url, root, notes, part
):
    put(root, text(1))
    for number, name in enumerate((".Archive", ".Sent"), 2):
        make(root / name)
        put(root / name, text(number))
    (root / ".Archive" / part).chmod(0o500)
    words = [YES, "--json", "--for", ALICE, f"maildir:{root}"]
    process = started(sqlite_url, notes, *words, bound_by_modes=True)
    out, err = process.communicate(timeout=60)
    assert process.returncode == os.EX_DATAERR, err
    assert json.loads(out)["replaced"] == 2
    assert [one.split()[0].strip(":") for one in json.loads(out)["failures"]] == ["Archive"]
    assert sealed(root / ".Archive") == [False]
    (root / ".Archive" / part).chmod(0o700)
    seal(store, root, notes)
    assert sealed(root / ".Archive") == [True]


def test_a_maildir_is_no_mbox(cmstream, store, root):
    code, _, err = cmstream("seal", YES, "--for", ALICE, f"mbox:{root}")
    assert code == os.EX_NOINPUT
    assert f"give maildir:{root}" in err


def test_a_dry_run_says_that_the_key_is_not_proved(cmstream, store, root):
    put(root, text(1))
    code, out, err = cmstream("seal", "--dry-run", "--for", ALICE, f"maildir:{root}")
    assert code == 0
    assert "1 message would be sealed" in out
    assert "a real run would end here" in err
    assert "key-not-proved" in err
