"""Uploads: what is taken, what is set aside, what is refused, and what is never kept."""

from __future__ import annotations

import datetime as dt
import json
import logging
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

import cmstream
from cmstream.accounts import (
    AccountsError,
    Conflict,
    ImportRefused,
    NotFound,
    imports,
    open_store,
    queries,
)
from cmstream.accounts.change import Change
from cmstream.accounts.imports import MAX_BYTES
from cmstream.errors import CertificateError
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem
from helpers.authorities import NOW, YEARS, authority, identity, rsa_identity, rsa_key

ALICE = "alice@example.org"
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
PASSWORD = "a password nobody would write down"


@pytest.fixture
def alices(sqlite_url):
    with open_store(sqlite_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        yield store


@pytest.fixture
def either(store):
    """On both databases."""
    store.add_account(ALICE, by=ADMINISTRATOR)
    return store


def raises(kind, code):
    return pytest.raises(kind, check=lambda error: error.code == code)


def held(store):
    return {one.fingerprint[:8]: one.state for one in store.certificates(ALICE)}


def short(data):
    return cmstream.load_recipients(data)[0].fingerprint[:8]


def codes(report):
    return [{problem.code for problem in one.problems} for one in report.certificates]


def pfx(**options):
    key, certificate = rsa_identity(**options)
    return pkcs12.serialize_key_and_certificates(
        b"", key, certificate, [authority()[1]],
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )  # fmt: skip


# --- preview ---------------------------------------------------------------------------------


def test_a_preview_says_everything_and_stores_nothing(either):
    before = either.audit(), either.database.counter()
    report = either.preview(ALICE, pfx(), PASSWORD)
    (one,) = report.certificates
    assert one.recipient.emails == (ALICE,)
    assert one.recipient.key == "RSA-2048"
    assert one.problems == ()
    assert one.known is None
    assert [aside.subject for aside in report.set_aside] == ["CN=Test CA"]
    assert report.private_key_ignored
    assert not report.saved
    assert not report.needs_confirmation
    assert (either.audit(), either.database.counter()) == before
    assert either.certificates(ALICE) == []


def test_a_preview_knows_what_the_account_has(alices):
    alices.import_certificates(ALICE, pem(), by=OWNER)
    (one,) = alices.preview(ALICE, pem()).certificates
    assert one.known == "active"
    alices.retire_certificate(ALICE, one.recipient.fingerprint, by=OWNER)
    (one,) = alices.preview(ALICE, pem()).certificates
    assert one.known == "retired"


def test_problems_are_said_in_words_and_dont_refuse(alices):
    data = pem(number=5, bits=1024, not_after=NOW - dt.timedelta(days=1), emails=())
    report = alices.preview(ALICE, data)
    assert codes(report) == [{"expired", "weak-key", "no-email"}]
    assert all(str(problem).endswith(".") for problem in report.certificates[0].problems)
    assert alices.import_certificates(ALICE, data, by=OWNER).saved


def test_the_mail_programs_of_the_account_are_thought_of(alices):
    alices.change_account(ALICE, by=OWNER, clients=["apple-mail"])
    key = identity("x25519")[1].public_bytes(Encoding.PEM)
    (finding,) = alices.preview(ALICE, key).findings
    assert finding.level == "refuse"
    assert alices.preview(ALICE, pem()).findings == ()
    alices.import_certificates(ALICE, pem(), by=OWNER)
    found = alices.preview(ALICE, key).findings
    assert [one.level for one in found if one.client == "apple-mail"] == ["warn"]  # nobody tried it


# --- the address -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "emails",
    [
        ("ALICE@Example.ORG",),
        ("somebody@else.example", ALICE),
        ("al@example.org",),
        ("anybody@BÜCHER.example",),
        ("anybody@xn--bcher-kva.example",),
        ('"alice"@example.org',),
    ],
)
def test_an_address_of_the_account_matches(alices, emails):
    alices.change_account(
        ALICE, by=ADMINISTRATOR, aliases=["AL@example.org"], domains=["bücher.example"]
    )
    addresses = [name.encode("ascii", "ignore").decode() == name for name in emails]
    subject = None
    if not all(addresses):  # rfc822Name is ASCII; the subject's attribute may hold more
        oid = x509.oid.NameOID.EMAIL_ADDRESS
        names = [x509.NameAttribute(oid, e, x509.name._ASN1Type.UTF8String) for e in emails]
        subject, emails = x509.Name(names), ()
    data = pem(number=2, emails=emails, subject=subject)
    assert codes(alices.preview(ALICE, data)) == [set()]


