"""``cmstream seal``, which a mail server's pipe calls: a mail in, and what may be stored of it out.
It gives out the whole message or nothing; after almost any error the mail server must try again."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..accounts import answers, brief_connection, delivery
from ..engine import gate
from ..errors import CmstreamError
from ..gateway.protocol.seal import DEFAULT_SOCKET
from ..scratch import Scratch
from . import seal_client
from .database import add_database, database
from .endings import Failure
from .seal_options import ending
from .standard_streams import give, pieces, tell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..accounts.lookup import Seal
    from .seal_options import SealOptions

_EXAMPLES = """\
examples:
  cmstream seal --for alice@example.org < message.eml > sealed.eml
  cmstream seal --require --for=alice@example.org message.eml

Lookup order: exact address, alias, address without its detail (+news), domain. The first match
wins. A message comes out unchanged when it is encrypted already, when nobody has the address, or
when encryption is off for it; standard error says why.

Several --for give one message that each of them can open, by the one of their ciphers that most
programs read. Mixed recipients are refused with 75: one requires encryption and the other has no
certificate to read it with. Call it once for each recipient.

A gateway (cmstream gateway --listen seal:unix:/run/cmstream/seal) does the same in a small part of
the time. Where one is named and can't be reached, the exit code is 75.

Exit codes: 0 the message is out and may be stored; 64 wrong usage, or not a mail address; 65 the
message can't be sealed; 75 everything else: try again, nothing came out. Only where Python itself
can't start, it ends by itself with 1 or 2, or by a signal: without memory or file descriptors, with
a folder as standard input, or interrupted in its first moments.
"""


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "seal a mail as the certificate store says for an address"
    usage = "seal --for ADDRESS [--for ...] [options] [MESSAGE]"
    from .shared import subcommand  # noqa: PLC0415 - not for each message

    parser = subcommand(commands, usage, text, _EXAMPLES, _run)
    add = parser.add_argument
    add("--for", dest="addresses", action="append", required=True, metavar="ADDRESS",
        help="address of a recipient; may be given several times")  # fmt: skip
    add("--append", action="store_true",
        help="the message didn't arrive as mail: a mail program saves it over IMAP (drafts, "
        "sent)")  # fmt: skip
    add("--require", action="store_true",
        help="exit with 75, and give nothing out, where the message would come out "
        "unchanged")  # fmt: skip
    add("--defer-malformed", action="store_true",
        help="exit with 75, not 65, for a message that can't be sealed")  # fmt: skip
    add("--socket", metavar="PLACE",
        help=f"let the gateway there do it: {seal_client.FORMS}; default: "
        f"${seal_client.VARIABLE}, else {DEFAULT_SOCKET} if a gateway listens there and no "
        "database is named")  # fmt: skip
    add_database(parser)
    add("input", nargs="?", default="-", metavar="MESSAGE", help="default: standard input")


def _run(options: SealOptions) -> None:
    if not seal_client.by_gateway(options):
        seal(options)


def seal(options: SealOptions) -> None:
    """Seals as the store itself says. Raises Failure, OSError."""
    if gate.misnamed:
        raise Failure(os.EX_TEMPFAIL, gate.misnamed)
    if sys.stdout is None:
        raise Failure(os.EX_TEMPFAIL, "can't write standard output: it is closed")
    try:
        give(*_answer(options))
    except CmstreamError as error:
        code, sentence = answers.failure(error)
        raise Failure(ending(code, options), sentence) from None


def _answer(options: SealOptions) -> tuple[Iterable[bytes], int]:
    """What comes out, complete, and its length."""
    message = _read(options.input)
    seals = _looked_up(options)
    for note in answers.notes(seals):
        tell(note)
    to = delivery.together(seals)
    if to is None:
        return _unchanged(message, answers.why_left(seals), options)
    if delivery.is_encrypted(message):
        return _unchanged(message, answers.ALREADY, options)
    for warning in answers.warnings(message, seals, *to):
        tell(warning)
    sealed = delivery.sealed(message, *to)
    return sealed.chunks(), len(sealed)


def _looked_up(options: SealOptions) -> list[Seal]:
    url = database(options)
    found = brief_connection.seals(url, options.addresses, appended=options.append)
    if found is not None:
        return found
    try:
        from ..accounts import open_store  # noqa: PLC0415 - SQLAlchemy
    except ImportError as error:
        needed = f"seal needs more packages ({error}): pip install 'cmstream[manage]'"
        raise Failure(os.EX_TEMPFAIL, needed) from None
    with open_store(url) as store:
        return [store.seal_for(one, appended=options.append) for one in options.addresses]


def _read(name: str) -> Scratch:
    message = Scratch()
    for piece in pieces(name):
        message.write(piece)
    return message


def _unchanged(message: Scratch, why: str, options: SealOptions) -> tuple[Iterable[bytes], int]:
    code, sentence = answers.unchanged(why, require=options.require)
    if code:
        raise Failure(code, sentence)
    tell(sentence)
    return message.chunks(), len(message)
