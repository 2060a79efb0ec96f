"""A database that another user has: what each command says of it, and how a group may use it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cmstream.accounts import create_store, open_store
from cmstream.accounts.sharing import SharingError, share
from helpers.accounts.serving import serving
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.command import run
from helpers.peers.program import must
from helpers.servers.place import folder
from helpers.somebody import NOBODY, as_nobody, only_root

ALICE = "alice@example.org"
GATEWAY = ["gateway", "--listen", "lmtp:127.0.0.1:1", "--next", "lmtp:127.0.0.1:2"]


@pytest.fixture
def own():
    with folder("permissions") as place:
        yield place


@pytest.fixture
def path(own, sqlite_url):
    """A database in a folder that everybody may enter, though not write to."""
    made = own / "accounts.sqlite3"
    shutil.copyfile(sqlite_url.removeprefix("sqlite:///"), made)
    with open_store(url(made)) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
        store.change_account(ALICE, cipher="aes256-cbc", by=ADMINISTRATOR)
    return made


def url(path):
    return f"sqlite:///{path}"


def on(path, *words):
    return [*words, "--database", url(path)]


def seal(path):
    return on(path, "seal", "--for", ALICE)


def rights(path):
    found = path.stat()
    return found.st_gid, stat.S_IMODE(found.st_mode)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


def entries(path):
    """The database, and what SQLite keeps beside it."""
    return sorted(one.name for one in path.parent.iterdir())


# --- denied ----------------------------------------------------------------------------------


@only_root
@pytest.mark.parametrize(
    ("file", "mode", "said"),
    [(0o600, 0o755, "nobody can't read {path}, which is root's, mode 0600"),
     (0o666, 0o700, "nobody can't enter {path.parent}, which is root's, mode 0700"),
     (0o666, 0o755, "nobody can't write to {path.parent}, which is root's, mode 0755")],
)  # fmt: skip
def test_every_command_says_that_permission_is_denied(path, file, mode, said):
    jobs = [seal(path), on(path, *GATEWAY), on(path, "account", "list"), on(path, "token", "list"),
            on(path, "serve", "--port", "0"), on(path, "doctor")]  # fmt: skip
    warm = [*jobs[2:4], jobs[5], seal(path), [*on(path, *GATEWAY), "--print", "systemd"],
            on(path, "serve", "--port", "-1")]  # fmt: skip
    path.chmod(file)
    path.parent.chmod(mode)
    done = as_nobody(*jobs, warm=warm)
    assert [one.code for one in done] == [75, 66, 66, 66, 66, 78]
    for one in done:
        words = one.err + one.out
        assert f"permission denied: {said.format(path=path)}" in words
        assert "cmstream serve --group" in words
        assert "there is no database" not in words
    assert all("[permission-denied]" in one.err for one in done[:-1])


@only_root
def test_a_database_that_isnt_there_is_still_said(own):
    own.chmod(0o755)
    (done,) = as_nobody(seal(own / "accounts.sqlite3"), warm=[seal(own / "accounts.sqlite3")])
    assert (done.code, "there is no database at" in done.err) == (75, True)


@only_root
def test_who_may_not_make_the_default_database_is_told_to_name_one(own):
    """The one place is everybody's, and a new one isn't made where nobody looks."""
    code = """
import os, sys
from pathlib import Path
from cmstream.command import cli, database
database.PLACE = Path(sys.argv[1]) / "lib" / "cmstream" / "accounts.sqlite3"
cli.main(["account", "list", "--database", "sqlite:////nowhere/x"])
os.setegid(65534), os.seteuid(65534)
sys.exit(cli.main(["account", "list"]))
"""
    own.chmod(0o755)
    environment = {k: v for k, v in os.environ.items() if k != "CMSTREAM_DATABASE"}
    done = subprocess.run(
        [sys.executable, "-c", code, own], capture_output=True, check=False, env=environment
    )
    assert done.returncode == os.EX_CANTCREAT
    for word in (b"as nobody: Permission denied", b"--database", b"$CMSTREAM_DATABASE"):
        assert word in done.stderr
    assert list(own.iterdir()) == []


# --- a group ---------------------------------------------------------------------------------


@only_root
def test_a_group_uses_a_database_of_root(path):
    path.parent.chmod(0o700)
    (denied,) = as_nobody(seal(path), warm=[seal(path)])
    assert denied.code == 75
    share(path, "nogroup")
    assert rights(path.parent) == (NOBODY, 0o2770)
    assert rights(path) == (NOBODY, 0o660)
    jobs = [seal(path), on(path, "account", "add", "bob@example.org")]
    done = as_nobody(*jobs, warm=[on(path, "account", "list"), seal(path)])
    assert [one.code for one in done] == [65, 0]  # the message is empty


@only_root
@pytest.mark.parametrize(
    ("folder_mode", "file_mode", "said"),
    [(0o2770, 0o660, "can't enter"), (0o755, 0o660, "can't read"), (0o2770, 0o600, "can't enter")],
)
def test_who_isnt_in_the_group_that_has_it_is_told_to_join(path, folder_mode, file_mode, said):
    """What serve --group does was done already."""
    for one, mode in ((path, file_mode), (path.parent, folder_mode)):
        shutil.chown(one, group="mail")
        one.chmod(mode)
    jobs = [on(path, "serve", "--port", "0"), on(path, "doctor"), seal(path)]
    done = as_nobody(*jobs, warm=[jobs[1], on(path, "account", "list"), *jobs[2:],
                                  on(path, "serve", "--port", "-1")])  # fmt: skip
    for one in done:
        words = one.err + one.out
        assert f"permission denied: nobody {said} " in words
        assert "add nobody to the group mail (usermod --append --groups mail nobody)" in words
        assert "serve --group" not in words


@only_root
@pytest.mark.parametrize("first", [0, NOBODY])
def test_files_made_later_are_the_groups_too(path, first):
    """Whoever comes first makes the files beside the database, and the other one uses them."""
    share(path, "nogroup")
    code = """
