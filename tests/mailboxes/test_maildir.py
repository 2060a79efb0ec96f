"""A Maildir is sealed and opened again: names, flags, dates, folders, forms, and what is left."""

from __future__ import annotations

import bz2
import gzip
import os
import re
import shutil
import stat

import pytest

import cmstream
from cmstream.mailboxes.errors import MailboxError
from cmstream.mailboxes.journal import Journal
from cmstream.mailboxes.maildir_files import folder_name, new_base
from cmstream.mailboxes.places import noted_as, open_mailbox
from helpers.accounts.support import ADMINISTRATOR
from helpers.mailboxes import (
    ALICE,
    files,
    fill,
    mails,
    make,
    plain,
    put,
    seal,
    sealed,
    text,
    unseal,
)
from helpers.somebody import NOBODY, only_root


def test_there_and_back(store, root, notes, me):
    before = fill(root, 600)
    report = seal(store, root, notes)
    assert (report.replaced, report.messages, report.left, report.failures) == (600, 600, {}, [])
    assert all(sealed(root))
    assert mails(root, me) == before
    report = unseal(me, root, notes)
    assert (report.replaced, report.left) == (600, {})
    assert mails(root) == before
    assert not list((root / "tmp").iterdir())


def test_sizes_in_the_name_are_right(store, root, notes, me):
    put(root, text(1), name="1600000000.1_2.old")
    put(root, text(2))
    for run in (lambda: seal(store, root, notes), lambda: unseal(me, root, notes)):
        assert run().replaced == 2
        for path in files(root):
            size, virtual = map(int, re.search(r",S=(\d+),W=(\d+)", path.name).groups())
            content = path.read_bytes()
            assert size == len(content)
            assert virtual == len(content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def test_new_names_sort_as_the_old_ones_did(store, root, notes, me):
    for number in range(50):
        put(root, text(number), at=1_600_000_000 + number // 7)
    before = [plain(path.read_bytes()) for path in sorted(root.glob("cur/*"), key=when)]
    old = {path.name for path in files(root)}
    seal(store, root, notes)
    after = sorted(root.glob("cur/*"), key=when)
    assert [plain(path.read_bytes(), me) for path in after] == before
    assert not old & {path.name for path in after}


def when(path):
    second, part = re.match(r"(\d+)\.M(\d+)P", path.name).groups()
    return int(second), int(part)


def test_a_name_of_any_kind_gives_a_new_one():
    for old in ("x", "1700000000", "1700000000.V1I2.host", "\udcff", "99999999999999999999.x"):
        assert re.fullmatch(r"\d+\.M\d+P\d+Q\d+R[0-9a-f]{8}\.[^,/:]+,S=5,W=6", new_base(old, 5, 6))


def test_a_second_run_reads_nothing(store, root, notes):
    fill(root, 20)
    put(root, cmstream.encrypt_message(text(99), store_recipients(store)))
    report = seal(store, root, notes)
    assert report.left == {"already-encrypted": 1}
    for path in files(root):
        path.chmod(0o000)
    report = seal(store, root, notes)
    assert (report.messages, report.replaced, report.left) == (0, 0, {})


def store_recipients(store):
    return store.seal_for(ALICE).recipients


def test_another_journal_seals_nothing_twice(store, root, notes, tmp_path, me):
    before = fill(root, 20)
    seal(store, root, notes)
    report = seal(store, root, tmp_path / "other.sqlite3")
    assert (report.replaced, report.left) == (0, {"already-encrypted": 20})
    assert mails(root, me) == before


def test_the_journal_forgets_what_is_gone(store, root, notes):
    fill(root, 20)
    seal(store, root, notes)
    for path in files(root)[5:]:
        path.unlink()
    seal(store, root, notes)
    with Journal(notes) as journal:
        mine = journal.mailbox(*noted_as(f"maildir:{root}", ALICE))
        assert len(mine.skip("INBOX")) == 5
        mine.close()


FOLDERS = {
    ".Sent": "Sent",
    ".Lists.Python": "Lists/Python",
    ".Entw&APw-rfe": "Entwürfe",
    ".A&-B": "A&B",
    ".Broken&zz": "Broken&zz",
    ".Broken&z-": "Broken&z-",
}


def test_folders_of_a_maildir_plus_plus(store, root, notes, me):
    for path in FOLDERS:
        make(root / path)
        put(root / path, text(1), flags=":2,RSb")
    (root / ".no-folder").mkdir()
    put(root, text(2))
    assert seal(store, root, notes).replaced == len(FOLDERS) + 1
    for path in FOLDERS:
        assert sealed(root / path) == [True]
    assert seal(store, root, notes).messages == 0
    assert names(root, notes) == ["INBOX", *(FOLDERS[one] for one in sorted(FOLDERS))]


def test_a_folder_that_is_removed_meanwhile(store, root, notes):
    for path in (".Gone", ".Sent"):
        make(root / path)
        put(root / path, text(1))
    with Journal(notes) as journal, open_mailbox(f"maildir:{root}", ALICE, journal) as mailbox:
        folders = mailbox.folders()
        shutil.rmtree(root / ".Gone")
        for one in folders:
            one.recover()
        assert [len(list(one.messages())) for one in folders] == [0, 0, 1]
        assert len(mailbox.folders()) == 2


def test_a_folder_without_a_place_for_new_files_is_told(store, root, notes):
    make(root / ".Sent")
    (root / ".Sent" / "tmp").rmdir()
    (failure,) = seal(store, root, notes).failures
    assert ".Sent/tmp" in failure
    (root / "tmp").rmdir()
    with pytest.raises(MailboxError, match="Maildir/tmp"):
        seal(store, root, notes)


def test_one_mailbox_by_any_path_and_address(store, root, notes, tmp_path):
    (tmp_path / "link").symlink_to(root)
    put(root, text(1))
    assert seal(store, root, notes).replaced == 1
    store.change_account(ALICE, by=ADMINISTRATOR, aliases=["al@example.org"])
    report = seal(store, f"{tmp_path}/link/../Maildir/", notes, address="al@example.org")
    assert report.messages == 0


def names(root, notes):
    with Journal(notes) as journal, open_mailbox(f"maildir:{root}", ALICE, journal) as mailbox:
        return [one.name for one in mailbox.folders()]


def test_folders_of_the_layout_fs(store, root, notes):
    for path in ("Sent", "Lists/Python", "Lists/Python/Old"):
        make(root / path)
        put(root / path, text(1))
    assert seal(store, root, notes).replaced == 3
    assert names(root, notes) == ["INBOX", "Lists/Python", "Lists/Python/Old", "Sent"]


def test_name_of_the_inbox():
    assert folder_name("") == "INBOX"


def test_drafts_are_left_unless_they_are_wanted(store, root, notes):
    make(root / ".Drafts")
    put(root / ".Drafts", text(1), flags=":2,D")
    report = seal(store, root, notes)
    assert (report.replaced, report.left) == (0, {"draft": 1})
    assert seal(store, root, notes, drafts=True).replaced == 1


def test_flags_keywords_mode_and_time(store, root, notes):
    path = put(root, text(1), flags=":2,FRSTabz", at=1_234_567_890)
    path.chmod(0o640)
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    seal(store, root, notes)
    (new,) = files(root)
    assert new.name.endswith(":2,FRSTabz")
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert new.stat().st_mtime_ns == 1_234_567_890_123_456_789


@only_root
def test_the_owner_stays_the_owner(store, root, notes):
    os.chown(put(root, text(1)), NOBODY, NOBODY)
    seal(store, root, notes)
    (new,) = files(root)
    assert (new.stat().st_uid, new.stat().st_gid) == (NOBODY, NOBODY)


def test_gzip_is_undone(store, root, notes, me):
    content = text(1, 200_000)
    half = gzip.compress(content[:1000]) + gzip.compress(content[1000:])
    put(root, half, name=f"1600000000.M1P1.host,S={len(content)}")
    assert seal(store, root, notes).replaced == 1
    (new,) = files(root)
    assert plain(new.read_bytes(), me) == plain(content)


def test_a_long_message_streams(store, root, notes, me):
    content = text(1, 18 << 20)
    path = put(root, content)
    short = put(root, text(2))
    assert seal(store, root, notes).replaced == 2
    assert not path.exists()
    assert not short.exists()
    assert all(sealed(root))
    assert seal(store, root, notes.with_name("other")).left == {"already-encrypted": 2}
    assert unseal(me, root, notes).replaced == 2
    assert {plain(one.read_bytes()) for one in files(root)} == {plain(content), plain(text(2))}


FORMS = {
    "compressed": [
        bz2.compress(text(1)),
        b"\x28\xb5\x2f\xfdwhatever",
        gzip.compress(text(1))[:-9],
        gzip.compress(text(1))[:40] + b"damage" * 30,
    ],
    "encrypted-by-server": [b"CRYPTED\x03\x07whatever"],
    "malformed-message": [b""],
}


@pytest.mark.parametrize("code", FORMS)
def test_other_forms_are_left_and_counted(code, store, root, notes):
    contents = FORMS[code]
    for content in contents:
        put(root, content)
    before = {path: path.read_bytes() for path in files(root)}
    for _ in range(2):  # each run says so
        report = seal(store, root, notes)
        assert (report.replaced, report.left) == (0, {code: len(contents)})
        assert report.reasons[code]
    assert {path: path.read_bytes() for path in files(root)} == before


def test_links_are_left(store, root, notes, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(text(1))
    (root / "cur" / "1600000000.M1P1.host:2,S").symlink_to(outside)
    (root / "cur" / "1600000000.M2P1.host:2,S").mkdir()
    make(tmp_path / "elsewhere")
    put(tmp_path / "elsewhere", text(2))
    (root / ".Linked").symlink_to(tmp_path / "elsewhere")
    report = seal(store, root, notes)
    assert (report.replaced, report.left) == (0, {"not-a-file": 2})
    assert outside.read_bytes() == text(1)
    assert sealed(tmp_path / "elsewhere") == [False]


def test_quota_is_kept_up_to_date(store, root, notes, me):
    fill(root, 30)
    quota = root / "maildirsize"
    quota.write_bytes(b"1000000S\n%d 30\n" % used(root))
    for run in (lambda: seal(store, root, notes), lambda: unseal(me, root, notes)):
        assert run().replaced == 30
        lines = [line.split() for line in quota.read_bytes().splitlines()[1:]]
        octets, number = (sum(int(line[column]) for line in lines) for column in (0, 1))
        assert (octets, number) == (used(root), 30)


def used(root):
    return sum(path.stat().st_size for path in files(root))


def test_what_a_server_keeps_beside_the_messages_stays(store, root, notes):
    fill(root, 3)
    uids = root / "dovecot-uidlist"
    uids.write_bytes(b"3 V1 N9\n")
    (root / "cur" / ".nfs0001").write_bytes(b"whatever")
    before = uids.stat()
    assert seal(store, root, notes).messages == 3
    assert (uids.read_bytes(), uids.stat().st_mtime_ns) == (b"3 V1 N9\n", before.st_mtime_ns)
    assert (root / "cur" / ".nfs0001").read_bytes() == b"whatever"


def test_an_account_that_is_not_protected_is_left(store, root, notes):
    fill(root, 3)
    assert seal(store, root, notes, address="bob@example.org").left == {"unknown-address": 3}
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=False)
    assert seal(store, root, notes, appended=True).left == {"not-on-append": 3}
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=True)
    assert seal(store, root, notes, appended=True).replaced == 3


def test_an_account_without_a_usable_certificate_is_left(sqlite_url, root, notes, store):
    store.add_account("carol@example.org", by=ADMINISTRATOR, cipher="aes256-cbc")
    fill(root, 3)
    report = seal(store, root, notes, address="carol@example.org")
    assert report.left == {"no-usable-certificate": 3}


def test_a_dry_run_changes_nothing(store, root, notes):
    before = fill(root, 5)
    report = seal(store, root, notes, dry=True)
    assert (report.replaced, report.messages) == (5, 5)
    assert report.bytes_after > report.bytes_before > 0
    assert mails(root) == before
    assert seal(store, root, notes).replaced == 5


def test_what_is_no_maildir(notes, tmp_path):
    with Journal(notes) as journal:
        for _ in range(2):
            with pytest.raises(MailboxError, match="no Maildir") as caught:
                open_mailbox(f"maildir:{tmp_path / 'missing'}", ALICE, journal)
            assert caught.value.code == "no-such-mailbox"


def test_one_run_at_a_time_whatever_the_journal(root, notes, tmp_path):
    place = f"maildir:{root}"
    with Journal(notes) as one, Journal(tmp_path / "other") as two:
        with open_mailbox(place, ALICE, one), pytest.raises(MailboxError) as caught:
            open_mailbox(place, ALICE, two).__enter__()
        assert caught.value.code == "busy"
        with open_mailbox(place, ALICE, two):
            pass


def test_a_change_is_looked_at_twice_at_most(root, notes):
    """Once when it is seen, and once when the clock has gone on."""
    fill(root, 3)
    looks = 0
    with Journal(notes) as journal, open_mailbox(f"maildir:{root}", ALICE, journal) as box:
        while names := box.wait(2.5):
            assert list(names) == ["INBOX"]
            looks += 1
            assert len(list(box.folders()[0].messages())) == 3
    assert looks in (1, 2)
