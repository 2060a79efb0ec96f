"""``cmstream doctor``: looks at everything around the gateway, and says what is wrong and what to
do. Nothing is changed."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..gateway.settings import NEXT, Place, Settings, Tls
from ..gateway.tls import TlsError
from . import doctor_domains, doctor_handover, doctor_path, doctor_postfix, doctor_store
from .database import add_database, database
from .doctor_postfix import Configuration
from .endings import Failure
from .findings import Finding
from .managing import as_json
from .shared import say, subcommand

if TYPE_CHECKING:
    import argparse

    from ..accounts.store import Store

_EXAMPLES = """\
examples:
  cmstream doctor
  cmstream doctor --next lmtp:unix:/run/dovecot/lmtp --test alice@example.org
  runuser -u cmstream -- cmstream doctor --json

Run it as the user that the gateway runs as: it says what that user may not do. It looks at the
database, the gateway's socket, the next hop, and, where Postfix is installed, at its settings and
whether somebody answers where it hands mail over. It changes nothing; only --test with --next sends
a message.

Each line is ok, a warning, or wrong, with what to do. Exit codes: 0 nothing is wrong, 64 wrong
usage, 78 something is wrong.
"""


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "check what the gateway needs, and say what to change"
    parser = subcommand(commands, "doctor [options]", text, _EXAMPLES, _doctor)
    add = parser.add_argument
    add("--socket", metavar="PLACE",
        help="the gateway's socket (seal:): unix:/PATH or inet:HOST:PORT; default: "
        "$CMSTREAM_SOCKET, else the usual one if it is there")  # fmt: skip
    add("--next", dest="next_hop", metavar="PROTOCOL:PLACE",
        help="the gateway's next hop: connects, and says what it announces")  # fmt: skip
    add("--next-starttls", choices=["never", "may", "must"], default="never",
        help="STARTTLS at the next hop; default: %(default)s")  # fmt: skip
    add("--next-ca", default="", metavar="FILE",
        help="authorities of the next hop's certificate; default: the system's")  # fmt: skip
    add("--size-limit", type=int, default=Settings((), "").size_limit, metavar="BYTES",
        help="the gateway's; default: %(default)s")  # fmt: skip
    add("--next-timeout", type=float, default=Settings((), "").next_timeout, metavar="SECONDS",
        help="the gateway's; default: %(default)s")  # fmt: skip
    add("--postfix-config", metavar="DIR", help="another folder than /etc/postfix")
    add("--test", metavar="ADDRESS",
        help="seal a test message for an address, say for which certificates, and with --next "
        "deliver it")  # fmt: skip
    add("--json", action="store_true", help="print JSON")
    add_database(parser)


def _doctor(options: argparse.Namespace) -> None:
    settings = _settings(options)
    with ExitStack() as closing:
        store, findings = doctor_store.look(settings.database)
        if store is not None:
            closing.enter_context(store)
        findings.append(doctor_path.look_at_socket(options.socket))
        longest, told = _postfix(options.postfix_config, settings, store)
        try:
            findings += _next_hop(settings, longest, store, options.test)
        except TlsError as error:
            findings.append(Finding("next hop", "wrong", str(error)))
        findings += told
    rows = [one._asdict() for one in findings]
    say(as_json(rows) if options.json else "\n".join(map(str, findings)))
    if wrong := sum(one.status == "wrong" for one in findings):
        raise Failure(os.EX_CONFIG, f"{wrong} of {len(findings)} findings are wrong")


def _settings(options: argparse.Namespace) -> Settings:
    try:
        settings = Settings(
            (),
            database(options),
            Place.parse(options.next_hop, NEXT) if options.next_hop else None,
            size_limit=options.size_limit,
            next_timeout=options.next_timeout,
            next_connect_timeout=10,
            next_starttls=options.next_starttls,
            next_tls=Tls(ca=options.next_ca),
        )
    except ValueError as error:
        raise Failure(os.EX_USAGE, f"--next: {error}") from None
    try:
        settings.check()
    except ValueError as error:
        raise Failure(os.EX_USAGE, str(error)) from None
    return settings


def _postfix(
    folder: str | None, settings: Settings, store: Store | None
) -> tuple[int | None, list[Finding]]:
    """The longest message that Postfix takes, and what its configuration shows. ``folder``: of
    another configuration."""
    found = doctor_postfix.read(folder)
    if not isinstance(found, Configuration):
        return None, [found] if found else []
    delimiters = store.switches()["recipient_delimiter"] if store is not None else None
    findings = [*doctor_postfix.look(found, settings, delimiters)]
    if store is not None:
        findings += doctor_domains.look(found, store.accounts())
    return found.longest, [*findings, *doctor_handover.look(found, settings.next_hop)]


def _next_hop(
    settings: Settings, longest: int | None, store: Store | None, address: str | None
) -> list[Finding]:
    """What the next hop says, and what becomes of a test message."""
    findings: list[Finding] = []
    reached = False
    if settings.next_hop is not None:
        reached, findings = doctor_path.look_at_next_hop(settings, longest)
    else:
        findings.append(Finding("next hop", "ok", "not looked at: name it with --next"))
    if address and store is None:
        findings.append(Finding("test message", "wrong", "it can't be sealed without the store"))
    elif address and store is not None:
        tried = doctor_store.seal(store, address, socket.gethostname())
        findings += tried.findings
        if tried.sealed is not None and reached:
            findings.append(doctor_path.deliver(settings, address, tried.sealed))
    return findings
