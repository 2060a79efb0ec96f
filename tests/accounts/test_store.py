"""The store's accounts, certificates, switches and audit log, on both databases."""

from __future__ import annotations

import datetime as dt

import pytest

import cmstream
from cmstream.accounts import (
    AccessDenied,
    Actor,
    Conflict,
    Invalid,
    NotFound,
    Store,
    open_store,
    tables,
)
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem
from helpers.authorities import NOW

ALICE = "alice@example.org"


@pytest.fixture
def alice(store):
    return store.add_account(ALICE, by=ADMINISTRATOR)


def imported(store, data=None, **options):
    report = store.import_certificates(ALICE, data or pem(), by=OWNER, **options)
    return [one.recipient.fingerprint for one in report.certificates]


def last(store):
    return store.audit()[0]


def raises(kind, code):
    return pytest.raises(kind, check=lambda error: error.code == code)


# --- accounts --------------------------------------------------------------------------------


def test_a_new_account_seals_nothing(store):
    account = store.add_account(" Alice@Example.ORG ", by=ADMINISTRATOR)
    assert account == store.account(ALICE)
    assert account.address == ALICE
    assert account.cipher is None
    assert not account.protected
    assert account.when_unusable == "error"
    assert account.encrypt_on_append is False
    assert account.created_at.utcoffset() == dt.timedelta(0)
    assert abs(dt.datetime.now(dt.timezone.utc) - account.created_at) < dt.timedelta(minutes=1)


def test_an_account_is_added_with_its_settings(store):
    given = {
        "cipher": "aes128-cbc",
        "encrypt_on_append": True,
        "when_unusable": "clear",
        "clients": ["outlook", "apple-mail"],
        "aliases": ["Zoe@example.org", "al@EXAMPLE.org", ALICE],
        "domains": ["Example.NET", "bücher.example"],
    }
    account = store.add_account(ALICE, by=ADMINISTRATOR, **given)
    assert account == store.account(ALICE)
    assert account.cipher == "aes128-cbc"
    assert account.encrypt_on_append is True
    assert account.when_unusable == "clear"
    assert account.clients == ("outlook", "apple-mail")
    assert account.aliases == ("al@example.org", "zoe@example.org")
    assert account.domains == ("example.net", "xn--bcher-kva.example")


def test_every_setting_changes_and_the_log_has_the_old_and_the_new(store, alice):
    changed = store.change_account(
        ALICE, by=ADMINISTRATOR, cipher="aes256-gcm", aliases=["al@example.org"], domains=[]
    )
    assert changed == store.account(ALICE)
    assert changed.cipher == "aes256-gcm"
    assert changed.aliases == ("al@example.org",)
    entry = last(store)
    assert entry.action == "change-account"
    assert entry.address == ALICE
    assert entry.detail == {
        "old": {"cipher": None, "aliases": []},
        "new": {"cipher": "aes256-gcm", "aliases": ["al@example.org"]},
    }


def test_a_change_that_changes_nothing_isnt_logged(store, alice):
    before = store.audit()
    store.change_account(ALICE, by=OWNER, cipher=None, when_unusable="error")
    store.set_switch("encryption", "as-accounts-say", by=ADMINISTRATOR)
    assert store.audit() == before


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"cipher": "rot13"}, "invalid-setting"),
        ({"cipher": ""}, "invalid-setting"),
        ({"cipher": ["aes256-cbc"]}, "invalid-setting"),
        ({"encrypt_on_append": "yes"}, "invalid-setting"),
        ({"when_unusable": None}, "invalid-setting"),
        ({"clients": "outlook"}, "invalid-setting"),
        ({"clients": ["a\0b"]}, "invalid-setting"),
        ({"aliases": ["nobody"]}, "invalid-address"),
        ({"aliases": 5}, "invalid-setting"),
        ({"domains": ["a b"]}, "invalid-domain"),
        ({"domains": [b"example.org"]}, "invalid-setting"),
    ],
)
def test_a_setting_that_cant_be_is_refused_and_nothing_changes(store, alice, settings, code):
    with raises(Invalid, code):
        store.change_account(ALICE, by=ADMINISTRATOR, **{"when_unusable": "clear"} | settings)
    assert store.account(ALICE) == alice


