"""Whether the owner has the key that mail is sealed to: a test message that they could read."""

from __future__ import annotations

import pytest

from cmstream.accounts import NotFound
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem

ALICE = "alice@example.org"


@pytest.fixture
def one(store):
    store.add_account(ALICE, by=ADMINISTRATOR)
    (found,) = store.import_certificates(ALICE, pem(), by=ADMINISTRATOR).certificates
    store.change_account(ALICE, by=ADMINISTRATOR, cipher="aes256-cbc")
    return found.recipient.fingerprint


def another(store):
    report = store.import_certificates(ALICE, pem(number=1, emails=(ALICE,)), by=ADMINISTRATOR)
    return report.certificates[0].recipient.fingerprint


def test_proved_by_the_owner_alone(store, one):
    assert not store.key_proved(ALICE)
    store.confirm_test(ALICE, by=OWNER)
    assert store.key_proved(ALICE)
    (entry,) = [x for x in store.audit(ALICE) if x.action == "read-test-message"]
    assert entry.detail == {"fingerprints": [one]}


def test_a_further_certificate_takes_no_key_away(store, one):
    store.confirm_test(ALICE, by=OWNER)
    another(store)
    assert store.key_proved(ALICE)


def test_another_certificate_in_its_place_has_another_key(store, one):
    store.confirm_test(ALICE, by=OWNER)
    new = another(store)
    store.retire_certificate(ALICE, one, by=ADMINISTRATOR)
    assert not store.key_proved(ALICE)
    store.confirm_test(ALICE, by=OWNER)
    assert store.key_proved(ALICE)
    store.activate_certificate(ALICE, one, by=ADMINISTRATOR)
    assert store.key_proved(ALICE)
    store.retire_certificate(ALICE, new, by=ADMINISTRATOR)
    assert not store.key_proved(ALICE)


def test_of_two_certificates_the_owner_may_have_read_it_with_either(store, one):
    another(store)
    store.confirm_test(ALICE, by=OWNER)
    assert store.key_proved(ALICE)
    store.retire_certificate(ALICE, one, by=ADMINISTRATOR)
    assert not store.key_proved(ALICE)


def test_an_entry_that_names_no_certificate_proves_nothing(store, one, monkeypatch):
    from cmstream.accounts import store as module

    with monkeypatch.context() as earlier:
        earlier.setattr(module, "_fingerprints", lambda _: [])
        store.confirm_test(ALICE, by=OWNER)
    assert store.tested_at(ALICE)
    assert not store.key_proved(ALICE)


def test_nothing_is_proved_where_nothing_is_sealed(store, one):
    store.confirm_test(ALICE, by=OWNER)
    store.change_account(ALICE, by=ADMINISTRATOR, cipher=None)
    assert not store.key_proved(ALICE)


def test_nobodys_key(store):
    with pytest.raises(NotFound):
        store.key_proved(ALICE)
