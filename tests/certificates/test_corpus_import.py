"""Every file of the shared corpus has one of the outcomes that are expected of it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from cmstream.certificates.recipient import read_certificates
from cmstream.errors import CertificateError

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

if not (CORPUS / "expected.json").exists():
    pytest.skip("the shared corpus isn't here", allow_module_level=True)

EXPECTED = json.loads((CORPUS / "expected.json").read_text(encoding="utf-8"))
AT = dt.datetime.fromisoformat(EXPECTED["at"].replace("Z", "+00:00"))
RECORDS = [r for r in EXPECTED["records"] if r["file"].startswith(("certificates/", "pfx/"))]

# Where the second outcome is right by design: a lone authority comes out with its problem, an
# unusable certificate is set aside, and where the key opens though the MAC is wrong, the file is
# damaged and the password right; base64 alone is what some programs hand out.
SECOND_OUTCOME = {
    "certificates/bad-base64-alone.txt",
    "certificates/p7b-ca-only.p7b",
    "certificates/p7b-ca-only.pem",
    "certificates/mixed-good-and-unusable.pem",
    "pfx/wrong-mac.pfx",
    "pfx/random-octets.pfx",
}

# A line feed behind DER was an error when the corpus was made; OpenSSL and gpgsm read it.
READ_SINCE = {"certificates/bad-trailing-byte.der": ["greta@corpus.example"]}


def _outcome(record):
    try:
        found = read_certificates(
            (CORPUS / record["file"]).read_bytes(), password=record.get("password")
        )
    except CertificateError as error:
        return {"error": error.code}
    recipients = [
        {
            "sha256": one.fingerprint,
            "emails": list(one.emails),
            "problems": sorted(problem.code for problem in one.problems(AT)),
            "key": one.key,
        }
        for one in found.recipients
    ]
    warned = ["private-key-ignored"] if found.private_key_ignored else []
    return {"recipients": recipients, "warnings": warned}


def _same(outcome, expected):
    if "error" in expected:
        return outcome == {"error": expected["error"]}
    if "error" in outcome or outcome["warnings"] != expected.get("warnings", []):
        return False
    ours = outcome["recipients"]
    theirs = [{**one, "problems": sorted(one["problems"])} for one in expected["recipients"]]
    if expected.get("order") == "any":
        ours, theirs = (sorted(one, key=lambda r: r["sha256"]) for one in (ours, theirs))
    return ours == theirs


@pytest.mark.parametrize("record", RECORDS, ids=[f"{r['file']}-{n}" for n, r in enumerate(RECORDS)])
def test_import(record):
    outcome = _outcome(record)
    if record["file"] in READ_SINCE:
        assert [one["emails"] for one in outcome["recipients"]] == [READ_SINCE[record["file"]]]
        return
    matches = [_same(outcome, expected) for expected in record["expected"]]
    wanted = matches[1:] if record["file"] in SECOND_OUTCOME else matches[:1]
    assert any(wanted), outcome
