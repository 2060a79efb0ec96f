"""``cmstream account backup`` and ``restore``: beside a running server, whole or not at all."""

from __future__ import annotations

import json
import shlex
import sqlite3
from pathlib import Path

import pytest

from cmstream.accounts import backup as backups
from cmstream.accounts import open_store
from cmstream.accounts.errors import BackupRefused
from cmstream.accounts.people.people import People
from helpers.accounts.serving import serving
from helpers.accounts.support import ADMINISTRATOR, pem, session
from helpers.command import run

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"
GUIDE = Path(__file__).parents[2] / "src" / "cmstream" / "accounts" / "README.md"
PASSWORD = "a horse that staples"


@pytest.fixture
def live(sqlite_url):
    """A store with alice, whose mail is sealed, and an administrator."""
    with open_store(sqlite_url) as store:
        People(store).add("boss", "administrator", password=PASSWORD, by=ADMINISTRATOR)
        store.add_account(ALICE, by=ADMINISTRATOR)
        store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
        store.change_account(ALICE, cipher="aes256-cbc", by=ADMINISTRATOR)
    return sqlite_url


def path(url):
    return Path(url.removeprefix("sqlite:///"))


def account(action, url, *words, **options):
    return run("account", action, "--database", url, *words, **options)


def listed(url):
    return [one["address"] for one in json.loads(account("list", url, "--json").stdout)]


def beside(url):
    return sorted(one.name for one in path(url).parent.iterdir())


# --- both ways -------------------------------------------------------------------------------


@pytest.mark.parametrize("destroyed", ["removed", "emptied"])
def test_a_server_runs_and_everything_is_there_again(live, tmp_path, destroyed):
    file = tmp_path / "kept" / "backup"
    file.parent.mkdir()
    with serving(live, tmp_path) as server:
        new = {"address": BOB, "aliases": ["bobby@example.org"]}
        token = {"Authorization": f"Bearer {machine(live)}"}
        assert server.ask("POST", "/api/v1/accounts", new, **token)[0] == 201
        wal = path(live).with_name(f"{path(live).name}-wal")
        assert BOB.encode() in wal.read_bytes()
        assert BOB.encode() not in path(live).read_bytes()
        account("backup", live, file)
        assert file.stat().st_mode & 0o777 == 0o600
        assert [one.name for one in file.parent.iterdir()] == ["backup"]
        destroy(live, destroyed)
        words = ["--force"] if destroyed == "emptied" else []
        assert b"restored 2 accounts" in account("restore", live, file, *words).stdout
        assert listed(live) == [ALICE, BOB]
        assert server.sign_in("boss", PASSWORD)[0] == 200
        status, _, body = server.ask("GET", "/api/v1/accounts", **token)
        assert status == 200
        found = json.loads(body)["accounts"]
        assert [one["address"] for one in found] == [ALICE, BOB]
        assert found[1]["aliases"] == ["bobby@example.org"]
    with open_store(live) as store:
        assert store.seal_for(ALICE).action == "seal"


def machine(url):
    words = ["add", "x", "--scope", "accounts:write", "--scope", "accounts:read"]
    return run("token", *words, "--database", url).stdout.decode().strip()


def destroy(url, how):
    if how == "removed":
        for end in ("", "-wal", "-shm"):
            Path(f"{path(url)}{end}").unlink(missing_ok=True)
    else:
        account("remove", url, BOB)
        account("add", url, CAROL)


def test_a_cache_sees_the_restored_store(live, tmp_path):
    """Another process, which has answers in memory, finds that they are old."""
    file = tmp_path / "backup"
    account("backup", live, file)
    with open_store(live) as store:
        assert store.seal_for(ALICE).action == "seal"
        before = store.database.counter()
        store.change_account(ALICE, cipher=None, by=ADMINISTRATOR)
        assert store.seal_for(ALICE).action == "leave"
        account("restore", live, file, "--force")
        assert store.database.counter() > before + 1
        store._lookups._generation.checked = store._lookups._generation.checked._replace(wall=0)
        assert store.seal_for(ALICE).action == "seal"


