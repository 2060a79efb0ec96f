"""KEKRecipientInfo and PasswordRecipientInfo (RFC 5652 sections 6.2.3 and 6.2.4), both ways: a
content-encryption key wrapped in a key that both sides have, or derive from a password."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from pyasn1.codec.der import encoder
from pyasn1.type import univ

from ..asn1 import tlv
from ..asn1.tlv import Tlv, TlvError
from ..certificates import key_wrap
from ..certificates.archive_keys import Kek, Password
from ..ciphers import KEY_LEN
from ..cms.enveloped import read_algorithm
from ..engine.decoder import envelope_error
from ..errors import EnvelopeError, RecipientError
from . import pwri_kek
from .recipient_info import algorithm, implicit, sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..cms.enveloped import RecipientInfo
    from ..policy import Policy

ITERATIONS = 600_000
"""Rounds of PBKDF2 with HMAC-SHA-256 for each password of each message: what OWASP's cheat sheet
for stored passwords asks for since 2023. They take from a tenth of a second to one."""
SALT_OCTETS = 16
MAX_ITERATIONS = 10_000_000
"""The most rounds that decrypting a message may take for one password, summed over all passwords
that it was encrypted with. Programs write 2 048 to 1 000 000. Ten million take seconds; a message
that asks for more is meant to keep the machine busy."""
MAX_PASSWORDS = MAX_ITERATIONS // ITERATIONS
"""The most passwords of one message: nothing names them, so that its reader has to try them all."""

_PBKDF2 = "1.2.840.113549.1.5.12"
_HMACS: dict[str, type[hashes.HashAlgorithm]] = {
    "1.2.840.113549.2.7": hashes.SHA1,
    "1.2.840.113549.2.8": hashes.SHA224,
    "1.2.840.113549.2.9": hashes.SHA256,
    "1.2.840.113549.2.10": hashes.SHA384,
    "1.2.840.113549.2.11": hashes.SHA512,
}
_HMAC_SHA1, _HMAC_SHA256 = "1.2.840.113549.2.7", "1.2.840.113549.2.9"
_CONTEXT_0 = 0xA0


# Sealing


@dataclass(frozen=True)
class KekWrap:
    """A KEKRecipientInfo up to the bytes of its encrypted key."""

    prefix: bytes
    encoded_len: int
    kek: Kek

    envelope_version = 2

    def encode(self, content_key: bytes) -> bytes:
        """As RecipientInfoEncoder says."""
        return self.prefix + key_wrap.wrap(self.kek.octets, content_key)


@dataclass(frozen=True)
class PasswordWrap:
    """A PasswordRecipientInfo, which has a new salt, and so a new key, in every message."""

    encoded_len: int
    password: Password

    envelope_version = 3

    def encode(self, content_key: bytes) -> bytes:
        """As RecipientInfoEncoder says."""
        salt, iv = os.urandom(SALT_OCTETS), os.urandom(pwri_kek.IV_OCTETS)
        kek = Derivation(salt, ITERATIONS, hashes.SHA256).key(self.password, pwri_kek.KEK_OCTETS)
        return _password_info(salt, iv, pwri_kek.wrap(kek, iv, content_key))


def prepare(keys: Iterable[Kek | Password], policy: Policy) -> list[KekWrap | PasswordWrap]:
    """One for each. Raises RecipientError ``unusable-recipient`` for more than MAX_PASSWORDS, and
    for a key-encryption key that is shorter than the key it would encrypt (RFC 3565 section 6)."""
    found = list(keys)
    if sum(isinstance(key, Password) for key in found) > MAX_PASSWORDS:
        raise RecipientError(
            "unusable-recipient",
            f"can't encrypt to more than {MAX_PASSWORDS} passwords: whoever opens the message has "
            "to try them all, and each takes long",
        )
    octets = KEY_LEN[policy.cipher]
    return [
        _kek_wrap(key, octets) if isinstance(key, Kek) else _password_wrap(key, octets)
        for key in found
    ]


def _kek_wrap(kek: Kek, key_len: int) -> KekWrap:
    if len(kek.octets) < key_len:
        raise RecipientError(
            "unusable-recipient",
            f"can't encrypt to a key-encryption key of {len(kek.octets)} bytes: the content's key "
            f"has {key_len}, and would be no safer than this one; give a longer one, or choose "
            "aes128-cbc, aes128-gcm or auto",
        )
    wrapped = key_len + key_wrap.OVERHEAD
    info = sequence(
        univ.Integer(4),
        sequence(univ.OctetString(kek.key_id)),
        algorithm(key_wrap.OIDS[len(kek.octets)]),
        univ.OctetString(bytes(wrapped)),
    )
    encoded = encoder.encode(implicit(2, info))
    return KekWrap(encoded[:-wrapped], len(encoded), kek)


def _password_wrap(password: Password, key_len: int) -> PasswordWrap:
    wrapped = bytes(pwri_kek.wrapped_octets(key_len))
    empty = _password_info(bytes(SALT_OCTETS), bytes(pwri_kek.IV_OCTETS), wrapped)
    return PasswordWrap(len(empty), password)


def _password_info(salt: bytes, iv: bytes, wrapped: bytes) -> bytes:
    parameters = sequence(
        univ.OctetString(salt),
        univ.Integer(ITERATIONS),
        algorithm(_HMAC_SHA256, univ.Null("")),
    )
    info = sequence(
        univ.Integer(0),
        implicit(0, algorithm(_PBKDF2, parameters)),
        # RFC 5652 leaves the algorithm open. This one alone is what other programs read.
        algorithm(pwri_kek.OID, algorithm(pwri_kek.AES256_CBC, univ.OctetString(iv))),
        univ.OctetString(wrapped),
    )
    return bytes(encoder.encode(implicit(3, info)))


# Opening with a key-encryption key


def unwrap_kek(kek: Kek, info: RecipientInfo, place: int, key_len: int) -> bytes | None:
    """The content-encryption key, or None if it isn't wrapped in this key. Raises EnvelopeError
    ``malformed``, ``unsupported-cipher``."""
    del place, key_len  # one recipient; whatever comes out
    if info.algorithm not in key_wrap.KEK_LEN:
        raise _unsupported(f"its key is encrypted by {info.algorithm}")
    return _aes_unwrap(info.algorithm, kek.octets, _encrypted_key(info))


def _aes_unwrap(oid: str, kek: bytes, wrapped: bytes) -> bytes | None:
    return key_wrap.unwrap(kek, wrapped) if len(kek) == key_wrap.KEK_LEN[oid] else None


def _encrypted_key(info: RecipientInfo) -> bytes:
    """The last field of both kinds. Raises EnvelopeError ``malformed``."""
    key = info.whole.children()[-1]
    try:
        if key.tag in {tlv.OCTET_STRING, tlv.SEGMENTED}:
            return key.octets()
    except TlvError as error:
        raise _malformed(str(error)) from None
    raise _malformed("it has no encrypted key")


# Opening with a password


class Derivation(NamedTuple):
    """PBKDF2-params (RFC 8018 appendix A.2), but for the length."""

    salt: bytes
    iterations: int
    digest: type[hashes.HashAlgorithm]

    def key(self, password: Password, octets: int) -> bytes:
        """What comes out for a password; this takes long."""
        return PBKDF2HMAC(self.digest(), octets, self.salt, self.iterations).derive(password.octets)


class Locked(NamedTuple):
    """A content-encryption key that a password opens: how the password becomes a key-encryption key
    of ``kek_octets`` bytes, and how that decrypts ``encrypted_key``."""

    derivation: Derivation
    kek_octets: int
    how: str | pwri_kek.Parameters
    encrypted_key: bytes

    def key(self, password: Password) -> bytes | None:
        """The content-encryption key, or None if the password is another."""
        kek = self.derivation.key(password, self.kek_octets)
        if isinstance(self.how, str):
            return key_wrap.unwrap(kek, self.encrypted_key)
        return pwri_kek.unwrap(kek, self.how, self.encrypted_key)


def unwrap_password(
    password: Password, infos: Sequence[RecipientInfo], key_len: int
) -> bytes | None:
    """The content-encryption key from the PasswordRecipientInfo that the password opens, None if it
    opens none. All are tried, and always all, since nothing names them.

    Raises EnvelopeError ``malformed``, ``unsupported-cipher`` if none is of a kind that is known,
    and ``too-large`` where more than MAX_ITERATIONS rounds of derivation would be needed.
    """
    locked = _all_locked(infos)
    if sum(one.derivation.iterations for one in locked) > MAX_ITERATIONS:
        raise envelope_error(
            "too-large",
            f"its passwords ask for more than {MAX_ITERATIONS} rounds of key derivation",
        )
    found = [one.key(password) for one in locked]
    return next((key for key in found if key is not None and len(key) == key_len), None)


def _all_locked(infos: Sequence[RecipientInfo]) -> list[Locked]:
    """Those of a kind that is known. Raises the first one's EnvelopeError if there are none."""
    results = [_attempt(info) for info in infos]
    locked = [one for one in results if isinstance(one, Locked)]
    errors = [one for one in results if isinstance(one, EnvelopeError)]
    for error in errors:
        if not locked or error.code != "unsupported-cipher":
            raise error
    return locked