import os, sys
from cmstream.accounts import Actor, open_store
from cmstream.accounts.account import Account
open_store(sys.argv[1]).close()
os.setgroups([]), os.setegid(int(sys.argv[2])), os.seteuid(int(sys.argv[2]))
store = open_store(sys.argv[1])
store.add_account(sys.argv[3], by=Actor("x", "administrator"))
if sys.argv[4:]:
    os.seteuid(0), os.setegid(0)
    os.execv(sys.executable, [sys.executable, "-c", *sys.argv[4:]])
"""
    other = NOBODY - first
    assert entries(path) == ["accounts.sqlite3"]
    inner = [code, url(path), other, "second@example.org"]
    check = code.replace(
        "if sys", "os.system('ls -n ' + os.path.dirname(sys.argv[1][10:]))\nif sys"
    )
    said = must(sys.executable, "-c", check, url(path), first, "first@example.org")
    lines = [line.split() for line in said.stdout.decode().splitlines() if "accounts" in line]
    assert [(line[0], line[3], line[-1]) for line in lines] == [
        ("-rw-rw----", str(NOBODY), f"accounts.sqlite3{end}") for end in ("", "-shm", "-wal")
    ]
    must(sys.executable, "-c", *inner)
    with open_store(url(path)) as store:
        assert len(store.accounts()) == 3


@only_root
def test_serve_shares_it_and_goes_on_serving(path, own):
    path.parent.chmod(0o700)
    with folder("log") as log, serving(url(path), log, "--group", "nogroup") as server:
        assert server.ask("GET", "/health")[0] == 200
        assert rights(path.parent) == (NOBODY, 0o2770)
        assert {rights(path.parent / name) for name in entries(path)} == {(NOBODY, 0o660)}
        (done,) = as_nobody(seal(path), warm=[seal(path)])
        assert done.code == 65
        assert server.ask("GET", "/health")[0] == 200


@only_root
def test_what_is_right_already_needs_no_rights(path):
    share(path, "nogroup")
    code = "import os, sys; from pathlib import Path; from cmstream.accounts.sharing import share\n"
    code += "os.setgroups([]), os.setegid(65534), os.seteuid(65534)\n"
    code += "share(Path(sys.argv[1]), 'nogroup')"
    must(sys.executable, "-c", code, path)
    path.chmod(0o600)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=False)
    said = done.stderr.decode()
    assert "SharingError: " in said
    assert "nobody can't give" in said
    assert "run this once as root" in said


@only_root
def test_what_root_makes_belongs_to_the_folders_owner(own):
    os.chown(own, NOBODY, NOBODY)
    with create_store(url(own / "accounts.sqlite3")) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        owners = {(one.stat().st_uid, rights(one)) for one in own.iterdir()}
    assert owners == {(NOBODY, (NOBODY, 0o600))}


def test_a_new_database_in_a_shared_folder_is_shared(own):
    own.chmod(0o2770)
    path = own / "accounts.sqlite3"
    create_store(url(path)).close()
    assert rights(path)[1] == 0o660


# --- refused ---------------------------------------------------------------------------------


@only_root
def test_a_folder_that_holds_other_things_keeps_its_mode(path):
    other = path.parent / "mail"
    other.mkdir()
    before = rights(path.parent)
    with pytest.raises(SharingError, match="holds mail as well"):
        share(path, "nogroup")
    assert rights(path.parent) == before
    shutil.chown(path.parent, group="nogroup")
    path.parent.chmod(0o2770)
    share(path, "nogroup")  # now there is nothing to change in the folder
    assert rights(path) == (NOBODY, 0o660)


@only_root
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_leads_root_to_no_other_file(path, own, link):
    with folder("other") as other:
        victim = other / "victim"
        victim.write_text("secret")
        victim.chmod(0o600)
        link(victim, Path(f"{path}-journal"))
        with pytest.raises(SharingError):
            share(path, "nogroup")
        assert rights(victim) == (0, 0o600)


@pytest.mark.parametrize("make", [os.mkfifo, _socket])
def test_what_is_no_file_is_refused_and_not_waited_for(own, make):
    """The other end of a pipe may never come."""
    database = own / "accounts.sqlite3"
    database.touch(0o600)
    make(f"{database}-journal")
    code = (
        "import grp, os, sys, pathlib, cmstream.accounts.sharing as s;"
        " s.share(pathlib.Path(sys.argv[1]), grp.getgrgid(os.getgid()).gr_name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, database], capture_output=True, check=False, timeout=60
    )
    assert b"-journal is neither a file nor a folder: remove it" in done.stderr


def test_what_has_no_group_is_refused(path, sqlite_url, tmp_path):
    words = ["serve", "--port", "0", "--group", "nosuchgroup", "--database", url(path)]
    assert b"there is no group nosuchgroup" in run(*words, code=77).stderr


def test_only_a_file_belongs_to_a_group(postgresql):
    named = postgresql.url(postgresql.new())
    done = run("serve", "--port", "0", "--group", "root", "--database", named, code=64)
    assert b"only a database that is a file" in done.stderr
