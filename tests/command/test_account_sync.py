"""``cmstream account sync ldap``: what comes of a directory, which is a slapd's."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.accounts import open_store
from cmstream.command import account_sync
from helpers.accounts.support import ADMINISTRATOR, OWNER
from helpers.authorities import identity, key_usage
from helpers.servers.directory import (
    ALICE,
    BOB,
    CAROL,
    certificate,
    der,
    fingerprint,
    fixtures,
    signed,
)
from helpers.servers.slapd import BASE

NOW = datetime.now(timezone.utc)
_server, _sync = fixtures()


@pytest.fixture
def store(sqlite_url):
    with open_store(sqlite_url) as found:
        yield found


def held(store, address=ALICE):
    """Fingerprint and state of each certificate."""
    return {one.fingerprint: one.state for one in store.certificates(address)}


def add(store, *addresses, **settings):
    for one in addresses:
        store.add_account(one, by=ADMINISTRATOR, **settings)


def test_new_certificates_come_once(server, store, sync):
    add(store, ALICE, BOB)
    alice = server.person("alice", [ALICE, "Alice <no address>"], [der(0), der(1)])
    server.person("bob", ["nobody@example.org", "BOB@example.org"], smime=[signed(2, BOB)])
    server.person("carol", [CAROL], [der(3, CAROL)], [b"broken"])
    server.person("no-certificate", [ALICE])
    bobs = fingerprint(der(2, BOB))
    seen = sync("--dry-run", code=os.EX_DATAERR)
    assert {line.split("\t")[2] for line in seen.lines} == {"can be imported"}
    assert held(store) == held(store, BOB) == {}
    done = sync(code=os.EX_DATAERR)
    assert [line.split("\t")[5] for line in done.lines] == [
        line.split("\t")[5] for line in seen.lines
    ]
    assert len(done.lines) == 3
    assert f"{alice}: " in done.said
    assert "[invalid-address]" in done.said
    assert held(store) == {fingerprint(der(0)): "active", fingerprint(der(1)): "active"}
    assert held(store, BOB) == {bobs: "active"}
    assert [one.address for one in store.accounts()] == [ALICE, BOB]
    counter = store.database.counter()
    assert sync(code=os.EX_DATAERR).lines == []
    assert store.database.counter() == counter
    source = f"ldap {server.socket}/{BASE}"
    assert store.certificates(BOB)[0].added_by == source
    assert store.audit(BOB)[0].actor == source


def test_one_broken_value_doesnt_keep_others_out(server, store, sync):
    add(store, ALICE, BOB)
    signer = identity("ed25519")[1].public_bytes(Encoding.DER)
    dn = server.person("alice", [ALICE], [signer, der(0)], [b"broken", signed(1, ALICE)[:-9]])
    server.person("bob", [BOB], [der(1, BOB)])
    done = json.loads(sync("--json", code=os.EX_DATAERR).stdout)
    assert [one["saved"] for one in done] == [False] * 3 + [True] * 2
    assert {one["entry"] for one in done[:4]} == {dn}
    assert done[0]["error"]["message"].startswith("userCertificate;binary: ")
    assert done[2]["error"]["message"].startswith("userSMIMECertificate: ")
    assert done[3]["certificates"][0]["sha256"] == fingerprint(der(0))
    assert held(store, BOB)


def test_accounts_are_added_with_a_cipher(server, store, sync):
    add(store, ALICE)
    server.person("alice", [ALICE], [der(0)])
    server.person("others", [BOB, CAROL], [der(1, BOB)])
    server.person("broken", ["d@example.org"], smime=[b"broken"])
    done = sync("--add", "--cipher", "aes128-cbc", "--dry-run", code=os.EX_DATAERR)
    assert len(done.lines) == 2
    assert len(store.accounts()) == 1
    done = sync("--add", "--cipher", "aes128-cbc", code=os.EX_DATAERR)
    assert "[address-mismatch]" in done.said  # bob's certificate isn't carol's
    assert {one.address: one.cipher for one in store.accounts()} == {ALICE: None, BOB: "aes128-cbc"}
    sync("--add", "--confirm-mismatch", code=os.EX_DATAERR)
    assert store.certificates(CAROL)[0].mismatch_confirmed
    assert store.account(CAROL).cipher is None
    assert b"give --add too" in sync("--cipher", "auto", code=os.EX_USAGE).stderr


def test_an_account_comes_with_its_cipher_or_not_at_all(server, store, sync):
    """The next run would take it for one whose mail isn't to be sealed."""
    server.person("alice", [ALICE], [der(0)])
    options = "--add", "--cipher", "aes256-cbc"
    with store.database.write() as connection:
        refuse = "BEGIN SELECT RAISE(ABORT, 'not now'); END"
        connection.exec_driver_sql(f"CREATE TRIGGER refuse BEFORE UPDATE ON accounts {refuse}")
    assert sync(*options, code=os.EX_TEMPFAIL).lines == []
    with store.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER refuse")
    sync(*options)
    assert store.account(ALICE).cipher == "aes256-cbc"
    assert len(held(store)) == 1


