"""Seals sources into an archive: the one call behind ``cmstream archive seal``."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ..certificates.archive_keys import Password
from ..policy import DEFAULT, Policy
from ..recipients.recipients import Recipients
from . import places
from .batch import seal as seal_batch
from .errors import ArchiveError
from .items import Job
from .processes import local
from .running import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..certificates.recipient import Recipient
    from .processes import Executor
    from .report import Report
    from .running import Batch

    Anyone = Recipient | Password


def seal(
    sources: Sequence[str],
    target: str,
    to: Iterable[Anyone],
    *,
    policy: Policy = DEFAULT,
    as_files: bool = False,
    update: bool = False,
    processes: int | None = None,
    ray: str | None = None,
    take_over: bool = False,
    tell: Callable[[Report], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Seals what is in ``sources`` and isn't yet in ``target``, and says what became of it.

    Both are local paths or URLs of buckets. ``as_files``: mails, mbox and tar files are sealed as
    they are. ``update``: sources that changed since are sealed again. ``processes``: how many, by
    default one for each processor; with ``ray``, the address of a cluster or ``auto``, its workers
    in their place. ``take_over``: the run that a bucket's lock names is known to be dead.
    ``tell`` is called now and then with what was done so far, and ``stop`` is asked: once it says
    yes, what workers have is finished and noted, and nothing more is begun.

    Raises ArchiveError, RecipientError, and OSError where the target can't take more.
    """
    everyone = list(to)
    policy = policy.clone(already_encrypted="encrypt")  # else it would stay somebody else's
    Recipients(everyone).check(policy)
    roots = [places.absolute(one) for one in sources]
    labels = [places.label(one) for one in sources]
    _check(roots, labels, target := places.absolute(target))
    certificates = tuple(one.der for one in everyone if not isinstance(one, Password))
    passwords = tuple(one for one in everyone if isinstance(one, Password))
    job = Job(
        tuple(roots), target, certificates, passwords, policy, as_files, update, os.urandom(8).hex()
    )
    archive = places.archive(target)
    archive.create()
    with archive.locked(take_over=take_over):
        archive.clean()
        manifest = archive.manifest(create=True)
        executor: Executor | None = None
        try:
            who = manifest.number_of(_named(everyone))
            run = Run(job, labels, archive, manifest, who)
            executor = _executor(job, processes, ray)
            return run.seal(executor, tell, stop)
        finally:
            if executor:
                executor.close()
            manifest.close()
            archive.clean()


def _executor(job: Job, processes: int | None, ray: str | None) -> Executor:
    if ray:
        from .ray_tasks import RayTasks  # noqa: PLC0415 - needs a package that nothing else needs

        return RayTasks(job, ray)
    return local(partial(_seal_items, job), processes)


def _seal_items(job: Job, batch: Batch) -> Any:
    return seal_batch(job, batch.items)


def _named(everyone: Iterable[Anyone]) -> list[str]:
    """Recipients as the manifest has them: certificates in base64, so that the archive can be
    checked without any file beside it."""
    return [
        "password" if isinstance(one, Password) else one.pem.decode("ascii") for one in everyone
    ]


def _check(roots: Sequence[str], labels: Sequence[str], target: str) -> None:
    if len(set(labels)) < len(labels):
        twice = next(one for one in labels if labels.count(one) > 1)
        raise ArchiveError(
            "same-name",
            f"two sources are called {twice!r}: give them to two runs with two targets, or the "
            "folder that holds both",
        )
    for root in roots:
        if not places.is_bucket(root) and not os.path.lexists(root):
            raise ArchiveError("no-source", f"{root}: there is no such file or folder")
        if places.is_within(root, target) or places.is_within(target, root):
            raise ArchiveError(
                "overlap", f"{root}: the source and the target {target} lie one in the other"
            )
