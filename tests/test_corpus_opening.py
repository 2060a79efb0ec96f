"""Every sealed message of the shared corpus has one of the outcomes that are expected of it."""

from __future__ import annotations

import email
import functools
import hashlib
import io
import json
import re
from pathlib import Path

import pytest

import cmstream
from helpers.shapes import pieces, pushed

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus"

if not (CORPUS / "expected.json").exists():
    pytest.skip("the shared corpus isn't here", allow_module_level=True)

RECORDS = [
    record
    for record in json.loads((CORPUS / "expected.json").read_text(encoding="utf-8"))["records"]
    if record["file"].startswith(("sealed/", "rfc-samples/"))
]
DAMAGED_KEYS = ("key-", "encrypted-key-", "right-name-wrong-key", "first-of-two-damaged",
                "cipher-named-wrongly")  # fmt: skip


@functools.cache
def identity(name):
    folder = CORPUS / "identities"
    key, certificate = (folder / f"{name}.{kind}.pem" for kind in ("key", "cert"))
    return cmstream.Identity.from_pem(key.read_bytes(), certificate.read_bytes())


def outcome(work, sealed, who):
    try:
        content = work(sealed, who)
    except cmstream.CmstreamError as error:
        return {"error": error.code}
    digest = hashlib.sha256(content).hexdigest()
    return {"plaintext_sha256": digest, "plaintext_bytes": len(content)}


def acceptable(record, got):
    return any(got.items() <= expected.items() for expected in record["expected"])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["file"])
def test_opening(record):
    sealed = (CORPUS / record["file"]).read_bytes()
    chance = Path(record["file"]).name.startswith(DAMAGED_KEYS)
    for name in record["open_with"] or ["rsa2048"]:
        for cut in (len(sealed) or 1, 1, 100):
            for _ in range(3 if chance else 1):  # noise may come instead of an error
                got = outcome(
                    lambda s, who, n=cut: pushed(pieces(s, n), who), sealed, identity(name)
                )
                if acceptable(record, got):
                    break
            assert acceptable(record, got), got
        assert chance or acceptable(record, outcome(cmstream.decrypt, sealed, identity(name)))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["file"])
def test_what_opens_can_be_inspected(record):
    sealed = (CORPUS / record["file"]).read_bytes()
    opened = outcome(cmstream.decrypt, sealed, identity((record["open_with"] or ["rsa2048"])[0]))
    seen = outcome(lambda sealed, _: repr(cmstream.inspect(sealed)).encode(), sealed, None)
    assert "error" not in seen or "error" in opened


def test_protected_fields_of_the_older_form_come_back():
    sealed = (CORPUS / "rfc-samples/smime-enc+legacy-disp.eml").read_bytes()
    message = email.message_from_bytes(cmstream.decrypt_message(sealed, identity("draft-bob")))
    assert message.get_all("Subject") == ["BarCorp contract signed, let's go!"]
    assert message.get_all("MIME-Version") == ["1.0"]
    assert len(message.get_all("From")) == len(message.get_all("Date")) == 1
    assert message["Received"].startswith("from localhost")


@pytest.mark.parametrize("name", ["smime-sign+enc", "smime-sign+enc+legacy-disp"])
def test_what_is_signed_inside_is_left_to_others(name):
    sealed = (CORPUS / f"rfc-samples/{name}.eml").read_bytes()
    whole = cmstream.decrypt_message(sealed, identity("draft-bob"))
    content = cmstream.decrypt(sealed, identity("draft-bob"))
    assert whole.endswith(b"Subject: ...\r\nMIME-Version: 1.0\r\n" + content)


AUTHENTICATED = [
    record
    for record in RECORDS
    if re.search("gcm|chacha20", record["file"], re.IGNORECASE)
    and {"rsa2048", "rfc9216-bob"} & {*record["open_with"]}
]


@pytest.mark.parametrize("record", AUTHENTICATED, ids=lambda record: record["file"])
def test_authenticated_ciphers_are_no_longer_refused(record):
    """The first outcome is the one that an implementation has which has them."""
    sealed = (CORPUS / record["file"]).read_bytes()
    ways = (
        cmstream.decrypt,
        lambda sealed, who: cmstream.DecryptReader(io.BytesIO(sealed), who).read(),
        lambda sealed, who: pushed(pieces(sealed, 50), who),
    )
    for way in ways:
        got = outcome(way, sealed, identity(record["open_with"][0]))
        assert got.items() <= record["expected"][0].items()
