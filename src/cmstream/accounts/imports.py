"""Reads an uploaded file and checks its certificates, before any of them is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..certificates import signed_mail
from ..certificates.recipient import Problem, SetAside, read_within
from ..errors import RecipientError, octets_of
from ..policy import Policy
from ..recipients.recipients import Recipients, prepare
from .account import Examined, ImportReport
from .addresses import canonical
from .clients import judge, warn_of_others
from .errors import ImportRefused, Invalid
from .sealed_to import readable, sealed_to, unfit

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..certificates.mail_signature import SignatureCheck
    from ..certificates.recipient import CertificateFile, Recipient
    from .account import Account, StoredCertificate

MAX_BYTES = 64 << 10
"""Bytes of an upload at most,"""
MAX_MAIL = 1 << 20
"""and of a signed mail, which has its text and attachments with it."""
MAX_ITERATIONS = 1_000_000
"""Rounds that one key derivation of an uploaded PFX may take: as many as any program writes.
Thunderbird's files ask three times for 600 000."""
MAX_ACTIVE = 20
"""Active certificates of one account at most: each lookup reads them all, and each message is
sealed to each. That is one for each device, and its successor."""
MAX_HELD = 200
"""Certificates of one account at most: every page and each import reads them all. It is enough for
one new certificate a year for each of ten devices, for twenty years."""


class Upload(NamedTuple):
    """A file that could be read, those of its certificates that mail can be sealed to, and what the
    signature of a mail proves."""

    recipients: tuple[Recipient, ...]
    set_aside: tuple[SetAside, ...]
    private_key_ignored: bool
    signature: SignatureCheck | None = None


def read(data: bytes, password: str | bytes | None = None) -> Upload:
    """Read a file and try each certificate. Raises ImportRefused ``too-large`` before it is
    parsed, ``unusable-recipient``; CertificateError."""
    if len(octets_of(data, "data")) > MAX_BYTES:
        _require_mail(data)
    found = read_within(data, password, MAX_ITERATIONS)
    usable, unusable = _tried(found)
    aside = (*found.set_aside, *unusable)
    return Upload(usable, aside, found.private_key_ignored, found.signature)


def examined(data: bytes | Upload, password: str | bytes | None = None) -> Upload:
    """The same, unless it has been read already. Raises as :func:`read` does."""
    return data if isinstance(data, Upload) else read(data, password)


def _require_mail(data: bytes) -> None:
    if len(data) <= MAX_MAIL and signed_mail.is_signed(data):
        return
    message = f"the file has {len(data)} bytes, and {MAX_BYTES} are taken at most"
    raise ImportRefused(
        "too-large", f"{message}, {MAX_MAIL} of a signed mail: send the certificate alone"
    )


def _tried(found: CertificateFile) -> tuple[tuple[Recipient, ...], list[SetAside]]:
    failures = {one: _failure(one) for one in found.recipients}
    usable = tuple(one for one, reason in failures.items() if not reason)
    aside = [
        SetAside(one.subject, one.fingerprint, one.der, f"{reason}.")
        for one, reason in failures.items()
        if reason
    ]
    if not usable:
        raise ImportRefused("unusable-recipient", next(iter(failures.values())))
    return usable, aside


def _failure(one: Recipient) -> str:
    """Why no mail can be sealed to a certificate that could be read, or ""."""
    try:
        prepare(Recipients([one]), _SILENT).encode(_ANY_KEY)
    except RecipientError as error:
        return str(error)
    return ""


_ANY_KEY = bytes(32)
_SILENT = Policy(cipher="auto", warn=frozenset())


def report(
    upload: Upload,
    account: Account,
    held: Sequence[StoredCertificate],
    *,
    retire_others: bool = False,
    keep: Collection[str] = (),
) -> ImportReport:
    """What an upload means for an account that holds these certificates already."""
    states = {one.fingerprint: one.state for one in held}
    left = [one for one in held if one.fingerprint in keep or not retire_others]
    together = [*upload.recipients, *readable(left)]
    keys, aside = [one.key for one in sealed_to(together)], unfit(together)
    return ImportReport(
        account=account.address,
        certificates=tuple(
            Examined(
                one,
                (
                    *one.problems(),
                    *_mismatch(one, account),
                    *([aside[one]] if one in aside else ()),
                ),
                states.get(one.fingerprint),
            )
            for one in upload.recipients
        ),
        set_aside=upload.set_aside,
        private_key_ignored=upload.private_key_ignored,
        signature=upload.signature,
        findings=(
            *judge(account.clients, cipher=account.cipher or "aes256-cbc", keys=keys),
            *warn_of_others(account.clients, keys),
        ),
    )


def _mismatch(found: Recipient, account: Account) -> Sequence[Problem]:
    """A certificate that names no address at all has another problem, ``no-email``."""
    names = [name for name in map(_canonical, found.emails) if name]
    if not found.emails or any(matches(name, account) for name in names):
        return ()
    theirs = ", ".join(found.emails[:5])
    message = f"The certificate is for {theirs}, not for {account.address}."
    return (Problem("address-mismatch", message),)


def matches(address: str, account: Account) -> bool:
    """Whether an address in canonical form is the account's own, an alias, or in its domains."""
    own = {account.address, *account.aliases}
    return address in own or address.rpartition("@")[2] in account.domains


def _canonical(address: str) -> str | None:
    try:
        return canonical(address)
    except Invalid:
        return None


def require_confirmation(found: ImportReport, *, confirmed: bool) -> None:
    """Raises ImportRefused ``address-mismatch`` with all its sentences."""
    if found.needs_confirmation and not confirmed:
        sentences = [
            str(problem)
            for one in found.certificates
            for problem in one.problems
            if problem.code == "address-mismatch"
        ]
        message = f"{' '.join(sentences)} Confirm it if that is right"
        raise ImportRefused("address-mismatch", message)


def saved(found: ImportReport, *, retired: tuple[str, ...]) -> ImportReport:
    """The same report, when it has been done."""
    return replace(found, retired=retired, saved=True)
