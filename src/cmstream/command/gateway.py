"""``cmstream gateway``: the process that mail servers hand their mail to."""

from __future__ import annotations

import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..gateway.printed import NAMES, printed
from ..gateway.server import serve
from ..gateway.settings import NEXT, Place, Settings, Tls
from ..gateway.sockets import NoSocket
from ..gateway.tls import TlsError
from .database import add_database, database
from .endings import Failure
from .managing import opened
from .shared import say, subcommand

if TYPE_CHECKING:
    import argparse

DEFAULT = Settings((), "")
_EXAMPLES = """\
examples:
  cmstream gateway --listen lmtp:127.0.0.1:10024 --next lmtp:unix:/run/dovecot/lmtp
  cmstream gateway --listen smtp:127.0.0.1:10026 --next smtp:127.0.0.1:10027
  cmstream gateway --listen milter:127.0.0.1:10025 --listen seal:unix:/run/cmstream/seal
  cmstream gateway --listen lmtp:127.0.0.1:10024 --next lmtp:unix:/run/dovecot/lmtp --print postfix

A place is HOST:PORT, inet:HOST:PORT, inet6:[HOST]:PORT, unix:PATH, or systemd:NAME for a socket
that systemd opened. Protocols: lmtp and smtp take mail, seal it as the certificate store says and
hand it to the next hop; lmtps and smtps are the same with TLS from the first byte; milter changes
mail inside Postfix; seal is what cmstream seal talks to.

The gateway keeps no queue: it answers for a message when the next hop has, with the next hop's
words. Where mail can't be sealed now, the sender is told to try again, and nothing is given on.

SIGTERM ends it once what has been begun is done. SIGHUP reads TLS certificates again and reopens
the log file.

Exit codes: 64 wrong usage, 66 no such database, or permission is denied, 69 it can't
listen, 75 try again.
"""


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "take mail from a mail server, seal it, and hand it on"
    usage = "gateway --listen PROTOCOL:PLACE [--listen ...] [--next PROTOCOL:PLACE] [options]"
    parser = subcommand(commands, usage, text, _EXAMPLES, _gateway)
    add = parser.add_argument
    add("--listen", action="append", required=True, metavar="PROTOCOL:PLACE",
        help="where to listen; may be given several times")  # fmt: skip
    add("--next", dest="next_hop", metavar="PROTOCOL:PLACE",
        help="the server that gets the mail; needed for lmtp and smtp")  # fmt: skip
    add("--workers", type=int, default=1, metavar="N",
        help="processes that share the sockets; default: %(default)s")  # fmt: skip
    add("--print", dest="printed", choices=NAMES,
        help="print configuration for that program with these places, and end")  # fmt: skip
    add_database(parser)
    _add_rules(parser.add_argument_group("rules").add_argument)
    _add_limits(parser.add_argument_group("limits").add_argument)
    _add_trust(parser.add_argument_group("TLS and trust").add_argument)
    _add_outside(parser.add_argument_group("seen from outside").add_argument)


def _add_rules(add: Any) -> None:
    add("--require", action="store_true",
        help="mail that would be left in the clear waits at the sender (451)")  # fmt: skip
    add("--mixed", choices=["together", "split"], default=DEFAULT.mixed,
        help="smtp and milter: one message for several accounts, which tells each that others get "
        "it, or ask the sender for one message for each; default: %(default)s")  # fmt: skip
    add("--domain", default="",
        help="domain of recipients that have none; without it their mail must wait")  # fmt: skip
    add("--stream", action="store_true",
        help="LMTP: give long messages on as they come, in BER, which some can't read")  # fmt: skip
    add("--received", action="store_true",
        help="add a Received field, and refuse mail that goes round in circles")  # fmt: skip
    add("--hop-limit", type=int, default=DEFAULT.hop_limit, metavar="N",
        help="the most Received fields of a mail; default: %(default)s")  # fmt: skip
    add("--hostname", default=DEFAULT.hostname,
        help="the name in greetings; default: this machine's")  # fmt: skip


