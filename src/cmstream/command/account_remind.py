"""``cmstream account remind``: mails owners before their certificate expires."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from argparse import ArgumentTypeError
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..accounts import reminders
from ..gateway.units import program
from .endings import Failure
from .managing import opened
from .shared import say, subcommand, warn

if TYPE_CHECKING:
    import argparse

    from ..accounts.reminders import Reminder

_MOST = 3650
_PROGRAM = shlex.join(program())
_EXAMPLES = f"""\
examples:
  cmstream account remind --notify '/usr/sbin/sendmail -t -i'
  cmstream account remind --before 60,30,7,1,0 --dry-run

Call it once a day, by cron for example. Each owner gets each reminder once: the mail of 30 days
before the account's last certificate in use expires, that of 7 days, and so on; 0 is the day after.
Where several are due at the same time, one mail is sent. An account without a cipher gets none.

  0 8 * * * cmstream {_PROGRAM} account remind --notify '/usr/sbin/sendmail -t -i'

is a line for /etc/cron.d, where the user is cmstream.

Exit codes: 64 wrong usage, 66 no such database, or permission is denied, 73 the default database's
folder can't be made, 75 try again: some mails couldn't be sent, and are due the next time.
"""


def add_remind(actions: Any) -> Any:
    """Adds it to the actions of ``cmstream account``."""
    text = "mail owners before their certificate expires, each reminder once"
    parser = subcommand(actions, "remind [options]", text, _EXAMPLES, _run)
    add = parser.add_argument
    add("--before", type=_days, default="30,7,1", metavar="DAYS,...",
        help="how many days before; default: %(default)s")  # fmt: skip
    add("--notify", metavar="COMMAND", default=os.environ.get("CMSTREAM_NOTIFY"),
        help="command that sends a mail, such as '/usr/sbin/sendmail -t -i'; "
        "default: $CMSTREAM_NOTIFY")  # fmt: skip
    add("--public-url", metavar="URL", default=os.environ.get("CMSTREAM_PUBLIC_URL", ""),
        help="URL at which owners sign in, for the mail; default: $CMSTREAM_PUBLIC_URL, else the "
        "mail names none")  # fmt: skip
    add("--dry-run", action="store_true", help="show who would get a mail, and send none")
    return parser


def _days(text: str) -> tuple[int, ...]:
    found = [one.strip() for one in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,4}", one) and int(one) <= _MOST for one in found):
        raise ArgumentTypeError(f"numbers of days from 0 to {_MOST}, such as 30,7,1")
    return tuple(map(int, found))


def _run(options: argparse.Namespace) -> None:
    command = shlex.split(options.notify or "")
    if not options.dry_run and not (command and shutil.which(command[0])):
        there = f"there is no program {command[0]}" if command else "it says how mail is sent"
        raise Failure(os.EX_USAGE, f"give --notify: {there}")
    with opened(options, create=True) as store:
        if options.dry_run:
            with store.database.read() as connection:
                moment = datetime.now(timezone.utc)
                done = reminders.due(connection, options.before, moment)
        else:
            done = reminders.remind(store, command, options.before, options.public_url)
    _tell(done, dry=options.dry_run)


def _kind(one: Reminder) -> str:
    if one.expires_at <= datetime.now(timezone.utc):
        return "that it has expired"
    return f"the reminder of {one.days} days before"


def _tell(done: list[Reminder], *, dry: bool) -> None:
    sent = [
        f"{one.account.address}\t{one.expires_at:%Y-%m-%d}"
        + (f"\twould be sent: {_kind(one)}" if dry else "")
        for one in done
        if not one.error
    ]
    if sent:
        say("\n".join(sent))
    failed = [one for one in done if one.error]
    for one in failed:
        warn(f"{one.account.address} wasn't reminded: {one.error}")
    if failed:
        raise Failure(os.EX_TEMPFAIL, f"{len(failed)} of {len(done)} reminders weren't sent")