def test_only_what_mail_would_be_sealed_to_comes(server, store, sync):
    """Directories keep what has expired, and what people sign with."""
    add(store, ALICE, BOB)
    past = {"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(days=1)}
    signing = der(1, extra=(key_usage("digital_signature"),))
    server.person("alice", [ALICE], [der(0, **past), signing, der(2), der(3, "x@y.org", **past)])
    server.person("bob", [BOB], [der(4, BOB, **past)])
    done = sync()
    assert held(store) == {fingerprint(der(2)): "active"}
    assert len(held(store, BOB)) == 1
    assert done.said.count("[expired]") == 1
    assert sync().lines == []


def test_what_was_retired_stays_so(server, store, sync):
    add(store, ALICE)
    server.person("alice", [ALICE], [der(0), der(1)])
    sync()
    store.retire_certificate(ALICE, fingerprint(der(0)), by=OWNER)
    assert sync().lines == []
    assert held(store)[fingerprint(der(0))] == "retired"


def test_what_was_deleted_stays_so(server, store, sync):
    """Its owner may have lost the key, or somebody else may have it."""
    add(store, ALICE)
    server.person("alice", [ALICE], [der(0), der(1)])
    sync()
    store.delete_certificate(ALICE, fingerprint(der(0)), by=OWNER)
    assert sync().lines == []
    assert held(store) == {fingerprint(der(1)): "active"}


def test_an_alias_gets_no_account(server, store, sync):
    add(store, ALICE, aliases=[BOB])
    server.person("alice", [ALICE, BOB], [der(0)])
    server.person("info", [BOB], [der(1, BOB)])
    said = sync("--add").said
    assert said.count(f"{BOB} is an alias of {ALICE}: not added") == 2
    assert held(store) == {fingerprint(der(0)): "active"}


def test_an_address_in_some_language(server, store, sync):
    server.person("alice", [ALICE], [der(0)])
    server.change(server.person("bob", [], [der(1, BOB)]), "mail;lang-de", BOB.encode())
    sync("--add")
    assert held(store, BOB)


def test_several_at_once_take_each_certificate_once(server, store, sync, monkeypatch):
    """Another run, or the owner, may come between a look and the change."""
    server.person("alice", [ALICE], [der(0)])
    looked = account_sync._Sync._missing

    def missing(work, store, account, found):
        result = looked(work, store, account, found)
        if not account.id and store is work.store:
            work.store.add_account(ALICE, by=ADMINISTRATOR)
            work.store.import_certificates(ALICE, der(0), by=OWNER)
            work.store.import_certificates(ALICE, der(1), by=OWNER, retire_others=True)
        return result

    monkeypatch.setattr(account_sync._Sync, "_missing", missing)
    assert sync("--add").lines == []
    assert held(store) == {fingerprint(der(0)): "retired", fingerprint(der(1)): "active"}


# --- what the directory no longer has --------------------------------------------------------


def test_missing_ones_are_retired_when_that_is_asked_for(server, store, sync):
    add(store, ALICE, BOB, cipher="aes256-cbc")
    store.import_certificates(ALICE, der(4), by=OWNER)
    alice = server.person("alice", [ALICE], [der(0), der(1)])
    bob = server.person("bob", [BOB], [der(2, BOB), der(3, BOB)])
    sync()
    server.change(alice, "userCertificate;binary", der(1))
    server.delete(bob)
    sync()
    assert {*held(store).values(), *held(store, BOB).values()} == {"active"}
    dry = sync("--retire-missing", "--dry-run")
    assert [line.split("\t")[2] for line in dry.lines] == ["can be retired"] * 2
    assert {*held(store).values(), *held(store, BOB).values()} == {"active"}
    done = sync("--retire-missing")
    assert [one.split("\t")[3] for one in done.lines] == [one.split("\t")[3] for one in dry.lines]
    assert held(store) == {
        fingerprint(der(0)): "retired",
        fingerprint(der(1)): "active",
        fingerprint(der(4)): "active",
    }
    assert sorted(held(store, BOB).values()) == ["active", "retired"]  # the last one stays
    assert "is the last one that can be used" in done.said
    again = json.loads(sync("--retire-missing", "--json").stdout)
    assert again == []


def test_a_dry_run_says_what_would_become_of_it(server, store, sync):
    """Also where one certificate takes another's place, or two entries have the same."""
    add(store, ALICE)
    alice = server.person("alice", [ALICE], [der(0)])
    sync()
    server.change(alice, "userCertificate;binary", der(1))
    server.person("again", [ALICE], [der(1)])
    for name in ("bob", "rob"):
        server.person(name, [BOB], [der(2, BOB)])
    dry = sync("--add", "--retire-missing", "--dry-run").stdout.decode()
    assert held(store) == {fingerprint(der(0)): "active"}
    done = sync("--add", "--retire-missing")
    assert len(done.lines) == 3
    expected = dry.replace("can be", "").replace("\t ", "\t")
    assert expected.splitlines() == done.lines
    assert held(store) == {fingerprint(der(0)): "retired", fingerprint(der(1)): "active"}
    assert f"nothing is sealed for {BOB} until a cipher is chosen" in done.said


def test_a_dry_run_refuses_what_the_run_would(server, store, sync):
    add(store, ALICE, clients=["evolution"])
    store.import_certificates(ALICE, der(0), by=OWNER)
    store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    curve = identity("SECP256R1", emails=(ALICE,))[1].public_bytes(Encoding.DER)
    server.person("alice", [ALICE], [curve])
    counter = store.database.counter()
    dry = sync("--dry-run", code=os.EX_DATAERR)
    assert "[unreadable-choice]" in dry.said
    assert store.database.counter() == counter
    assert sync(code=os.EX_DATAERR).said == dry.said


def test_a_stopgap_doesnt_count_as_another_one(server, store, sync):
    """Mail isn't sealed to an expired certificate because a directory lost the good one."""
    past = {"not_before": NOW - timedelta(days=9), "not_after": NOW - timedelta(days=1)}
    add(store, ALICE)
    add(store, BOB)
    alice = server.person("alice", [ALICE], [der(0)])
    server.person("bob", [BOB], [der(2, BOB)])
    sync()
    store.import_certificates(ALICE, certificate(1, **past).public_bytes(Encoding.PEM), by=OWNER)
    server.delete(alice)
    assert "last one" in sync("--retire-missing").said
    assert held(store)[fingerprint(der(0))] == "active"


def test_other_sources_and_unsure_answers_retire_nothing(server, store, sync):
    add(store, ALICE, BOB)
    alice = server.person("alice", [ALICE], [der(0), der(1)])
    server.person("bob", [BOB], [der(2, BOB)])
    sync()
    server.change(alice, "userCertificate;binary", der(1))
    server.change(alice, "userSMIMECertificate", b"broken")
    sync("--retire-missing", code=os.EX_DATAERR)
    server.change(alice, "userSMIMECertificate")
    sync("--retire-missing", "--filter", "(userCertificate;binary=*)")
    server.restart(others="* search")  # nobody may see a certificate any more
    done = sync("--retire-missing", code=os.EX_NOINPUT)
    assert "it has no certificates" in done.said
    assert {*held(store).values()} == {"active"}


def test_what_comes_back_is_used_again(server, store, sync):
    add(store, ALICE)
    alice = server.person("alice", [ALICE], [der(0), der(1)])
    sync()
    server.change(alice, "userCertificate;binary", der(1))
    assert len(sync("--retire-missing").lines) == 1
    server.change(alice, "userCertificate;binary", der(0), der(1))
    assert len(sync("--retire-missing").lines) == 1
    assert {*held(store).values()} == {"active"}


def test_what_somebody_took_again_is_theirs(server, store, sync):
    add(store, ALICE)
    alice = server.person("alice", [ALICE], [der(0), der(1)])
    sync()
    server.change(alice, "userCertificate;binary", der(1))
    sync("--retire-missing")
    store.activate_certificate(ALICE, fingerprint(der(0)), by=OWNER)
    assert sync("--retire-missing").lines == []
    assert {*held(store).values()} == {"active"}


@pytest.mark.parametrize("value", [None, b"Alice <no address>"])
def test_what_an_entry_without_an_address_has_isnt_missing(server, store, sync, value):
    """Those who may not see an address see the certificates all the same."""
    add(store, ALICE)
    alice = server.person("alice", [ALICE], [der(0)], [signed(1, ALICE)])
    server.person("bob", [BOB], [der(2, BOB)])
    sync()
    assert len(held(store)) == 2
    server.change(alice, "mail", *[value] * bool(value))
    sync("--retire-missing", code=os.EX_DATAERR if value else 0)
    assert {*held(store).values()} == {"active"}


def test_what_other_servers_have_isnt_missing(server, store, sync):
    add(store, ALICE)
    alice = server.person("alice", [ALICE], [der(0), der(1)])
    sync()
    server.change(alice, "userCertificate;binary", der(1))
    server.referral("dns", "ldap://dns.example.org/DC=ForestDnsZones,DC=example,DC=org")
    dry = sync("--retire-missing", "--dry-run")
    assert len(dry.lines) == 1
    assert "other servers" not in dry.said
    there = server.referral("there", f"ldap://ldap2.example.org/ou=there,{BASE}")
    done = sync("--retire-missing", code=os.EX_UNAVAILABLE)
    assert f"ldap://ldap2.example.org/ou=there,{BASE}" in done.said
    assert {*held(store).values()} == {"active"}
    assert "other servers have some of the entries" in sync().said
    assert "another server has this base" in sync("--base", there, code=os.EX_NOINPUT).said


def test_a_cut_answer_retires_nothing(server, store, sync):
    add(store, ALICE)
    for number in range(6):
        server.person(f"p{number}", [f"p{number}@example.org"], [der(number % 3, ALICE)])
    last = server.person("alice", [ALICE], [der(0), der(1)])
    sync()
    server.change(last, "userCertificate;binary", der(1))
    server.restart(more="sizelimit 3")
    done = sync("--retire-missing", code=os.EX_UNAVAILABLE)
    assert "gives only some of the entries" in done.said
    assert {*held(store).values()} == {"active"}
    server.restart()
    assert len(sync("--retire-missing").lines) == 1


def test_many_entries_come_in_pages(server, store, sync, monkeypatch):
    monkeypatch.setattr("cmstream.command.directory._PAGE", 2)
    for number in range(5):
        server.person(f"p{number}", [f"p{number}@example.org"], [der(0, f"p{number}@example.org")])
    assert len(sync("--add").lines) == len(store.accounts()) == 5


@pytest.mark.parametrize("way", ["url", "secure_url"])
def test_a_server_that_goes_away_amid_its_answer(server, store, sync, monkeypatch, way):
    """What came before is imported, and nothing is retired."""
    monkeypatch.setattr("cmstream.command.directory._PAGE", 1)
    add(store, ALICE, BOB)
    alice = server.person("alice", [ALICE], [der(0), der(1)])
    server.person("bob", [BOB], [der(2, BOB)])
    url, trusted = getattr(server, way), ("--ca-file", server.ca_file)
    sync(*trusted, url=url)
    server.change(alice, "userCertificate;binary", der(1), der(3))
    taken = account_sync._Sync.take

    def take(work, entry):
        taken(work, entry)
        if server.process.poll() is None:
            server.stop()

    monkeypatch.setattr(account_sync._Sync, "take", take)
    done = sync(*trusted, "--retire-missing", url=url, code=os.EX_TEMPFAIL)
    assert "it doesn't answer now" in done.said
    assert {*held(store).values()} == {"active"}
    assert len(held(store)) == 3
    server.start()