@pytest.mark.parametrize(
    "emails",
    [
        ("bob@example.org",),
        ("alice@example.com",),
        ("alice@sub.example.org",),
        ("alice+list@example.org",),
        ("alice@example.org.evil.example",),
        ("bob@example.org", "carol@example.org"),
    ],
)
def test_another_address_is_shown_and_saved_only_when_confirmed(alices, emails):
    data = pem(number=3, emails=emails)
    report = alices.preview(ALICE, data)
    assert codes(report) == [{"address-mismatch"}]
    assert report.needs_confirmation
    assert emails[0] in str(report.certificates[0].problems[0])
    with raises(ImportRefused, "address-mismatch") as caught:
        alices.import_certificates(ALICE, data, by=OWNER)
    assert ALICE in str(caught.value)
    assert held(alices) == {}
    assert alices.import_certificates(ALICE, data, by=OWNER, confirm_mismatch=True).saved
    (one,) = alices.certificates(ALICE)
    assert one.mismatch_confirmed
    assert alices.audit()[0].detail["problems"] == ["address-mismatch"]


def test_one_certificate_of_another_address_holds_up_the_whole_file(alices):
    both = pem() + pem(number=1, emails=("bob@example.org",))
    with raises(ImportRefused, "address-mismatch"):
        alices.import_certificates(ALICE, both, by=OWNER)
    assert held(alices) == {}


# --- taken -----------------------------------------------------------------------------------


def test_several_certificates_are_taken_at_once(either):
    report = either.import_certificates(ALICE, pem() + pem(number=1), by=OWNER, description="two")
    assert report.saved
    assert len(report.certificates) == 2
    assert set(held(either).values()) == {"active"}
    assert {one.description for one in either.certificates(ALICE)} == {"two"}
    assert [entry.action for entry in either.audit(limit=2)] == ["import-certificate"] * 2


def test_what_is_there_already_stays_as_it_is(either):
    either.import_certificates(ALICE, pem(), by=OWNER, description="first")
    before = either.certificates(ALICE), either.audit()
    report = either.import_certificates(ALICE, pem(), by=OWNER, description="second")
    assert report.certificates[0].known == "active"
    assert (either.certificates(ALICE), either.audit()) == before


def test_a_retired_one_that_comes_again_is_active_again(either):
    either.import_certificates(ALICE, pem(), by=OWNER)
    either.retire_certificate(ALICE, either.certificates(ALICE)[0].fingerprint, by=OWNER)
    either.import_certificates(ALICE, pem(), by=OWNER)
    assert set(held(either).values()) == {"active"}
    assert either.audit()[0].action == "activate-certificate"


def test_the_old_ones_are_retired_with_the_same_transaction(either):
    old, new = pem(), pem(number=1)
    either.import_certificates(ALICE, old, by=OWNER)
    either.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    before = either.database.counter()
    report = either.import_certificates(ALICE, new, by=OWNER, retire_others=True)
    assert either.database.counter() == before + 1
    assert held(either) == {short(old): "retired", short(new): "active"}
    assert [fingerprint[:8] for fingerprint in report.retired] == [short(old)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        pem(number=1, emails=("bob@example.org",)),
        pem(number=1) + b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        identity("ed25519")[1].public_bytes(Encoding.PEM),
        b"\0" * (MAX_BYTES + 1),
    ],
)
def test_a_bad_file_leaves_the_old_certificate_in_use(either, data):
    either.import_certificates(ALICE, pem(), by=OWNER)
    before = either.certificates(ALICE), either.audit(), either.database.counter()
    with pytest.raises((CertificateError, ImportRefused)):
        either.import_certificates(ALICE, data, by=OWNER, retire_others=True)
    assert (either.certificates(ALICE), either.audit()) == before[:2]
    assert either.seal_for(ALICE).reason.code == "disabled"
    either.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    assert either.seal_for(ALICE).action == "seal"


