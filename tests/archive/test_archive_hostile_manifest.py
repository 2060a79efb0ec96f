"""A manifest that somebody else has made: nothing outside of the archive is read, written or
removed, and no command ends with a traceback."""

from __future__ import annotations

import os
import sqlite3

import pytest

from cmstream.archive.errors import ArchiveError
from cmstream.archive.opening import open_archive
from cmstream.archive.sealing import seal
from cmstream.archive.verifying import verify
from helpers.archives import BARE, MAIL, tree, write

LONG = 3 << 20  # lines


@pytest.fixture
def target(tmp_path, alice):
    for name, data in {"m.eml": MAIL, "long.eml": BARE + b"x\n" * LONG, "file": BARE}.items():
        write(tmp_path / "source" / name, data)
    archived(tmp_path, alice)
    return tmp_path / "sealed"


def archived(folder, person, **options):
    to = [person.recipient]
    return seal([str(folder / "source")], str(folder / "sealed"), to, processes=1, **options)


def change(target, query, *values):
    database = sqlite3.connect(target / ".cmstream/manifest.sqlite3")
    with database:
        database.execute(query, values)
    database.close()


@pytest.mark.parametrize("place", ["../mine", "{}/mine", "source/../../mine", ".cmstream/lock"])
def test_a_place_outside(place, target, alice, me, tmp_path):
    write(tmp_path / "mine", b"mine")
    change(
        target,
        "UPDATE sealed SET target = ? WHERE name = 'source/file'",
        place.format(tmp_path),
    )
    write(tmp_path / "source/file", b"changed")
    before = tree(tmp_path)
    del before[b"sealed/.cmstream/manifest.sqlite3"]
    for act in (
        lambda: archived(tmp_path, alice, update=True),
        lambda: verify(str(target), processes=1),
        lambda: open_archive(str(target), str(tmp_path / "out"), me),
    ):
        with pytest.raises(ArchiveError) as caught:
            act()
        assert caught.value.code == "damaged-manifest"
    assert before.items() <= tree(tmp_path).items()


@pytest.mark.parametrize("column, value", [
    ("target", b"bytes"), ("source", b"bytes"), ("length", "long"), ("digest", "text"),
    ("size", None), ("layout", b"[]"), ("sealed_size", 1.5),
])  # fmt: skip
def test_a_value_of_another_kind(column, value, target, me, tmp_path):
    try:
        change(target, f"UPDATE sealed SET {column} = ? WHERE name = 'source/file'", value)  # noqa: S608
    except sqlite3.IntegrityError:
        return  # the file itself doesn't take it
    for act in (
        lambda: verify(str(target), processes=1),
        lambda: open_archive(str(target), str(tmp_path / "out"), me),
    ):
        with pytest.raises(ArchiveError) as caught:
            act()
        assert caught.value.code == "damaged-manifest"


@pytest.mark.parametrize("name", ["m.eml", "long.eml"])
@pytest.mark.parametrize("layout", [
    "nonsense", "{}", "[]", "7", "null", '["lf", 1]', '["lf", ""]', '["lf", "o"]', '["lf", "o-1"]',
    '["lf", "o999999999"]', '["crlf", "v\\u1234"]', '[["lf"]]', '["lf", "x3"]', "[" * 100_000,
])  # fmt: skip
def test_another_layout(layout, name, target, me, tmp_path):
    change(target, "UPDATE sealed SET layout = ? WHERE name = ?", layout, f"source/{name}")
    report = open_archive(str(target), str(tmp_path / "out"), me)
    assert (report.done, report.left) == (2, {"differs": 1})


@pytest.mark.parametrize("text", ["nonsense", "7", "null", '["nobody"]', "[7]"])
def test_other_recipients(text, target):
    change(target, "UPDATE who SET recipients = ?", text)
    with pytest.raises(Exception, match=r".") as caught:
        verify(str(target), processes=1)
    assert caught.value.code


def test_recipients_that_are_not_there(target):
    change(target, "UPDATE sealed SET who = 77 WHERE name = 'source/file'")
    assert verify(str(target), processes=1).left == {"wrong-recipients": 1}


@pytest.mark.parametrize("name", ["file.p7m", "long.eml"])
def test_a_pipe_in_the_place_of_a_sealed_file(name, target, me, tmp_path):
    """Whoever opens one waits until somebody writes to it."""
    (target / "source" / name).unlink()
    os.mkfifo(target / "source" / name)
    assert verify(str(target), processes=1).left == {"unreadable": 1}
    report = open_archive(str(target), str(tmp_path / "out"), me)
    assert (report.done, report.left) == (2, {"unreadable": 1})


def test_a_name_that_no_file_system_takes_harms_no_other(target, me, tmp_path):
    for name in ("file", "long.eml"):
        change(target, "UPDATE sealed SET source = ? WHERE name = ?", "n" * 300, f"source/{name}")
    report = open_archive(str(target), str(tmp_path / "out"), me)
    assert (report.done, report.left) == (1, {"unwritable": 2})