def test_a_setting_that_isnt_one_is_a_programming_error(store, alice):
    with pytest.raises(TypeError, match="colour"):
        store.change_account(ALICE, by=ADMINISTRATOR, colour="blue")


def test_an_address_belongs_to_one_account(store, alice):
    store.change_account(ALICE, by=ADMINISTRATOR, aliases=["al@example.org"], domains=["x.org"])
    for taken in (ALICE, "AL@example.org"):
        with raises(Conflict, "address-taken"):
            store.add_account(taken, by=ADMINISTRATOR)
        with raises(Conflict, "address-taken"):
            store.add_account("bob@example.org", by=ADMINISTRATOR, aliases=[taken])
    with pytest.raises(Conflict, match=f"{ALICE} is the address of an account already"):
        store.add_account(ALICE, by=ADMINISTRATOR)
    with raises(Conflict, "domain-taken"):
        store.add_account("bob@example.org", by=ADMINISTRATOR, domains=["X.org"])
    assert [one.address for one in store.accounts()] == [ALICE]


def test_what_has_no_account_isnt_found(store, alice):
    store.change_account(ALICE, by=ADMINISTRATOR, aliases=["al@example.org"])
    calls = [
        store.account,
        lambda who: store.change_account(who, by=ADMINISTRATOR, cipher=None),
        lambda who: store.remove_account(who, by=ADMINISTRATOR),
        store.certificates,
        lambda who: store.preview(who, pem()),
        lambda who: store.import_certificates(who, pem(), by=ADMINISTRATOR),
        lambda who: store.retire_certificate(who, "0" * 64, by=ADMINISTRATOR),
    ]
    for call in calls:
        for who in ("bob@example.org", "al@example.org"):
            with raises(NotFound, "no-such-account"):
                call(who)


def test_a_removed_account_is_gone_with_its_certificates_and_its_log_stays(store, alice):
    imported(store)
    store.remove_account(ALICE, by=ADMINISTRATOR)
    assert store.accounts() == []
    with store.database.read() as connection:
        assert connection.execute(tables.certificates.select()).all() == []
    assert [entry.action for entry in store.audit(ALICE)] == [
        "remove-account",
        "import-certificate",
        "add-account",
    ]


def test_whoever_had_access_to_a_removed_account_has_none(store, alice):
    now = dt.datetime.now(dt.timezone.utc)
    person = {"name": "alice", "role": "owner", "account_id": alice.id, "created_at": now}
    session = {"token_hash": b"1", "csrf": "", "created_at": now, "seen_at": now, "expires_at": now}
    token = {"token_hash": b"2", "name": "", "role": "owner", "scopes": "[]", "created_at": now}
    with store.database.write() as connection:
        done = connection.execute(tables.people.insert().values(person))
        who = {"person_id": done.inserted_primary_key[0]}
        connection.execute(tables.sessions.insert().values(session | who))
        connection.execute(
            tables.links.insert().values(token_hash=b"3", purpose="", expires_at=now, **who)
        )
        connection.execute(tables.tokens.insert().values(token | {"account_id": alice.id}))
    store.remove_account(ALICE, by=ADMINISTRATOR)
    with store.database.read() as connection:
        for table in (tables.people, tables.sessions, tables.links, tables.tokens):
            assert connection.execute(table.select()).all() == []


def test_who_gets_the_address_of_a_removed_account_doesnt_see_its_log(store, alice):
    store.remove_account(ALICE, by=ADMINISTRATOR)
    again = store.add_account(ALICE, by=ADMINISTRATOR)
    assert again.id != alice.id
    assert [entry.action for entry in store.audit(ALICE)] == ["add-account"]


