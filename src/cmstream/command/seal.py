"""``cmstream seal``, which a mail server's pipe calls: a mail in, and what may be stored of it out.
It gives out the whole message or nothing; after almost any error the mail server must try again."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..accounts import delivery, open_store
from ..accounts.delivery import is_encrypted, mixed_key_warnings, odd_header, together
from ..accounts.errors import Invalid, MixedRecipients
from ..errors import MessageError
from ..scratch import CHUNK, Scratch
from .database import add_database, database
from .shared import Failure, open_input, subcommand

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

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

Exit codes: 0 the message is out and may be stored; 64 wrong usage, or not a mail address; 65 the
message can't be sealed; 75 everything else: try again, nothing came out.
"""


_ONCE = "call cmstream seal once for each recipient"


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "seal a mail as the certificate store says for an address"
    usage = "seal --for ADDRESS [--for ...] [options] [MESSAGE]"
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
    add_database(parser)
    add("input", nargs="?", default="-", metavar="MESSAGE", help="default: standard input")


def _run(options: argparse.Namespace) -> None:
    if sys.stdout is None:
        raise Failure(os.EX_TEMPFAIL, "can't write standard output: it is closed")
    try:
        _give(*_answer(options))
    except Invalid as error:
        raise Failure(os.EX_USAGE, f"--for: {error} [{error.code}]") from None
    except MixedRecipients as error:
        raise Failure(os.EX_TEMPFAIL, f"{error}: {_ONCE}") from None
    except MessageError as error:
        code = os.EX_TEMPFAIL if options.defer_malformed else os.EX_DATAERR
        raise Failure(code, f"{error} [{error.code}]") from None


def _answer(options: argparse.Namespace) -> tuple[Iterable[bytes], int]:
    """What comes out, complete, and its length."""
    message = _read(options.input)
    with open_store(database(options)) as store:
        seals = [store.seal_for(one, appended=options.append) for one in options.addresses]
    for note in dict.fromkeys(note for seal in seals for note in seal.notes):
        _tell(f"warning: {note}")
    to = together(seals)
    if to is None:
        reasons = dict.fromkeys(f"{seal.reason} [{seal.reason.code}]" for seal in seals)
        return _unchanged(message, "; ".join(reasons), options)
    if is_encrypted(message):
        return _unchanged(message, "it is encrypted already [already-encrypted]", options)
    if odd := odd_header(message):
        _tell(f"warning: {odd}")
    for warning in mixed_key_warnings(seals, *to):
        _tell(f"warning: {warning} Or {_ONCE}.")
    sealed = delivery.sealed(message, *to)
    return sealed.chunks(), len(sealed)


def _read(name: str) -> Scratch:
    message = Scratch()
    with open_input(name) as source:
        while chunk := source.read(CHUNK):
            message.write(chunk)
    return message


def _unchanged(
    message: Scratch, why: str, options: argparse.Namespace
) -> tuple[Iterable[bytes], int]:
    if options.require:
        raise Failure(os.EX_TEMPFAIL, f"--require: the message isn't sealed: {why}")
    _tell(f"unchanged: {why}")
    return message.chunks(), len(message)


def _tell(text: str) -> None:
    """Writes to standard error, past Python's buffer: a full log is no reason to bounce mail."""
    line = f"cmstream: {' '.join(text.split())}\n"
    with suppress(OSError):
        os.write(2, line.encode(errors="backslashreplace"))


# --- all or nothing --------------------------------------------------------------------------


def _give(chunks: Iterable[bytes], total: int) -> None:
    """Writes to standard output. If a file can't take all of it, it is cut back to what it was."""
    before = _end_of_file(1)
    written = 0
    try:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                count = os.write(1, rest)
                rest, written = rest[count:], written + count
        _require_all(written, total)
        if before is not None:
            os.fsync(1)
    except BaseException:
        if before is not None:
            _cut_off(before, written)
        raise


def _require_all(written: int, total: int) -> None:
    if written != total:
        raise OSError(f"only {written} of {total} bytes could be read back from a temporary file")


def _end_of_file(number: int) -> int | None:
    """Where it ends, if it is a file that is written at its end."""
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode):
        return None
    appends = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND
    at_end = appends or os.lseek(number, 0, os.SEEK_CUR) == found.st_size
    return found.st_size if at_end else None


def _cut_off(end: int, written: int) -> None:
    """Unless somebody else has written behind it."""
    with suppress(OSError):
        if os.fstat(1).st_size == end + written:
            os.ftruncate(1, end)
            os.lseek(1, end, os.SEEK_SET)
