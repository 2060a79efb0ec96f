"""``cmstream token``: the access of programs to the HTTP API."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..accounts.people.credentials import now
from ..accounts.people.people import SCOPES, People
from .database import add_database
from .endings import Failure
from .managing import actor, as_json, opened
from .shared import (
    Parser,
    say,
    subcommand,
)

if TYPE_CHECKING:
    import argparse

    from ..accounts.people.tokens import Token

_EXAMPLES = """\
examples:
  cmstream token add gateway --scope accounts:read --days 365 > token
  cmstream token add helpdesk --scope accounts:read --scope certificates:write
  cmstream token add alice-script --account alice@example.org --scope certificates:write
  cmstream token list
  cmstream token revoke 3

A token is shown once, when it is added; the store keeps only its hash. With --account it works for
that account only, otherwise for all.

Exit codes: 64 wrong usage, 65 a value that can't be used, 66 no such database, or permission is
denied, 67 no such token or account, 75 try again.
"""


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "manage the access of programs to the HTTP API"
    parser = subcommand(commands, "token ACTION", text, _EXAMPLES, None)
    actions = parser.add_subparsers(
        required=True, metavar="ACTION", parser_class=Parser, prog=parser.prog
    )

    text = "make a token and print it"
    adding = subcommand(actions, "add NAME --scope SCOPE [options]", text, _EXAMPLES, _add)
    adding.add_argument("name", metavar="NAME", help="what uses the token, for people to read")
    adding.add_argument("--scope", action="append", default=[], choices=SCOPES, metavar="SCOPE",
        help=f"what the token may do; may be given several times: {', '.join(SCOPES)}")  # fmt: skip
    adding.add_argument("--account", metavar="ADDRESS", help="for this account only")
    adding.add_argument(
        "--days", type=int, metavar="N", help="expires after N days; default: never"
    )
    add_database(adding)

    text = "list the tokens, without their secrets"
    listing = subcommand(actions, "list [options]", text, _EXAMPLES, _list)
    listing.add_argument("--account", metavar="ADDRESS", help="only tokens of this account")
    listing.add_argument("--json", action="store_true", help="print JSON")
    add_database(listing)

    text = "revoke tokens, at once"
    revoking = subcommand(actions, "revoke NUMBER...", text, _EXAMPLES, _revoke)
    revoking.add_argument(
        "number", nargs="+", type=int, metavar="NUMBER", help="its number in the list"
    )
    add_database(revoking)


def _add(options: argparse.Namespace) -> None:
    if not options.scope:
        raise Failure(os.EX_USAGE, f"give --scope: {', '.join(SCOPES)}")
    with opened(options) as store:
        secret, _ = People(store).add_token(
            options.name,
            scopes=options.scope,
            account=options.account,
            expires_at=None if options.days is None else now() + _days(options.days),
            by=actor(),
        )
    say(secret)


def _days(number: int) -> timedelta:
    if not 1 <= number <= 36500:  # noqa: PLR2004 - a hundred years
        raise Failure(os.EX_USAGE, "--days: from 1 to 36500")
    return timedelta(days=number)


def _list(options: argparse.Namespace) -> None:
    with opened(options) as store:
        found = People(store).tokens(options.account)
    if options.json:
        say(as_json([_object(token) for token in found]))
    elif found:
        say("\n".join(map(_line, found)))


def _object(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "account": token.account,
        "scopes": list(token.scopes),
        "works": token.works(now()),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "used_at": token.used_at,
    }


def _line(token: Token) -> str:
    state = "revoked" if token.revoked_at else "works" if token.works(now()) else "expired"
    until = f" until {token.expires_at:%Y-%m-%d}" if token.expires_at else ""
    used = f"used {token.used_at:%Y-%m-%d %H:%M}" if token.used_at else "never used"
    whose = token.account or "all accounts"
    return f"{token.id}\t{token.name}\t{whose}\t{' '.join(token.scopes)}\t{state}{until}\t{used}"


def _revoke(options: argparse.Namespace) -> None:
    with opened(options) as store:
        for number in options.number:
            People(store).revoke_token(number, by=actor())
