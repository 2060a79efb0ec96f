"""``cmstream seal``, which a mail server's pipe calls: a mail in, and what may be stored of it out.
It gives out the whole message or nothing; after almost any error the mail server must try again."""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..accounts import open_store
from ..accounts.clients import judge
from ..accounts.errors import Invalid
from ..certificates.recipient import Recipient
from ..cms.already_encrypted import is_encrypted, is_encrypted_body
from ..encrypt import encrypt_message
from ..errors import MessageError
from ..mail.mime import HEADER_LIMIT, PEEK_LIMIT, header_end
from ..policy import CIPHER_CHOICES
from ..recipients.recipients import Recipients
from ..scratch import CHUNK, Scratch
from ..streams import encrypt_iter
from .database import add_database, database
from .shared import Failure, open_input, subcommand

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from ..accounts.lookup import Seal
    from ..policy import Policy

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
    to = _together(seals)
    if to is None:
        reasons = dict.fromkeys(f"{seal.reason} [{seal.reason.code}]" for seal in seals)
        return _unchanged(message, "; ".join(reasons), options)
    if _is_encrypted(message):
        return _unchanged(message, "it is encrypted already [already-encrypted]", options)
    _warn_if_odd(message)
    _warn_of_mixed_keys(seals, *to)
    sealed = _sealed(message, *to)
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


# --- several addresses -----------------------------------------------------------------------


def _together(seals: Sequence[Seal]) -> tuple[Recipients, Policy] | None:
    """To whom and how one message for all of them is sealed; None if all of them leave it."""
    sealing = [(one.recipients, one.policy) for one in seals if one.recipients and one.policy]
    if not sealing:
        return None
    left = [one.reason for one in seals if one.action == "leave"]
    if left:
        raise Failure(
            os.EX_TEMPFAIL, f"mixed recipients: one requires encryption, and another isn't "
            f"sealed for ({left[0]} [{left[0].code}]): call cmstream seal once for each recipient"
        )  # fmt: skip
    policies = (policy for _, policy in sealing)
    policy = min(policies, key=lambda one: CIPHER_CHOICES.index(one.cipher))  # the most read
    if len(sealing) == 1:
        return sealing[0][0], policy
    to = Recipients([one for recipients, _ in sealing for one in recipients])
    to.check(policy)
    return to, policy


def _warn_of_mixed_keys(seals: Sequence[Seal], to: Recipients, policy: Policy) -> None:
    """Of accounts whose mail programs would open a message for them alone, and not this one."""
    keys = _keys(to)
    for seal in seals:
        if seal.account is None or seal.recipients is None or seal.policy is None:
            continue
        clients = seal.account.clients
        alone = judge(clients, cipher=seal.policy.cipher, keys=_keys(seal.recipients))
        for finding in judge(clients, cipher=policy.cipher, keys=keys):
            if finding.level == "refuse" and finding not in alone:
                once = "call cmstream seal once for each recipient"
                _tell(f"warning: {seal.account.address}: {finding} Or {once}.")


def _keys(to: Recipients) -> list[str]:
    return [one.key for one in to if isinstance(one, Recipient)]


# --- the message -----------------------------------------------------------------------------


def _is_encrypted(message: Scratch) -> bool:
    """By all of it, in constant memory."""
    if message.held is not None:
        return is_encrypted(message.held)
    message.seek(0)
    start = message.read(HEADER_LIMIT + PEEK_LIMIT) or b""
    end, _ = header_end(start, 0, final=False)
    if end is None:
        return False
    rest = iter(lambda: message.read(CHUNK) or b"", b"")
    return is_encrypted_body(start[:end], itertools.chain([start[end:]], rest))


def _warn_if_odd(message: Scratch) -> None:
    """Of a header block that ends in the middle, or that isn't there: what stands behind is sealed
    as text, and a mail program shows it as such."""
    message.seek(0)
    start = message.read(HEADER_LIMIT + PEEK_LIMIT) or b""
    end, _ = header_end(start, 0, final=True)
    blank = (b"\n" + start[:end]).endswith((b"\n\n", b"\n\r\n"))
    if end is not None and end < len(start) and not blank:
        line = start[:end].count(b"\n") + 1
        _tell(
            f"warning: line {line} of the message is no header field, or has a carriage return "
            "alone in it: all from there on is sealed as text"
        )


def _sealed(message: Scratch, to: Recipients, policy: Policy) -> Scratch:
    sealed = Scratch()
    if message.held is None:
        message.seek(0)
        for piece in encrypt_iter(message, to, form="message", policy=policy):
            sealed.write(piece)
    else:
        sealed.write(encrypt_message(message.held, to, policy=policy))
    return sealed


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
