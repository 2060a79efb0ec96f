"""``cmstream serve``: the web page and the HTTP API of the certificate store, by uvicorn."""

from __future__ import annotations

import ipaddress
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from ..accounts.account import Actor
from ..accounts.http.settings import Settings
from ..accounts.people.links import MINUTES
from ..accounts.people.people import People
from ..accounts.sharing import UMASK, SharingError, group_number, share
from . import serve_unit
from .database import add_database, database
from .endings import Failure, heeded
from .managing import failing, opened
from .shared import (
    say,
    subcommand,
    warn,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ..accounts.store import Store

HOST, PORT = "127.0.0.1", 8025
GRACE = 30
"""Seconds that running requests have to end when the server is told to."""
HEALTH = 30
"""Seconds after which a worker that doesn't answer is replaced."""
LINGER = 0.5
"""Seconds that a connection waits for a request that may be on its way when the server ends."""
KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than reverse proxies keep theirs, or one would
send a request just when it is closed."""
BACKLOG = 1024
ADMINISTRATOR = "administrator"
"""The name of the first administrator."""

_LOCAL = {"localhost", "127.0.0.1", "::1"}
_APP = "cmstream.accounts.web.app:create_app"
_EXAMPLES = f"""\
examples:
  cmstream serve
  cmstream serve --database sqlite:////srv/accounts.sqlite3 --workers 4
  cmstream serve --public-url https://keys.example.org --trusted-proxies 127.0.0.1
  cmstream serve --group vmail
  cmstream serve --public-url https://keys.example.org --print systemd

Creates the database, or upgrades an old one. While no administrator can sign in, it prints a link
to choose a password with; the link works once and for {MINUTES} minutes. Each start prints a new
one. Passwords need TLS: unless only this machine uses the page, put a reverse proxy in front and
name it with --trusted-proxies.

Where a mail server of another user seals by cmstream seal, --group lets that user's group use the
database: its folder gets the mode 2770, its files 0660. By hand, as root, where this server's user
is cmstream and the mail server's group vmail:

  usermod --append --groups vmail cmstream
  chgrp vmail /var/lib/cmstream /var/lib/cmstream/accounts.sqlite3*
  chmod 2770 /var/lib/cmstream
  chmod 660 /var/lib/cmstream/accounts.sqlite3*

After SIGTERM or SIGINT, running requests have {GRACE} seconds.

Exit codes: 64 wrong usage, 66 no such database, or permission is denied, 69 the port is taken or
the start fails, 73 the default database's folder can't be made, 75 try again, 77 the group can't be
given the database.
"""


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "serve the web page and the HTTP API of the certificate store"
    parser = subcommand(commands, "serve [options]", text, _EXAMPLES, _serve)
    add = parser.add_argument
    add("--host", default=HOST, help="address to listen at; default: %(default)s")
    add(
        "--port",
        type=int,
        default=PORT,
        help="port to listen at, 0 for a free one; default: %(default)s",
    )
    add("--public-url", metavar="URL",
        help="URL at which people reach it; default: $CMSTREAM_PUBLIC_URL, else http, host and "
        "port")  # fmt: skip
    add("--trusted-proxies", metavar="CIDR,...",
        help="reverse proxies whose X-Forwarded-For and -Proto are trusted; default: "
        "$CMSTREAM_TRUSTED_PROXIES, else none")  # fmt: skip
    add("--notify", metavar="COMMAND",
        help="command that mails owners what others changed, such as '/usr/sbin/sendmail -t -i'; "
        "default: $CMSTREAM_NOTIFY, else nothing is mailed")  # fmt: skip
    add("--group", metavar="GROUP",
        help="group that may use the database too, such as the mail server's")  # fmt: skip
    add(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="number of processes; default: %(default)s",
    )
    add("--print", dest="printed", choices=serve_unit.NAMES,
        help="print the unit that starts this server, and end")  # fmt: skip
    add_database(parser)


def _serve(options: argparse.Namespace) -> None:
    if not 1 <= options.workers <= 1024 or not 0 <= options.port <= 65535:  # noqa: PLR2004
        raise Failure(os.EX_USAGE, "give --workers from 1 to 1024, and --port from 0 to 65535")
    if options.printed:
        with failing(), _sharing():
            if options.group:
                group_number(options.group)
            say(serve_unit.printed(options, usual=(HOST, PORT), grace=GRACE))
        return
    with _listening(options.host, options.port) as listener:
        settings = _settings(options, listener.getsockname()[1])
        with opened(options, create=True) as store:
            _share(store, options.group)
            _first_start(store, settings)
            place = store.database.place
        address, port = listener.getsockname()[:2]
        where = f"listening at {address} port {port} for {settings.origin}"
        print(f"cmstream: {where}, database {place}", file=sys.stderr, flush=True)
        os.environ.update(settings.environment())
        _run(listener, options.workers)


def _share(store: Store, group: str | None) -> None:
    """The mail server, which is another user, gets at the database by its group."""
    if not group:
        return
    file = serve_unit.require_file(store.database.file)
    with _sharing():
        share(file, group)
    os.umask(UMASK)


@contextmanager
def _sharing() -> Iterator[None]:
    try:
        yield
    except SharingError as error:
        raise Failure(os.EX_NOPERM, f"--group: {error}") from None


def _listening(host: str, port: int) -> socket.socket:
    """Bound before anything is created: whoever starts it twice by mistake changes nothing."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with ExitStack() as closing:
            listener = closing.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            closing.pop_all()
    except OSError as error:
        text = f"can't listen at {host} port {port}: {error.strerror}"
        raise Failure(os.EX_UNAVAILABLE, text) from None
    return listener


# --- settings --------------------------------------------------------------------------------


def _settings(options: argparse.Namespace, port: int) -> Settings:
    given = {"public_url": options.public_url, "notify": options.notify}
    chosen = {name: value for name, value in given.items() if value is not None}
    if not os.environ.get("CMSTREAM_PUBLIC_URL"):
        chosen.setdefault("public_url", f"http://{_named(options.host)}:{port}")
    try:
        settings = replace(Settings.from_environment(), database=database(options), **chosen)
    except ValueError as error:
        raise Failure(os.EX_USAGE, str(error)) from None
    if options.trusted_proxies is not None:
        names = options.trusted_proxies.split(",")
        proxies = tuple(name.strip() for name in names if name.strip())
        settings = replace(settings, trusted_proxies=proxies)
    _check(settings)
    for missing in (
        missing_proxy(settings, options.host, port),
        missing_url(settings, options.host),
    ):
        if missing:
            warn(missing)
    return settings


def _named(host: str) -> str:
    """The host in a URL that works on this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified or address.is_loopback:
        return "localhost"
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004


def _check(settings: Settings) -> None:
    try:
        for proxy in settings.trusted_proxies:
            ipaddress.ip_network(proxy)
    except ValueError as error:
        raise Failure(os.EX_USAGE, f"--trusted-proxies: {error}") from None
    program = shlex.split(settings.notify)[:1]
    if program and not shutil.which(program[0]):
        raise Failure(os.EX_USAGE, f"--notify: there is no program {program[0]}")
    if not settings.secure and urlsplit(settings.public_url).hostname not in _LOCAL:
        warn(f"{settings.public_url} isn't https: passwords travel in the clear")


def _for_this_machine(host: str) -> bool:
    """Whether nobody from elsewhere reaches this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOCAL


def missing_proxy(settings: Settings, host: str, port: int) -> str:
    """What to say where people reach the server by a proxy, as its public URL shows, and none is
    trusted; else ""."""
    public = urlsplit(settings.public_url)
    named = public.hostname in _LOCAL
    direct = not settings.secure and (public.port or 80) == port
    if settings.trusted_proxies or (direct and (named or not _for_this_machine(host))):
        return ""
    return (
        f"{settings.public_url} isn't where it listens (http, {host} port {port}), and no proxy is "
        "trusted: all who come through one count as one person, whose wrong passwords keep the "
        "others out; name the proxy with --trusted-proxies"
    )


def missing_url(settings: Settings, host: str) -> str:
    """What to say where others can reach the server, and it answers to this machine's names alone;
    else ""."""
    if not settings.local or settings.hosts or _for_this_machine(host):
        return ""
    return (
        f"others can reach {host}, but the server answers to the name localhost alone: give "
        "--public-url, the URL at which people reach the page"
    )


# --- the first start -------------------------------------------------------------------------


def _first_start(store: Store, settings: Settings) -> None:
    """A way in for the administrator, while there is none."""
    people, by = People(store), Actor("cmstream serve", "administrator")
    if not people.needs_administrator():
        return
    names = [one.name for one in people.everyone() if one.role == "administrator"]
    if not names:
        names = [people.add(ADMINISTRATOR, "administrator", by=by).name]
    secret = people.add_link("first-sign-in", names[0], by=by)
    say(
        f"No administrator can sign in yet. This link lets {names[0]!r} choose a password, once and"
        f" within {MINUTES} minutes:\n{settings.origin}/link/{secret}"
    )


# --- the server ------------------------------------------------------------------------------


def _run(listener: socket.socket, workers: int) -> None:
    config = uvicorn.Config(
        _APP,
        factory=True,
        workers=workers,
        http=Patient,
        lifespan="on",
        ws="none",
        proxy_headers=False,  # the application looks at them
        server_header=False,
        access_log=False,  # the application writes its own, without secrets
        log_config=_LOGGING,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        timeout_worker_healthcheck=HEALTH,
    )
    try:
        started = _several(config, listener) if workers > 1 else _one(config, listener)
    except SystemExit:  # what it found wrong stands in the log
        started = False
    for number in _ENDING:  # it has ended: another signal changes nothing, the exit code least
        signal.signal(number, signal.SIG_IGN)
    if not started:
        raise Failure(os.EX_UNAVAILABLE, "the server can't start: the log says why")


class Patient(H11Protocol):
    """HTTP/1.1 whose connections don't close at once when the server ends: a request may be on its
    way, and is answered. Reverse proxies don't send it to another server."""

    _leaving = False

    def shutdown(self) -> None:
        """The server ends: finish what runs, wait a little for what may come."""
        if self._busy():
            super().shutdown()
        elif not self._leaving:
            self._leaving = True
            self.loop.call_later(LINGER, self._leave)

    def handle_events(self) -> None:
        """Something has come: the last of this connection, if the server ends."""
        super().handle_events()
        if self._leaving and self._busy():
            super().shutdown()

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _leave(self) -> None:
        if not self._busy() and not self.transport.is_closing():
            super().shutdown()


_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""A terminal that is closed ends the server as gently as everybody else."""


def _one(config: uvicorn.Config, listener: socket.socket) -> bool:
    server = uvicorn.Server(config)

    def end(*_: object) -> None:
        server.should_exit = True

    for number in heeded(_ENDING):  # uvicorn raises again what it got, when all has ended well
        signal.signal(number, end)
    server.run(sockets=[listener])
    return server.started


def _several(config: uvicorn.Config, listener: socket.socket) -> bool:
    """Replaces workers that die; at SIGHUP each in turn, without a gap. They count their requests
    in a folder that they share."""
    with tempfile.TemporaryDirectory(prefix="cmstream-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        supervisor = Multiprocess(config, sockets=[listener])
        supervisor.run()
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


_LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        name: {"handlers": ["stderr"], "level": "INFO", "propagate": False}
        for name in ("uvicorn", "cmstream")
    },
}
