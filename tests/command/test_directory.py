"""The way to a directory: signing in, TLS, and what is told where it can't be asked."""

from __future__ import annotations

import os
import sys

import pytest

from cmstream.accounts import open_store
from cmstream.command.directory import Directory
from helpers.accounts.support import ADMINISTRATOR
from helpers.servers import slapd
from helpers.servers.directory import ALICE, certify, der, fixtures
from helpers.servers.slapd import BASE, READER

_server, _sync = fixtures()


@pytest.fixture
def store(sqlite_url):
    with open_store(sqlite_url) as found:
        yield found


@pytest.fixture
def bind_file(tmp_path):
    path = tmp_path / "reader"
    path.write_text(f"{READER}\n{slapd.PASSWORD}\n")
    return path


def test_signing_in(server, store, sync, bind_file, tmp_path):
    store.add_account(ALICE, by=ADMINISTRATOR)
    server.person("alice", [ALICE], [der(0)])
    server.restart(others="* auth")
    assert sync(code=os.EX_NOPERM).said.endswith("Insufficient access\n")
    sync("--bind-file", bind_file)
    assert store.certificates(ALICE)
    bind_file.write_text(f"{READER}\nwrong sesame\n")
    refused = sync("--bind-file", bind_file, code=os.EX_NOPERM)
    assert "refuses this DN or its password" in refused.said
    assert "sesame" not in refused.said
    for content in (
        b"",
        READER.encode(),
        f"{READER}\n\n".encode(),
        b"\nsecret\n",
    ):
        bind_file.write_bytes(content)
        assert "give a DN on line 1" in sync("--bind-file", bind_file, code=os.EX_DATAERR).said
    sync("--bind-file", tmp_path / "missing", code=os.EX_NOINPUT)


def test_tls(server, store, sync):
    store.add_account(ALICE, by=ADMINISTRATOR)
    server.person("alice", [ALICE], [der(0)])
    trusted = ("--ca-file", server.ca_file)

    def refused(url, *words):
        assert "see --ca-file" in sync(*words, url=url, code=os.EX_PROTOCOL).said
        assert store.certificates(ALICE) == []

    refused(server.secure_url)
    refused(server.url, "--starttls")
    refused(server.secure_url, "--ca-file", server.folder / "slapd.conf")
    wrong = "--ca-file", server.folder / "missing"
    assert "certificates in PEM" in sync(*wrong, url=server.secure_url, code=os.EX_NOINPUT).said
    certify(server, "other.example.org")
    server.restart()
    refused(server.secure_url, *trusted)
    refused(server.url, "--starttls", *trusted)
    certify(server, server.place.host)
    server.restart()
    sync(*trusted, "--dry-run", url=server.url)  # this machine needs none
    sync(*trusted, "--dry-run", "--starttls", url=server.url)
    sync(*trusted, url=server.secure_url)
    assert store.certificates(ALICE)
    server.restart(tls=False)
    sync(*trusted, "--starttls", url=server.url, code=os.EX_PROTOCOL)


def test_starttls_is_for_the_network():
    def used(url, **options):
        return Directory(url, BASE, **options).by_starttls

    assert used("ldap://ldap.example.org")
    assert used("ldap://192.0.2.1:1389")
    assert not used("ldap://ldap.example.org", starttls=False)
    for here in ("ldap://localhost", "ldap://127.9.9.9:1389", "ldap://[::1]", "ldapi://%2Frun%2Fx"):
        assert not used(here)
    assert not used("ldaps://ldap.example.org", starttls=True)


def test_what_isnt_there(server, store, sync):
    assert "no such base" in sync("--base", f"ou=no,{BASE}", code=os.EX_NOINPUT).said
    assert "a malformed DN or filter" in sync("--base", "nonsense", code=os.EX_USAGE).said
    assert "a malformed DN or filter" in sync("--filter", "(mail=*", code=os.EX_USAGE).said
    assert "it has no certificates" in sync(code=os.EX_NOINPUT).said
    server.person("alice", [ALICE], [der(0)])
    assert "--add adds accounts" in sync().said
    for wrong in ("http://x", "ldap://", "ldap://x/dc=org", "ldaps://x??sub", "ldap://me@x", "x"):
        sync(url=wrong, code=os.EX_USAGE)
    server.stop()
    for url in (server.socket, server.url, server.secure_url):
        done = sync("--retire-missing", url=url, code=os.EX_TEMPFAIL)
        assert "it doesn't answer now" in done.said
    server.start()


def test_without_python_ldap(sync, monkeypatch):
    monkeypatch.setitem(sys.modules, "ldap", None)
    assert "pip install 'cmstream[ldap]'" in sync(code=os.EX_USAGE).said


def test_the_source_is_named_by_what_was_asked_for():
    url = "ldaps://ldap.example.org"
    assert Directory(url, BASE).source == f"ldap {url}/{BASE}"
    other = Directory(url, BASE, "(uid=*)", "mailAlias")
    assert other.source == f"ldap {url}/{BASE}?mailAlias?sub?(uid=*)"
