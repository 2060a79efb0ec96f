"""Runs batches as tasks of a Ray cluster: on many machines, all of which reach the sources and the
target under the same names."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from .batch import seal
from .errors import ArchiveError
from .processes import Died

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as missing:
    raise ArchiveError(
        "no-package", f"--ray needs another package ({missing}): pip install 'cmstream[ray]'"
    ) from None

if TYPE_CHECKING:
    from .items import Job, Outcome
    from .running import Batch

_ATTEMPTS = 5
"""How often Ray itself gives a task to another worker, where its own was lost."""
_PATIENCE = 10  # seconds
_WAITING = 2
"""Tasks for each processor of the cluster that are given out at the same time."""


class RayTasks:
    """An Executor of a cluster: at most two tasks for each processor are on their way."""

    def __init__(self, job: Job, address: str) -> None:
        """Joins the cluster, unless this process has. Raises ArchiveError ``unreachable``."""
        self._joined = not ray.is_initialized()
        if self._joined:
            try:
                _check_reached(address)
                ray.init(address=address, include_dashboard=False, log_to_driver=False)
            except (OSError, RuntimeError, ValueError) as error:
                raise ArchiveError(
                    "unreachable", f"--ray {address}: there is no cluster: {error}"
                ) from None
        self._job = ray.put(job)
        self._task = ray.remote(max_retries=_ATTEMPTS, num_cpus=1)(seal)
        self._running: dict[Any, Batch] = {}
        resources: Any = ray.cluster_resources  # it has no types
        self._most = _WAITING * max(1, int(resources().get("CPU", 1)))

    @property
    def free(self) -> bool:
        """As Executor says."""
        return len(self._running) < self._most

    @property
    def busy(self) -> bool:
        """As Executor says."""
        return bool(self._running)

    def submit(self, batch: Batch) -> None:
        """As Executor says."""
        self._running[self._task.remote(self._job, batch.items)] = batch

    def answers(self) -> list[tuple[Batch, list[Outcome] | Died]]:
        """As Executor says."""
        done, _ = ray.wait(list(self._running), num_returns=1)
        return [(self._running.pop(one), _answer(one)) for one in done]

    def close(self) -> None:
        """As Executor says."""
        for task in self._running:
            ray.cancel(task, force=True)
        self._running.clear()
        if self._joined:
            ray.shutdown()


def _check_reached(address: str) -> None:
    """Raises OSError at once where Ray would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


def _answer(task: Any) -> list[Outcome] | Died:
    try:
        found: list[Outcome] = ray.get(task)
    except RayTaskError as error:  # what the function itself raised
        raise error.cause from None
    except RayError as error:
        return Died(f"its worker was lost: {type(error).__name__}")
    return found
