"""How to seal: the choices that a caller makes once, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_type_hints

Cipher = Literal["aes256-cbc", "aes128-cbc"]
KeyTransport = Literal["pkcs1v15", "oaep-sha256"]
RecipientId = Literal["issuer-serial", "ski"]
AlreadyEncrypted = Literal["pass", "encrypt", "refuse"]

_KEY_LEN = {"aes256-cbc": 32, "aes128-cbc": 16}

PROBLEMS = frozenset(
    {
        "expired",
        "not-yet-valid",
        "no-key-encipherment",
        "no-key-agreement",
        "no-email-protection",
        "weak-key",
        "no-email",
        "ca-certificate",
        "address-mismatch",
    }
)


@dataclass(frozen=True)
class Policy:
    """The choices for sealing; immutable, so that one can be shared by all threads.

    ``cipher``: the content-encryption algorithm (RFC 3565), ``"aes256-cbc"`` or ``"aes128-cbc"``.
    ``key_transport``: ``"pkcs1v15"`` (RFC 8017 section 7.2), which every mail program reads, or
    ``"oaep-sha256"`` (RFC 3560). ``recipient_id``: how a recipient is named (RFC 5652 section
    6.2.1), ``"issuer-serial"`` or ``"ski"``; a certificate without the extension falls back to
    issuer and serial number. ``already_encrypted``: what becomes of a message that is encrypted
    already: it passes unchanged, is encrypted again, or is refused.

    ``refuse`` and ``warn``: the codes of :class:`~cmstream.Problem` that make a certificate
    unusable, and those that give a :class:`~cmstream.RecipientWarning` once for each prepared
    recipient. By default everything warns and nothing refuses: a certificate that has expired
    must not make a server store mail in the clear. What can't work at all (a key that only
    signs, RSA under 1024 bits) is always refused.

    Raises :class:`ValueError` for a value that isn't in the lists above.
    """

    cipher: Cipher = "aes256-cbc"
    key_transport: KeyTransport = "pkcs1v15"
    recipient_id: RecipientId = "issuer-serial"
    already_encrypted: AlreadyEncrypted = "pass"
    refuse: frozenset[str] = frozenset()
    warn: frozenset[str] = PROBLEMS

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name}={value!r}: choose one of {', '.join(allowed)}")
        for name in ("refuse", "warn"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name}: give a set of codes, not one text")  # noqa: TRY004
            codes = frozenset(getattr(self, name))
            if unknown := sorted(codes - PROBLEMS):
                raise ValueError(f"{name}: no such problem: {', '.join(map(repr, unknown))}")
            object.__setattr__(self, name, codes)

    @property
    def key_len(self) -> int:
        """Octets of the content-encryption key."""
        return _KEY_LEN[self.cipher]

    def clone(self, **changes: Any) -> Policy:
        """This policy with some of its values changed. Raises ValueError and TypeError as the
        constructor does."""
        return replace(self, **changes)


def _choices() -> dict[str, tuple[str, ...]]:
    hints = get_type_hints(Policy)
    return {name: get_args(hint) for name, hint in hints.items() if get_args(hint)[1:]}


_CHOICES = _choices()

DEFAULT = Policy()
"""AES-256-CBC, RSA PKCS #1 v1.5, issuer and serial number: what every mail program reads."""
