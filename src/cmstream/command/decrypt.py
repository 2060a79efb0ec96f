"""``cmstream decrypt`` and ``cmstream inspect``: open a sealed mail or file, or show for whom it
is."""

from __future__ import annotations

import codecs
import itertools
import os
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..certificates.archive_keys import Password
from ..certificates.containers import MAX_FILE
from ..certificates.recipient import read_certificates
from ..cms.input_form import find_start
from ..errors import CertificateError, EnvelopeError, UnsealedParts
from ..inspection import inspect
from ..mailboxes.opened_mail import ENOUGH, NO_MAIL, may_be_mail
from ..streams import CHUNK, decrypt_iter
from . import show
from .endings import Failure
from .identities import add_keys, identities
from .output import output, replaces
from .progress import with_progress
from .shared import (
    about,
    add_password,
    called,
    certificates,
    open_input,
    say,
    spare,
    subcommand,
    warn,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from ..recipients.identity import Identity
    from ..streams import Source

_DECRYPT_EXAMPLES = """\
examples:
  cmstream decrypt -k alice.key.pem -c alice.pem sealed.eml > message.eml
  cmstream decrypt --pfx alice.pfx --password-file pw -o scan.tiff --content scan.p7m
  cmstream decrypt --pfx new.pfx --pfx old.pfx sealed.eml > message.eml
  cmstream decrypt -k alice.key.pem sealed.eml > message.eml
  cmstream decrypt --password-file pw -o mail.tar mail.p7m

The input may be a mail, PEM, base64, DER or BER. A mail gives a whole mail, or with --content its
content; every other input gives its content.

In a mail from a mailing list the sealed part may stand beside a footer. It is opened, and takes the
place of the whole; a warning counts the parts that nobody sealed, which aren't in the output.

All keys of all files count. The message names its recipients, so the key is found by its
certificate; a key without one is tried on each recipient that may be it, at most 100. With RSA and
CBC a wrong key goes unnoticed once in 256 attempts, and gives noise.

An output file appears only when it is complete. When writing to a pipe, discard the output unless
the exit code is 0. A terminal shows nothing of a message of up to 1 MiB that is wrong at its end,
and a sign in place of each control character; with | cat it gets them all.

Encryption alone doesn't tell who wrote a message, or whether somebody changed it. Authenticated
content (AES-GCM, ChaCha20-Poly1305) is verified before any of it comes out: a file is read twice;
input from a pipe waits, still encrypted, in a temporary file of at most 1 GiB. --unverified gives
it out at once.

Exit codes: 64 wrong usage, 65 the message can't be opened, 66 no such input, 73 the output can't
be created, 75 try again.
"""

_HELD = 1 << 20  # bytes of a message, before the first of them is given out
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - set(b"\t\n\r"), "\ufffd")

_INSPECT_EXAMPLES = """\
examples:
  cmstream inspect sealed.eml
  cmstream inspect --json -r alice.pem < sealed.eml
"""


def add_commands(commands: Any) -> None:
    """Adds both to the command."""
    text = "open a sealed mail or file"
    usage = "decrypt (--pfx PFX | -k KEY [-c CERT] | --password-file FILE) [options] [FILE]"
    parser = subcommand(commands, usage, text, _DECRYPT_EXAMPLES, _decrypt)
    add_keys(parser)
    add = parser.add_argument
    add("-o", "--output", default="-", metavar="OUT", help="default: standard output")
    add("--content", action="store_true", help="give only the content, of a mail too")
    add("--unverified", action="store_true",
        help="give out authenticated content at once; only the end shows whether it is "
        "right")  # fmt: skip
    add(
        "input",
        nargs="?",
        default="-",
        metavar="FILE",
        help="default: standard input, also named -",
    )

    text = "show for whom a sealed mail or file is, and how it is encrypted; needs no key"
    usage = "inspect [options] [FILE]"
    parser = subcommand(commands, usage, text, _INSPECT_EXAMPLES, _inspect)
    parser.add_argument("-r", "--recipient", action="append", default=[], metavar="CERT",
                        help="mark the recipient that has this certificate")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_password(parser)
    parser.add_argument("input", nargs="?", default="-", metavar="FILE",
                        help="default: standard input, also named -")  # fmt: skip


# --- decrypt ---------------------------------------------------------------------------------


