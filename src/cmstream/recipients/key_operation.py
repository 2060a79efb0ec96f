"""Calls a private key, which may be an object in front of a token or a key service; and says what
such an object does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm

from ..engine.decoder import envelope_error
from ..errors import KeyUnavailableError, octets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding


class DecryptingKey(Protocol):
    """What an :class:`Identity` needs of an RSA certificate's private key that isn't one of the
    library *cryptography*: of a token, an agent, or a key service.

    What it raises decides what the reader of a message learns:

    - UnsupportedAlgorithm (of ``cryptography.exceptions``) or NotImplementedError if it can't do
      what it is asked at all, such as OAEP with this hash: EnvelopeError ``unsupported-cipher``.
    - :class:`KeyUnavailableError` if it can't be asked now, because a token was taken away, a
      session ended, or a service doesn't answer; OSError (with ConnectionError and TimeoutError)
      becomes one. It leaves ``decrypt`` as it is, and the same message may open later.
    - ValueError for wrong padding. Every other exception counts as this, since a token's own
      exceptions have any class: all become the one DecryptionError, after the content was decrypted
      with a random key. So the object must tell apart only what means "not now". TypeError,
      AttributeError, NameError, AssertionError and MemoryError pass as they are: the object itself
      is wrong, or the machine. So does the TypeError for an answer that isn't bytes-like.

    It may be called from several threads at once by :func:`decrypt_many`. It is called at most once
    for a message, and more often only if the identity has no certificate.
    """

    def decrypt(self, ciphertext: bytes, padding: AsymmetricPadding) -> bytes:
        """What ``ciphertext`` decrypts to, without its padding (RFC 8017 sections 7.1.2 and 7.2.2).

        ``ciphertext``: whatever stands in the message, also of another length than the modulus.
        ``padding``: ``PKCS1v15()`` or an ``OAEP`` of
        ``cryptography.hazmat.primitives.asymmetric.padding``.
        """


class ExchangingKey(Protocol):
    """The same for a certificate on an elliptic curve. The errors are those of
    :class:`DecryptingKey`; ValueError is for a point that can't be used."""

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """The shared secret (SEC 1 section 3.3.1): the x coordinate, as long as the curve's field.
        For X25519 and X448 it is called with the peer's public key alone (RFC 7748 section 6)."""


class DecapsulatingKey(Protocol):
    """The same for a certificate with ML-KEM (FIPS 203). The errors are those of
    :class:`DecryptingKey`."""

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The shared secret of 32 bytes."""


_MISTAKES = TypeError, AttributeError, NameError, AssertionError, MemoryError


def result_of(what: str, operation: Callable[..., Any], *arguments: Any) -> bytes | None:
    """What a private key gives, or None if it refuses. ``what``: of the message, for an error's
    text. Raises EnvelopeError ``unsupported-cipher``, KeyUnavailableError, and a mistake of the
    object's author."""
    try:
        return bytes(octets_of(operation(*arguments), "the private key's answer"))
    except (UnsupportedAlgorithm, NotImplementedError) as error:
        raise envelope_error("unsupported-cipher", f"{what}: {error}") from None
    except (KeyUnavailableError, *_MISTAKES):
        raise
    except OSError as error:
        why = str(error) or type(error).__name__
        raise KeyUnavailableError(f"the private key can't be used now ({why})") from error
    except Exception:  # noqa: BLE001 - which one it is must make no difference
        return None
