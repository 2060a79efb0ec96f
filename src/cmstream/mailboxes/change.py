"""What becomes of messages that are there already: sealed as the store says for their owner, or
opened with the owner's key."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..accounts import delivery
from ..accounts.errors import UnusableAccount
from ..decryption import decrypt_many
from ..errors import CmstreamError, KeyUnavailableError, UnsealedParts
from ..many import encrypt_many
from ..scratch import Scratch
from ..streams import decrypt_iter
from .errors import MailboxError
from .mailbox import Change, Stored
from .opened_mail import ENOUGH, NO_MAIL, may_be_mail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..accounts import Seal, Store
    from ..certificates.archive_keys import ArchiveKey
    from ..engine.gate import Buffer
    from ..recipients.identity import Identity

Found = tuple[Stored, Scratch]


class Why(NamedTuple):
    """Why messages stay as they are: a code, and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class Left:
    """A message that stays as it is. ``known``: it needs no look again."""

    stored: Stored
    why: Why
    known: bool = False


class Held:
    """A new message in memory. ``crlf``: all its lines are known to end so."""

    __slots__ = ("_data", "crlf")

    def __init__(self, data: Buffer, *, crlf: bool) -> None:
        self._data, self.crlf = data, crlf

    def __len__(self) -> int:
        return len(self._data)

    def chunks(self) -> Iterable[Buffer]:
        """All of it."""
        return (self._data,)


class Changing(Protocol):
    """What a sweep does to messages."""

    def refused(self) -> Why | None:
        """Why all messages would be left now, without a look at them; or None."""

    def changes(self, found: Sequence[Found]) -> list[Change | Left]:
        """For each message what becomes of it. Raises StoreUnavailable, KeyUnavailableError where
        nobody can know now; OSError where the disk is full."""


# --- sealing ---------------------------------------------------------------------------------

_ALREADY = Why("already-encrypted", "it is encrypted already")


class Sealing:
    """Seals as the store says for an address, which is asked again for each batch. ``appended``:
    the messages were put into the mailbox by mail programs. ``proved``: whoever runs it knows that
    the owner has the key; else the store must know it, also after a change of certificates."""

    def __init__(
        self, store: Store, address: str, *, appended: bool = False, proved: bool = True
    ) -> None:
        self._store, self._address, self._appended = store, address, appended
        self._proved = proved

    def refused(self) -> Why | None:
        """What the store says against it."""
        seal = self._asked()
        return None if not isinstance(seal, Why) else seal

    def changes(self, found: Sequence[Found]) -> list[Change | Left]:
        """Those that aren't encrypted already are sealed."""
        seal = self._asked()
        if isinstance(seal, Why):
            return [Left(stored, seal) for stored, _ in found]
        to, policy = seal.recipients, seal.policy
        if to is None or policy is None:
            raise TypeError("a Seal that seals has recipients and a policy")
        jobs = [(message.held, to, policy) for _, message in found if message.held is not None]
        answers = iter(encrypt_many(jobs, return_exceptions=True))
        return [
            _short(stored, message.held, next(answers), _ALREADY)
            if message.held is not None
            else _long(stored, message, lambda one: _sealed(one, seal))
            for stored, message in found
        ]

    def _asked(self) -> Seal | Why:
        try:
            seal = self._store.seal_for(self._address, appended=self._appended)
        except UnusableAccount as error:
            return Why(error.code, str(error))
        if seal.action != "seal":
            return Why(seal.reason.code, seal.reason.message)
        return seal if self._proved or _is_proved(self._store, seal) else _not_proved(seal)


def require_key(store: Store, address: str) -> None:
    """Raises MailboxError ``key-not-proved`` where mail for an address is sealed, and nobody knows
    whether its owner has the key."""
    seal = store.seal_for(address)
    if seal.action != "leave" and not _is_proved(store, seal):
        raise MailboxError(*_not_proved(seal))


def _is_proved(store: Store, seal: Seal) -> bool:
    return seal.account is None or store.key_proved(seal.account.address)


def _not_proved(seal: Seal) -> Why:
    who = seal.account.address if seal.account else "the owner"
    return Why(
        "key-not-proved",
        f"nobody knows whether {who} can open sealed mail: let the owner read a test message and "
        "say so on their page; or, if you know it, give --yes-the-owner-has-the-key",
    )


