"""A mail's octets come back through an S/MIME message, or it is known before that they don't."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from cmstream.archive import layout
from helpers.archives import BARE, MAIL

FIELD = Path(__file__).resolve().parents[3] / "shared" / "field"


def back(mail, found, alice, me, piece=None):
    opened = cmstream.decrypt_message(cmstream.encrypt_message(mail, alice.recipient), me)
    restorer = layout.Restorer(found)
    if piece is None:
        return restorer.take(opened, final=True)
    parts = [restorer.take(opened[at : at + piece]) for at in range(0, len(opened), piece)]
    return b"".join([*parts, restorer.take(b"", final=True)])


@pytest.mark.parametrize("mail", [
    MAIL,
    BARE,
    b"Subject: no MIME field\n\nbody\n",
    b"Content-Type: text/plain\r\n\r\nonly inside\r\n",
    b"MIME-Version: 1.0\nContent-Type: text/plain\n\n",
    b"A: 1\nMIME-version: 1.0\nMIME-Version:\n 1.0\nB: 2\nContent-X: y\n z\nC: 3\n\nx\ry\n\r\r",
    b"Content-Transfer-Encoding: binary\r\nSubject: x\r\n\r\nbody\r\n",
])  # fmt: skip
@pytest.mark.parametrize("piece", [None, 1, 7])
def test_octets_come_back(mail, piece, alice, me):
    found = layout.of_mail(mail)
    assert found
    assert back(mail, found, alice, me, piece) == mail


@pytest.mark.parametrize("mail", [
    b"",
    b"\n\nno header\n",
    b"no header at all",
    BARE + b"\r\n",
    MAIL + b"\n",
    b"Subject: header alone\n",
    b"Subject: a\rb\n\nx",
    b"Content-Transfer-Encoding: binary\nSubject: x\n\nbody\n",
    b"\xef\xbb\xbfSubject: x\n\nbody\n",
    b"A: " + b"x" * (5 << 20),
], ids=range(10))  # fmt: skip
def test_what_wouldnt_come_back_is_no_mail(mail):
    assert layout.of_mail(mail) is None


FIELDS = st.sampled_from([
    b"Subject: x", b"From: a@b.c", b"Content-Type: text/plain", b"content-language: de",
    b"MIME-Version: 1.0", b"Mime-Version: 1.0 (x)", b"X-A:\n b", b"X: \xff", b"Content-ID :<x>",
    b"no field", b" folded", b"From x", b"", b"A:\r", b"Content-Transfer-Encoding: binary",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(FIELDS, max_size=8), st.binary(max_size=40), st.booleans())
def test_whatever_has_a_layout_comes_back(fields, body, crlf):
    mail = b"".join(one + b"\n" for one in fields) + b"\n" + body
    if crlf:
        mail = mail.replace(b"\n", b"\r\n")
    found = layout.of_mail(mail)
    if found:
        assert back(mail, found, *_people()) == mail


def _people(kept=[]):  # noqa: B006 - made once
    if not kept:
        from helpers.people import identity, person

        kept += [one := person(), identity(one)]
    return kept


@pytest.mark.skipif(not FIELD.exists(), reason="there are no mails from the field")
def test_mails_from_the_field_come_back(alice, me):
    mails = [path.read_bytes() for path in sorted(FIELD.glob("**/*.eml"))[:300]]
    found = [(mail, layout.of_mail(mail)) for mail in mails]
    for mail, one in found:
        if one and not cmstream.is_encrypted(mail):
            assert back(mail, one, alice, me) == mail
    assert not mails or sum(one is not None for _, one in found) > len(mails) // 2


def test_it_says_nothing_of_the_body():
    assert "SECRET" not in layout.of_mail(MAIL)
    assert "utf-8" not in layout.of_mail(MAIL)
