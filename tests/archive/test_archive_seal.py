"""Files, Maildirs, mbox and tar become an archive, and come back octet for octet."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import cmstream
from cmstream.archive import long, places
from cmstream.archive.errors import ArchiveError
from cmstream.archive.folder import FolderArchive
from cmstream.archive.items import BATCH_COUNT
from cmstream.archive.opening import open_archive
from cmstream.archive.sealing import seal
from cmstream.archive.sources import looks_split
from cmstream.archive.verifying import verify
from helpers.archives import (
    AS_NOBODY,
    BARE,
    FROM,
    MAIL,
    archived,
    check_nothing_is_left,
    mbox,
    numbered,
    rows,
    sealed,
    tar,
    tree,
    write,
)
from helpers.command import run
from helpers.people import person

LONG = 5 << 20


def opened(target, me, out):
    report = open_archive(str(target), str(out), me)
    assert report.clean, report.as_document()
    return tree(out / "source")


def everything(source):
    """What must come back as it is, and what is split."""
    same = {
        b"plain.txt": b"SECRET",
        b"empty": b"",
        b"empty.eml": b"",
        b"with a space%41.txt": b"1",
        b"not \xff utf-8\n": b"2",
        b"n" * 255: b"3",
        b"d" * 250 + b"/" + b"e" * 250: b"4",
        b"folder.eml/x.p7m/y.EML": MAIL,
        b"y.eml": BARE,
        b"y.EML": BARE,
        b"mixed.eml": BARE + b"\r\nSECRET\n",
        b"no.eml": b"SECRET is no mail",
        b"From.txt": b"From here to there\n",
        b"long.bin": b"SECRET" * (LONG // 6 + 5),
        b"long.eml": MAIL + b"\r\nand so on" * (LONG // 10),
        b"longer.eml": BARE + b"\nand so on" * (LONG // 10),
        b"box/cur/1.host,S=3:2,SF": BARE,
        b"box/cur/2.host:2,": MAIL,
        b"box/new/3.host": MAIL,
        b"box/dovecot-uidlist": b"3 V1\n",
        b"box/.Sent/cur/1.host:2,S": BARE,
    }
    for name, data in same.items():
        write(os.fsencode(source) + b"/" + name, data)
    for folder in ("box/tmp", "box/.Sent/new", "box/.Sent/tmp"):
        (source / folder).mkdir(parents=True, exist_ok=True)
    return same


def test_everything_comes_back(source, target, alice, me, tmp_path):
    same = everything(source)
    report = archived(source, target, alice)
    assert report.clean
    assert report.done == len(same)
    check_nothing_is_left(target)
    assert len(sealed(target)) == len(same)
    assert verify(str(target), processes=1).done == len(same)
    assert opened(target, me, tmp_path / "out") == same
    assert (tmp_path / "out/source/plain.txt").stat().st_mtime_ns == (
        (source / "plain.txt").stat().st_mtime_ns
    )


def test_processes_do_the_same(source, target, alice, me, tmp_path):
    same = everything(source)
    assert archived(source, target, alice, processes=2).done == len(same)
    check_nothing_is_left(target)
    assert verify(str(target), processes=2).done == len(same)
    assert opened(target, me, tmp_path / "out") == same


def test_mails_become_smime_and_files_cms(source, target, alice, me):
    everything(source)
    archived(source, target, alice)
    found = sealed(target)
    for name, data in found.items():
        inspected = cmstream.inspect(data, certificates=[alice.recipient])
        assert [one.recipient for one in inspected.addressees] == [alice.recipient]
        assert inspected.encoding == "DER"
        assert inspected.form == ("mail" if name.endswith(b".eml") else "binary"), name
    assert b"Subject: the plan" in found[b"source/box/cur/3.host.eml"]
    assert b"source/y.eml" in found
    assert b"source/y%2EEML.eml" in found
    assert b"source/mixed.eml.p7m" in found


@pytest.mark.parametrize(("name", "form"), [("y.eml", "SMIME"), ("plain.txt.p7m", "DER")])
def test_openssl_opens_them(name, form, source, target, tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    samples = Path(__file__).parents[1] / "samples"
    everything(source)
    run("archive", "seal", "--to", f"{samples}/alice.pem", source, target)
    out = subprocess.check_output([
        "openssl", "cms", "-decrypt", "-inform", form, "-in", target / "source" / name,
        "-recip", f"{samples}/alice.pem", "-inkey", f"{samples}/alice.key.pem",
    ])  # fmt: skip
    assert b"SECRET" in out


SPLIT = {
    "inbox": mbox(BARE, b"Subject: 2\n\n>From me\nFrom here on\n", BARE),
    "t.tar": tar([("a/b.eml", MAIL), ("a/c", b"SECRET"), ("a/c", b"again"), ("./d.EML", MAIL)]),
    "long": mbox(BARE + b"\nFrom me" + b"\nand so on" * (LONG // 10), BARE),
    "big.tar": tar([("big", b"x" * LONG), ("big.eml", MAIL + b"\r\nx" * (LONG // 3))]),
}


def test_mbox_and_tar_are_split(source, target, alice, me, tmp_path):
    for name, data in SPLIT.items():
        write(source / name, data)
    report = archived(source, target, alice)
    assert report.clean
    assert report.done == 3 + 4 + 2 + 2
    found = opened(target, me, tmp_path / "out")
    assert found[b"inbox/000001.eml"] == BARE + b"\n"
    assert found[b"inbox/000002.eml"] == b"Subject: 2\n\nFrom me\nFrom here on\n"
    assert found[b"t.tar/a/b.eml"] == MAIL
    assert {found[b"t.tar/a/c"], found[b"t.tar/a/c~2"]} == {b"SECRET", b"again"}
    assert found[b"long/000001.eml"].endswith(b"\nFrom me" + b"\nand so on" * (LONG // 10) + b"\n")
    assert found[b"big.tar/big"] == b"x" * LONG
    assert found[b"big.tar/big.eml"].startswith(MAIL)
    assert verify(str(target), processes=1).done == report.done
    assert archived(source, target, alice).known == report.done


def test_as_files_splits_nothing(source, target, alice, me, tmp_path):
    for name, data in {**SPLIT, "x.eml": MAIL}.items():
        write(source / name, data)
    assert archived(source, target, alice, as_files=True).done == len(SPLIT) + 1
    assert all(name.endswith(b".p7m") for name in sealed(target))
    found = opened(target, me, tmp_path / "out")
    assert found == {name.encode(): data for name, data in SPLIT.items()} | {b"x.eml": MAIL}


def test_an_mbox_that_grew_gives_only_what_is_new(source, target, alice):
    write(source / "inbox", mbox(BARE, BARE + b"2"))
    archived(source, target, alice)
    before = sealed(target)
    write(source / "inbox", mbox(BARE, BARE + b"2", BARE + b"3"))
    report = archived(source, target, alice)
    assert (report.done, report.known) == (1, 2)
    after = sealed(target)
    assert before.items() < after.items()
    assert archived(source, target, alice).known == 3


@pytest.mark.parametrize("damage", [b"From x Mon Jan  3 00:00:00 2022\n", b""])
def test_a_tar_that_ends_too_early_is_told(damage, source, target, alice):
    write(source / "t.tar", tar([("a", b"x" * 3000), ("b", b"y" * 3000)])[:3000] + damage)
    write(source / "other", b"1")
    report = archived(source, target, alice)
    assert not report.clean
    assert b"source/other.p7m" in sealed(target)


# --- again -------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(source, target, alice):
    numbered(source, 60)
    archived(source, target, alice)
    before = sealed(target), rows(target)
    report = archived(source, target, alice)
    assert (report.done, report.known) == (0, 60)
    assert (sealed(target), rows(target)) == before


def test_new_files_are_added(source, target, alice):
    numbered(source, 20)
    archived(source, target, alice)
    before = sealed(target)
    numbered(source / "more", 20)
    assert archived(source, target, alice).done == 20
    assert before.items() < sealed(target).items()


def test_a_file_that_was_only_touched_is_known(source, target, alice):
    numbered(source, 4)
    archived(source, target, alice)
    before = sealed(target)
    os.utime(source / "0/0.txt", (1, 1))
    for _ in range(2):
        assert archived(source, target, alice).known == 4
    assert sealed(target) == before
    assert rows(target)["source/0/0.txt"]["mtime"] == 10**9


def test_a_changed_file_waits_for_update(source, target, alice, me, tmp_path):
    numbered(source, 4)
    write(source / "z.eml", MAIL)
    archived(source, target, alice)
    before = sealed(target)
    write(source / "0/0.txt", b"changed")
    write(source / "z.eml", MAIL + b"mixed\n")
    report = archived(source, target, alice)
    assert report.left == {"changed": 2}
    assert not report.clean
    assert sealed(target) == before
    assert archived(source, target, alice, update=True).done == 2
    assert verify(str(target), processes=1).clean
    found = opened(target, me, tmp_path / "out")
    assert found[b"0/0.txt"] == b"changed"
    assert found[b"z.eml"] == MAIL + b"mixed\n"
    check_nothing_is_left(target)


def test_a_mail_that_a_program_marks_isnt_sealed_again(source, target, alice):
    for folder in ("cur", "new", "tmp"):
        (source / folder).mkdir(parents=True)
    write(source / "new/1.host", BARE)
    archived(source, target, alice)
    (source / "new/1.host").rename(source / "cur/1.host:2,S")
    assert archived(source, target, alice).known == 1


def test_other_recipients_seal_only_what_is_new(source, target, alice, bob):
    numbered(source, 2)
    archived(source, target, alice)
    numbered(source / "more", 2)
    report = seal([str(source)], str(target), [bob.recipient, alice.recipient], processes=1)
    assert (report.done, report.known) == (2, 2)
    assert verify(str(target), processes=1).clean
    report = verify(str(target), to=[alice.recipient], processes=1)
    assert report.left == {"wrong-recipients": 2}


# --- what is left, and what is refused ---------------------------------------------------------


def test_links_and_devices_are_told(source, target, alice):
    write(source / "a", b"SECRET")
    (source / "link").symlink_to("/etc/passwd")
    (source / "other").symlink_to(source / "a")
    (source / "folder").symlink_to("/etc")
    os.mkfifo(source / "pipe")
    report = archived(source, target, alice)
    assert report.left == {"symbolic-link": 3, "special-file": 1}
    assert report.clean
    assert set(sealed(target)) == {b"source/a.p7m"}


def test_what_cant_be_read_harms_no_other(alice):
    """Root reads everything, so it is nobody who does it, in a folder that nobody can reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        numbered(folder / "source", 6)
        write(folder / "source/no", b"x")
        write(folder / "source/none/no", b"x")
        for path in ("source/no", "source/none"):
            (folder / path).chmod(0)
        (folder / "alice.pem").write_bytes(alice.recipient.pem)
        words = ["seal", "--json", "--processes", "1", "--to", "alice.pem", "source", "sealed"]
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, "archive", *words],
            capture_output=True, check=False, cwd=folder,
        )  # fmt: skip
        (folder / "source/none").chmod(0o700)
    assert done.returncode == os.EX_NOINPUT, done.stderr
    report = json.loads(done.stdout)
    assert report["left"] == {"unreadable": 2}
    assert report["done"] == 6