def _attempt(info: RecipientInfo) -> Locked | EnvelopeError:
    try:
        return _locked(info)
    except TlvError as error:
        return _malformed(str(error))
    except EnvelopeError as error:
        return error


def _locked(info: RecipientInfo) -> Locked:
    how: str | pwri_kek.Parameters
    if info.algorithm in key_wrap.KEK_LEN:
        how, octets = info.algorithm, key_wrap.KEK_LEN[info.algorithm]
    elif info.algorithm == pwri_kek.OID:
        how = pwri_kek.read(info.parameters)
        octets = how.cipher.kek_octets
    else:
        raise _unsupported(f"its key is encrypted by {info.algorithm}")
    fields = info.whole.fields()
    fields.take(tlv.INTEGER)
    derivation = fields.maybe(_CONTEXT_0)
    if derivation is None:
        raise _unsupported("its key comes from elsewhere than a password")
    return Locked(_derivation(derivation, octets), octets, how, _encrypted_key(info))


def _derivation(element: Tlv, kek_octets: int) -> Derivation:
    fields = element.fields()
    oid = fields.take(tlv.OID).oid()
    if oid != _PBKDF2:
        raise _unsupported(f"its key is derived by {oid}")
    parameters = fields.take(tlv.SEQUENCE).fields()
    salt = parameters.take(tlv.OCTET_STRING).content
    iterations = parameters.take(tlv.INTEGER).integer()
    length = parameters.maybe(tlv.INTEGER)
    if iterations < 1 or (length and length.integer() != kek_octets):
        raise TlvError("its key derivation has numbers that can't be")
    digest, _ = read_algorithm(parameters) if parameters.rest() else (_HMAC_SHA1, None)
    if digest not in _HMACS:
        raise _unsupported(f"its key is derived with {digest}")
    return Derivation(salt, iterations, _HMACS[digest])


def _malformed(why: str) -> EnvelopeError:
    return envelope_error("malformed", f"a RecipientInfo is broken: {why}")


def _unsupported(what: str) -> EnvelopeError:
    return envelope_error("unsupported-cipher", what)
