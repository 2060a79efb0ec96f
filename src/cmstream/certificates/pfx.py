"""PKCS #12 files (RFC 7292): the certificates that belong to a person, or a key with its own.

The library isn't let loose on a stranger's file: it decrypts one part at a time, after the outline
was found harmless and the MAC was checked.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm

from ..asn1 import tlv
from ..asn1.tlv import TlvError
from ..errors import CertificateError
from . import pbe, pfx_by_library, pfx_outline, private_keys, x509
from .pfx_outline import (
    RARE_CIPHERS,
    RARE_KEY_CIPHERS,
    Bag,
    Encrypted,
    Outline,
    Password,
    Rounds,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


class PfxContents(NamedTuple):
    """Certificates in DER: the person's, and others beside them; whether a key was there."""

    certificates: tuple[bytes, ...]
    strangers: tuple[bytes, ...]
    private_key: bool


def open_pfx(
    data: bytes, password: str | bytes | None, rounds: Rounds | None = None
) -> PfxContents:
    """The certificates of one PFX: those of its keys; all where there is no key. Where no key tells
    which is its own, the only one that is no authority's. ``rounds``: what other files of the same
    input have asked for.

    A key that is itself inside an encrypted part, where no known program puts one, isn't looked
    for. Raises TlvError for a broken file, CertificateError ``wrong-password``,
    ``password-needed``, ``corrupt`` and ``unsupported-cipher``, ``private-key-only`` where no
    certificate is the keys' own.
    """
    unlocked = _unlocked(data, password, rounds)
    everyone = dict.fromkeys(bag.octets for bag in unlocked.certificates)
    own = set(everyone)
    if unlocked.outline.keys and everyone:
        own = _owned(unlocked, given=password is not None)
    return PfxContents(
        tuple(der for der in everyone if der in own),
        tuple(der for der in everyone if der not in own),
        bool(unlocked.outline.keys),
    )


def _owned(unlocked: _Unlocked, *, given: bool) -> set[bytes]:
    """The certificates that belong to the keys. Raises CertificateError if none is known to."""
    outline, passwords, certificates = unlocked
    certified = {bag.octets: private_keys.certified_bits(bag.octets) for bag in certificates}
    opened = [
        (key, next(filter(None, (_public_bits(key, one) for one in passwords)), None))
        for key in outline.keys
    ]
    owned = {
        der
        for key, bits in opened
        for der in (_certified(bits, certified) if bits else _named(key, certificates, certified))
    }
    if owned:
        return owned
    if any(bits for _, bits in opened):
        # The keys' own may be one that can't be read.
        owned = _certified(b"", certified)
        if not owned:
            raise no_certificate()
        return owned
    owned = _only_person(certified)
    if not owned:
        raise _unopened(outline, given=given)
    return owned


def _certified(bits: bytes, certified: Mapping[bytes, bytes]) -> set[bytes]:
    """The certificates of a public key."""
    return {der for der, theirs in certified.items() if theirs == bits}


def _named(
    key: Bag, certificates: Iterable[Bag], certified: Mapping[bytes, bytes]
) -> Iterable[bytes]:
    """The certificates with the localKeyID of a key that doesn't open; none if they can't all be
    its own, as in files that give everything the same one."""
    found = {bag.octets for bag in certificates if key.key_id and bag.key_id == key.key_id}
    return found if len({certified[der] for der in found}) == 1 else ()


def _only_person(certificates: Collection[bytes]) -> set[bytes]:
    """The only certificate, or the only one that isn't an authority's; nothing if there are
    several."""
    people = {der for der in certificates if len(certificates) == 1 or not _is_authority(der)}
    return people if len(people) == 1 else set()


def _is_authority(der: bytes) -> bool:
    try:
        return x509.parse(der).is_ca
    except TlvError:
        return False


class OwnedKey(NamedTuple):
    """A private key and the certificates, in DER, that have its public key; none if there are
    none."""

    private: PrivateKeyTypes
    certificates: tuple[bytes, ...]