def test_a_source_that_changes_meanwhile_is_noticed(source, target, alice, monkeypatch):
    """The file grows between its pieces: its reader is told, and nothing of it is left."""
    numbered(source, 2)
    write(source / "short", b"x" * 100)
    write(source / "long", b"x" * LONG)

    def grow(path):
        with path.open("ab") as file:
            file.write(b"y")

    real = long.Part.read

    def read(part, size=-1):
        grow(source / "long")
        return real(part, size)

    found = os.read

    def read_short(file, count):
        if count == 101:
            grow(source / "short")
        return found(file, count)

    monkeypatch.setattr(long.Part, "read", read)
    monkeypatch.setattr(places.os, "read", read_short)
    report = archived(source, target, alice)
    assert report.left == {"changed-meanwhile": 2}
    assert not report.clean
    assert len(sealed(target)) == 2
    check_nothing_is_left(target)


@pytest.mark.parametrize(("inner", "outer"), [("source/x", "source"), ("source", "source/x")])
def test_a_source_and_a_target_in_each_other_are_refused(inner, outer, tmp_path, alice):
    (tmp_path / "source/x").mkdir(parents=True)
    with pytest.raises(ArchiveError) as caught:
        archived(tmp_path / inner, tmp_path / outer, alice)
    assert caught.value.code == "overlap"
    assert list((tmp_path / "source/x").iterdir()) == []