def test_a_swap_that_breaks_off_leaves_everything_as_it_was(either, monkeypatch):
    either.import_certificates(ALICE, pem(), by=OWNER)
    before = either.certificates(ALICE), either.audit(), either.database.counter()
    seen = []

    def break_off(change, account, taken):
        seen.extend(queries.certificates(change.connection, account))
        raise KeyboardInterrupt

    monkeypatch.setattr(Change, "retire_all_but", break_off)
    with pytest.raises(KeyboardInterrupt):
        either.import_certificates(ALICE, pem(number=1), by=OWNER, retire_others=True)
    assert len(seen) == 2
    assert (either.certificates(ALICE), either.audit(), either.database.counter()) == before


def test_an_account_has_so_many_certificates_and_no_more(either, monkeypatch):
    monkeypatch.setattr(imports, "MAX_ACTIVE", 2)
    monkeypatch.setattr(imports, "MAX_HELD", 3)
    first, *more = (pem(number=number) for number in range(4))
    either.import_certificates(ALICE, first + more[0], by=OWNER)
    before = held(either), either.audit(), either.database.counter()
    with raises(Conflict, "too-many-certificates"):
        either.import_certificates(ALICE, more[1], by=OWNER)
    assert (held(either), either.audit(), either.database.counter()) == before
    assert either.import_certificates(ALICE, first, by=OWNER).saved
    either.import_certificates(ALICE, more[1], by=OWNER, retire_others=True)
    either.import_certificates(ALICE, first, by=OWNER)
    with raises(Conflict, "too-many-certificates"):
        either.activate_certificate(
            ALICE, cmstream.load_recipients(more[0])[0].fingerprint, by=OWNER
        )
    with raises(Conflict, "too-many-certificates") as caught:
        either.import_certificates(ALICE, more[2], by=OWNER, retire_others=True)
    assert "3 certificates in all" in str(caught.value)


def test_what_another_process_does_meanwhile_isnt_overwritten(either, url):
    """The file is read before the transaction begins; who owns what is asked within."""
    with open_store(url) as other:
        other.remove_account(ALICE, by=ADMINISTRATOR)
    with raises(NotFound, "no-such-account"):
        either.import_certificates(ALICE, pem(), by=OWNER)


# --- refused ---------------------------------------------------------------------------------


def test_a_file_that_is_too_large_is_refused_before_it_is_read(alices, monkeypatch):
    monkeypatch.setattr("cmstream.accounts.imports.read_within", lambda *_, **__: 1 / 0)
    for call in (alices.preview, lambda *a: alices.import_certificates(*a, by=OWNER)):
        with raises(ImportRefused, "too-large"):
            call(ALICE, pem().ljust(MAX_BYTES + 1))


def test_a_file_of_the_largest_size_is_taken(alices):
    assert alices.import_certificates(ALICE, pem().ljust(MAX_BYTES), by=OWNER).saved


def other_files():
    key = rsa_key()
    der = serialization.Encoding.PEM
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    yield "private-key-only", key.private_bytes(der, pkcs8, plain)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    yield "public-key-only", key.public_key().public_bytes(der, spki)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    yield "csr", request.sign(key, hashes.SHA256()).public_bytes(der)
    crl = x509.CertificateRevocationListBuilder().issuer_name(authority()[1].subject)
    crl = crl.last_update(NOW).next_update(NOW + YEARS).sign(key, hashes.SHA256())
    yield "crl", crl.public_bytes(der)
    yield "empty", b" \n"
    yield "not-a-certificate", b"Dear administrator, here is my certificate."
    yield "unsupported-key", identity("ed25519")[1].public_bytes(der)
    yield "truncated", rsa_identity()[1].public_bytes(Encoding.DER)[:400]


