"""Measures the mail path: Postfix and real servers behind it, with the gateway in between and
without; the gateway's processor time against a proxy on aiosmtpd; its memory.

python bench/gateway.py [--rounds N] [--quick] [--cores 0,1] [--folder FOLDER] [--out FOLDER]

Needs root, Postfix (with smtp-source and smtp-sink), Dovecot, Linux, and the extras gateway and
bench. All servers are private instances on the loopback. All rows take turns in one run, which
takes about 20 minutes; --quick takes two or three. Everything runs on the processors of --cores, the
queues and mailboxes below --folder: by default in memory, so that no disk hides what the gateway
costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import gateway_memory
import gateway_report as report
import goals
import measure
import results
import samples
from conditions import Conditions
from engines import Engine, Lab
from gateway_report import (
    COMMAND, COMMAND_ALONE, CPU, CPU_LEFT, CPU_PROXY, DOVECOT, DOVECOT_BY_GATEWAY, DOVECOT_BY_PIPE,
    DOVECOT_BY_SOCKET, HAND_OVER, HAND_OVER_BY_GATEWAY, HAND_OVER_SINK, HAND_OVER_SINK_BY_GATEWAY,
    MILTER, NOTHING, SINK, SINK_BY_GATEWAY,
)  # fmt: skip
from mail_load import Command, Direct, Through
from mail_servers import (
    COMMAND as CMSTREAM,
)
from mail_servers import (
    LEFT,
    SEALED,
    Dovecot,
    Gateway,
    Postfix,
    Proxy,
    Sink,
    accounts,
    by_pipe,
    compiled,
    lmtp,
    milter,
    pinned,
)
from run import QUICKLY, Extent, Progress, add_rounds, document, figures_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines import Run
    from goals import Figures
    from samples import Column

SESSIONS = 10
"""Connections of smtp-source at a time."""


class Counts(NamedTuple):
    """Messages in a sample."""

    through: int
    by_pipe: int
    direct: int
    one_by_one: int


COUNTS = Counts(400, 8, 1000, 200)
QUICK_COUNTS = Counts(100, 3, 200, 50)


class Servers:
    """All of them, started. The gateway and the proxy whose processor time is measured have one
    processor for themselves, as far as this run goes."""

    def __init__(self, lab: Lab, folder: Path, cores: list[int]) -> None:
        self._lab, self._folder = lab, folder
        lab.enter_context(pinned(set(cores)))
        compiled()
        self.database = accounts(self._new("accounts"))
        self.dovecot = self._started(Dovecot, [SEALED])
        self.sink = self._started(Sink)
        self.to_dovecot = self._started(Gateway, self.database, self.dovecot.place)
        self.to_sink = self._started(Gateway, self.database, self.sink.place)
        with pinned({cores[-1]}):
            sink, smtp_sink = self._started(Sink), self._started(Sink, lmtp=False)
        with pinned({cores[0]}):
            self.alone = self._started(Gateway, self.database, sink.place)
            self.proxy = self._started(Proxy, self.database, smtp_sink.place)
        self.mailbox = self.dovecot.folder / "mail" / SEALED / "Maildir"

    def postfix(self, name: str) -> Postfix:
        """The Postfix of a row."""
        ways = {
            DOVECOT: partial(lmtp, self.dovecot.place),
            DOVECOT_BY_GATEWAY: partial(lmtp, self.to_dovecot.place),
            DOVECOT_BY_PIPE: partial(self._pipe, None),
            DOVECOT_BY_SOCKET: partial(self._pipe, self.to_dovecot.socket),
            SINK: partial(lmtp, self.sink.place),
            SINK_BY_GATEWAY: partial(lmtp, self.to_sink.place),
            MILTER: partial(milter, f"inet:{self.to_sink.milter}", self.sink.place),
        }
        return self._started(Postfix, ways[name]())

    def _pipe(self, socket: Path | None):
        return by_pipe(self._new("pipe"), self.database, self.dovecot, socket)

    def _started(self, kind, *arguments, **options):
        server = kind(self._new(kind.__name__), *arguments, **options)
        return self._lab.enter_context(server)

    def _new(self, name: str) -> Path:
        made = Path(tempfile.mkdtemp(prefix=f"{name.lower()}-", dir=self._folder))
        made.chmod(0o755)
        return made


def message_file(folder: Path, column: Column) -> Path:
    """The column's first message as smtp-source wants it: it makes the line ends itself."""
    path = folder / f"{column.name.replace(' ', '')}.eml"
    path.write_bytes(column.messages[0].replace(b"\r\n", b"\n"))
    return path


