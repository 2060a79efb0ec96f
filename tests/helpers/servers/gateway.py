"""The gateway as it is run: the command itself, in a process of its own."""

from __future__ import annotations

import sys

from helpers.gateway_process import no_surprise
from helpers.servers.place import Place, free, wait
from helpers.servers.server import Server

READY = "cmstream: the gateway is ready"


class Gateway(Server):
    """Listens for each protocol named, at a place of its own: ``at["lmtp"]``. ``next_hop`` is what
    the command takes: "lmtp:HOST:PORT". ``prefix``: a program that runs it, and its arguments."""

    def __init__(self, folder, database: str, next_hop=None, *options: str, listen=("lmtp",),
                 prefix=()):  # fmt: skip
        super().__init__(folder)
        self.at: dict[str, Place] = {listen[0]: self.place} | {one: free() for one in listen[1:]}
        self.prefix = prefix
        self.options = ["--database", database, *options]
        if next_hop is not None:
            self.options += ["--next", next_hop]

    def command(self) -> list[str]:
        listen = [word for one in self.at.items() for word in ("--listen", "{}:{}".format(*one))]
        return [*self.prefix, sys.executable, "-m", "cmstream", "gateway", *listen, *self.options]

    def start(self) -> None:
        begun = self.log().count(READY)
        super().start()
        for place in self.at.values():
            wait(place.answers, tell=self.log)
        # Before, it listens and hasn't asked the next hop yet.
        wait(lambda: self.log().count(READY) > begun, tell=self.log)

    def __exit__(self, *raised) -> None:
        super().__exit__(*raised)
        assert raised[0] or no_surprise(self.log()), self.log()

    def stop(self) -> int:
        """By SIGTERM; gives how it ended."""
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