def _add_limits(add: Any) -> None:
    for name, metavar, text in (
        ("memory", "BYTES", "a longer message waits in an encrypted temporary file"),
        ("size-limit", "BYTES", "the longest message"),
        ("recipient-limit", "N", "recipients of one message"),
        ("connection-limit", "N", "connections at one --listen, for each worker"),
        ("client-limit", "N", "connections from one client address, for each worker"),
        ("command-limit", "N", "commands without a message"),
        ("command-timeout", "SECONDS", "time that a client has for a command"),
        ("data-timeout", "SECONDS", "time between two pieces of a message"),
        ("next-timeout", "SECONDS", "time that the next hop has; the sender must wait longer"),
        ("next-connections", "N", "connections to the next hop, for each worker"),
        ("drain-timeout", "SECONDS", "time to end what was begun, after SIGTERM"),
    ):  # fmt: skip
        default = getattr(DEFAULT, name.replace("-", "_"))
        add(f"--{name}", type=type(default), default=default, metavar=metavar,
            help=f"{text}; default: %(default)s")  # fmt: skip


def _add_trust(add: Any) -> None:
    add("--socket-mode", type=_octal, default=DEFAULT.socket_mode, metavar="MODE",
        help="mode of the Unix sockets, as chmod(1) has it; default: %(default)s")  # fmt: skip
    add("--socket-group", default="", metavar="GROUP",
        help="their group: whose members may hand mail in; default: the gateway's")  # fmt: skip
    add("--tls-certificate", default="", metavar="FILE",
        help="PEM chain: offers STARTTLS, and is needed for lmtps and smtps")  # fmt: skip
    add("--tls-key", default="", metavar="FILE", help="its key; default: in the same file")
    add("--tls-client-ca", default="", metavar="FILE",
        help="clients must show a certificate of these authorities")  # fmt: skip
    add("--require-tls", action="store_true", help="take no mail without TLS")
    add("--next-starttls", choices=["never", "may", "must"], default=DEFAULT.next_starttls,
        help="STARTTLS at the next hop; default: %(default)s")  # fmt: skip
    add("--next-ca", default="", metavar="FILE",
        help="authorities of the next hop's certificate; default: the system's")  # fmt: skip
    add("--next-certificate", default="", metavar="FILE", help="certificate shown to the next hop")
    add("--next-key", default="", metavar="FILE", help="its key")
    add("--xforward", action="store_true",
        help="take XFORWARD (the client's client, the queue id) and hand it on")  # fmt: skip
    add("--xclient", action="store_true", help="take XCLIENT")
    add("--announce-chunking", choices=["yes", "no"],
        help="default: with lmtp only; Exim tries refused recipients again at once only without "
        "it")  # fmt: skip
    add("--no-next-chunking", action="store_true", help="never use BDAT at the next hop")


def _octal(text: str) -> str:
    if not 0 < int(text, 8) <= 0o777:  # noqa: PLR2004
        raise ValueError(text)
    return text


def _add_outside(add: Any) -> None:
    add("--health", metavar="HOST:PORT",
        help="HTTP port with /health, /ready and /metrics (Prometheus)")  # fmt: skip
    add("--log-format", choices=["text", "json"], default="text", help="default: %(default)s")
    add("--log-file", metavar="FILE", help="default: standard error")


def _gateway(options: argparse.Namespace) -> None:
    settings = _settings(options)
    if options.printed:
        try:
            say(printed(options.printed, settings))
        except ValueError as error:
            raise Failure(os.EX_USAGE, str(error)) from None
        return
    with opened(options):  # whoever names a wrong database learns it now
        pass
    try:
        serve(settings)
    except NoSocket as error:
        raise Failure(os.EX_UNAVAILABLE, str(error)) from None
    except TlsError as error:
        raise Failure(os.EX_USAGE, str(error)) from None
    if sys.stderr is not None:
        print("cmstream: the gateway has ended", file=sys.stderr, flush=True)


def _settings(options: argparse.Namespace) -> Settings:
    """Raises Failure for what doesn't fit together."""
    try:
        listen = tuple(Place.parse(one) for one in options.listen)
        next_hop = Place.parse(options.next_hop, NEXT) if options.next_hop else None
        health = Place.parse(f"http:{options.health}", ("http",)) if options.health else None
        read = {
            "listen": listen,
            "database": database(options),
            "next_hop": next_hop,
            "health": health,
            "announce_chunking": {"yes": True, "no": False}.get(options.announce_chunking),
            "next_chunking": not options.no_next_chunking,
            "tls": Tls(options.tls_certificate, options.tls_key, options.tls_client_ca),
            "next_tls": Tls(options.next_certificate, options.next_key, options.next_ca),
            "log_file": Path(options.log_file) if options.log_file else None,
        }
        # The others are settings as they are given.
        known = {one.name for one in fields(Settings)}
        given = {name: value for name, value in vars(options).items() if name in known}
        settings = Settings(**given | read)
        settings.check()
    except ValueError as error:
        raise Failure(os.EX_USAGE, str(error)) from None
    return settings