def open_keys(data: bytes, password: str | bytes | None) -> list[OwnedKey]:
    """All private keys of one PFX that open; at least one. Of a key's certificates the one with its
    localKeyID comes first, if that can be seen.

    Raises as :func:`open_pfx`, and CertificateError ``unsupported-key``, and ``not-a-certificate``
    where there is no key.
    """
    unlocked = _unlocked(data, password)
    outline = unlocked.outline
    results = [_opened_or_error(bag, unlocked.passwords) for bag in outline.keys]
    certified = [(private_keys.certified_bits(one.octets), one) for one in unlocked.certificates]
    found = [
        OwnedKey(private, _own(bag, private, certified))
        for bag, private in zip(outline.keys, results, strict=True)
        if private is not None and not isinstance(private, CertificateError)
    ]
    if not outline.keys:
        raise no_certificate("not-a-certificate")
    if not found:
        errors = [one for one in results if isinstance(one, CertificateError)]
        raise errors[0] if errors else _unopened(outline, given=password is not None)
    return found


def _own(
    bag: Bag, private: PrivateKeyTypes, certified: list[tuple[bytes, Bag]]
) -> tuple[bytes, ...]:
    bits = private_keys.public_bits(private.public_key())
    own = [one for theirs, one in certified if theirs == bits]
    return tuple(one.octets for one in sorted(own, key=lambda one: one.key_id != bag.key_id))


def _opened_or_error(
    bag: Bag, passwords: list[Password]
) -> PrivateKeyTypes | CertificateError | None:
    try:
        return _opened_key(bag, passwords)
    except CertificateError as error:
        return error


def no_certificate(code: str = "private-key-only") -> CertificateError:
    """The error for a file without a key's certificate, or without any key."""
    return CertificateError(
        code,
        f"the PKCS #12 file holds {'no certificate of its' if code == 'private-key-only' else 'no'}"
        " private key: export the certificate together with its private key",
    )


class _Unlocked(NamedTuple):
    """The outline, the passwords to try on keys, and all certificates."""

    outline: Outline
    passwords: list[Password]
    certificates: list[Bag]


def _unlocked(data: bytes, password: str | bytes | None, rounds: Rounds | None = None) -> _Unlocked:
    outline = pfx_outline.read(data, rounds)
    passwords = _candidates(password)
    certificates = outline.certificates
    if outline.mac or outline.encrypted:
        certificates = certificates + _unlock(outline, passwords, given=password is not None)
    return _Unlocked(outline, passwords, certificates)


def _candidates(password: str | bytes | None) -> list[Password]:
    """What to try; nothing for what nobody can have typed."""
    if not password:
        return [Password(b"", b""), Password(b"", b"\0\0")]
    octets, texts = b"\0", []
    with contextlib.suppress(UnicodeEncodeError):
        octets = password_octets(password)
    if b"\0" in octets:
        return []
    with contextlib.suppress(UnicodeDecodeError):
        texts.append(octets.decode())
    # OpenSSL before 1.1 took all octets for Latin-1, and its files are still about.
    texts.append(octets.decode("latin-1"))
    return [
        Password(text.encode(), text.encode("utf-16-be") + b"\0\0") for text in dict.fromkeys(texts)
    ]


def password_octets(password: str | bytes) -> bytes:
    """A password in octets. Raises UnicodeEncodeError for text that nobody can have typed."""
    if isinstance(password, str):
        # The escapes are Python's own, for octets from a command line that aren't UTF-8.
        return password.encode("utf-8", "surrogateescape")
    return bytes(password)


