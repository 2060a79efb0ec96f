"""Whom tests of the gateway send mail to, what they send, and how it is looked at afterwards."""

from __future__ import annotations

import re
from typing import NamedTuple

from cmstream.accounts import create_store
from helpers.accounts.support import ADMINISTRATOR
from helpers.people import person

ALICE, DORA = "alice@example.org", "dora@example.org"
CAROL, EVE, BOB = "carol@example.org", "eve@example.org", "bob@example.org"

# Whose mail is sealed, and who can open it: a person's number.
SEALED = {
    ALICE: 0,
    "Alice+boat@Example.org": 0,
    "info@example.org": 0,
    DORA: 2,
    "anybody@shop.example.org": 2,
}
LEFT = [CAROL, BOB, "bob+x@example.org"]
DOMAINS = "example.org, shop.example.org"


def populated(folder) -> str:
    """The URL of a store: alice with an alias, dora with a domain, carol whose encryption is off,
    eve without a certificate."""
    url = f"sqlite:///{folder}/accounts.sqlite3"
    with create_store(url) as store:

        def add(address, number=None, **settings):
            store.add_account(address, by=ADMINISTRATOR, **settings)
            if number is not None:
                own = person_of(number).recipient.pem
                store.import_certificates(address, own, by=ADMINISTRATOR)

        add(ALICE, 0, aliases=["info@example.org"])
        add(DORA, 2, domains=["shop.example.org"])
        add(CAROL, 3)
        add(EVE)
        for one in (ALICE, DORA, EVE):
            store.change_account(one, cipher="aes256-cbc", by=ADMINISTRATOR)
        store.change_account(CAROL, cipher=None, by=ADMINISTRATOR)
    return url


def person_of(number: int):
    address = {0: ALICE, 2: DORA, 3: CAROL}[number]
    return person(number=number, emails=(address,))


HEAD = (
    b"From: Bob <bob@example.net>\r\nTo: friends of boats:;\r\n"
    b"Date: Mon, 23 Nov 2026 10:30:07 +0100\r\nMessage-ID: <%b@example.net>\r\n"
    b"Subject: The boat\r\nX-Cell: %b\r\nMIME-Version: 1.0\r\n"
)
TEXT = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
SECRET = b"third flower pot"
BODY = b"The key is under the %b.\r\n" % SECRET
MULTIPART = (
    b'Content-Type: multipart/mixed; boundary="--=_x"\r\n\r\npreamble\r\n----=_x\r\n\r\n%b'
    b"----=_x\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n%b----=_x--\r\n"
) % (BODY, b"AAECAwQFBgcICQ==\r\n" * 300)

# What stands behind the common header fields.
MESSAGES = {
    "text": TEXT + BODY,
    "8-bit": TEXT + BODY + "Grüße, ñandú, 漢字\r\n".encode() + bytes(range(0x80, 0x100)) + b"\r\n",
    "dots": TEXT + b".\r\n..\r\n...\r\n.x\r\n" + BODY + b"\r\n.\r\n.",
    "long lines": TEXT + BODY + b"x" * 5000 + b"\r\n" + "ä".encode() * 5000 + b"\r\n",
    "empty lines": TEXT + b"\r\n\r\n\r\n" + BODY + b"\r\n\r\n\r\n",
    "multipart": MULTIPART,
    "no body": b"Content-Type: text/plain\r\n\r\n",
    "header only": b"Content-Type: text/plain\r\n",
    "no Content fields": b"\r\n" + BODY,
    "bare LF": TEXT + b"one\ntwo\n\nthree\n" + BODY,
    "From line": TEXT + b"From me to you\r\n>From\r\n" + BODY,
    "75 KiB": TEXT + BODY * 2000,
}
# Many programs take it for the end of the message, so only a client of our own may send it.
LOOK_ALIKE = TEXT + b"one\ntwo\n.\nMAIL FROM:<x@example.net>\r\n\r.\r" + BODY


class Cell(NamedTuple):
    """One message for one address."""

    address: str
    kind: str

    @property
    def mark(self) -> bytes:
        return re.sub(rb"[^a-z0-9]+", b"-", f"{self.kind}.{self.address}".lower().encode())

    def message(self, rest: bytes | None = None) -> bytes:
        return HEAD % (self.mark, self.mark) + (MESSAGES[self.kind] if rest is None else rest)


def canonical(octets: bytes) -> bytes:
    """With CRLF at all line ends, and at the end."""
    lines = re.sub(rb"\r?\n", b"\r\n", octets)
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def inner(message: bytes) -> bytes:
    """What is to be sealed of it: its Content fields and its body."""
    head, _, body = canonical(message).partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [one for one in fields if one.lower().startswith(b"content-")]
    return b"".join(one + b"\r\n" for one in kept) + b"\r\n" + body


def mark_of(message: bytes) -> bytes | None:
    found = re.search(rb"^X-Cell: (\S+)", message, re.MULTILINE)
    return found and found[1]
