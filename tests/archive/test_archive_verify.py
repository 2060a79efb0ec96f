"""What ``verify`` and ``open`` find in an archive that isn't as it was."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import cmstream
from cmstream.archive.errors import ArchiveError
from cmstream.archive.opening import open_archive
from cmstream.archive.sealing import seal
from cmstream.archive.verifying import verify
from helpers.archives import BARE, MAIL, tree, write

LONG = 5 << 20
NAMES = {"m.eml": "m.eml", "short": "short.p7m", "long": "long.p7m"}


@pytest.fixture
def target(tmp_path, alice):
    for name, data in {"m.eml": MAIL, "short": BARE, "long": b"x" * LONG, "rest": b"1"}.items():
        write(tmp_path / "source" / name, data)
    seal([str(tmp_path / "source")], str(tmp_path / "sealed"), [alice.recipient], processes=1)
    return tmp_path / "sealed"


def found(target, **options):
    """What verify finds: codes and names; what is right is counted."""
    report = verify(str(target), processes=1, **options)
    assert report.clean is not bool(report.named)
    return report.done, {one.name.removeprefix("source/"): one.code for one in report.named}


def opened(target, me, out):
    report = open_archive(str(target), str(out), me)
    return {one.name.removeprefix("source/"): one.code for one in report.named}, tree(out)


def change(target, query, *values):
    database = sqlite3.connect(target / ".cmstream/manifest.sqlite3")
    with database:
        database.execute(query, values)
    database.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [0.0, 0.5, 0.9])
def test_a_flipped_octet(name, place, target, me, tmp_path):
    path = target / "source" / NAMES[name]
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)
    done, wrong = found(target)
    assert done == 3
    assert set(wrong) == {NAMES[name]}
    wrong, tree_found = opened(target, me, tmp_path / "out")
    assert set(wrong) == {NAMES[name]}
    assert len(tree_found) == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file(name, kept, target, me, tmp_path):
    path = target / "source" / NAMES[name]
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    done, wrong = found(target)
    assert done == 3
    assert wrong[NAMES[name]] in {"truncated", "empty", "not-enveloped", "malformed"}
    wrong, tree_found = opened(target, me, tmp_path / "out")
    assert set(wrong) == {NAMES[name]}
    assert len(tree_found) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file(name, target, me, tmp_path):
    (target / "source" / NAMES[name]).unlink()
    assert found(target) == (3, {NAMES[name]: "missing"})
    wrong, tree_found = opened(target, me, tmp_path / "out")
    assert wrong == {NAMES[name]: "missing"}
    assert len(tree_found) == 3


def test_an_unknown_file(target):
    write(target / "source/more.txt", b"x")
    write(bytes(target) + b"/other/\xff", b"x")
    done, wrong = found(target)
    assert done == 4
    assert sorted(wrong.values()) == ["unknown-file", "unknown-file"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_sealed_to_somebody_else(name, target, bob):
    path = target / "source" / NAMES[name]
    form = "message" if name == "m.eml" else "der"
    data = {"m.eml": MAIL, "short": BARE, "long": b"x" * LONG}[name]
    (other,) = cmstream.encrypt_many([(data, bob.recipient)], form=form)
    path.write_bytes(other)
    assert found(target) == (3, {NAMES[name]: "wrong-recipients"})


def test_a_file_of_another_length(target, alice):
    path = target / "source/short.p7m"
    path.write_bytes(cmstream.encrypt(BARE * 2, alice.recipient))
    assert found(target) == (3, {"short.p7m": "wrong-length"})


def test_a_file_of_other_content(target, alice, me, tmp_path):
    """Who can write there can seal to the same recipients; the hash tells."""
    path = target / "source/short.p7m"
    path.write_bytes(cmstream.encrypt(b"x" * len(BARE), alice.recipient))
    assert found(target) == (3, {"short.p7m": "altered"})
    assert opened(target, me, tmp_path / "out")[0] == {"short.p7m": "altered"}


def test_content_that_isnt_what_the_manifest_says(target, me, tmp_path):
    change(target, "UPDATE sealed SET digest = zeroblob(32) WHERE name != 'source/rest'")
    wrong, tree_found = opened(target, me, tmp_path / "out")
    assert wrong == dict.fromkeys(NAMES.values(), "differs")
    assert set(tree_found) == {b"source/rest"}


def test_another_manifest_entry_tells(target):
    change(target, "UPDATE sealed SET sealed_digest = zeroblob(32) WHERE name = 'source/short'")
    assert found(target) == (3, {"short.p7m": "altered"})


@pytest.mark.parametrize("at", [0, 100, 4096, 8192 + 5])
def test_a_damaged_manifest(at, target, me, tmp_path):
    path = target / ".cmstream/manifest.sqlite3"
    data = bytearray(path.read_bytes())
    data[at : at + 60] = b"\xff" * 60
    path.write_bytes(data)
    with pytest.raises(ArchiveError) as caught:
        verify(str(target), processes=1)
    assert caught.value.code == "damaged-manifest"


def test_a_truncated_manifest(target):
    path = target / ".cmstream/manifest.sqlite3"
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(ArchiveError) as caught:
        verify(str(target), processes=1)
    assert caught.value.code == "damaged-manifest"


@pytest.mark.parametrize("act", [
    lambda target, *_: verify(target),
    lambda target, me, out: open_archive(target, out, me),
])  # fmt: skip
def test_no_archive(act, tmp_path, me):
    for name in ("nothing", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ArchiveError) as caught:
            act(str(tmp_path / name), me, str(tmp_path / "out"))
        assert caught.value.code == "no-archive"
    assert not (tmp_path / "nothing").exists()


def test_a_wrong_key_opens_nothing(target, bob, tmp_path):
    other = cmstream.Identity(bob.key, bob.recipient)
    wrong, tree_found = opened(target, other, tmp_path / "out")
    assert set(wrong.values()) == {"no-recipient"}
    assert not tree_found


def test_nothing_readable_comes_into_the_archive(target, me, tmp_path):
    (tmp_path / "link").symlink_to(target)
    for out in (target / "opened", target, tmp_path / "link/opened"):
        with pytest.raises(ArchiveError) as caught:
            open_archive(str(target), str(out), me)
        assert caught.value.code == "overlap"
    assert verify(str(target), processes=1).clean
    assert not (target / "opened").exists()


def test_a_folder_that_holds_something_is_refused(target, me, tmp_path):
    write(tmp_path / "out/mine", b"x")
    with pytest.raises(ArchiveError) as caught:
        open_archive(str(target), str(tmp_path / "out"), me)
    assert caught.value.code == "not-empty"
    assert tree(tmp_path / "out") == {b"mine": b"x"}


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "a/../../escaped", "%2E%2E/escaped",
                                  "a%2F..%2F..%2Fescaped", ".cmstream/x", "a%00b", ""])  # fmt: skip
def test_no_name_leads_out_of_the_folder(name, target, me, tmp_path):
    """The manifest stands where others may write."""
    change(target, "UPDATE sealed SET source = ? WHERE name = 'source/short'", name)
    out = tmp_path / "deep/out"
    before = tree(tmp_path)
    opened(target, me, out)
    after = tree(tmp_path)
    assert before.items() <= after.items()
    assert all(path in before or path.startswith(b"deep/out/") for path in after)
    assert not (out / ".cmstream").exists()


def test_an_archive_on_a_disk_that_is_read_only(target, tmp_path):
    (target / ".cmstream/lock").unlink()
    before = tree(target)
    assert found(target) == (4, {})
    assert tree(target) == before


def test_only_one_who_writes_keeps_readers_away(target):
    from cmstream.archive.folder import FolderArchive

    with FolderArchive(str(target)).locked(), pytest.raises(ArchiveError) as caught:
        verify(str(target))
    assert caught.value.code == "busy"
    with FolderArchive(str(target)).locked(shared=True):
        assert found(target) == (4, {})


def test_the_journal_that_a_power_cut_left_is_played_back(target, tmp_path):
    """SQLite takes it for a change of the manifest, which a connection that only reads can't do."""
    manifest = target / ".cmstream/manifest.sqlite3"
    journal = manifest.with_name("manifest.sqlite3-journal")
    database = sqlite3.connect(manifest, isolation_level=None)
    database.execute("PRAGMA cache_size = 1")
    database.execute("BEGIN")
    database.execute("UPDATE sealed SET sealed_digest = zeroblob(20000)")
    torn = {path: path.read_bytes() for path in (manifest, journal)}
    database.execute("ROLLBACK")
    database.close()
    for path, content in torn.items():
        path.write_bytes(content)
    reading = sqlite3.connect(f"{manifest.as_uri()}?mode=ro", uri=True)
    with closing(reading), pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.execute("SELECT * FROM sealed")
    assert found(target) == (4, {})
    assert not journal.exists()
