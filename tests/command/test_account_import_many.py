"""``cmstream account import`` of many files: those of one account, and lists that hold little."""

from __future__ import annotations

import os

import pytest

from cmstream.accounts import open_store
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.command import run

ALICE, BOB = "alice@example.org", "bob@example.org"


@pytest.fixture
def store(sqlite_url):
    with open_store(sqlite_url) as found:
        yield found


@pytest.fixture
def files(tmp_path):
    """A folder with two certificates of Alice's."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / f"{ALICE}.pem").write_bytes(pem())
    (folder / "alice@Example.org.crt").write_bytes(pem(1))
    return folder


@pytest.fixture
def take(sqlite_url):
    def take(*words, code=0):
        return run("account", "import", "--database", sqlite_url, *words, code=code)

    return take


def states(store):
    return [one.state for one in store.certificates(ALICE)]


def listed(files, text):
    path = files / "list.csv"
    path.write_bytes(text)
    return path


def test_what_comes_together_isnt_retired(store, files, take):
    """Two devices have two certificates."""
    store.add_account(ALICE, by=ADMINISTRATOR)
    store.import_certificates(ALICE, pem(2), by=ADMINISTRATOR)
    for _ in range(2):
        take("--retire-others", files)
        assert states(store) == ["active", "active", "retired"]
    actions = [one.action for one in store.audit(ALICE)]
    assert actions.count("retire-certificate") == 1
    assert "activate-certificate" not in actions
    rows = b"".join(b"%b,%b\n" % (ALICE.encode(), one.name.encode()) for one in files.iterdir())
    take("--retire-others", listed(files, rows))
    assert states(store) == ["active", "active", "retired"]


def test_a_file_of_several_people_says_what_to_do(files, take):
    (files / "both.pem").write_bytes(pem(2, emails=(ALICE, BOB)))
    (files / "same.pem").write_bytes(pem(3, emails=(BOB,)) + pem(4, emails=("Bob@Example.ORG",)))
    done = take("--add", files, code=os.EX_DATAERR)
    said = "it names 2 addresses: name the file after one, or use a CSV file [invalid-address]"
    assert said in done.stderr.decode()
    assert done.stdout.count(b"\timported\t") == 4


def test_a_dry_run_refuses_what_the_run_would(store, files, take):
    store.add_account(ALICE, by=ADMINISTRATOR)
    for number in range(2, 21):
        store.import_certificates(ALICE, pem(number), by=ADMINISTRATOR)
    counter = store.database.counter()
    both = files.joinpath("both.pem")
    both.write_bytes(pem() + pem(1))
    dry = take("--dry-run", ALICE, both, code=os.EX_DATAERR)
    assert b"[too-many-certificates]" in dry.stderr
    assert store.database.counter() == counter
    assert take(ALICE, both, code=os.EX_DATAERR).stderr == dry.stderr
    assert b"can be imported" in take("--dry-run", ALICE, files / f"{ALICE}.pem").stdout
    assert len(states(store)) == 19


def test_a_dry_run_says_what_would_be_retired(store, files, take):
    store.add_account(ALICE, by=ADMINISTRATOR)
    store.import_certificates(ALICE, pem(2), by=ADMINISTRATOR)
    (old,) = store.certificates(ALICE)
    new = files / f"{ALICE}.pem"
    dry = take("--dry-run", "--retire-others", ALICE, new)
    assert f"would be retired: {old.fingerprint}" in dry.stderr.decode()
    assert states(store) == ["active"]
    assert f": retired {old.fingerprint}" in take("--retire-others", ALICE, new).stderr.decode()


@pytest.mark.parametrize("between", [("--add",), ("--add", "--cipher", "aes256-cbc")])
def test_options_may_stand_between_the_address_and_the_file(store, files, take, between):
    take(ALICE, *between, files / f"{ALICE}.pem")
    assert states(store) == ["active"]
    wrong = take(ALICE, *between, files / f"{ALICE}.pem", "more", code=os.EX_USAGE)
    assert b"unrecognized arguments: more" in wrong.stderr


def test_a_column_that_holds_nothing(store, files, take):
    take("--add", listed(files, b"%b;%b.pem;\r\n" % (ALICE.encode(), ALICE.encode())))
    assert states(store) == ["active"]


@pytest.mark.parametrize(
    "text", [b"alice@example.org,a\0.pem\n", "a@b.org,a.pem\n".encode("utf-16-be")]
)
def test_a_table_with_a_nul_says_what_to_do(files, take, text):
    done = take(listed(files, text), code=os.EX_DATAERR)
    assert b"save it as CSV in UTF-8" in done.stderr
