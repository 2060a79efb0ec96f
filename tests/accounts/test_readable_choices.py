"""What a mail program of an account can't open is refused: ciphers, keys, and sets of keys."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cmstream.accounts import Conflict, tables
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem
from helpers.authorities import NOW, identity, key_usage

ALICE = "alice@example.org"


def refuses():
    return pytest.raises(Conflict, check=lambda error: error.code == "unreadable-choice")


def test_a_cipher_that_a_mail_program_cant_open_is_refused(store):
    store.add_account(ALICE, by=ADMINISTRATOR, clients=["thunderbird"])
    with refuses() as caught:
        store.change_account(ALICE, by=OWNER, cipher="aes256-gcm")
    assert "Thunderbird" in str(caught.value)
    assert store.account(ALICE).cipher is None
    store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    store.change_account(ALICE, by=OWNER, cipher="aes256-gcm", clients=[])
    with refuses():
        store.change_account(ALICE, by=OWNER, clients=["thunderbird"])
    with refuses():
        store.add_account(
            "bob@example.org", by=ADMINISTRATOR, cipher="aes256-gcm", clients=["thunderbird"]
        )
    assert len(store.accounts()) == 1


def test_a_key_that_a_mail_program_cant_use_is_refused_when_encryption_is_switched_on(store):
    store.add_account(ALICE, by=ADMINISTRATOR, clients=["apple-mail"])
    key = identity("x25519")[1].public_bytes(Encoding.PEM)
    store.import_certificates(ALICE, key, by=OWNER)
    with refuses():
        store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    store.import_certificates(ALICE, pem(), by=OWNER)
    store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")


def test_a_mail_program_that_nobody_knows_refuses_nothing(store):
    store.add_account(ALICE, by=ADMINISTRATOR, clients=["pine"], cipher="chacha20-poly1305")
    assert store.account(ALICE).clients == ("pine",)


# --- the set of keys that a message is for ---------------------------------------------------


def key(kind, **options):
    return identity(kind, **options)[1].public_bytes(Encoding.PEM)


@pytest.fixture
def alice(store):
    """An account whose mail is sealed for an RSA key, and read with Thunderbird."""
    store.add_account(ALICE, by=ADMINISTRATOR, clients=["thunderbird"], cipher="aes256-cbc")
    store.import_certificates(ALICE, pem(), by=OWNER)
    return store


def active(store):
    return [one.recipient.key for one in store.certificates(ALICE) if one.state == "active"]


def test_a_key_that_shuts_the_whole_message_isnt_imported(alice):
    before = alice.certificates(ALICE), alice.audit()
    for retire_others in (False, True):
        with refuses() as caught:
            alice.import_certificates(ALICE, key("mlkem768"), by=OWNER, retire_others=retire_others)
        assert "Thunderbird" in str(caught.value)
    with refuses():  # in one file, too
        alice.import_certificates(ALICE, pem(1) + key("mlkem768"), by=OWNER, retire_others=True)
    assert (alice.certificates(ALICE), alice.audit()) == before
    levels = {(one.client, one.level) for one in alice.preview(ALICE, key("mlkem768")).findings}
    assert ("thunderbird", "refuse") in levels
    assert ("evolution", "warn") in levels


def test_a_key_that_does_no_harm_is_imported(alice):
    report = alice.import_certificates(ALICE, key("x25519"), by=OWNER)
    assert {(one.client, one.level) for one in report.findings} == {
        ("evolution", "warn"),
        ("node-forge", "warn"),
    }
    assert active(alice) == ["RSA-2048", "X25519"]
    with refuses():  # Thunderbird can't use it alone
        alice.import_certificates(ALICE, key("x25519", number=1), by=OWNER, retire_others=True)
    assert active(alice) == ["RSA-2048", "X25519"]


def test_naming_the_program_afterwards_is_refused_too(alice):
    alice.change_account(ALICE, by=OWNER, clients=["mutt"])
    report = alice.import_certificates(ALICE, key("mlkem768"), by=OWNER)
    assert {one.client for one in report.findings} == {"thunderbird", "evolution", "node-forge"}
    assert {one.level for one in report.findings} == {"warn"}
    for client in ("thunderbird", "evolution", "node-forge"):
        with refuses():
            alice.change_account(ALICE, by=OWNER, clients=["mutt", client])
    alice.change_account(ALICE, by=OWNER, clients=["gpgsm"])
    assert alice.account(ALICE).clients == ("gpgsm",)


def test_a_retired_key_isnt_put_in_use_again_beside_one_that_it_would_shut(alice):
    alice.change_account(ALICE, by=OWNER, clients=[])
    alice.import_certificates(ALICE, key("mlkem768"), by=OWNER)
    (stranger,) = [one for one in alice.certificates(ALICE) if one.recipient.key == "ML-KEM-768"]
    alice.retire_certificate(ALICE, stranger.fingerprint, by=OWNER)
    alice.change_account(ALICE, by=OWNER, clients=["thunderbird"])
    with refuses():
        alice.activate_certificate(ALICE, stranger.fingerprint, by=OWNER)
    with refuses():
        alice.import_certificates(ALICE, stranger.der, by=OWNER)
    assert active(alice) == ["RSA-2048"]
    alice.change_account(ALICE, by=OWNER, cipher=None)
    alice.activate_certificate(ALICE, stranger.fingerprint, by=OWNER)
    with refuses():
        alice.change_account(ALICE, by=OWNER, cipher="aes256-cbc")


def test_an_expired_key_to_which_nothing_is_sealed_shuts_nothing(alice):
    gone = key("mlkem768", not_after=NOW - dt.timedelta(days=1))
    report = alice.import_certificates(ALICE, gone, by=OWNER)
    assert report.findings == ()
    assert len(alice.seal_for(ALICE).recipients) == 1


def test_a_new_certificate_isnt_refused_for_what_was_so_before(alice):
    """As when the table of mail programs learns something."""
    alice.change_account(ALICE, by=OWNER, clients=[], cipher="aes256-gcm")
    with alice.database.write() as connection:
        connection.execute(tables.accounts.update().values(clients='["thunderbird"]'))
    report = alice.import_certificates(ALICE, pem(1), by=OWNER)
    assert [one.level for one in report.findings] == ["refuse"]
    assert len(active(alice)) == 2
    with refuses():
        alice.import_certificates(ALICE, key("mlkem768"), by=OWNER)


def test_a_key_that_isnt_meant_for_mail_shuts_nothing_beside_one_that_is(alice):
    """As a card has it: nothing is sealed to the certificate for signing."""
    alice.change_account(ALICE, by=OWNER, clients=["evolution"])
    signing = key("SECP256R1", usage=key_usage("digital_signature"))
    report = alice.import_certificates(ALICE, signing, by=OWNER)
    (examined,) = report.certificates
    assert [one.code for one in examined.problems] == ["no-key-agreement", "set-aside"]
    assert report.findings == ()
    seal = alice.seal_for(ALICE)
    assert [one.key for one in seal.recipients] == ["RSA-2048"]
    (note,) = seal.notes
    assert f"{examined.recipient.fingerprint[:16]}… is left out: " in note
    with refuses():  # but without the other one, all is for it
        alice.import_certificates(ALICE, signing, by=OWNER, retire_others=True)
    with refuses():
        alice.import_certificates(ALICE, key("SECP256R1", number=1), by=OWNER)
