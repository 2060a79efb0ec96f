"""The recipients of a message, checked once, with their RecipientInfos prepared for each policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from ..certificates import keys
from ..certificates.archive_keys import ArchiveKey
from ..certificates.recipient import Recipient
from ..engine import gate
from ..engine.prepared_recipients import PreparedRecipients
from ..errors import RecipientError, RecipientWarning, warn
from ..policy import DEFAULT, Policy
from . import (
    key_transport,
    policy_resolution,
)
from .recipient_info import unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .policy_resolution import Anyone
    from .recipient_info import RecipientInfoEncoder


_REMEMBERED = 16
"""How many lists that begin with the same recipient are remembered, and policies of each."""


class Preparation(NamedTuple):
    """What recipients need for every message by one policy.

    ``encoders``: what writes their RecipientInfos in Python. ``native``: the same for C.
    """

    encoders: tuple[RecipientInfoEncoder, ...]
    native: PreparedRecipients

    @property
    def encoded_len(self) -> int:
        """How many bytes :meth:`encode` gives."""
        return sum(encoder.encoded_len for encoder in self.encoders)

    def encode(self, content_key: bytes) -> bytes:
        """The encoded RecipientInfos, sorted as DER sorts a SET OF, without the SET's own tag and
        length. Raises RecipientError ``unusable-recipient``."""
        return b"".join(sorted([encoder.encode(content_key) for encoder in self.encoders]))


class Recipients:
    """Who can open a message: certificates, checked once, with their RecipientInfos prepared.

    Takes :class:`Recipient` objects, and what ``Recipient.from_password`` and ``from_kek`` give; a
    duplicate counts once. Immutable, and safe to share between threads. Wherever recipients are
    asked for, a list of them will do: what is prepared for the same objects is remembered.

    Raises :class:`RecipientError` ``no-recipients`` when there are none.
    """

    def __init__(self, recipients: Iterable[Anyone]) -> None:
        if isinstance(recipients, str | bytes) or not isinstance(recipients, Iterable):
            raise _no_recipient(recipients)
        every = tuple(recipients)
        for one in every:
            if not isinstance(one, Recipient | ArchiveKey):
                raise _no_recipient(one)
        self._recipients = tuple(dict.fromkeys(every))
        self._certificates = [one for one in self._recipients if isinstance(one, Recipient)]
        self._prepared: dict[tuple[Policy, int], Preparation] = {}
        self._latest: tuple[Policy, int, Preparation] | None = None
        if not self._recipients:
            raise RecipientError(
                "no-recipients", "there is nobody to encrypt to: give at least one certificate"
            )

    def __iter__(self) -> Iterator[Anyone]:
        return iter(self._recipients)

    def __len__(self) -> int:
        return len(self._recipients)

    def __repr__(self) -> str:
        return f"Recipients({list(self._recipients)!r})"

    def check(self, policy: Policy = DEFAULT) -> None:
        """Raises RecipientError ``unusable-recipient`` if the policy refuses one of them now, or
        one can't be encrypted to at all. Gives a RecipientWarning for the problems that the policy
        warns of, once for each policy."""
        self._prepare(policy)

    def cipher(self, policy: Policy = DEFAULT) -> str:
        """The cipher of a message to them: the policy's own, or with ``cipher="auto"`` the one that
        it chooses for these recipients. Raises as :meth:`check` does."""
        return self._prepare(policy).native.cipher

    def _prepare(self, policy: Policy) -> Preparation:
        latest = self._latest
        # A policy's hash takes longer than all the rest, and it is nearly always the same object.
        if latest and latest[0] is policy and latest[1] == gate.rsa_radixes and not policy.refuse:
            return latest[2]
        if not isinstance(policy, Policy):
            raise TypeError(
                f"policy: {policy!r:.40} is no Policy: give one, as in "
                'cmstream.Policy(cipher="aes256-gcm")'
            )
        kind = policy, gate.rsa_radixes
        prepared = self._prepared.get(kind)
        if prepared is None:
            policies = policy_resolution.resolve_policies(self._recipients, policy)
            encoders = _encoders(self._recipients, policies)
            self._warn(policy)
            native = _native(encoders, policies[0])
            if len(self._prepared) >= _REMEMBERED:
                self._prepared.clear()
            prepared = self._prepared[kind] = Preparation(encoders, native)
        if policy.refuse:
            for recipient in self._certificates:
                _refuse(recipient, policy)
        self._latest = *kind, prepared
        return prepared

    def _warn(self, policy: Policy) -> None:
        for recipient in self._certificates:
            for problem in recipient.problems():
                if problem.code in policy.warn - policy.refuse:
                    text = f"{recipient.subject} ({recipient.fingerprint[:16]}…): {problem}"
                    warn(text, RecipientWarning)


prepare = Recipients._prepare  # noqa: SLF001 - not for users, who have check()
"""``prepare(to, policy)``: what a message to these recipients needs, made once for each policy.
Raises RecipientError ``unusable-recipient``."""


def _encoders(
    recipients: Sequence[Anyone], policies: Sequence[Policy]
) -> tuple[RecipientInfoEncoder, ...]:
    """Those of each kind by its own module, and for one policy together, since some kinds share a
    RecipientInfo among recipients."""
    groups: dict[tuple[str, Policy], list[Any]] = {}
    for recipient, policy in zip(recipients, policies, strict=True):
        groups.setdefault((_kind(recipient), policy), []).append(recipient)
    return tuple(
        encoder
        for (kind, policy), group in groups.items()
        for encoder in _prepare(kind, group, policy)
    )


def _kind(recipient: Anyone) -> str:
    return keys.kind(recipient.public_key) if isinstance(recipient, Recipient) else "archive"


def _prepare(kind: str, group: list[Any], policy: Policy) -> Sequence[RecipientInfoEncoder]:
    """Imports what few messages need only for them: importing takes longer than sealing."""
    if kind == "key-transport":
        return key_transport.prepare(group, policy)
    if kind == "key-agreement":
        from . import key_agreement  # noqa: PLC0415

        return key_agreement.prepare(group, policy)
    if kind == "kem":
        from . import kem  # noqa: PLC0415

        return kem.prepare(group, policy)
    from . import kek_password  # noqa: PLC0415

    return kek_password.prepare(group, policy)


def _native(encoders: tuple[RecipientInfoEncoder, ...], policy: Policy) -> PreparedRecipients:
    version = max(encoder.envelope_version for encoder in encoders)
    rsa = [one for one in encoders if isinstance(one, key_transport.KeyTransport)]
    infos, key_slots = bytes(sum(encoder.encoded_len for encoder in encoders)), None
    if len(rsa) == len(encoders) and (found := key_transport.for_engine(rsa)):
        infos, key_slots = found
    protects_header = policy.header_protection is not None
    return PreparedRecipients(
        infos, version, policy.cipher, key_slots, protects_header=protects_header
    )


def _no_recipient(given: object) -> TypeError:
    what = f"to: {type(given).__name__} is no Recipient"
    if isinstance(given, Recipients | list | tuple):
        return TypeError(f"{what}: give one list of all, [*these, *those]")
    return TypeError(f"{what}: give Recipient objects, as load_recipients makes them")


def as_recipients(to: Recipients | Anyone | Iterable[Anyone]) -> Recipients:
    """The recipients that the caller gave as ``to``; for a list of the same objects as before, the
    same ones with all that was prepared for them."""
    if isinstance(to, Recipients):
        return to
    if not isinstance(to, list | tuple | Recipient | ArchiveKey):
        return Recipients(to)
    # A copy, since another thread may change the list: the key and what is kept must agree.
    every = tuple(to) if isinstance(to, list | tuple) else (to,)
    if not every or not all(type(one) is Recipient for one in every):  # no password is kept
        return Recipients(every)
    # They are kept with the first recipient itself, and go when it goes.
    sets = vars(every[0]).setdefault("_sets", {})
    key = tuple(map(id, every))
    found = sets.get(key)
    if found is None:
        # The key's numbers are those of objects that are kept, duplicates too, as long as it is.
        found = every, Recipients(every)
        if len(sets) >= _REMEMBERED:
            sets.clear()
        sets[key] = found
    recipients: Recipients = found[1]
    return recipients


def _refuse(recipient: Recipient, policy: Policy) -> None:
    refused = [p for p in recipient.problems() if p.code in policy.refuse]
    if refused:
        why = "; ".join(map(str, refused))
        codes = tuple(problem.code for problem in refused)
        raise unusable(recipient, f"the policy refuses it: {why}", codes)
