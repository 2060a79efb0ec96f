"""The values that the store gives: accounts, their certificates, entries of the audit log."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..certificates.recipient import Recipient
from .account_settings import HEADER_PROTECTIONS, SETTINGS, AccountSettings
from .addresses import DELIMITERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..certificates.mail_signature import SignatureCheck
    from ..certificates.recipient import Problem, SetAside
    from .clients import Finding

Role = Literal["owner", "administrator"]
State = Literal["active", "retired"]

_HEADER_PROTECTIONS = HEADER_PROTECTIONS[1:]

SWITCHES: dict[str, tuple[str, ...]] = {
    "encryption": ("as-accounts-say", "off"),
    **{name: ("", *SETTINGS[name].words) for name in ("encrypt_on_append", "when_unusable")},
    "header_protection": ("", *_HEADER_PROTECTIONS),
    "default_header_protection": _HEADER_PROTECTIONS,
    "recipient_delimiter": (DELIMITERS,),
    "append_sealed_by": ("none", "script", "sweeper"),
}
"""The server-wide switches and their values, the default first; an empty one overrides nothing.
``default_header_protection`` is for accounts that leave it to the server.
``recipient_delimiter`` also takes other characters, and none
(:func:`~cmstream.accounts.addresses.delimiters_of`). ``append_sealed_by`` says what seals mail that
mail programs save themselves (``encrypt_on_append``) on this server: nothing, a script of the mail
server that calls ``cmstream seal --append``, or a program that goes through the mailboxes. It
decides what pages say and offer, and no lookup."""


class Actor(NamedTuple):
    """Who makes a change: a name for the audit log, and what it may do. ``owner``: what the
    account's own owner may; whoever calls the store has checked that. ``stands_in_for``: the
    account's address, if it isn't the owner but an administrator's program that may do no more."""

    name: str
    role: Role
    stands_in_for: str | None = None

    @property
    def logged(self) -> tuple[str, Role]:
        """Name and role as the audit log has them: what an administrator's program does, somebody
        else does for the account."""
        if self.stands_in_for is None:
            return self.name, self.role
        return f"{self.name}, for {self.stands_in_for}", "administrator"


def checked_actor(by: Actor) -> Actor:
    """The same one. Raises TypeError for what is none."""
    if not isinstance(by, Actor):
        raise TypeError(f'by: give an Actor("name", "administrator"), not {type(by).__name__}')
    return by


@dataclass(frozen=True, kw_only=True)
class Account(AccountSettings):
    """A mailbox and how its mail is sealed.

    ``address`` is in its canonical form. The settings are those of :class:`AccountSettings`.
    ``active``, ``retired``: how many certificates it has; ``expires_at``: when the last of those
    does that its mail is sealed to, None without any.
    """

    id: int
    address: str
    created_at: datetime
    active: int = 0
    retired: int = 0
    expires_at: datetime | None = None

    @property
    def protected(self) -> bool:
        """Whether mail is sealed: a cipher is set and a certificate is active."""
        return self.cipher is not None and self.active > 0

    def header_fields(self, switches: Mapping[str, str]) -> str:
        """Which header fields are sealed too, once the server's switches are looked at: ``none``,
        ``baseline`` or ``shy``."""
        own = self.header_protection
        chosen = switches["default_header_protection"] if own == "as-server-says" else own
        return switches["header_protection"] or chosen


@dataclass(frozen=True)
class StoredCertificate:
    """A certificate of an account. ``set_aside``: whether it is active and yet nothing is sealed to
    it, since another active one is meant for mail. ``recipient`` is read from ``der`` when it is
    asked for and raises :class:`~cmstream.CertificateError` if this program can't read it."""

    fingerprint: str
    der: bytes = field(repr=False)
    description: str
    state: State
    mismatch_confirmed: bool
    not_after: datetime
    added_at: datetime
    added_by: str
    set_aside: bool = False

    @cached_property
    def recipient(self) -> Recipient:
        return Recipient.from_der(self.der)


@dataclass(frozen=True)
class AuditEntry:
    """One change: when, who, to which account, what, which certificate. ``detail`` holds the
    values that changed, as JSON has them. ``account_id`` and ``address`` are None for a change
    that bears on the whole server."""

    id: int
    at: datetime
    actor: str
    role: Role
    account_id: int | None
    address: str | None
    action: str
    fingerprint: str | None
    detail: Mapping[str, object]
    acknowledged_at: datetime | None

    @property
    def needs_acknowledgement(self) -> bool:
        """Whether somebody else changed the account and its owner hasn't said yet to know it."""
        foreign = self.account_id is not None and self.role != "owner"
        return foreign and self.acknowledged_at is None


@dataclass(frozen=True)
class Examined:
    """One certificate of an upload. ``problems``: what is wrong with it, ``address-mismatch``
    and ``set-aside`` among it; ``known``: the account's state of it if it has the certificate
    already."""

    recipient: Recipient
    problems: tuple[Problem, ...]
    known: State | None = None


@dataclass(frozen=True)
class ImportReport:
    """What an upload holds and what becomes of it.

    ``certificates``: what would be taken, or was; ``set_aside``: what isn't, with the reason;
    ``private_key_ignored``: a private key came along and wasn't kept. ``findings``: what speaks
    against it for the mail programs that the account names. ``retired``: the fingerprints of those
    that are retired by it. ``saved``: whether it is in the store. ``signature``: what the signature
    proves of a signed mail's certificate, None for any other file.
    """

    account: str
    certificates: tuple[Examined, ...]
    set_aside: tuple[SetAside, ...] = ()
    private_key_ignored: bool = False
    findings: tuple[Finding, ...] = ()
    retired: tuple[str, ...] = ()
    saved: bool = False
    signature: SignatureCheck | None = None

    @property
    def needs_confirmation(self) -> bool:
        """Whether a certificate is for another address: it is saved only when confirmed."""
        codes = {p.code for one in self.certificates for p in one.problems}
        return "address-mismatch" in codes