def test_what_is_no_archive_is_refused(source, target, alice):
    numbered(source, 2)
    write(target / "mine", b"x")
    with pytest.raises(ArchiveError) as caught:
        archived(source, target, alice)
    assert caught.value.code == "not-empty"
    assert tree(target) == {b"mine": b"x"}


def test_two_sources_of_one_name_are_refused(tmp_path, target, alice):
    for name in ("a/x", "b/x"):
        numbered(tmp_path / name, 2)
    with pytest.raises(ArchiveError) as caught:
        seal([f"{tmp_path}/a/x", f"{tmp_path}/b/x/"], str(target), [alice.recipient])
    assert caught.value.code == "same-name"


def test_many_sources(tmp_path, target, alice, me):
    numbered(tmp_path / "a", 4)
    write(tmp_path / "b.eml", BARE)
    report = seal(
        [f"{tmp_path}/a/", f"{tmp_path}/b.eml"], str(target), [alice.recipient], processes=1
    )
    assert report.done == 5
    assert {b"a/0/0.txt.p7m", b"b.eml"} < set(sealed(target))


def test_one_run_at_a_time(source, target, alice):
    numbered(source, 2)
    archived(source, target, alice)
    with FolderArchive(str(target)).locked(), pytest.raises(ArchiveError) as caught:
        archived(source, target, alice)
    assert caught.value.code == "busy"


