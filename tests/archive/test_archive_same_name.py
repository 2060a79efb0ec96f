"""Two sources that would have one place in the target, or one place when it is opened: none of them
is lost without a word."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from cmstream.archive import names
from cmstream.archive.opening import open_archive
from cmstream.archive.verifying import verify
from helpers.archives import BARE, MAIL, archived, mbox, rows, tar, tree, write

LONG = 5 << 20


def opened(target, me, out):
    report = open_archive(str(target), str(out), me)
    assert report.clean, report.as_document()
    assert verify(str(target), processes=1).clean
    return tree(out / "source")


def test_members_of_a_tar_that_are_called_alike(source, target, alice, me, tmp_path):
    members = ["a", "a", "a~2", "a~2", "./a", "b~2", "b", "b", "/b", "m.eml", "m.eml", "m.eml~2"]
    write(source / "t", tar([(name, b"%d" % number) for number, name in enumerate(members)]))
    assert archived(source, target, alice).done == len(members)
    found = opened(target, me, tmp_path / "out")
    assert sorted(found.values()) == sorted(b"%d" % number for number in range(len(members)))
    assert archived(source, target, alice).known == len(members)


def test_two_mails_of_one_unique_name(source, target, alice, me, tmp_path):
    for folder, data in {"new/1.host": MAIL, "cur/1.host:2,S": BARE, "cur/2.host": BARE}.items():
        write(source / folder, data)
    write(source / "tmp/3.host", MAIL)
    left = {"same-name": 1, "maildir-tmp": 1}
    for _ in range(2):
        report = archived(source, target, alice, update=True)
        assert report.left == left
        assert not report.clean
    assert {*opened(target, me, tmp_path / "out")} == {b"cur/1.host:2,S", b"cur/2.host"}


@pytest.mark.parametrize("data", [b"other", b"o" * LONG], ids=["short", "long"])
def test_a_file_that_is_called_as_a_cut_name_is(data, source, alice, me, tmp_path):
    target = tmp_path / "sealed"
    long = "x" * 255
    cut = "x" * 180 + "~" + hashlib.sha256(long.encode()).hexdigest()[:16]
    write(source / long, b"long")
    write(source / cut, data)
    report = archived(source, target, alice)
    assert (report.done, report.left) == (1, {"same-name": 1})
    found = opened(target, me, tmp_path / "out")
    assert found in ({long.encode(): b"long"}, {cut.encode(): data})
    assert archived(source, target, alice).left == {"same-name": 1}


@pytest.mark.parametrize("other", ["Notes", "Cafe\u0301"])
def test_a_file_system_that_takes_two_names_for_one(other, source, alice, me, tmp_path):
    """Hard links stand for it: both names lead to one file."""
    target = tmp_path / "sealed"
    name = {"Notes": "notes", "Cafe\u0301": "caf\u00e9"}[other]
    write(source / name, b"first")
    archived(source, target, alice)
    sealed = target / "source"
    os.link(sealed / f"{name}.p7m", sealed / f"{other}.p7m")
    write(source / other, b"second")
    report = archived(source, target, alice)
    assert report.left == {"same-name": 1}
    (sealed / f"{other}.p7m").unlink()
    assert opened(target, me, tmp_path / "out") == {name.encode(): b"first"}


def test_two_leftovers_of_a_killed_run_that_are_one_file(source, target, alice, me, tmp_path):
    write(source / "first", b"1")
    archived(source, target, alice)
    write(target / "source/notes.p7m", b"left")
    os.link(target / "source/notes.p7m", target / "source/Notes.p7m")
    write(source / "notes", b"one")
    write(source / "Notes", b"two")
    assert archived(source, target, alice).left == {"same-name": 1}


def test_names_of_one_file_differ_only_where_the_file_system_says_so(source, target, alice):
    write(source / "first", b"1")
    archived(source, target, alice)
    for name in ("Notes", "notes"):  # a killed run had both
        write(target / f"source/{name}.p7m", b"left")
        write(source / name, b"x")
    assert archived(source, target, alice).done == 2
    assert verify(str(target), processes=1).clean


@pytest.mark.parametrize("data", [b"file", b"f" * LONG], ids=["short", "long"])
def test_a_file_that_becomes_a_folder(data, source, alice, me, tmp_path):
    target = tmp_path / "sealed"
    write(source / "x", data)
    write(source / "y/z", data)
    archived(source, target, alice)
    (source / "x").unlink()
    shutil.rmtree(source / "y")
    write(source / "x/inside", data + b"1")
    write(source / "x/too", b"2")
    write(source / "y", data + b"3")
    assert archived(source, target, alice, update=True).clean
    assert opened(target, me, tmp_path / "out") == {
        b"x": data, b"x~2/inside": data + b"1", b"x~2/too": b"2",
        b"y": data + b"3", b"y~2/z": data,
    }  # fmt: skip


@pytest.mark.parametrize("update", [True, False])
def test_a_file_that_becomes_an_mbox(update, source, alice, me, tmp_path):
    target = tmp_path / "sealed"
    write(source / "box", b"not yet")
    archived(source, target, alice)
    write(source / "box", mbox(BARE))
    report = archived(source, target, alice, update=update)
    assert (report.done, report.clean) == (1, True)
    found = opened(target, me, tmp_path / "out")
    assert {*found} in ({b"box", b"box~2/000001.eml"}, {b"box~2", b"box/000001.eml"})
    assert b"not yet" in found.values()


def test_an_archive_without_its_manifest_is_not_begun_anew(source, target, alice):
    write(source / "x", b"old")
    archived(source, target, alice)
    before = tree(target / "source")
    manifest = target / ".cmstream/manifest.sqlite3"
    kept = manifest.read_bytes()
    write(source / "x", b"new")
    for damage in (manifest.unlink, lambda: manifest.write_bytes(b"")):
        damage()
        with pytest.raises(Exception, match="put back a copy") as caught:
            archived(source, target, alice)
        assert caught.value.code == "damaged-manifest"
        assert tree(target / "source") == before
    manifest.write_bytes(kept)
    assert archived(source, target, alice).left == {"changed": 1}
    assert len(rows(target)) == 1


@pytest.mark.parametrize("name", ["../x", "/x", "a/../x", "a//x", ".cmstream/x", "a/.", "a\0b", ""])
def test_what_is_outside_is_never_inside(name):
    assert not names.is_inside(name)
    assert names.is_inside("a/.cmstream/x")
