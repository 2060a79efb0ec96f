"""What a worker has for all sources of a run, and what it says became of them."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ..errors import CmstreamError
from . import places
from .items import Item, Job, Outcome

if TYPE_CHECKING:
    from ..recipients.recipients import Recipients

FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENODEV}
"""Errors of a target that concern everything that is still to come."""


class Worker:
    """Recipients, prepared once, and open places."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.to: Recipients = job.recipients()
        self.sources = [places.source(one) for one in job.roots]
        self.target = places.target(job.target, job.run)

    def splits(self, item: Item) -> bool:
        """Whether a file may turn out to be one that is split."""
        return item.length < 0 and item.kind == "file" and not self.job.as_files

    def is_mail(self, item: Item) -> bool:
        """Whether an item becomes an S/MIME message if it can."""
        return item.kind != "file" and not self.job.as_files

    def again(self, item: Item, digest: bytes) -> Outcome | None:
        """What becomes of a source that the manifest knows and that looks changed; None: seal
        it."""
        if digest == item.known:
            return Outcome(item, "same", digest=digest)
        if not self.job.update:
            why = "it has changed since it was sealed: --update seals it again"
            return Outcome(item, "changed", why=why)
        return None


def unreadable(item: Item, error: OSError) -> Outcome:
    """The outcome for a source that can't be read."""
    return Outcome(item, "unreadable", why=error.strerror or str(error) or type(error).__name__)


def changed_meanwhile(item: Item) -> Outcome:
    """The outcome for a source that somebody writes to."""
    return Outcome(item, "changed-meanwhile", why="it changed while it was read: seal it later")


def not_sealed(item: Item, error: Exception) -> Outcome:
    """The outcome for a source whose octets can't be sealed. Raises what isn't this source's."""
    general = {"unusable-recipient", "no-recipients"}
    if not isinstance(error, CmstreamError) or error.code in general:
        raise error
    return Outcome(item, error.code, why=str(error))


def not_published(item: Item, target: str, failure: OSError) -> Outcome:
    """The outcome for one that the target doesn't take. Raises OSError where it takes no other."""
    if isinstance(failure, FileExistsError):
        return Outcome(item, "exists", target)
    if failure.errno in FATAL:
        raise failure
    return Outcome(item, "unwritable", why=failure.strerror or str(failure))
