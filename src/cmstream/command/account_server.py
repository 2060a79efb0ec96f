"""``cmstream account server``: shows and sets the switches of the whole server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..accounts.account import SWITCHES
from .managing import actor, as_json, opened
from .shared import say, subcommand

if TYPE_CHECKING:
    import argparse

_EXAMPLES = """\
examples:
  cmstream account server
  cmstream account server --recipient-delimiter +-
  cmstream account server --recipient-delimiter=-+
  cmstream account server --when-unusable error

Without an option of a switch it changes nothing. With some it sets them all, or none if one of the
values can't be used.

Exit codes: 64 wrong usage, 65 a value that can't be used, 66 no such database, or permission is
denied, 73 the default database's folder can't be made, 75 try again.
"""

_FREE = "as-accounts-say"
"""What people write and read for the empty value, by which a switch overrides nothing."""

_HELP = {
    "encryption": "off: no mail is sealed, whatever accounts say",
    "encrypt_on_append": "whether mail that a mail program saves over IMAP is sealed, for all",
    "when_unusable": "when no certificate can be used, for all: the mail waits, or is stored "
    "unencrypted",
    "header_protection": "which header fields are sealed too, for all",
    "default_header_protection": "the same, for accounts that leave it to the server",
    "append_sealed_by": "what seals drafts and sent mail on this server: a script that calls "
    "cmstream seal --append, a sweeper that goes through the mailboxes, or none; pages hide the "
    "choice for them if it is none",
    "recipient_delimiter": "each character of TEXT begins the detail of an address, such as +-; "
    "with an empty TEXT, addresses have no detail; write --recipient-delimiter=-+ for a TEXT that "
    "begins with -",
}


def add_server(actions: Any) -> Any:
    """Adds it to the actions of ``cmstream account``."""
    text = "show the switches of the whole server, or set some"
    parser = subcommand(actions, "server [options]", text, _EXAMPLES, _run)
    for name, values in SWITCHES.items():
        option, words = f"--{name.replace('_', '-')}", [value or _FREE for value in values]
        if name == "recipient_delimiter":
            parser.add_argument(option, metavar="TEXT", help=_HELP[name])
        else:
            parser.add_argument(option, choices=words, help=_HELP[name])
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _run(options: argparse.Namespace) -> None:
    with opened(options, create=True) as store:
        with store.together() as together:
            for name, value in _given(options).items():
                together.set_switch(name, value, by=actor())
        found = store.switches()
    say(as_json(found) if options.json else "\n".join(map(_line, found.items())))


def _given(options: argparse.Namespace) -> dict[str, str]:
    """The switches that were named, with the store's values."""
    named = {name: getattr(options, name) for name in SWITCHES}
    return {
        name: "" if text == _FREE and "" in SWITCHES[name] else text
        for name, text in named.items()
        if text is not None
    }


def _line(switch: tuple[str, str]) -> str:
    """A switch by its option's name, and its value as people write it, with a tab between."""
    name, value = switch
    nothing = "none" if name == "recipient_delimiter" else _FREE
    return f"{name.replace('_', '-')}\t{value or nothing}"
