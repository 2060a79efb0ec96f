"""Looks up how mail for an address is sealed, from a cache that is at most a second old.

An old answer could store mail in the clear: without a fresh one there is an error."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from ..certificates.recipient import Recipient
from ..errors import CmstreamError
from ..policy import DEFAULT, Policy
from ..recipients.recipients import Recipients
from . import record
from .addresses import canonical
from .errors import StoreUnavailable, UnusableAccount
from .sealed_to import current, unfit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from .account import Account, StoredCertificate
    from .record import Ask, Record

FRESH = 0.5
"""Seconds for which the counter of changes is not read again."""
STALE = 1.0
"""Seconds that reading may take; a later answer is refused."""
ROOM = 1 << 15
"""How many answers are kept at most; likewise certificates, and groups of recipients."""


class Reason(NamedTuple):
    """Why mail is sealed or left: ``code``, and a sentence for people. Codes: ``enabled`` where
    it is sealed; ``unknown-address``, ``disabled``, ``switched-off`` (for the whole server),
    ``not-on-append``, ``no-usable-certificate`` where it is left."""

    code: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Seal:
    """What becomes of mail for an address.

    ``action``: ``"seal"``, to ``recipients`` (prepared, and shared by all who ask) and by
    ``policy``; or ``"leave"`` it as it is, where both are None. ``reason`` says why. ``account``
    is the one that the address leads to, or None. ``notes``: sentences about certificates that are
    used although something is wrong with them, or that are left out.
    """

    action: Literal["seal", "leave"]
    reason: Reason
    account: Account | None = None
    recipients: Recipients | None = None
    policy: Policy | None = None
    notes: tuple[str, ...] = ()


class _Instant(NamedTuple):
    """A moment by two clocks, since either may miss time that passed: people set the wall clock,
    and the other may stand still while a virtual machine is paused."""

    wall: float
    boot: float

    @classmethod
    def now(cls) -> _Instant:
        return cls(time.time(), time.clock_gettime(_CLOCK))

    def age(self) -> float:
        """Seconds since, by the clock that says more; endless where one went back."""
        wall, boot = time.time() - self.wall, time.clock_gettime(_CLOCK) - self.boot
        return max(wall, boot) if wall >= 0 <= boot else float("inf")


# The first also counts a machine's sleep.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class _Answer(NamedTuple):
    """``begins``, ``ends``: the seconds since the epoch between which it holds: no certificate
    becomes valid or expires in between."""

    seal: Seal | UnusableAccount
    begins: float
    ends: float


class _Generation:
    """What was read while the counter of changes stood still, and when that was last seen.
    ``edition``: of the database whose counter it is."""

    def __init__(self, edition: object, counter: int, checked: _Instant) -> None:
        self.edition, self.counter, self.checked = edition, counter, checked
        self._answers: dict[tuple[str, bool], _Answer] = {}

    def answer(self, address: str, appended: bool) -> _Answer | None:
        """None where there is none that holds now."""
        found = self._answers.get((address, appended))
        if found is None or not found.begins <= time.time() < found.ends:
            return None
        return found if self.checked.age() < FRESH else None

    def keep(self, address: str, appended: bool, answer: _Answer) -> None:
        _keep(self._answers, (address, appended), answer)


class Readable(Protocol):
    """A database as far as a lookup goes. The others raise StoreUnavailable."""

    def edition(self) -> object:
        """Another one for each file that takes the place of the database: by chance its counter
        may stand where the old one's stood."""

    def counter(self) -> int:
        """How many transactions there have been that may change an answer."""

    def asked(self) -> AbstractContextManager[Ask]:
        """One snapshot: everything asked for in it belongs together."""


