"""A recipient and messages for measuring, and the engines that all benches share."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import load_der_x509_certificate

import cmstream
import libcrypto
from cmstream._native import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Callable

CERTIFICATE = Path(__file__).parent.parent / "tests" / "samples" / "alice.pem"
CHUNK = 256 << 10


def message(size: int) -> bytes:
    """A mail of ``size`` octets, plain text with CRLF line ends."""
    head = (
        b"From: Bob <bob@example.net>\r\nTo: Alice <alice@example.org>\r\nSubject: scan\r\n"
        b"Date: Mon, 23 Nov 2026 10:30:07 +0100\r\nMessage-ID: <1@example.net>\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n\r\n"
    )
    line = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"
    return (head + line * (size // len(line) + 1))[: size - 2] + b"\r\n"


def recipients() -> cmstream.Recipients:
    """One RSA-2048 recipient, prepared."""
    return cmstream.Recipients(cmstream.load_recipients(CERTIFICATE.read_bytes()))


def engines(data: bytes) -> dict[str, Callable[[], object]]:
    """What can seal ``data``, and the bare chain that nothing can beat; whoever is missing on this
    machine is left out."""
    to = recipients()
    (recipient,) = to
    rows: dict[str, Callable[[], object]] = {
        "bare CBC chain": _bare_chain(data),
        "cmstream encrypt_message": lambda: cmstream.encrypt_message(data, to),
        "cmstream update_into, whole": _pushed(data, to, len(data)),
        "cmstream update_into, 256 KiB": _pushed(data, to, CHUNK),
        "cmstream EncryptWriter": lambda: _written(data, to),
    }
    openssl = libcrypto.find(recipient.der)
    if openssl is not None:
        for mode in openssl.modes:
            rows[f"OpenSSL {mode}"] = functools.partial(openssl.encrypt, data, mode)
    rows["cryptography SMIME"] = _builder(recipient.der, data)
    return rows


def _bare_chain(data: bytes) -> Callable[[], object]:
    key = ffi.new("struct content_key *", {"key_len": 32})
    out = bytearray(len(data))
    source, room = ffi.from_buffer("uint8_t[]", data), ffi.from_buffer("uint8_t[]", out)
    return lambda: lib.cbc_bare(key, source, len(data) // 16, room)


def _pushed(data: bytes, to: cmstream.Recipients, chunk: int) -> Callable[[], object]:
    buffer = bytearray(cmstream.encryptor(to, size=len(data), form="message").bound(chunk))
    view = memoryview(data)

    def push() -> None:
        context = cmstream.encryptor(to, size=len(data), form="message")
        for start in range(0, len(data), chunk):
            context.update_into(view[start : start + chunk], buffer)
        context.finalize_into(buffer)

    return push


class _Nowhere:
    def write(self, data: memoryview) -> int:
        return len(data)


def _written(data: bytes, to: cmstream.Recipients) -> None:
    with cmstream.EncryptWriter(_Nowhere(), to, form="message", size=len(data)) as out:
        out.write(data)


def _builder(certificate: bytes, data: bytes) -> Callable[[], object]:
    x509 = load_der_x509_certificate(certificate)

    def build() -> bytes:
        builder = pkcs7.PKCS7EnvelopeBuilder().set_data(data).add_recipient(x509)
        builder = builder.set_content_encryption_algorithm(algorithms.AES256)
        return builder.encrypt(Encoding.SMIME, [])

    return build
