"""The gateway's figures for Prometheus.

With several worker processes, ``PROMETHEUS_MULTIPROC_DIR`` names a folder that they share, and each
process tells the sum over all of them. The library looks for it when it is imported, so that is
done where the figures of a process begin.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import Counter

    from .outcome import Outcome, Told

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
ROOM = 64
"""So many messages are counted together, since each step of a counter costs some microseconds."""
DELAY = 0.5
"""Seconds after which fewer are."""
_PREFIX = "cmstream_gateway_"
_BUCKETS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600)
_KINDS = tuple(f"{kind}xx" for kind in range(10))


class Metrics:
    """Of one process."""

    def __init__(self) -> None:
        from prometheus_client import (  # noqa: PLC0415 - see above
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
        )

        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            made = Counter(f"{_PREFIX}{name}", text, labels, registry=registry)
            return cache(made.labels)

        self._messages = counter("messages", "Messages that came whole.", "protocol")
        self._bytes = counter("bytes", "Bytes of these messages, as they came.", "protocol")
        text = (
            "Recipients by what became of their mail and why, also those refused before it came; "
            "whoever comes back for another copy counts again."
        )
        self._recipients = counter("recipients", text, "protocol", "action", "reason")
        text = "The next hop's replies for recipients, by the kind of their code."
        self._replies = counter("next_hop_replies", text, "code")
        connections = Gauge(
            f"{_PREFIX}connections", "Clients that are connected now.", ("protocol",),
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._connections = cache(connections.labels)
        seconds = Histogram(
            f"{_PREFIX}stage_seconds",
            "Time that messages took: to seal, at the next hop, and from the message's end to the "
            "last reply (whole).",
            ("stage",), registry=registry, buckets=_BUCKETS,
        )  # fmt: skip
        self._seal, self._next, self._whole = map(seconds.labels, ("seal", "next", "whole"))
        self._waiting: list[tuple[str, Outcome]] = []
        self._timer: asyncio.TimerHandle | None = None

    def message(self, protocol: str, outcome: Outcome) -> None:
        """One message has been answered for. To be called in the process's event loop."""
        self._waiting.append((protocol, outcome))
        if len(self._waiting) >= ROOM:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self.flush)

    def refused(self, protocol: str, told: Told, *, sender: bool = False) -> None:
        """A recipient was refused before a message came, or its sender."""
        if not sender:
            self._recipients(protocol, told.action, told.reason).inc()
        if told.reply is not None:
            self._replies(_KINDS[told.reply.kind]).inc()

    def flush(self) -> None:
        """Counts the messages that wait for it. A process that ends calls it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        steps: defaultdict[Counter, int] = defaultdict(int)
        for protocol, outcome in waiting:
            steps[self._messages(protocol)] += 1
            steps[self._bytes(protocol)] += outcome.length
            for action, reason, _, reply in outcome.recipients:
                steps[self._recipients(protocol, action, reason)] += 1
                if reply is not None:
                    steps[self._replies(_KINDS[reply.kind])] += 1
            self._observe(outcome)
        for counter, step in steps.items():
            counter.inc(step)

    def _observe(self, outcome: Outcome) -> None:
        self._whole.observe(outcome.seconds)
        if outcome.seal_seconds:
            self._seal.observe(outcome.seal_seconds)
        if outcome.next_seconds:
            self._next.observe(outcome.next_seconds)

    def connected(self, protocol: str, change: int) -> None:
        """So many clients more are connected, or fewer."""
        self._connections(protocol).inc(change)

    def render(self) -> tuple[bytes, str]:
        """The figures as Prometheus reads them, and their content type."""
        from prometheus_client import CollectorRegistry, Info  # noqa: PLC0415 - see above
        from prometheus_client.exposition import (  # noqa: PLC0415
            CONTENT_TYPE_PLAIN_0_0_4,
            generate_latest,
        )
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        self.flush()
        registry = self._registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        about = CollectorRegistry()
        Info("cmstream", "This program.", registry=about).info({"version": version("cmstream")})
        return generate_latest(registry) + generate_latest(about), CONTENT_TYPE_PLAIN_0_0_4


def forget_process(pid: int) -> None:
    """A worker has ended: its connections don't count any more."""
    if os.environ.get(FOLDER):
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see above

        mark_process_dead(pid)  # type: ignore[no-untyped-call]