class Rows:
    """Everything that is measured, as engines that take turns."""

    def __init__(self, servers: Servers, lab: Lab, counts: Counts) -> None:
        self._servers, self._folder, self._counts = servers, lab.folder, counts

    def engines(self) -> list[Engine]:
        servers, counts = self._servers, self._counts
        mailbox, alone = servers.mailbox, servers.alone
        small, both = ("4 KiB",), ("4 KiB", "75 KiB")
        one = counts.one_by_one
        return [
            self._through(DOVECOT, small, counts.through, mailbox),
            self._through(DOVECOT_BY_GATEWAY, small, counts.through, mailbox),
            self._through(DOVECOT_BY_PIPE, small, counts.by_pipe, mailbox),
            self._through(DOVECOT_BY_SOCKET, small, counts.by_pipe, mailbox),
            self._through(SINK, both, counts.through),
            self._through(SINK_BY_GATEWAY, both, counts.through),
            self._through(MILTER, both, counts.through),
            self._cpu(CPU, alone, SEALED),
            self._cpu(CPU_LEFT, alone, LEFT),
            self._cpu(CPU_PROXY, servers.proxy, SEALED),
            self._hand_over(HAND_OVER, servers.dovecot, one, mailbox),
            self._hand_over(HAND_OVER_BY_GATEWAY, servers.to_dovecot, one, mailbox),
            self._hand_over(HAND_OVER_SINK, servers.sink, one),
            self._hand_over(HAND_OVER_SINK_BY_GATEWAY, servers.to_sink, one),
            *self._commands(),
        ]

    def _row(self, name: str, sizes: tuple[str, ...], made: Callable[[Path], Run]) -> Engine:
        def prepare(column: Column) -> Run | None:
            wanted = column.name in sizes
            return made(message_file(self._folder, column)) if wanted else None

        return Engine(name, prepare)

    def _through(self, name, sizes, count, mailbox=None) -> Engine:
        postfix = self._servers.postfix(name)
        return self._row(
            name, sizes,
            lambda path: Through(postfix, path, SEALED, count, SESSIONS, mailbox),
        )  # fmt: skip

    def _cpu(self, name, server, to) -> Engine:
        process, count = server.process.pid, self._counts.direct
        return self._row(
            name, ("4 KiB", "75 KiB"),
            lambda path: Direct(server.place, path, to, count, SESSIONS, process=process),
        )  # fmt: skip

    def _hand_over(self, name, server, count, mailbox=None) -> Engine:
        return self._row(
            name, ("4 KiB",),
            lambda path: Direct(server.place, path, SEALED, count, 1, mailbox=mailbox),
        )  # fmt: skip

    def _commands(self) -> list[Engine]:
        database, socket = self._servers.database, self._servers.to_sink.socket
        seal = [CMSTREAM, "seal", "--for", SEALED, "--database", database]
        words = {
            COMMAND: ([CMSTREAM, "seal", "--for", SEALED], {"CMSTREAM_SOCKET": str(socket)}),
            COMMAND_ALONE: (seal, {}),
            NOTHING: ([sys.executable, "-c", "pass"], {}),
        }
        return [
            self._row(name, ("4 KiB",), partial(Command, command, environment=environment))
            for name, (command, environment) in words.items()
        ]


def effort(options: argparse.Namespace) -> measure.Effort:
    """Few long samples: each is many messages."""
    if options.quick:
        return measure.Effort(options.rounds or 3, least=0, budget=8)
    return measure.Effort(options.rounds or 15, least=0, budget=30)


def find(options: argparse.Namespace, progress: Progress) -> report.Found:
    """Measures everything."""
    conditions = Conditions()
    cores = [int(one) for one in options.cores.split(",")]
    counts = QUICK_COUNTS if options.quick else COUNTS
    progress.heading("starting servers")
    with Lab() as lab:
        folder = Path(lab.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        folder.chmod(0o755)
        servers = Servers(lab, folder, cores)
        engines = Rows(servers, lab, counts).engines()
        extent = Extent(["4 KiB", "75 KiB"], 64, effort(options))
        figures: Figures = figures_of(engines, extent, progress)
        progress.heading("memory")
        mib = 64 if options.quick else 1024
        alone = servers.alone
        memory = gateway_memory.above_base(alone.process.pid, alone.place, mib << 20)
    conditions.end([*versions(), f"processors {options.cores}", f"files in {options.folder}"])
    progress.end()
    return report.Found(conditions, figures, mib, memory)


def versions() -> list[str]:
    """Of the other programs."""
    asked = {"Postfix": ["postconf", "-dh", "mail_version"], "Dovecot": ["dovecot", "--version"]}
    return [
        f"{name} {subprocess.check_output(words, text=True).split()[0]}"
        for name, words in asked.items()
    ]


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_rounds(parser)
    every = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    parser.add_argument("--cores", default=every, metavar="N,N",
                        help="processors that everything runs on (default: all)")  # fmt: skip
    memory = "/dev/shm" if Path("/dev/shm").exists() else tempfile.gettempdir()  # noqa: S108
    parser.add_argument("--folder", default=memory,
                        help="where queues and mailboxes stand (default: %(default)s)")  # fmt: skip
    results.add_options(parser)
    options = parser.parse_args()
    found = find(options, Progress())
    print(*report.text(found), sep="\n")
    if options.quick:
        print(QUICKLY)
    results.write_json(options.out / results.GATEWAY, report.as_document(found))
    (options.out / "gateway.md").write_text(report.markdown(found), "utf-8")
    results.publish(options.out)


if __name__ == "__main__":
    main()
