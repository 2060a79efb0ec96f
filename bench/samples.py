"""The messages that are measured, a column for each size and one of mixed sizes; and their
recipient with the private key."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import cmstream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

CERTIFICATE = Path(__file__).parent.parent / "tests" / "samples" / "alice.pem"
PRIVATE_KEY = CERTIFICATE.with_name("alice.key.pem")

SIZES = {
    "1 KiB": (1 << 10, 256),
    "4 KiB": (4 << 10, 256),
    "30 KiB": (30 << 10, 256),
    "75 KiB": (75 << 10, 128),
    "1 MiB": (1 << 20, 32),
    "25 MiB": (25 << 20, 8),
}
"""Bytes of a message, and how many messages there are at once."""

RSA_COLUMN = "4 KiB"
"""Where RSA by itself is measured: it is the same for every size."""

MIX = "mix"
MIX_COUNT, MIX_MEDIAN, MIX_LEAST, MIX_MOST = 512, 30 << 10, 1 << 10, 10 << 20
MIX_SIGMA = 1.5  # so the mean is three times the median, and a few messages have several MiB


@dataclass(frozen=True, eq=False)
class Column:
    """Messages that are measured together; none shares its memory with another."""

    name: str
    messages: Sequence[bytes]
    mixed: bool = False

    @property
    def longest(self) -> int:
        return max(map(len, self.messages))

    @property
    def octets(self) -> int:
        return sum(map(len, self.messages))


def column(name: str, share: int = 1) -> Column:
    """The messages of a size, or of the mix; with ``share`` only one in so many."""
    mixed = name == MIX
    if mixed:
        sizes = _mixed_sizes()
    else:
        size, count = SIZES[name]
        sizes = [size] * count
    sizes = sizes[: len(sizes) // share]
    return Column(name, [message(size, number) for number, size in enumerate(sizes)], mixed)


def sealed(name: str, share: int = 1) -> Column:
    """The same messages, encrypted."""
    plain, to = column(name, share), recipients()
    every = [cmstream.encrypt_message(one, to) for one in plain.messages]
    return Column(name, every, plain.mixed)


def _mixed_sizes() -> list[int]:
    """Lognormal; the same in every run."""
    normal = statistics.NormalDist(math.log(MIX_MEDIAN), MIX_SIGMA)
    found = (int(math.exp(x)) for x in normal.samples(MIX_COUNT, seed=30))
    return [min(max(size, MIX_LEAST), MIX_MOST) for size in found]


def message(size: int, number: int = 1) -> bytes:
    """A mail of ``size`` bytes, plain text with CRLF line ends."""
    head = (
        b"From: Bob <bob@example.net>\r\nTo: Alice <alice@example.org>\r\nSubject: scan\r\n"
        b"Date: Mon, 23 Nov 2026 10:30:07 +0100\r\nMessage-ID: <%d@example.net>\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\n" % number
    )
    line = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"
    return (head + line * (size // len(line) + 1))[: size - 2] + b"\r\n"


def recipients() -> cmstream.Recipients:
    """One RSA-2048 recipient, prepared."""
    return cmstream.Recipients(cmstream.load_recipients(CERTIFICATE.read_bytes()))


def certificate() -> bytes:
    """The recipient's, in DER."""
    (recipient,) = recipients()
    return recipient.der


def public_numbers() -> RSAPublicNumbers:
    """Of the recipient's key."""
    (recipient,) = recipients()
    key = recipient.public_key
    assert isinstance(key, RSAPublicKey)
    return key.public_numbers()


def below_modulus() -> bytes:
    """A number that the recipient's key can encrypt without padding, as long as its modulus."""
    modulus = public_numbers().n
    return (modulus // 3).to_bytes((modulus.bit_length() + 7) // 8, "big")


def identity() -> cmstream.Identity:
    """The recipient's."""
    return cmstream.Identity.from_pem(PRIVATE_KEY.read_bytes(), CERTIFICATE.read_bytes())


def private_key() -> bytes:
    """The recipient's, in DER."""
    key = identity().key
    return bytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
