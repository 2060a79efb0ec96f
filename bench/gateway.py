"""Measures the mail path: Postfix and real servers behind it, with the gateway in between and
without; the gateway's processor time against a proxy on aiosmtpd; its memory.

python bench/gateway.py [--rounds N] [--quick] [--cores 0,1] [--folder FOLDER] [--out FOLDER]

Needs Linux, root, Postfix with smtp-source and smtp-sink, Dovecot, and the extras gateway, test and
bench. All servers are private instances on the loopback. All rows take turns in one run, which
takes about 20 minutes; --quick takes two or three. Everything runs on the processors of --cores,
as if by taskset. Queues and mailboxes stand below --folder: by default in memory, so that no disk
hides what the gateway costs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gateway_memory
import gateway_report as rows
import measure
import results
from conditions import Conditions
from engines import Absent, Engine, Lab
from mail_load import Command, Load, Sending
from mail_servers import COMMAND, LEFT, SEALED, Servers, lmtp, milter
from run import QUICKLY, Extent, Progress, add_rounds, figures_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engines import Run
    from samples import Column

SMALL, BOTH = ("4 KiB",), ("4 KiB", "75 KiB")
"""The columns of a row."""


class Counts(NamedTuple):
    """Messages in a sample."""

    through: int
    by_pipe: int
    direct: int
    one_by_one: int


COUNTS = Counts(400, 8, 1000, 200)
QUICK_COUNTS = Counts(100, 3, 200, 50)


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
        """All that are on this machine; says what is left out."""
        try:
            by_pipe = list(self._by_pipe())
        except Absent as reason:
            print(f"Postfix's pipe is left out: {reason}")
            by_pipe = []
        return [*self._through(), *by_pipe, *self._cpu(), *self._hand_over(), *self._commands()]

    def _row(self, name: str, sizes: tuple[str, ...], made: Callable[[Path], Run]) -> Engine:
        def prepare(column: Column) -> Run | None:
            wanted = column.name in sizes
            return made(message_file(self._folder, column)) if wanted else None

        return Engine(name, prepare)

    def _behind_postfix(
        self, name: str, sizes: tuple[str, ...], way: Any, count: int, mailbox: Path | None = None
    ) -> Engine:
        postfix = self._servers.postfix(way)
        load = Load(postfix.place, SEALED, count, mailbox=mailbox)
        return self._row(name, sizes, partial(Sending, load, log=postfix.folder / "log"))

    def _through(self) -> Iterator[Engine]:
        servers, count = self._servers, self._counts.through
        for name, server in ((rows.DOVECOT, servers.dovecot),
                             (rows.DOVECOT_BY_GATEWAY, servers.to_dovecot)):  # fmt: skip
            yield self._behind_postfix(name, SMALL, lmtp(server.place), count, servers.mailbox)
        at = milter(f"inet:{servers.to_sink.milter}", servers.sink.place)
        yield self._behind_postfix(rows.SINK, BOTH, lmtp(servers.sink.place), count)
        yield self._behind_postfix(rows.SINK_BY_GATEWAY, BOTH, lmtp(servers.to_sink.place), count)
        yield self._behind_postfix(rows.MILTER, BOTH, at, count)

    def _by_pipe(self) -> Iterator[Engine]:
        servers, count = self._servers, self._counts.by_pipe
        for name, socket in ((rows.DOVECOT_BY_PIPE, None),
                             (rows.DOVECOT_BY_SOCKET, servers.to_dovecot.socket)):  # fmt: skip
            way = servers.pipe(socket)
            yield self._behind_postfix(name, SMALL, way, count, servers.mailbox)

    def _cpu(self) -> Iterator[Engine]:
        servers = self._servers
        for name, server, to in (
            (rows.CPU, servers.alone, SEALED),
            (rows.CPU_LEFT, servers.alone, LEFT),
            (rows.CPU_PROXY, servers.proxy, SEALED),
        ):
            load = Load(server.place, to, self._counts.direct, lmtp=True)
            yield self._row(name, BOTH, partial(Sending, load, process=server.process.pid))

    def _hand_over(self) -> Iterator[Engine]:
        servers = self._servers
        for name, server, mailbox in (
            (rows.HAND_OVER, servers.dovecot, servers.mailbox),
            (rows.HAND_OVER_BY_GATEWAY, servers.to_dovecot, servers.mailbox),
            (rows.HAND_OVER_SINK, servers.sink, None),
            (rows.HAND_OVER_SINK_BY_GATEWAY, servers.to_sink, None),
        ):
            load = Load(server.place, SEALED, self._counts.one_by_one, sessions=1, lmtp=True,
                        mailbox=mailbox)  # fmt: skip
            yield self._row(name, SMALL, partial(Sending, load))

    def _commands(self) -> Iterator[Engine]:
        database, socket = self._servers.database, self._servers.to_sink.socket
        seal = [COMMAND, "seal", "--for", SEALED]
        for name, words in (
            (rows.COMMAND, [*seal, "--socket", socket]),
            (rows.COMMAND_ALONE, [*seal, "--database", database]),
            (rows.NOTHING, [sys.executable, "-c", "pass"]),
        ):
            yield self._row(name, SMALL, partial(Command, words))


def effort(options: argparse.Namespace) -> measure.Effort:
    """Few long samples: each is many messages."""
    if options.quick:
        return measure.Effort(options.rounds or 3, least=0, budget=8)
    return measure.Effort(options.rounds or 15, least=0, budget=30)


def find(options: argparse.Namespace, progress: Progress) -> rows.Found:
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
        figures = figures_of(engines, extent, progress)
        progress.heading("memory")
        mib = 64 if options.quick else 1024
        alone = servers.alone
        memory = gateway_memory.above_base(alone.process.pid, alone.place, mib << 20)
    conditions.end([*versions(), f"processors {options.cores}", f"files in {options.folder}"])
    progress.end()
    return rows.Found(conditions, figures, mib, memory)


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
    print(*rows.text(found), sep="\n")
    if options.quick:
        print(QUICKLY)
    results.write_json(options.out / results.GATEWAY, rows.as_document(found))
    (options.out / "gateway.md").write_text(rows.markdown(found), "utf-8")
    results.publish(options.out)


if __name__ == "__main__":
    main()
