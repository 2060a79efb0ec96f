"""How to encrypt: the choices that a caller makes once, in one frozen object."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from .ciphers import BY_NAME

# Type checkers need the names once more; a test compares them with the table in ciphers.py.
Cipher = Literal[
    "aes256-cbc", "aes128-cbc", "aes256-gcm", "aes128-gcm", "chacha20-poly1305", "auto"
]
KeyTransport = Literal["pkcs1v15", "oaep-sha256", "oaep-sha384", "oaep-sha512"]
KeyAgreement = Literal["standard", "explicit-null", "sha1-kdf"]
HeaderProtection = Literal["baseline", "shy"] | None
RecipientId = Literal["issuer-serial", "ski"]
AlreadyEncrypted = Literal["pass", "encrypt", "refuse"]

CIPHER_CHOICES: tuple[str, ...] = (*BY_NAME, "auto")
"""What a policy's cipher may be, those that most mail programs read first."""

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


@dataclass(frozen=True, repr=False)
class Policy:
    """The choices for sealing; immutable, so that one can be shared by all threads.

    ``cipher``: the content-encryption algorithm: ``"aes256-cbc"`` or ``"aes128-cbc"`` (RFC 3565);
    ``"aes256-gcm"``, ``"aes128-gcm"`` (RFC 5084) or ``"chacha20-poly1305"`` (RFC 8103), which make
    AuthEnvelopedData; ``"auto"``: the strongest that all certificates name in their S/MIME
    capabilities (RFC 4262), and OAEP for those that name it; one that names none counts as reading
    AES in CBC mode (:meth:`Recipients.cipher` tells the choice).
    ``key_transport``: ``"pkcs1v15"`` (RFC 8017 section 7.2), which every mail program reads, or
    OAEP (RFC 3560) with SHA-256, SHA-384 or SHA-512. ``key_agreement``, for keys on elliptic
    curves: as the standards say (RFC 5753, RFC 8418), with an explicit NULL in the key wrap's
    parameters, or with SHA-1 in the key derivation, for programs that want that.
    ``header_protection``: which of a message's fields the outside still tells (RFC 9788): None
    protects none, ``"baseline"`` and ``"shy"`` are the policies of those names.
    ``forbid``: names of ciphers and key transports that must never be used, whatever the
    recipients wish; whoever can't be encrypted to without is unusable.
    ``recipient_id``: how a recipient is named (RFC 5652 section 6.2.1), ``"issuer-serial"`` or
    ``"ski"``; a certificate without the extension falls back to issuer and serial number.
    ``already_encrypted``: what becomes of a message that is encrypted already: it passes
    unchanged, is encrypted again, or is refused.

    ``refuse`` and ``warn``: the codes of :class:`~cmstream.Problem` that make a certificate
    unusable, and those that give a :class:`~cmstream.RecipientWarning` once for each prepared
    recipient. By default everything warns and nothing refuses: a certificate that has expired
    must not make a server store mail in the clear. What can't work at all (a key that only
    signs, RSA under 1024 bits) is always refused. ``address-mismatch`` comes from the account store
    alone, which knows whose certificate it should be.

    ``refuse``, ``warn`` and ``forbid`` take any set, and are frozensets then.

    Raises :class:`ValueError` for a value that isn't in the lists above, and where a policy forbids
    its own cipher. That it forbids its own key transport is of matter for RSA keys alone.
    """

    cipher: Cipher = "aes256-cbc"
    key_transport: KeyTransport = "pkcs1v15"
    key_agreement: KeyAgreement = "standard"
    header_protection: HeaderProtection = None
    recipient_id: RecipientId = "issuer-serial"
    already_encrypted: AlreadyEncrypted = "pass"
    refuse: AbstractSet[str] = frozenset()
    warn: AbstractSet[str] = PROBLEMS
    forbid: AbstractSet[str] = frozenset()

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                names = ", ".join(map(str, allowed))
                raise ValueError(f"{name}={value!r}: choose one of {names}")
        for name, known in _SETS.items():
            object.__setattr__(self, name, _names(name, getattr(self, name), known))
        if self.cipher in self.forbid:
            raise ValueError(f"forbid: {self.cipher} is this very policy's cipher")

    def __repr__(self) -> str:
        """What differs from the default, in the form in which it is written."""
        values = [(one.name, getattr(self, one.name), one.default) for one in fields(self)]
        changes = [f"{name}={_text(value)}" for name, value, default in values if value != default]
        return f"Policy({', '.join(changes)})"

    def clone(self, **changes: Any) -> Policy:
        """This policy with some of its values changed. Raises ValueError and TypeError as the
        constructor does."""
        return replace(self, **changes)


def _names(what: str, given: Any, known: frozenset[str]) -> frozenset[str]:
    """Some of those that are known. Raises ValueError for others, TypeError for what is no set."""
    if isinstance(given, str):
        raise ValueError(f"{what}: give a set of names, not one text")  # noqa: TRY004
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise TypeError(f"{what}: give a set of names, not {type(given).__name__}")
    every = tuple(given)
    if unknown := [one for one in every if not isinstance(one, str) or one not in known]:
        names = f"{', '.join(sorted(map(repr, unknown)))}: choose among {', '.join(sorted(known))}"
        raise ValueError(f"{what}: there is no {names}")
    return frozenset(every)


def _text(value: Any) -> str:
    """Sets in an order that stays the same."""
    if isinstance(value, frozenset):
        return f"{{{', '.join(map(repr, sorted(value)))}}}" if value else "frozenset()"
    return repr(value)


def _choices() -> dict[str, tuple[Any, ...]]:
    hints = get_type_hints(Policy)
    choices = {name: _allowed(hint) for name, hint in hints.items() if get_args(hint)[1:]}
    return choices | {"cipher": CIPHER_CHOICES}


def _allowed(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal, and None where that will do too."""
    values: list[Any] = []
    for one in get_args(hint):
        values += get_args(one) or [None if one is type(None) else one]
    return tuple(values)


_CHOICES = _choices()
_SETS = {
    "refuse": PROBLEMS,
    "warn": PROBLEMS,
    "forbid": frozenset({*BY_NAME, *_CHOICES["key_transport"]}),
}

DEFAULT = Policy()
"""AES-256-CBC, RSA PKCS #1 v1.5, issuer and serial number: what every mail program reads."""