class Lookups:
    """Answers for one process, from a cache; safe to share between threads."""

    def __init__(self, database: Readable) -> None:
        self._database = database
        self._lock = Lock()
        self._generation: _Generation | None = None
        self._failed = float("-inf")
        self._rules = SealingRules()

    def seal_for(self, address: str, *, appended: bool = False) -> Seal:
        """How mail for an address is sealed, or why it is left.

        The first key of :func:`~cmstream.accounts.addresses.keys` that the store has decides; the
        switch ``recipient_delimiter`` says what a detail begins with.
        ``appended``: the message is put into the mailbox by a mail program, not delivered.

        Retired certificates aren't used, nor those that can't be encrypted to, nor those that
        aren't meant for it where others are (:func:`~cmstream.certificates.fitness.unfit`), and
        expired ones only where all are: expiry never makes an account unprotected. The server's
        switches override the account's settings.

        No answer is older than a second: what another process changes is seen by then. Raises
        UnusableAccount where mail must be sealed and can't be, StoreUnavailable where the database
        can't be asked, Invalid ``invalid-address`` for what is no address.
        """
        answer = self._kept(address, appended)
        return _given(self._look(address, appended) if answer is None else answer)

    async def seal_for_async(self, address: str, *, appended: bool = False) -> Seal:
        """The same for an event loop: a thread asks the database where the cache has no answer."""
        answer = self._kept(address, appended)
        if answer is None:
            import asyncio  # noqa: PLC0415 - whoever has no event loop needs none

            answer = await asyncio.to_thread(self._look, address, appended)
        return _given(answer)

    def _kept(self, address: str, appended: bool) -> _Answer | None:
        generation = self._generation
        return None if generation is None else generation.answer(address, appended)

    def expire(self) -> None:
        """This process has changed something: nothing is answered that was read before."""
        with self._lock:
            self._generation = None

    def _look(self, address: str, appended: bool) -> _Answer:
        exact, arrived = canonical(address), time.monotonic()
        with self._lock, self._failing(arrived):
            generation = self._checked()
            answer = None if generation is None else generation.answer(address, appended)
            return self._load(address, exact, appended) if answer is None else answer

    @contextmanager
    def _failing(self, arrived: float) -> Iterator[None]:
        """Callers that waited while another one failed get its error at once. Otherwise each would
        wait for the database in turn."""
        if self._failed > arrived:
            raise _unavailable("it could not be asked")
        try:
            yield
        except StoreUnavailable:
            self._failed = time.monotonic()
            raise
        except (ValueError, TypeError, LookupError) as error:
            why = f"it holds what this program can't read, {type(error).__name__}"
            raise _unavailable(why) from error

    def _checked(self) -> _Generation | None:
        """The present one, if nothing has changed since."""
        generation = self._generation
        if generation is None or generation.checked.age() < FRESH:
            return generation
        begun = _Instant.now()
        edition, counter = self._database.edition(), self._database.counter()
        _in_time(begun)
        if (edition, counter) != (generation.edition, generation.counter):
            return None
        generation.checked = begun
        return generation

    def _load(self, address: str, exact: str, appended: bool) -> _Answer:
        begun, edition = _Instant.now(), self._database.edition()
        with self._database.asked() as ask:
            counter = record.counter(ask)
            found = record.read(ask, exact)
        answer = self._rules.answer(address, found, appended=appended, at=begun.wall)
        _in_time(begun)
        now = self._generation
        if now is None or (now.edition, now.counter) != (edition, counter):
            now = self._generation = _Generation(edition, counter, begun)
        now.checked = begun
        now.keep(address, appended, answer)
        return answer


def _given(answer: _Answer) -> Seal:
    if isinstance(answer.seal, UnusableAccount):
        raise UnusableAccount(str(answer.seal), account=answer.seal.account)
    return answer.seal


def _in_time(begun: _Instant) -> None:
    if begun.age() >= STALE:
        raise _unavailable(f"what it said came later than after {STALE:g} s, or the clock was set")


def _unavailable(why: str) -> StoreUnavailable:
    return StoreUnavailable("store-unavailable", f"the store can't answer now ({why}): try again")


# --- the rules -------------------------------------------------------------------------------


