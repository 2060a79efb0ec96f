"""The test message that is sent, and signed mails that programs upload."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from cmstream.accounts import AccessDenied
from cmstream.accounts.imports import MAX_BYTES, MAX_MAIL
from cmstream.accounts.sample_limit import MOST
from helpers.accounts.served import ACCOUNTS, ALICE, certificates, copy, peopled, serving
from helpers.accounts.support import OWNER, pem, session
from helpers.authorities import rsa_identity
from helpers.command import run

TEST = f"{ACCOUNTS}/{ALICE}/test"


@pytest.fixture(scope="module")
def _peopled(tmp_path_factory):
    return peopled(tmp_path_factory.mktemp("sample") / "accounts.sqlite3")


@pytest.fixture
def mailed(tmp_path):
    return tmp_path / "mailed"


@pytest.fixture
def world(_peopled, tmp_path, mailed):
    command = shlex.join(["sh", "-c", f"cat >> {mailed}"])
    with serving(copy(_peopled, tmp_path), notify=command) as found:
        found.store.import_certificates(ALICE, pem(), by=OWNER)
        mailed.unlink(missing_ok=True)
        yield found


def refused(answer):
    return answer.status_code, answer.json()["code"]


def test_it_is_sent_a_few_times_and_then_not_for_a_while(world, mailed):
    for _ in range(MOST):
        assert world.administrator.post(TEST).status_code == 204
    assert mailed.read_bytes().count(b"Subject: A sealed test message") == MOST
    answer = world.administrator.post(TEST)
    assert refused(answer) == (429, "too-many-attempts")
    assert 0 < int(answer.headers["retry-after"]) <= 15 * 60
    assert world.administrator.get(TEST).status_code == 200, "and can be downloaded still"
    with pytest.raises(AccessDenied):
        world.store.claim_test(ALICE)


def test_without_a_mail_command_it_is_refused(_peopled, tmp_path):
    with serving(copy(_peopled, tmp_path)) as world:
        assert refused(world.administrator.post(TEST)) == (409, "no-mail-command")


def test_a_mail_command_that_fails_is_said(_peopled, tmp_path):
    with serving(copy(_peopled, tmp_path), notify="false") as world:
        world.store.import_certificates(ALICE, pem(), by=OWNER)
        assert refused(world.administrator.post(TEST)) == (409, "mail-failed")


# --- signed mails --------------------------------------------------------------------------------


def signed(length=100):
    key, certificate = rsa_identity()
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"Dear Bob, " + b"it is me\n" * (length // 9))
    builder = builder.add_signer(certificate, key, hashes.SHA256())
    return builder.sign(Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature])


def put(world, data):
    return world.administrator.put(f"{certificates()}?preview", content=data)


def test_a_signed_mail_says_what_its_signature_proves(world):
    mail = signed()
    found = put(world, mail).json()
    assert [one["emails"] for one in found["certificates"]] == [[ALICE]]
    assert found["signature"]["verified"] is True
    assert put(world, mail.replace(b"it is me", b"it is he")).json()["signature"] == {
        "verified": False,
        "detail": "The mail isn't what was signed: something changed it on its way. The certificate"
        " may be anybody's: compare its fingerprint.",
    }
    assert put(world, pem()).json()["signature"] is None


def test_a_signed_mail_may_be_long_and_nothing_else(world):
    assert put(world, signed(12 * MAX_BYTES)).json()["signature"]["verified"] is True
    letter = b"From: a@example.org\nContent-Type: text/plain\n\n" + bytes(MAX_BYTES)
    assert refused(put(world, letter)) == (413, "too-large")
    assert refused(put(world, signed(MAX_MAIL))) == (413, "too-large")


def test_the_page_says_of_which_file_the_signature_is(world):
    client = world.client()
    client.cookies["cmstream"] = session(world.store, ALICE)
    page = client.get("/account/upload").text
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    files = {"right.eml": signed(), "wrong.eml": signed().replace(b"it is me", b"it is he")}
    sent = [("files", one) for one in files.items()]
    shown = client.post("/account/upload", data={"csrf": csrf}, files=sent).text
    assert "<h2>right.eml: a signed mail</h2>" in shown
    assert "<h2>wrong.eml: the signature proves nothing</h2>" in shown


def test_the_command_takes_a_signed_mail_too(tmp_path):
    path = tmp_path / "signed.eml"
    path.write_bytes(signed())
    shown = run("cert", "show", path).stdout.decode()
    assert "CN=Alice" in shown
    assert "The signature of the mail is right" in shown
    (signature,) = json.loads(run("cert", "show", "--json", path).stdout)["signatures"]
    assert (signature["verified"], signature["file"]) == (True, str(path))