def _sealed(message: Scratch, seal: Seal) -> Scratch | Why:
    if seal.recipients is None or seal.policy is None or delivery.is_encrypted(message):
        return _ALREADY
    return delivery.sealed(message, seal.recipients, seal.policy)


# --- opening ---------------------------------------------------------------------------------

_NOT_SEALED = Why("not-encrypted", "it isn't S/MIME-encrypted")
_PARTS = Why(
    "unsealed-parts", "it has parts beside the sealed one, which would be lost: open it by itself"
)
_NOISE = Why("decryption-failed", NO_MAIL)


class Opening:
    """Opens with the owner's keys."""

    def __init__(self, identities: Sequence[Identity | ArchiveKey]) -> None:
        self._me = tuple(identities)

    def refused(self) -> None:
        """Nothing is against it."""

    def changes(self, found: Sequence[Found]) -> list[Change | Left]:
        """Those that are for one of the keys are opened."""
        short = [message.held for _, message in found if message.held is not None]
        opened = zip(short, self._opened(short), strict=True)
        answers = iter([self._checked(one, answer) for one, answer in opened])
        changes = [
            _short(stored, message.held, next(answers), _NOT_SEALED)
            if message.held is not None
            else _long(stored, message, self._open_long)
            for stored, message in found
        ]
        return [_known(one) for one in changes]

    def _opened(self, sealed: Sequence[Buffer]) -> list[bytes | Exception]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UnsealedParts)
            answers = decrypt_many([(one, self._me) for one in sealed], return_exceptions=True)
        for answer in answers:
            if isinstance(answer, KeyUnavailableError):
                raise answer
        if caught and len(sealed) > 1:  # which of them is it?
            return [answer for one in sealed for answer in self._opened([one])]
        return [MailboxError(*_PARTS)] if caught else answers

    def _checked(self, sealed: Buffer, opened: bytes | Exception) -> bytes | Exception:
        if isinstance(opened, Exception):
            return opened
        try:
            is_mail = may_be_mail(opened, sealed, self._me)
        except KeyUnavailableError:
            raise
        except CmstreamError as error:
            return error
        return opened if is_mail else MailboxError(*_NOISE)

    def _open_long(self, message: Scratch) -> Scratch | Why:
        opened = Scratch()
        message.seek(0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UnsealedParts)
            for piece in decrypt_iter(message, self._me, message=True):
                opened.write(piece)
        if caught:
            return _PARTS
        opened.seek(0)
        beginning = opened.read(ENOUGH) or b""
        return opened if may_be_mail(beginning, message, self._me) else _NOISE


def _known(change: Change | Left) -> Change | Left:
    """With another word for what isn't sealed, which needs no look again."""
    if isinstance(change, Left) and change.why.code in _PLAIN:
        return Left(change.stored, _NOT_SEALED, known=True)
    return change


_PLAIN = {"not-enveloped", "empty", "not-encrypted"}

# --- both ------------------------------------------------------------------------------------


def _short(stored: Stored, old: Buffer, new: Buffer | Exception, same: Why) -> Change | Left:
    """What becomes of a message in memory. ``same``: why it came out as it went in."""
    if isinstance(new, Exception):
        return Left(stored, _why(new))
    if len(new) == len(old) and new == old:
        return Left(stored, same, known=True)
    sha256 = hashlib.sha256
    made = Held(new, crlf=same is _ALREADY)
    return Change(stored, sha256(old).digest(), made, sha256(new).digest())


def _long(stored: Stored, message: Scratch, change: _Changer) -> Change | Left:
    """What becomes of one that is read piece by piece."""
    try:
        new = change(message)
    except KeyUnavailableError:
        raise
    except CmstreamError as error:
        return Left(stored, _why(error))
    if isinstance(new, Why):
        return Left(stored, new, known=new is _ALREADY)
    return Change(stored, _digest(message), new, _digest(new))


class _Changer(Protocol):
    def __call__(self, message: Scratch, /) -> Scratch | Why: ...


def _why(error: Exception) -> Why:
    if isinstance(error, CmstreamError):
        return Why(error.code, str(error))
    if isinstance(error, ValueError | TypeError):
        return Why("failed", f"{type(error).__name__}: {error}")
    raise error


def _digest(message: Scratch) -> bytes:
    found = hashlib.sha256()
    for piece in message.chunks():
        found.update(piece)
    return found.digest()