def test_what_a_killed_run_left_is_replaced(source, target, alice, me, tmp_path):
    """Published, and not yet in the manifest; and temporary files."""
    numbered(source, 6)
    archived(source, target, alice)
    with sqlite3.connect(target / ".cmstream/manifest.sqlite3") as database:
        database.execute("DELETE FROM sealed WHERE name LIKE '%.eml'")
    database.close()
    write(target / "source/1/1.eml", b"half of it")
    write(target / ".cmstream/tmp/run/1", b"x")
    report = archived(source, target, alice)
    assert (report.done, report.known) == (3, 3)
    check_nothing_is_left(target)
    assert verify(str(target), processes=1).done == 6
    assert opened(target, me, tmp_path / "out") == tree(source)


def test_a_sealed_mail_is_sealed_again(source, target, alice, me, tmp_path):
    """Else a mail for somebody else wouldn't open with the archive's key."""
    mail = cmstream.encrypt_message(MAIL, person(number=2).recipient)
    write(source / "x.eml", mail)
    archived(source, target, alice)
    assert verify(str(target), processes=1).clean
    assert opened(target, me, tmp_path / "out") == {b"x.eml": mail}


@pytest.mark.parametrize("cipher", ["aes256-gcm", "aes128-cbc", "chacha20-poly1305"])
def test_other_ciphers(cipher, tmp_path, alice, me):
    source, target = tmp_path / "source", tmp_path / "sealed"
    write(source / "a", b"SECRET")
    write(source / "b.eml", MAIL)
    write(source / "c", b"x" * LONG)
    archived(source, target, alice, policy=cmstream.Policy(cipher=cipher))
    assert verify(str(target), processes=1).done == 3
    assert opened(target, me, tmp_path / "out") == tree(source)


def test_a_password(source, target, tmp_path):
    write(source / "a", b"SECRET")
    seal([str(source)], str(target), [cmstream.Recipient.from_password("x")], processes=1)
    assert verify(str(target), processes=1).done == 1
    assert opened(target, cmstream.Identity.from_password("x"), tmp_path / "out") == tree(source)


def test_an_mbox_begins_with_a_dated_line():
    assert looks_split(FROM + BARE) == "mbox"
    assert looks_split(b"From here to there\n") == ""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_asked_to_stop(processes, source, target, alice):
    """It ends in the middle; what it did is noted, and the next run does the rest."""
    count, done = 3 * BATCH_COUNT + 132, []
    numbered(source, count)

    def run(**options):
        to = [alice.recipient]
        report = seal([str(source)], str(target), to, processes=processes, **options)
        done.append(report.done)
        return report

    told = []
    assert run(tell=told.append, stop=lambda: bool(told)).stopped
    assert 0 < done[0] < count
    assert len(rows(target)) == done[0]
    assert not run().stopped
    assert sum(done) == count
    assert not seal([str(source)], str(target), [alice.recipient], stop=lambda: True).done
