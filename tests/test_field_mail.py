"""Mail that was reported by people, each file with the outcome that is right; and no folder of
theirs without a test."""

from __future__ import annotations

from pathlib import Path

import pytest

import cmstream
from cmstream import is_encrypted

FIELD = Path(__file__).resolve().parents[2] / "shared" / "field"

if not FIELD.exists():
    pytest.skip("the shared files aren't here", allow_module_level=True)

SECRET = b"the code of the safe"
HEADER = (b"From: ", b"To: ", b"Subject: ")

# What stays outside of each that is sealed, and what must not.
SEALED = {
    "bare-cr/cr.eml": ((b"From: bob@example.org",), (SECRET, b"Dear Alice", b"\r\r")),
    "bare-cr/cr2.eml": (
        (b"From: bob@example.org\r\n", b"Subject: x"),
        (SECRET, b"Dear Alice", b"\r\r"),
    ),
    "bom-before-mail/banner.eml": (HEADER, (b"Microsoft Mail Internet Headers", b"text/plain")),
    "bom-before-mail/bom.eml": (HEADER, (b"\xef\xbb\xbf", b"text/plain")),
    "bom-before-mail/bom2.eml": ((b"Received: ", *HEADER), (b"\xef\xbb\xbf", b"text/plain")),
}
PASSED = [
    "bom-before-mail/bomenc.eml",
    *(f"pgp-mime-preamble/pm_{name}.eml" for name in ("horde", "multi1", "period", "tb")),
]
NOT_ENCRYPTED = [str(one.relative_to(FIELD)) for one in sorted(FIELD.glob("not-encrypted/*.eml"))]

# Folders with other tests: the certificates', the command's, and the reader's.
ELSEWHERE = {
    "broken-bystander",
    "csv-semicolon",
    "damaged-optional-extension",
    "explicit-curve",
    "files-that-are-certificates",
    "key-usage-set-aside",
    "pbmac1-short-key",
    "pfx-null-password",
    "smtputf8-ia5",
    "trailing-octet",
    "content-without-header",
    "hp-trailing-semicolon",
    "pfx-several-identities",
    "renewed-with-the-same-key",
    "reader-disagreement",
}


def test_every_folder_and_every_mail_here_has_an_outcome():
    here = {*SEALED, *PASSED, *NOT_ENCRYPTED}
    folders = {name.partition("/")[0] for name in here}
    assert {one.name for one in FIELD.iterdir()} <= folders | ELSEWHERE
    found = {
        str(one.relative_to(FIELD)) for name in folders for one in (FIELD / name).glob("*.eml")
    }
    assert found == here


def sealed(data, alice):
    """By each way to seal, what stays in the clear, which all have in common, and what is in it."""
    whole = cmstream.encrypt_message(data, alice.recipient)
    (one,) = cmstream.encrypt_many([(data, alice.recipient)])
    pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
    streamed = b"".join(cmstream.encrypt_iter(pieces, alice.recipient, form="message"))
    heads = {bytes(each).partition(b"\r\n\r\n")[0] for each in (whole, one, streamed)}
    assert len(heads) == 1
    return whole, heads.pop()


@pytest.mark.parametrize("name", SEALED)
def test_what_stays_outside(alice, me, name):
    data = (FIELD / name).read_bytes()
    wanted, unwanted = SEALED[name]
    whole, head = sealed(data, alice)
    for text in wanted:
        assert text in head
    for text in unwanted:
        assert text not in whole
    last = data.split(b"\n")[-2] if b"\n" in data else SECRET
    assert last.strip(b"\r")[-20:] in cmstream.decrypt_message(whole, me)


@pytest.mark.parametrize("name", NOT_ENCRYPTED)
def test_what_can_be_read_is_sealed(alice, name):
    data = (FIELD / name).read_bytes()
    assert not is_encrypted(data)
    whole, _ = sealed(data, alice)
    assert whole != data
    assert is_encrypted(whole)


@pytest.mark.parametrize("name", PASSED)
def test_what_is_encrypted_passes(alice, name):
    data = (FIELD / name).read_bytes()
    assert is_encrypted(data)
    whole, _ = sealed(data, alice)
    assert whole == data


def test_a_byte_order_mark_is_passed_over_when_opening():
    folder = FIELD / "bom-before-mail"
    carla = cmstream.Identity.from_pem(
        (folder / "enc.key").read_bytes(), (folder / "enc.pem").read_bytes()
    )
    assert b"Hello Carla" in cmstream.decrypt_message((folder / "bomenc.eml").read_bytes(), carla)