def test_an_owner_neither_adds_nor_removes_accounts_nor_claims_addresses(store, alice):
    calls = [
        lambda: store.add_account("bob@example.org", by=OWNER),
        lambda: store.remove_account(ALICE, by=OWNER),
        lambda: store.change_account(ALICE, by=OWNER, aliases=["boss@example.org"]),
        lambda: store.change_account(ALICE, by=OWNER, domains=["example.org"]),
        lambda: store.set_switch("encryption", "off", by=OWNER),
    ]
    for call in calls:
        with raises(AccessDenied, "forbidden"):
            call()


# --- finding accounts ------------------------------------------------------------------------


@pytest.fixture
def several(store):
    for name in ("carol", "alice", "bob"):
        store.add_account(f"{name}@example.org", by=ADMINISTRATOR)
    store.change_account(
        "bob@example.org", by=ADMINISTRATOR, aliases=["100%_sure@example.org"], domains=["b.net"]
    )
    store.import_certificates(ALICE, pem(common_name="Alice Éclair"), by=OWNER, description="card")
    store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    return store


def found(store, *arguments, **options):
    return [one.address.split("@")[0] for one in store.accounts(*arguments, **options)]


def test_accounts_come_by_address_and_in_pages(several):
    assert found(several) == ["alice", "bob", "carol"]
    assert found(several, limit=2) == ["alice", "bob"]
    assert found(several, after="bob@example.org") == ["carol"]


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("ALICE@", ["alice"]),
        ("example.org", ["alice", "bob", "carol"]),
        ("100%_s", ["bob"]),
        ("1000_s", []),
        ("%", ["bob"]),
        ("B.NET", ["bob"]),
        ("cn=alice", ["alice"]),
        ("Card", ["alice"]),
        ("nothing", []),
        ("'; DROP TABLE accounts; --", []),
    ],
)
def test_a_search_finds_addresses_aliases_domains_and_certificates(several, search, names):
    assert found(several, search) == names


def test_a_search_finds_a_fingerprint_as_it_is_written(several):
    (held,) = several.certificates(ALICE)
    written = ":".join(held.fingerprint.upper()[i : i + 2] for i in range(0, 64, 2))
    assert found(several, written) == ["alice"]


