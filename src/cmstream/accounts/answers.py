"""What ``cmstream seal`` answers about a message, by itself or through a gateway: an exit code of
sysexits(3), and sentences for people."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import CmstreamError, MessageError
from .delivery import mixed_key_warnings, odd_header
from .errors import Invalid, MixedRecipients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..policy import Policy
    from ..recipients.recipients import Recipients
    from ..scratch import Scratch
    from .lookup import Seal

ALREADY = "it is encrypted already [already-encrypted]"
_ONCE = "call cmstream seal once for each recipient"


def notes(seals: Sequence[Seal]) -> list[str]:
    """What is wrong with certificates, each sentence once."""
    return [
        f"warning: {note}" for note in dict.fromkeys(note for one in seals for note in one.notes)
    ]


def why_left(seals: Sequence[Seal]) -> str:
    """Why the message is for nobody who has it sealed."""
    return "; ".join(dict.fromkeys(f"{one.reason} [{one.reason.code}]" for one in seals))


def warnings(message: Scratch, seals: Sequence[Seal], to: Recipients, policy: Policy) -> list[str]:
    """What is wrong with a message that is sealed all the same."""
    odd = odd_header(message)
    return [
        *([f"warning: {odd}"] if odd else []),
        *(f"warning: {one} Or {_ONCE}." for one in mixed_key_warnings(seals, to, policy)),
    ]


def unchanged(why: str, *, require: bool) -> tuple[int, str]:
    """The answer where the message isn't sealed: 75 if that is required, else 0."""
    if require:
        return os.EX_TEMPFAIL, f"--require: the message isn't sealed: {why}"
    return os.EX_OK, f"unchanged: {why}"


def failure(error: Exception) -> tuple[int, str]:
    """The answer where something went wrong."""
    if isinstance(error, Invalid):
        return os.EX_USAGE, f"--for: {error} [{error.code}]"
    if isinstance(error, MixedRecipients):
        return os.EX_TEMPFAIL, f"{error}: {_ONCE}"
    if isinstance(error, CmstreamError):
        malformed = isinstance(error, MessageError)
        return os.EX_DATAERR if malformed else os.EX_TEMPFAIL, f"{error} [{error.code}]"
    if isinstance(error, OSError):
        return os.EX_TEMPFAIL, str(error.strerror or error)
    return os.EX_TEMPFAIL, f"unexpected error ({type(error).__name__}): try again"
