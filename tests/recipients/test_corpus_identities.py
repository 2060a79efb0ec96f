"""Identities of the corpus, where it is present."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cmstream.errors import CertificateError
from cmstream.recipients.identity import Identity

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
NAMES = sorted(path.name[:-8] for path in CORPUS.glob("identities/*.key.pem"))


def refusal(make, *arguments):
    with pytest.raises(CertificateError) as caught:
        make(*arguments)
    return caught.value.code


@pytest.mark.parametrize("name", NAMES)
def test_the_identities_of_the_corpus(name):
    key, cert = (
        (CORPUS / "identities" / f"{name}.{kind}.pem").read_bytes() for kind in ("key", "cert")
    )
    if name == "rfc9216-carlos":  # Ed25519
        assert refusal(Identity.from_pem, key, cert) == "unsupported-key"
        return
    found = Identity.from_pem(key, cert)
    file = CORPUS / "identities" / f"{name}.pfx"
    if file.exists():
        other = Identity.from_pkcs12(file.read_bytes(), "correct horse 7")
        assert other.recipient == found.recipient
        assert refusal(Identity.from_pkcs12, file.read_bytes(), "x") == "wrong-password"


def corpus_records():
    if not (CORPUS / "expected.json").exists():
        return []
    records = json.loads((CORPUS / "expected.json").read_text(encoding="utf-8"))["records"]
    return [one for one in records if one["file"].startswith("pfx/")]


WITHOUT_KEY = {"certificate-only", "several-certificates-no-key", "keytool-trusted-certificate"}


@pytest.mark.parametrize("record", corpus_records(), ids=lambda r: r["file"])
def test_the_pkcs12_files_of_the_corpus(record):
    data = (CORPUS / record["file"]).read_bytes()
    codes = {one.get("error", "") for one in record["expected"]}
    try:
        found = Identity.from_pkcs12(data, record["password"])
    except CertificateError as error:
        name = Path(record["file"]).stem
        if name in WITHOUT_KEY:
            codes = {"not-a-certificate"}
        elif record["password"] is None:
            codes |= {"password-needed"}  # only the certificate is in the clear
        assert error.code in codes, error
    else:
        fingerprints = [
            r["sha256"] for one in record["expected"] for r in one.get("recipients", [])
        ]
        assert found.recipient.fingerprint in fingerprints