class SealingRules:
    """Decides how mail is sealed, by the rules of :meth:`Lookups.seal_for`.

    It keeps the certificates that it has read and the recipients that it has prepared."""

    def __init__(self) -> None:
        self._read: dict[bytes, Recipient | CmstreamError] = {}
        self._groups: dict[tuple[Recipient, ...], Recipients] = {}
        self._policies: dict[tuple[str, str], Policy] = {}

    def answer(self, address: str, record: Record, *, appended: bool, at: float) -> _Answer:
        """``at``: when, in seconds since the epoch."""
        account = record.account
        left = _left(address, record, appended)
        if left is not None or account is None or account.cipher is None:
            return _Answer(Seal("leave", left or _unknown(address), account), 0, float("inf"))
        active = [one for one in record.certificates if one.state == "active"]
        policy = self._policy(account.cipher, account.header_fields(record.switches))
        usable, notes = self._usable(active, policy)
        usable = _fit(usable, notes)
        return _Answer(
            self._sealed(account, record.switches, policy, _current(usable, notes, at), notes),
            *_until(usable, at),
        )

    def _sealed(
        self,
        account: Account,
        switches: Mapping[str, str],
        policy: Policy,
        chosen: Sequence[Recipient],
        notes: list[str],
    ) -> Seal | UnusableAccount:
        why = "none is there" if not notes else " ".join(notes)
        if chosen:
            try:
                recipients = self._group(chosen)
                recipients.check(policy)
            except CmstreamError as error:
                why = str(error)
            else:
                text = f"encryption is on for {account.address}"
                return Seal(
                    "seal", Reason("enabled", text), account, recipients, policy, tuple(notes)
                )
        text = f"{account.address} has no usable certificate ({why})"
        if (switches["when_unusable"] or account.when_unusable) == "clear":
            reason = Reason(
                "no-usable-certificate", f"{text}, so its mail is delivered in the clear"
            )
            return Seal("leave", reason, account, notes=tuple(notes))
        remedy = "import one, or switch its encryption off"
        return UnusableAccount(f"{text}: {remedy}", account=account.address)

    def _policy(self, cipher: str, header_fields: str) -> Policy:
        """One object for all accounts, which is what makes it quick to use. What is wrong with a
        certificate stands in the notes, not in warnings."""
        which = cipher, header_fields
        if which not in self._policies:
            protection = None if header_fields == "none" else header_fields
            self._policies[which] = DEFAULT.clone(
                cipher=cipher, header_protection=protection, warn=frozenset()
            )
        return self._policies[which]

    def _usable(
        self, active: Sequence[StoredCertificate], policy: Policy
    ) -> tuple[list[Recipient], list[str]]:
        """Those that can be encrypted to, and what is to be said of the others."""
        usable, notes = [], []
        for stored in active:
            one = self._tried(stored.der, policy)
            if isinstance(one, Recipient):
                usable.append(one)
            else:
                notes.append(f"Certificate {stored.fingerprint[:16]}… can't be used: {one}.")
        return usable, notes

    def _tried(self, der: bytes, policy: Policy) -> Recipient | CmstreamError:
        one = self._recipient(der)
        if isinstance(one, Recipient):
            try:
                self._group([one]).check(policy)
            except CmstreamError as error:
                return error
        return one

    def _recipient(self, der: bytes) -> Recipient | CmstreamError:
        """Never raises: an error that is kept would keep the frames of all who raised it."""
        if der not in self._read:
            try:
                _keep(self._read, der, Recipient.from_der(der))
            except CmstreamError as error:
                _keep(self._read, der, error.with_traceback(None))
        return self._read[der]

    def _group(self, members: Sequence[Recipient]) -> Recipients:
        which = tuple(members)
        if which not in self._groups:
            _keep(self._groups, which, Recipients(which))
        return self._groups[which]


def _left(address: str, record: Record, appended: bool) -> Reason | None:
    """Why the message isn't to be sealed, or None."""
    account, switches = record.account, record.switches
    if account is None:
        return _unknown(address)
    if switches["encryption"] == "off":
        return Reason("switched-off", "encryption is switched off for the whole server")
    if account.cipher is None:
        return Reason("disabled", f"encryption is off for {account.address}")
    wanted = {"yes": True, "no": False}.get(switches["encrypt_on_append"])
    if appended and not (account.encrypt_on_append if wanted is None else wanted):
        text = f"{account.address} doesn't encrypt what mail programs put into the mailbox"
        return Reason("not-on-append", text)
    return None


def _unknown(address: str) -> Reason:
    return Reason("unknown-address", f"no account has the address {address!r}")


def _fit(usable: Sequence[Recipient], notes: list[str]) -> list[Recipient]:
    """Without those that aren't meant for mail, where others are; each left out is noted."""
    aside = unfit(usable)
    notes += [
        f"Certificate {one.fingerprint[:16]}… is left out: {why}" for one, why in aside.items()
    ]
    return [one for one in usable if one not in aside]


def _current(usable: Sequence[Recipient], notes: list[str], at: float) -> list[Recipient]:
    """Those that haven't expired, or all if all have; what is wrong with each is noted."""
    moment = datetime.fromtimestamp(at, timezone.utc)
    chosen = current(usable, moment)
    for one in usable:
        name = f"Certificate {one.fingerprint[:16]}…"
        if one not in chosen:
            notes.append(f"{name} is left out: it expired on {one.not_after:%Y-%m-%d}.")
        else:
            notes += [f"{name} is used: {problem}" for problem in one.problems(moment)]
    return chosen


def _until(usable: Sequence[Recipient], at: float) -> tuple[float, float]:
    moments = [one.not_before.timestamp() for one in usable]
    moments += [one.not_after.timestamp() for one in usable]
    before = [moment for moment in moments if moment <= at]
    after = [moment for moment in moments if moment > at]
    return max(before, default=0), min(after, default=float("inf"))


def _keep(cache: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    """Keep a value; in a full cache the oldest one is dropped."""
    if len(cache) >= ROOM:
        del cache[next(iter(cache))]
    cache[key] = value