def test_a_restore_ends_sessions_and_links_and_is_logged(live, tmp_path):
    file = tmp_path / "backup"
    with open_store(live) as store:
        secret = session(store, "boss")
        link = People(store).add_link("set-password", "boss", by=ADMINISTRATOR)
    account("backup", live, file)
    account("restore", live, file, "--force")
    with open_store(live) as store:
        people = People(store)
        assert people.session(secret) is None
        with pytest.raises(Exception, match="link"):
            people.link(link)
        assert store.audit()[0].action == "restore-backup"
        assert store.audit()[0].detail["last_change"]


def test_a_restore_waits_for_no_reader_and_disturbs_none(live, tmp_path):
    file = tmp_path / "backup"
    account("backup", live, file)
    account("add", live, BOB)
    reader = sqlite3.connect(path(live), isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM accounts").fetchone() == (2,)
    account("restore", live, file, "--force")
    assert reader.execute("SELECT count(*) FROM accounts").fetchone() == (2,)
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM accounts").fetchone() == (1,)
    reader.close()


def test_a_writer_that_holds_it_is_not_waited_for_without_end(live, tmp_path, monkeypatch):
    file = tmp_path / "backup"
    account("backup", live, file)
    monkeypatch.setattr(backups, "WAIT", 0.05)
    writer = sqlite3.connect(path(live), isolation_level=None)
    writer.execute("PRAGMA locking_mode = EXCLUSIVE")
    writer.execute("BEGIN IMMEDIATE")
    done = account("backup", live, tmp_path / "another", code=75)
    assert b"try again" in done.stderr
    assert not (tmp_path / "another").exists()
    writer.close()
    assert beside(live) == ["accounts.sqlite3", "backup"]


def test_an_older_store_is_saved_as_it_is_and_upgraded_when_it_is_restored(live, tmp_path):
    file = tmp_path / "backup"
    with sqlite3.connect(path(live)) as connection:
        connection.execute("ALTER TABLE certificates DROP COLUMN set_aside")
        connection.execute("DROP TABLE reminders")
        connection.execute("UPDATE cmstream_version SET version_num = '0002'")
    connection.close()
    account("backup", live, file)
    destroy(live, "removed")
    account("restore", live, file)
    assert listed(live) == [ALICE]
    with open_store(live) as store:
        assert store.seal_for(ALICE).action == "seal"


# --- refused ---------------------------------------------------------------------------------


def test_nothing_is_overwritten_unless_that_is_asked_for(live, tmp_path):
    file = tmp_path / "backup"
    file.write_text("my letters")
    assert b"--force replaces it" in account("backup", live, file, code=73).stderr
    assert file.read_text() == "my letters"
    account("backup", live, file, "--force")
    account("add", live, BOB)
    said = account("restore", live, file, code=65).stderr
    assert b"the store has 2 accounts" in said
    assert b"--force" in said
    assert listed(live) == [ALICE, BOB]
    account("restore", live, file, "--force")
    assert listed(live) == [ALICE]


def test_an_account_that_comes_while_a_restore_is_made_ready_is_not_lost(
    live, tmp_path, monkeypatch
):
    file = tmp_path / "backup"
    account("backup", live, file)
    destroy(live, "removed")
    prepare = backups._prepare

    def meanwhile(*arguments):
        with open_store(live) as store:
            store.add_account(CAROL, by=ADMINISTRATOR)
        return prepare(*arguments)

    monkeypatch.setattr(backups, "_prepare", meanwhile)
    with pytest.raises(BackupRefused, match="the store has 1 accounts"):
        backups.restore(file, path(live), by=ADMINISTRATOR)
    assert listed(live) == [CAROL]


def test_the_database_itself_is_no_backup(live):
    before = path(live).read_bytes()
    for action in ("backup", "restore"):
        said = account(action, live, path(live), "--force", code=65).stderr
        assert b"[same-file]" in said
    assert path(live).read_bytes() == before


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_a_part_of_the_database_is_no_place_for_a_backup(live, tmp_path, end):
    """SQLite keeps the newest changes there."""
    beside, link = path(live).with_name(f"{path(live).name}{end}"), tmp_path / "link"
    link.symlink_to(beside)
    with open_store(live) as store:
        store.add_account(CAROL, by=ADMINISTRATOR)
        before = beside.read_bytes() if beside.exists() else None
        for name in (beside, link):
            assert b"[same-file]" in account("backup", live, name, "--force", code=65).stderr
        assert (beside.read_bytes() if beside.exists() else None) == before
    assert CAROL in listed(live)


def test_what_is_no_backup_is_refused(live, tmp_path):
    file = tmp_path / "backup"
    account("backup", live, file)
    whole = file.read_bytes()
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE accounts (id)")
    other.close()
    page = 4096
    wrong = {
        "letter": b"my letters", "empty": b"", "half": whole[: len(whole) // 2],
        "damaged": whole[: 3 * page] + b"\xff" * page + whole[4 * page :],
        "other": (tmp_path / "other").read_bytes(),
    }  # fmt: skip
    for name, data in wrong.items():
        (tmp_path / name).write_bytes(data)
        done = account("restore", live, tmp_path / name, "--force", code=65)
        assert b"[not-a-backup]" in done.stderr, name
    assert listed(live) == [ALICE]


def test_a_newer_backup_is_refused(live, tmp_path):
    file = tmp_path / "backup"
    account("backup", live, file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE cmstream_version SET version_num = '9999'")
    connection.close()
    assert b"[newer-database]" in account("restore", live, file, "--force", code=65).stderr


def test_a_damaged_database_replaces_no_good_backup(live, tmp_path):
    file = tmp_path / "backup"
    account("backup", live, file)
    good = file.read_bytes()
    whole = path(live).read_bytes()
    path(live).write_bytes(whole[: 3 * 4096] + b"\xff" * 4096 + whole[4 * 4096 :])
    assert b"malformed" in account("backup", live, file, "--force", code=65).stderr
    assert file.read_bytes() == good
    assert beside(live) == ["accounts.sqlite3", "backup"]


def test_a_damaged_database_is_moved_away_first(live, tmp_path):
    file = tmp_path / "backup"
    account("backup", live, file)
    path(live).write_bytes(b"no database at all" * 1000)
    said = account("restore", live, file, "--force", code=75).stderr
    assert f"move {path(live)}* away first".encode() in said
    destroy(live, "removed")
    account("restore", live, file)
    assert listed(live) == [ALICE]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["backup"], 64), (["backup", "/nowhere/x"], 73), (["restore", "/nowhere/x"], 66),
     (["restore", "/"], 66)],
)  # fmt: skip
def test_exit_codes(live, words, code):
    account(*words[:1], live, *words[1:], code=code)


def test_no_database_is_made_by_a_backup(tmp_path):
    done = account("backup", f"sqlite:///{tmp_path}/none", tmp_path / "backup", code=66)
    assert b"[no-database]" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_postgresql_has_its_own_programs(postgresql, tmp_path):
    url = "postgresql://me:geheim@db.example.org/mail?password=geheim"
    file = tmp_path / "of the store's"
    file.touch()
    guide = " ".join(GUIDE.read_text("utf-8").split())
    for action, program in (("backup", b"pg_dump "), ("restore", b"pg_restore ")):
        done = account(action, url, file, code=64)
        line = done.stderr.decode().partition("does this itself: ")[2].partition(", then")[0]
        words = shlex.split(line)
        assert str(file) in {words[-1], words[2].partition("=")[2]}
        options = [one for one in words[1:] if one.partition("=")[0] not in {"--dbname", "--file"}]
        named = [words[0], *(one for one in options if one.startswith("--"))]
        assert f"`{' '.join(named)}`" in guide
        assert program in done.stderr
        assert b"'postgresql://me@db.example.org/mail'" in done.stderr
        assert b"geheim" not in done.stderr
