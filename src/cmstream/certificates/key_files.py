"""Private keys in files: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017) and SEC 1 (RFC 5915), in DER or
PEM, plain or encrypted; and which file is PKCS #12."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm

from ..asn1 import tlv
from ..asn1.tlv import TlvError
from ..errors import CertificateError, octets_of
from . import containers, pfx, pfx_outline, private_keys
from .pfx_outline import MAX_KEYS_OCTETS, RARE_KEY_CIPHERS, Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from ..engine.gate import AnyBuffer

_PKCS12_LABELS = {b"PKCS12", b"PFX"}
_KEY_LABELS = {
    b"PRIVATE KEY",
    b"ENCRYPTED PRIVATE KEY",
    b"RSA PRIVATE KEY",
    b"EC PRIVATE KEY",
}
_OLD_ENCRYPTION = b"Proc-Type:"  # RFC 1421 section 4.6.1.1, as OpenSSL wrote it before PKCS #8


def is_pkcs12(data: bytes) -> bool:
    """Whether a file is PKCS #12, as far as its beginning tells."""
    try:
        return bool(read_pfx(data))
    except (TlvError, CertificateError):
        return False


def octets_of_file(data: AnyBuffer, what: str) -> bytes:
    """The bytes that the caller gave. Raises CertificateError ``empty``, and ``not-a-certificate``
    for too many."""
    octets = bytes(octets_of(data, what))
    if not octets.strip():
        raise CertificateError("empty", f"the {what} is empty: export it again")
    if len(octets) > containers.MAX_FILE:
        raise _none_there(f"the {what} has more than {containers.MAX_FILE} bytes")
    return octets


def _none_there(what: str) -> CertificateError:
    return CertificateError(
        "not-a-certificate",
        f"{what}: give a private key in PKCS #12, or in PKCS #8, PKCS #1 or SEC 1",
    )


def read_pfx(data: bytes) -> bytes:
    """The one PFX of a file, without what pads it. Raises TlvError, CertificateError
    ``not-a-certificate``."""
    if containers.is_text(data):
        found = [body for label, body in containers.blocks(data) if label in _PKCS12_LABELS]
        data = containers.decode(found[0]) if found else b""
    outer = tlv.read(data) if data else None
    if outer is None or containers.kind_of(outer) != "pkcs12":
        raise CertificateError(
            "not-a-certificate",
            "this isn't a PKCS #12 file: a key and a certificate in files of their own go by "
            "Identity.from_pem",
        )
    return outer.whole


def read_keys(
    data: bytes, password: str | bytes | None
) -> tuple[list[PrivateKeyTypes], list[CertificateError]]:
    """All private keys of a file in the clear or with this password, and what is wrong with the
    others; at least one of the two. Raises CertificateError where there is no key, or too many."""
    blocks = containers.blocks(data) if containers.is_text(data) else [(b"", data)]
    found = [one for one in blocks if not one[0] or one[0].endswith(b"PRIVATE KEY")]
    if not found:
        raise _none_there("there is no private key in this file")
    if len(found) > 1 and sum(len(body) for _, body in found) > 2 * MAX_KEYS_OCTETS:  # in base64
        raise unreadable("corrupt", f"there are more than {MAX_KEYS_OCTETS} bytes of keys")
    rounds = Rounds()
    keys: list[PrivateKeyTypes] = []
    errors: list[CertificateError] = []
    for label, body in found:
        try:
            keys.append(_private_key(label, body, password, rounds))
        except CertificateError as error:  # noqa: PERF203 - the others may be good
            errors.append(error)
    return keys, errors


def _private_key(
    label: bytes, body: bytes, password: str | bytes | None, rounds: Rounds
) -> PrivateKeyTypes:
    if label and label not in _KEY_LABELS:
        raise unreadable("unsupported-key", f"{label.decode()} isn't a form of S/MIME keys")
    if body.lstrip().startswith(_OLD_ENCRYPTION):
        pem = b"-----BEGIN %b-----%b-----END %b-----\n" % (label, body, label)
        return _opened(private_keys.load_armoured, pem, password, _OLD_ENCRYPTION.decode())
    try:
        outer = tlv.read(containers.decode(body) if label else body)
        kind = containers.kind_of(outer)
        if kind == "pkcs12":
            text = "this is a PKCS #12 file, which Identity.from_pkcs12 opens"
            raise CertificateError("not-a-certificate", text)
        if kind != "private-key-only":
            raise _none_there("this isn't a private key")
        first = outer.children()[0]
        cipher = pfx_outline.read_cipher(first, rounds) if first.tag == tlv.SEQUENCE else ""
    except TlvError as error:
        raise unreadable("corrupt" if label else error.code, str(error)) from error
    return _opened(private_keys.load, outer.whole, password, cipher)


def _opened(
    load: Callable[[bytes, bytes | None], PrivateKeyTypes],
    octets: bytes,
    password: str | bytes | None,
    cipher: str,
) -> PrivateKeyTypes:
    """A private key; ``cipher`` is "" for one in the clear."""
    if cipher and password is None:
        raise CertificateError("password-needed", "the private key needs its password")
    try:
        return load(octets, pfx.password_octets(password or b"") if cipher else None)
    except UnsupportedAlgorithm:
        code = "unsupported-cipher" if cipher else "unsupported-key"
        raise unreadable(code, f"its {code.partition('-')[2]} isn't supported") from None
    except ValueError:
        raise _unopened(cipher) from None


def _unopened(cipher: str) -> CertificateError:
    if not cipher:
        return unreadable("corrupt", "it isn't what its form promises")
    if cipher in RARE_KEY_CIPHERS:
        what = f"{RARE_KEY_CIPHERS[cipher]}, unless the password is wrong"
        return pfx_outline.unsupported(what)
    return CertificateError(
        "wrong-password",
        "the password is wrong or the private key is damaged, which it can't tell apart: try the "
        "password again, then export the key again",
    )


def unreadable(code: str, why: str) -> CertificateError:
    """The error for a private key that is there and is of no use."""
    return CertificateError(
        code, f"the private key can't be read ({why}): export it again, as PKCS #8 or PKCS #12"
    )
