"""``cmstream serve --print systemd``: a closed unit that starts the same server."""

from __future__ import annotations

import re
import shutil
import sys

import pytest

from cmstream.gateway import units as units_of
from cmstream.gateway.printed import printed as gateway_printed
from cmstream.gateway.settings import Place, Settings
from helpers.accounts.serving import serving
from helpers.command import run
from helpers.somebody import only_root
from helpers.systemd import exposure, started, units, verify

OPTIONS = ["--host=0.0.0.0", "--port=443", "--workers=4", "--public-url=https://keys.example.org",
           "--trusted-proxies=127.0.0.1,::1", "--notify=/usr/bin/msmtp -t 100%",
           "--group=mail"]  # fmt: skip
ELSEWHERE = {"--print", "--database", "--help"}


def printed(*options):
    return run(
        "serve", *options, "--print", "systemd", env={"CMSTREAM_DATABASE": ""}
    ).stdout.decode()


def test_systemd_takes_the_unit(tmp_path):
    (service,) = units(printed(*OPTIONS), tmp_path)
    assert service.name == "cmstream-serve.service"
    verify(service)
    text = service.read_text()
    for line in ("Group=mail", "StateDirectoryMode=2770", "UMask=0007", "User=cmstream",
                 "AmbientCapabilities=CAP_NET_BIND_SERVICE"):  # fmt: skip
        assert f"\n{line}\n" in text


@pytest.mark.parametrize("weak", ["NoNewPrivileges", "ProtectSystem", "SystemCallFilter"])
def test_systemd_finds_the_service_closed(tmp_path, weak):
    (service,) = units(printed(), tmp_path)
    whole = service.read_text()
    without = "".join(line for line in whole.splitlines(True) if not line.startswith(weak))
    assert exposure(service, whole) < 2.5
    assert exposure(service, without) > exposure(service, whole)


def test_the_unit_starts_the_same_server(tmp_path):
    known = set(
        re.findall(r"--[a-z-]+", run("serve", "--help").stdout.decode().partition("exam")[0])
    )
    assert {one.partition("=")[0] for one in OPTIONS} == known - ELSEWHERE
    (service,) = units(printed(*OPTIONS), tmp_path)
    words = started(service)
    assert words[:4] == [sys.executable, "-m", "cmstream", "serve"]
    assert {one.replace("%", "%%") for one in OPTIONS} < {*words}
    assert words[-1] == "--database=sqlite:////var/lib/cmstream/accounts.sqlite3"


def test_what_the_unit_starts_serves(sqlite_url, tmp_path):
    (service,) = units(printed("--database", sqlite_url, "--workers", "2"), tmp_path)
    assert f"\nReadWritePaths={tmp_path}\n" in service.read_text()
    words = started(service)[4:]
    assert f"--database={sqlite_url}" in words
    with serving(sqlite_url, tmp_path, *words) as server:
        assert server.ask("GET", "/health")[0] == 200


def test_no_password_is_printed(tmp_path):
    text = printed("--database", "postgresql://cmstream:geheim@db.example.org/mail")
    assert "geheim" not in text
    assert "--database" not in text
    assert "\nEnvironmentFile=/etc/cmstream/environment\n" in text


def test_it_says_what_a_mail_command_needs():
    assert "postdrop" in printed("--notify=/usr/sbin/sendmail -t -i")
    assert "postdrop" not in printed()


def test_a_group_that_isnt_there_is_refused():
    done = run("serve", "--group", "nosuchgroup", "--print", "systemd", code=77)
    assert (done.stdout, b"there is no group nosuchgroup" in done.stderr) == (b"", True)


def test_a_group_of_a_database_without_a_file_is_refused_as_at_the_start():
    """The unit would never start."""
    words = ["--group", "mail", "--database", "postgresql://cmstream@db.example.org/mail"]
    done = run("serve", *words, "--print", "systemd", code=64)
    assert (done.stdout, b"only a database that is a file" in done.stderr) == (b"", True)


def both(database):
    """The units of serve and of the gateway."""
    yield printed("--database", database)
    words = ["--listen", "lmtp:127.0.0.1:10024", "--next", "lmtp:127.0.0.1:24"]
    gateway = run("gateway", *words, "--print", "systemd", "--database", database)
    yield gateway.stdout.decode()


@only_root
@pytest.mark.parametrize(
    ("mode", "lines"),
    [(0o2770, ("\nGroup=mail\n", "\nUMask=0007\n", "--group=mail --mode=2770 ")),
     (0o750, ("\nGroup=cmstream\n", "\nUMask=0077\n", "--group=cmstream --mode=0700 "))],
)  # fmt: skip
def test_a_folder_that_a_group_has_stays_so(tmp_path, mode, lines):
    """The gateway's unit doesn't undo what serve --group did."""
    shutil.chown(tmp_path, group="mail")
    tmp_path.chmod(mode)
    for text in both(f"sqlite:///{tmp_path}/accounts.sqlite3"):
        assert all(line in text for line in lines)


@only_root
def test_the_folder_that_systemd_makes_stays_a_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(units_of, "STATE", tmp_path)
    shutil.chown(tmp_path, group="mail")
    tmp_path.chmod(0o2770)
    settings = Settings((Place.parse("lmtp:127.0.0.1:24"),), f"sqlite:///{tmp_path}/x")
    text = gateway_printed("systemd", settings)
    for line in ("Group=mail", "UMask=0007", "StateDirectory=cmstream", "StateDirectoryMode=2770"):
        assert f"\n{line}\n" in text


def test_a_folder_elsewhere_is_the_only_one_that_is_named(tmp_path):
    for text in both(f"sqlite:///{tmp_path}/a folder/accounts.sqlite3"):
        assert "/var/lib/cmstream" not in text
        assert "StateDirectory" not in text
        assert f'\nReadWritePaths="{tmp_path}/a folder"\n' in text
        line = f"install --directory --owner=cmstream --group=cmstream --mode=0700 '{tmp_path}/a f"
        assert line in text


def test_printing_changes_nothing(tmp_path):
    printed("--database", f"sqlite:///{tmp_path}/none")
    assert list(tmp_path.iterdir()) == []