@pytest.mark.parametrize(("code", "data"), [pytest.param(*one, id=one[0]) for one in other_files()])
def test_what_is_no_certificate_keeps_the_readers_code(alices, code, data):
    with raises(CertificateError, code):
        alices.preview(ALICE, data)
    with raises(CertificateError, code):
        alices.import_certificates(ALICE, data, by=OWNER)
    assert held(alices) == {}


def test_a_password_that_is_wrong_or_missing_is_said(alices):
    with raises(CertificateError, "wrong-password"):
        alices.import_certificates(ALICE, pfx(), password="wrong", by=OWNER)
    with raises(CertificateError, "password-needed"):
        alices.import_certificates(ALICE, pfx(), by=OWNER)


# --- never kept ------------------------------------------------------------------------------


def test_neither_key_nor_password_is_kept_or_logged(sqlite_url, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    number = 4
    key = rsa_key(2048, number).private_numbers()
    secrets = [value.to_bytes(128, "big")[:32] for value in (key.p, key.q)]
    with open_store(sqlite_url) as store:
        store.add_account(ALICE, by=ADMINISTRATOR)
        data = pfx(number=number)
        report = store.import_certificates(ALICE, data, password=PASSWORD, by=OWNER)
        assert report.private_key_ignored
        with raises(CertificateError, "wrong-password") as caught:
            store.import_certificates(ALICE, data, password="wrong " + PASSWORD, by=OWNER)
        said = (
            repr(report)
            + str(report)
            + repr(caught.value)
            + json.dumps([entry.detail for entry in store.audit()])
        )
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert rsa_identity(number=number)[1].public_bytes(Encoding.DER)[-64:] in written
    said += caplog.text + "".join(capfd.readouterr())
    for secret in secrets:
        assert secret not in written
    assert PASSWORD.encode() not in written
    assert PASSWORD not in said


# --- the corpus ------------------------------------------------------------------------------


@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus isn't here")
@pytest.mark.slow
def test_every_file_of_the_corpus_is_imported_or_refused_in_words(either):
    records = json.loads((CORPUS / "expected.json").read_text("utf-8"))["records"]
    taken = refused = 0
    for record in records:
        if not record["file"].startswith(("certificates/", "pfx/")):
            continue
        data = (CORPUS / record["file"]).read_bytes()
        options = {"password": record.get("password"), "by": OWNER, "confirm_mismatch": True}
        options["retire_others"] = True
        try:
            report = either.import_certificates(ALICE, data, **options)
        except (CertificateError, AccountsError) as error:
            assert error.code != "store-unavailable"
            refused += 1
            continue
        active = [one for one in either.certificates(ALICE) if one.state == "active"]
        assert {one.recipient for one in report.certificates} == {one.recipient for one in active}
        taken += 1
    assert taken > 50
    assert refused > 30
    assert either.accounts("CN=")[0].address == ALICE


@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus isn't here")
def test_the_documented_route_works(alices):
    data = (CORPUS / "certificates" / "public_cert.pem").read_bytes()
    assert alices.import_certificates(ALICE, data, by=OWNER, confirm_mismatch=True).saved


def test_an_upload_asks_for_fewer_rounds_than_a_file_of_ones_own(alices, monkeypatch):
    certificate = x509.load_pem_x509_certificate(pem())
    protection = (
        serialization.PrivateFormat.PKCS12.encryption_builder().kdf_rounds(3000).build(b"pw")
    )
    data = pkcs12.serialize_key_and_certificates(None, None, None, [certificate], protection)
    monkeypatch.setattr(imports, "MAX_ITERATIONS", 3000)
    assert len(alices.preview(ALICE, data, "pw").certificates) == 1
    monkeypatch.setattr(imports, "MAX_ITERATIONS", 2999)
    for take in (alices.preview, partial(alices.import_certificates, by=OWNER)):
        with pytest.raises(CertificateError, match="export it again with fewer") as caught:
            take(ALICE, data, password="pw")
        assert caught.value.code == "unsupported-cipher"
    assert len(cmstream.read_certificates(data, password="pw").recipients) == 1