def _decrypt(options: argparse.Namespace) -> None:
    me = identities(options)
    keys = *options.pfx, *options.key, *options.certificate
    spare(options.output, [*keys, options.password_file])
    remedies = {"no-recipient": _remedy(options, me)}
    with (
        about(options.input, remedies),
        _no_certificate(options.input),
        _telling_of_parts(options.input) as parts,
        open_input(options.input) as source,
        output(options.output) as out,
    ):
        start = source.tell() if source.seekable() else None
        beginning, mail = _beginning(source)
        total, sealed = None, _behind(beginning, source)
        if start is not None:
            total, sealed = os.fstat(source.fileno()).st_size, source
            source.seek(start)
        message = mail and not options.content
        pieces = decrypt_iter(sealed, me, message=message, unverified=options.unverified)
        shown = options.output == "-" and sys.stdout.isatty()
        if shown or (options.output == "-" and not options.unverified):
            pieces = _begun_late(pieces)
        if shown:
            pieces = _harmless(pieces, sys.stdout.encoding)
        in_place, opened = _is_one(options.input, options.output), bytearray()
        for piece in with_progress(pieces, total and total * 3 // 4):
            out.write(piece)
            opened += piece[: ENOUGH - len(opened)] if in_place else b""
        if in_place:
            is_mail = not message or may_be_mail(opened, source, me)
            _require_all(options.input, parts, is_mail=is_mail)


def _is_one(source: str, target: str) -> bool:
    with suppress(OSError):
        return source != "-" and replaces(target) and Path(source).samefile(target)
    return False


def _require_all(name: str, parts: Sequence[object], *, is_mail: bool) -> None:
    """Raises Failure where the only sealed copy would be lost for less than it holds."""
    another = "it stays as it is: name another file for -o"
    if parts:
        what = "it has parts beside the sealed one, which would be lost"
        raise Failure(os.EX_DATAERR, f"{name}: {what}; {another} [unsealed-parts]")
    if not is_mail:
        raise Failure(os.EX_DATAERR, f"{name}: {NO_MAIL}; {another} [decryption-failed]")


def _begun_late(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same; before the first of them, what is up to ``_HELD`` bytes has been opened to
    its end: with a wrong key CBC gives noise first, and only then an error."""
    held, size = [], 0
    while size <= _HELD and (piece := next(pieces, None)) is not None:
        held.append(piece)
        size += len(piece)
    yield from held
    yield from pieces


def _harmless(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """The same without what makes a terminal do something: whoever can write a mail could."""
    decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode
    for piece in pieces:
        yield decode(piece).translate(_CONTROLS).encode(encoding, errors="replace")
    yield decode(b"", final=True).encode(encoding, errors="replace")


def _remedy(options: argparse.Namespace, me: Sequence[Identity | Password]) -> str:
    """What to do about a message that is for somebody else."""
    if any(isinstance(one, Password) for one in me):
        return "{error}: give -k and -c, or --pfx"
    return (
        "{error}: if the key has another certificate too, leave out -c"
        if options.certificate
        else ""
    )


@contextmanager
def _no_certificate(name: str) -> Iterator[None]:
    """Says so where somebody gives a certificate in the place of a message."""
    try:
        yield
    except EnvelopeError as error:
        if error.code in {"not-enveloped", "malformed"} and _holds_certificates(Path(name)):
            what = "this is a certificate, not a sealed message: `cmstream cert show` shows it"
            raise EnvelopeError("not-enveloped", what) from None
        raise


@contextmanager
def _telling_of_parts(name: str) -> Iterator[Sequence[object]]:
    """Says at the end what of a mail wasn't sealed, and isn't in the output."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnsealedParts)
        yield caught
    for warning in caught:
        warn(f"{called(name)}: {warning.message}")


def _holds_certificates(path: Path) -> bool:
    try:
        small = path.is_file() and path.stat().st_size <= MAX_FILE
        return small and bool(read_certificates(path.read_bytes()).recipients)
    except (OSError, CertificateError):
        return False


def _behind(beginning: bytes, source: BinaryIO) -> Source:
    return itertools.chain([beginning], iter(lambda: source.read(CHUNK), b""))


def _beginning(source: BinaryIO) -> tuple[bytes, bool]:
    """As much as tells the form, and whether it is a mail. Raises EnvelopeError."""
    held, resume, start = bytearray(), 0, None
    while start is None:
        chunk = source.read(CHUNK)
        held += chunk
        start, resume = find_start(held, resume, final=not chunk)
    return bytes(held), bool(start.head)


# --- inspect ---------------------------------------------------------------------------------


def _inspect(options: argparse.Namespace) -> None:
    given = {name: certificates(name, options).recipients for name in options.recipient}
    known = list(itertools.chain.from_iterable(given.values()))
    with (
        about(options.input),
        _no_certificate(options.input),
        open_input(options.input) as source,
    ):
        found = inspect(source, certificates=known)
    say(show.inspection_json(found) if options.json else show.inspection_text(found))
    named = {one.recipient for one in found.addressees}
    for name, recipients in given.items():
        if not named.intersection(recipients):
            warn(f"{called(options.input)} isn't for {name}")