def test_a_search_for_what_no_database_holds_is_refused(several):
    for options in ({"search": "a\0b"}, {"search": "\ud800"}, {"after": "\0"}):
        with raises(Invalid, "invalid-setting"):
            several.accounts(**options)
    with raises(Invalid, "invalid-setting"):
        several.accounts(expiring_before=dt.datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_unprotected_are_those_without_cipher_or_certificate(several):
    assert found(several, unprotected=True) == ["bob", "carol"]
    several.change_account("bob@example.org", by=OWNER, cipher="aes256-cbc")
    assert found(several, unprotected=True) == ["bob", "carol"]
    several.change_account(ALICE, by=OWNER, cipher=None)
    assert found(several, unprotected=True) == ["alice", "bob", "carol"]


def test_an_account_expires_with_its_last_active_certificate(several):
    soon, late = NOW + dt.timedelta(days=3653), NOW + dt.timedelta(days=5000)
    assert several.account(ALICE).expires_at == soon
    assert found(several, expiring_before=soon) == []
    assert found(several, expiring_before=soon + dt.timedelta(seconds=1)) == ["alice"]
    several.import_certificates(ALICE, pem(number=1, not_after=late), by=OWNER)
    assert several.account(ALICE).expires_at == late
    assert found(several, expiring_before=late) == []
    second = several.certificates(ALICE)[1]
    several.retire_certificate(ALICE, second.fingerprint, by=OWNER)
    assert several.account(ALICE).expires_at == soon
    assert (several.account(ALICE).active, several.account(ALICE).retired) == (1, 1)


# --- certificates ----------------------------------------------------------------------------


def test_a_certificate_is_stored_as_it_came(store, alice):
    (fingerprint,) = imported(store, description="on the card")
    (held,) = store.certificates(ALICE)
    assert held == store.certificate(ALICE, fingerprint)
    (recipient,) = cmstream.load_recipients(pem())
    assert held.der == recipient.der
    assert held.recipient == recipient
    assert held.not_after == recipient.not_after
    assert (held.description, held.state, held.added_by) == ("on the card", "active", "alice")
    assert not held.mismatch_confirmed


def test_a_certificate_is_described_retired_activated_and_deleted(store, alice):
    (fingerprint,) = imported(store)
    spoken = fingerprint.upper()
    assert store.describe_certificate(ALICE, spoken, "old", by=OWNER).description == "old"
    assert last(store).detail == {"old": "", "new": "old"}
    assert store.retire_certificate(ALICE, spoken, by=OWNER).state == "retired"
    assert store.activate_certificate(ALICE, spoken, by=OWNER).state == "active"
    store.delete_certificate(ALICE, spoken, by=OWNER)
    assert store.certificates(ALICE) == []
    log = store.audit(ALICE, limit=4)
    assert [entry.action.partition("-")[0] for entry in reversed(log)] == [
        "describe",
        "retire",
        "activate",
        "delete",
    ]
    assert {entry.fingerprint for entry in log} == {fingerprint}


def test_the_last_active_certificate_stays_while_encryption_is_on(store, alice):
    first, second = (*imported(store), *imported(store, pem(number=1)))
    store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    store.retire_certificate(ALICE, first, by=OWNER)
    for change in (store.retire_certificate, store.delete_certificate):
        with raises(Conflict, "last-certificate"):
            change(ALICE, second, by=OWNER)
    store.delete_certificate(ALICE, first, by=OWNER)  # a retired one may go at any time
    store.change_account(ALICE, by=OWNER, cipher=None)
    store.delete_certificate(ALICE, second, by=OWNER)


def test_a_certificate_that_the_account_hasnt_isnt_found(store, alice):
    store.add_account("bob@example.org", by=ADMINISTRATOR)
    (fingerprint,) = imported(store)
    with raises(NotFound, "no-such-certificate"):
        store.retire_certificate("bob@example.org", fingerprint, by=OWNER)
    with raises(Invalid, "invalid-setting"):
        store.retire_certificate(ALICE, "dead-beef", by=OWNER)


# --- switches and the counter ----------------------------------------------------------------


def test_switches_have_defaults_and_change(store):
    assert store.switches() == {
        "encryption": "as-accounts-say",
        "encrypt_on_append": "",
        "append_sealed_by": "none",
        "when_unusable": "",
        "header_protection": "",
        "default_header_protection": "none",
        "recipient_delimiter": "+",
    }
    store.set_switch("encryption", "off", by=ADMINISTRATOR)
    store.set_switch("encryption", "as-accounts-say", by=ADMINISTRATOR)
    store.set_switch("when_unusable", "error", by=ADMINISTRATOR)
    assert store.switches()["encryption"] == "as-accounts-say"
    assert store.switches()["when_unusable"] == "error"
    assert last(store).detail == {"switch": "when_unusable", "old": "", "new": "error"}
    assert not last(store).needs_acknowledgement


@pytest.mark.parametrize("switch", [("encryption", ""), ("when_unusable", "x"), ("colour", "")])
def test_a_switch_that_isnt_one_is_refused(store, switch):
    with raises(Invalid, "invalid-setting"):
        store.set_switch(*switch, by=ADMINISTRATOR)


def test_each_change_is_counted_and_another_store_sees_it(store, url, alice):
    with open_store(url) as other:
        (fingerprint,) = imported(store)
        calls = [
            lambda: store.change_account(ALICE, by=OWNER, cipher="aes256-cbc"),
            lambda: imported(store, pem(number=1)),
            lambda: store.retire_certificate(ALICE, fingerprint, by=OWNER),
            lambda: store.delete_certificate(ALICE, fingerprint, by=OWNER),
            lambda: store.set_switch("encryption", "off", by=ADMINISTRATOR),
            lambda: store.remove_account(ALICE, by=ADMINISTRATOR),
        ]
        for call in calls:
            before = other.database.counter()
            call()
            assert other.database.counter() == before + 1
            assert other.accounts() == store.accounts()
        before = other.database.counter()
        store.accounts(), store.audit(), store.switches()
        assert other.database.counter() == before


# --- the audit log ---------------------------------------------------------------------------


def test_what_was_done_to_an_earlier_account_is_not_the_new_owners(store, alice):
    earlier = store.audit(ALICE, unacknowledged=True)[0]
    store.remove_account(ALICE, by=ADMINISTRATOR)
    store.add_account(ALICE, by=ADMINISTRATOR)
    with raises(NotFound, "no-such-entry"):
        store.acknowledge(earlier.id, by=OWNER, address=ALICE)


def test_an_owner_acknowledges_what_somebody_else_changed(store, alice):
    store.change_account(ALICE, by=ADMINISTRATOR, cipher="aes128-cbc")
    imported(store)
    waiting = store.audit(ALICE, unacknowledged=True)
    assert [entry.action for entry in waiting] == ["change-account", "add-account"]
    assert all(entry.needs_acknowledgement for entry in waiting)
    with raises(AccessDenied, "forbidden"):
        store.acknowledge(waiting[0].id, by=ADMINISTRATOR)
    seen = store.acknowledge(waiting[0].id, by=OWNER, address=ALICE)
    assert seen.acknowledged_at is not None
    assert seen == next(entry for entry in store.audit() if entry.id == seen.id)
    assert [entry.id for entry in store.audit(ALICE, unacknowledged=True)] == [waiting[1].id]
    with raises(Conflict, "already-acknowledged"):
        store.acknowledge(waiting[0].id, by=OWNER)


def test_an_entry_of_another_account_isnt_found(store, alice):
    store.add_account("bob@example.org", by=ADMINISTRATOR)
    with raises(NotFound, "no-such-entry"):
        store.acknowledge(last(store).id, by=OWNER, address=ALICE)
    for number in (10**6, 10**30, -(10**30)):
        with raises(NotFound, "no-such-entry"):
            store.acknowledge(number, by=OWNER)
    assert {entry.address for entry in store.audit(ALICE)} == {ALICE}


def test_the_log_comes_in_pages_the_newest_first(store, alice):
    for cipher in ("aes128-cbc", "aes256-cbc") * 3:
        store.change_account(ALICE, by=OWNER, cipher=cipher)
    everything = store.audit()
    assert len(everything) == 7
    assert store.audit(limit=3) == everything[:3]
    assert store.audit(before=everything[2].id, limit=3) == everything[3:6]
    assert store.audit(before=10**30, limit=10**30) == everything
    assert store.audit(limit=-1) == store.audit(before=-1) == []
    assert everything == sorted(everything, key=lambda entry: -entry.id)


def test_a_wrong_call_of_the_store_names_the_argument(store, alice):
    for call, words in (
        (lambda: store.seal_for(b"alice@example.org"), "address: give text, not bytes"),
        (lambda: store.account(None), "address: give text, not NoneType"),
        (lambda: store.add_account(["a@example.org"], by=ADMINISTRATOR), "address: .*, not list"),
        (lambda: store.add_account("b@example.org", by="root"), "by: give an Actor.*, not str"),
        (lambda: store.change_account(ALICE, by=None, cipher=None), "by: give an Actor"),
        (lambda: store.import_certificates(ALICE, pem(), by="root"), "by: give an Actor"),
        (lambda: store.import_certificates(ALICE, None, by=OWNER), "data: NoneType isn't bytes"),
        (lambda: store.import_certificates(ALICE, "a.pem", by=OWNER), "data: give bytes, not text"),
        (lambda: store.certificate(ALICE, None), "fingerprint: give text, not NoneType"),
        (lambda: Store(store.database, notify="sendmail -t"), "notify: give a list"),
    ):
        with pytest.raises(TypeError, match=words):
            call()
    assert store.accounts() == [alice]
    assert store.certificates(ALICE) == []


def test_whoever_is_no_administrator_is_none_by_a_misspelt_role(store, alice):
    for role in ("Owner", "admin", "", None):
        with raises(AccessDenied, "forbidden"):
            store.add_account("b@example.org", by=Actor("x", role))
        with raises(AccessDenied, "forbidden"):
            store.set_switch("encryption", "off", by=Actor("x", role))
    assert store.accounts() == [alice]