def _unlock(outline: Outline, passwords: list[Password], *, given: bool) -> list[Bag]:
    """The certificates of the encrypted parts."""
    mac, octets = outline.mac, outline.authenticated
    fitting = [one for one in passwords if mac is None or mac.fits(octets, one)]
    for password in fitting:
        found = [_decrypt(part, password) for part in outline.encrypted]
        if None not in found:
            return [one for part in found for one in part or ()]
    if (mac and fitting) or any(_opens_a_part(outline, one) for one in passwords):
        raise _damaged(outline)
    raise _locked(given=given)


def _locked(*, given: bool) -> CertificateError:
    if not given:
        return CertificateError("password-needed", "the PKCS #12 file needs its password")
    return CertificateError(
        "wrong-password",
        "the password is wrong or the PKCS #12 file is damaged, which it can't tell apart: try "
        "the password again, then export the file again",
    )


def _opens_a_part(outline: Outline, password: Password) -> bool:
    """If one part opens, the password is right and another part is at fault."""
    return any(bag.cipher and _public_bits(bag, password) for bag in outline.keys) or any(
        _decrypt(part, password) is not None for part in outline.encrypted
    )


def _damaged(outline: Outline) -> CertificateError:
    """The password is right, and yet a part of the file doesn't open."""
    return _rare(outline.encrypted, RARE_CIPHERS) or CertificateError(
        "corrupt",
        "the password fits the PKCS #12 file, but part of it is damaged or can't be read: export "
        "it again, or send the certificate alone if no more is needed",
    )


def _rare(parts: Iterable[Encrypted | Bag], ciphers: Mapping[str, str]) -> CertificateError | None:
    rare = {ciphers.get(part.cipher, "") for part in parts} - {""}
    return pfx_outline.unsupported(f"{min(rare)}, unless the file is damaged") if rare else None


def _unopened(outline: Outline, *, given: bool) -> CertificateError:
    """None of the keys opens, though all else did."""
    if not outline.mac and not outline.encrypted and any(bag.cipher for bag in outline.keys):
        return _locked(given=given)
    return _rare(outline.keys, RARE_KEY_CIPHERS) or _damaged(outline)


def _decrypt(part: Encrypted, password: Password) -> list[Bag] | None:
    """The certificates of one encrypted part; None if it doesn't open."""
    try:
        return pfx_outline.certificates_of(pbe.decrypt(part.algorithm, part.ciphertext, password))
    except UnsupportedAlgorithm:
        found = pfx_by_library.certificates(part, password)
        return None if found is None else [Bag(der) for der in found]
    except (ValueError, TlvError):
        return None


def _open(key: Bag, passwords: list[Password]) -> PrivateKeyTypes | None:
    """The private key; None if no password opens it. Raises UnsupportedAlgorithm."""
    for password in passwords if key.cipher else [None]:
        with contextlib.suppress(ValueError, TlvError):
            return _decrypted(key, password) if password else private_keys.load(key.octets, None)
    return None


def _decrypted(key: Bag, password: Password) -> PrivateKeyTypes:
    fields = tlv.read_only(key.octets).fields()
    algorithm, ciphertext = fields.take(tlv.SEQUENCE), fields.octets()
    try:
        octets = pbe.decrypt(algorithm, ciphertext, password)
    except UnsupportedAlgorithm:
        return private_keys.load(key.octets, password.text)
    return private_keys.load(octets, None)


def _opened_key(key: Bag, passwords: list[Password]) -> PrivateKeyTypes | None:
    """The private key; None if no password opens it. Raises CertificateError."""
    try:
        return _open(key, passwords)
    except UnsupportedAlgorithm:
        raise _rare([key], RARE_KEY_CIPHERS) or CertificateError(
            "unsupported-key",
            "the private key of the PKCS #12 file is of a kind that isn't supported: export one "
            "with RSA or a NIST curve",
        ) from None


def _public_bits(key: Bag, password: Password) -> bytes | None:
    """The subjectPublicKey that goes with a private key; None if that doesn't open."""
    try:
        private = _open(key, [password])
    except (UnsupportedAlgorithm, CertificateError):
        return None
    return private_keys.public_bits(private.public_key()) if private else None
