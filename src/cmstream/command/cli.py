"""The command ``cmstream``: its arguments, its exit codes (sysexits(3)), and the subcommands
encrypt and cert. Each error is one line."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import itertools
import os
import re
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, get_args

from .. import ciphers, policy
from ..encryption import encryptor
from ..engine import gate
from ..errors import CmstreamError, RecipientWarning
from ..mail import mime
from ..recipients.recipients import Recipients
from ..streams import CHUNK, encrypt_iter
from . import DEFERRING, decrypt, show
from .endings import Failure, Stopped
from .output import output
from .progress import with_progress
from .shared import (
    Parser,
    about,
    add_archive_passwords,
    add_password,
    archive_passwords,
    called,
    certificates,
    open_input,
    report,
    say,
    spare,
    spare_key,
    stoppable,
    subcommand,
    warn,
)
from .standard_streams import hold_standard_streams

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..certificates.archive_keys import Password
    from ..certificates.recipient import Recipient
    from ..sealing import Form

_INPUT = "default: standard input, also named -"

PROTECTIONS: dict[str, policy.HeaderProtection] = {
    "none": None,
    "baseline": "baseline",
    "shy": "shy",
}
MANAGED = {
    "serve": "serve the web page and the HTTP API of the certificate store",
    "account": "manage whose mail is sealed, and with which certificates",
    "token": "manage the access of programs to the HTTP API",
    "seal": "seal a mail as the certificate store says for an address",
    "gateway": "take mail from a mail server, seal it, and hand it on",
    "mailbox": "seal the mail that is in a mailbox already, or open it again",
    "doctor": "check what the gateway needs, and say what to change",
    "archive": "seal files and exported mail into an archive, check it, open it",
}
"""The subcommands that are loaded only when they are named."""

_PACKAGES = {"archive": ""}
"""The extra that such a subcommand needs, if it isn't ``manage``."""

FORBIDDABLE = [*ciphers.BY_NAME, *get_args(policy.KeyTransport)]

HELD = 16 << 20
"""Bytes of a pipe that are held in memory, so that their number is known and DER can be written;
a longer input is streamed with indefinite lengths."""

_DESCRIPTION = "Encrypts mail and files to S/MIME certificates, and opens them."

_ENCRYPT_EXAMPLES = """\
examples:
  cmstream encrypt -r alice.pem message.eml > sealed.eml
  cmstream encrypt -r alice.pem -r bob.pem < message.eml > sealed.eml
  cmstream encrypt --binary -r alice.pem --form pem -o scan.pem scan.tiff
  cmstream encrypt --binary --to-password-file pw -o mail.p7m mail.tar

A mail's header fields stay readable unless --header-protection hides them. An input that isn't a
mail needs --binary: without it, its first lines may pass for header fields.

A mail that is encrypted already passes unchanged (--already-encrypted); one of over 16 MiB that
comes by a pipe is encrypted again, with a warning. A certificate with a problem is used with a
warning (--refuse).

An output file appears only when it is complete; a new one has mode 0600. When writing to a pipe,
discard the output unless the exit code is 0.

Exit codes: 64 wrong usage, 65 a bad certificate or message, 66 no such input, 73 the output can't
be created, 75 try again.
"""

_CERT_EXAMPLES = """\
examples:
  cmstream cert show alice.pem bob.p7b
  cmstream cert export alice.pfx -o alice.pem
  PFX_PASSWORD=… cmstream cert export alice.pfx --password-env PFX_PASSWORD -o alice.pem
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and gives its exit code; no exception leaves it but SystemExit."""
    hold_standard_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    defers = arguments[:1] == [DEFERRING]
    try:
        with stoppable():
            _run(arguments)
    except Failure as failure:
        own = failure.code in (os.EX_USAGE, os.EX_DATAERR)
        return _fail(os.EX_TEMPFAIL if defers and not own else failure.code, str(failure))
    except SystemExit:  # the parser's, after help or wrong usage
        raise
    except BaseException as error:  # noqa: BLE001 - a mail server must be told to try again
        code, text = _ending(error)
        return _fail(os.EX_TEMPFAIL if defers else code, text)
    return os.EX_OK


def _run(arguments: list[str]) -> None:
    options = _parser(arguments).parse_args(arguments)
    if gate.misnamed:
        deferred = arguments[:1] == [DEFERRING]
        raise Failure(os.EX_TEMPFAIL if deferred else os.EX_USAGE, gate.misnamed)
    options.run(options)
    if sys.stdout is not None:
        sys.stdout.flush()


def _ending(error: BaseException) -> tuple[int, str]:
    if isinstance(error, CmstreamError):
        return os.EX_DATAERR, f"{error} [{error.code}]"
    if isinstance(error, BrokenPipeError):
        return os.EX_TEMPFAIL, "the program that reads the output has ended"
    if isinstance(error, OSError):
        return _os_failure(error)
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT, "interrupted"
    if isinstance(error, Stopped):
        return 128 + error.number, "stopped"
    return os.EX_TEMPFAIL, f"unexpected error ({type(error).__name__}): try again"


def _fail(code: int, message: str) -> int:
    # What is still buffered must not follow, or the output would look complete.
    _silence(sys.stdout)
    try:
        print(f"cmstream: {message}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _silence(sys.stderr)  # or Python would end with a code of its own
    return code


def _silence(stream: TextIO | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())


_NO_PLACE = {
    errno.ENOENT,
    errno.EISDIR,
    errno.EACCES,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EBADF,
}


def _os_failure(error: OSError) -> tuple[int, str]:
    name = f"{error.filename}: " if error.filename else ""
    text = f"{name}{error.strerror or error}"
    if error.errno in _NO_PLACE:
        return os.EX_CANTCREAT, f"can't write: {text}"
    return os.EX_TEMPFAIL, text


# --- the arguments ---------------------------------------------------------------------------


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    parser = Parser(
        prog="cmstream",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show program's version number and exit"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    _add_encrypt(commands)
    decrypt.add_commands(commands)
    _add_cert(commands)
    for name, text in MANAGED.items():
        if arguments[:1] == [name]:
            _managed(name).add_command(commands)
        else:
            needed = _PACKAGES.get(name, " (cmstream[manage])")
            commands.add_parser(name, help=text + needed, add_help=False)
    return parser


def _managed(name: str) -> Any:
    try:
        return importlib.import_module(f".{name}", __package__)
    except ImportError as error:
        needed = f"{name} needs more packages ({error}): pip install 'cmstream[manage]'"
        raise Failure(os.EX_TEMPFAIL if name == DEFERRING else os.EX_USAGE, needed) from None


class _Version(argparse.Action):
    """Finds out only when it is asked: that takes as long as Python's start."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Prints it, and ends the command."""
        say(_version())
        if gate.misnamed:
            parser.exit(os.EX_USAGE, f"cmstream: {gate.misnamed}\n")
        parser.exit()


def _version() -> str:
    rows = (
        f"{what}: {names[0]} in use; this machine has {', '.join(names)}"
        if names
        else f"{what}: by cryptography"
        for what, names in gate.kernels().items()
    )
    from .. import __version__  # noqa: PLC0415

    head = f"cmstream {__version__} (CMSTREAM_CPU=NAME lowers the kernels)"
    return "\n".join([head, *rows])


def _add_encrypt(commands: Any) -> None:
    text = "encrypt a mail, or with --binary any file"
    usage = "encrypt (-r CERT | --to-password-file FILE) [options] [MESSAGE]"
    parser = subcommand(commands, usage, text, _ENCRYPT_EXAMPLES, _encrypt)
    add = parser.add_argument
    add("-r", "--recipient", action="append", default=[], metavar="CERT",
        help="certificate file: DER, PEM, PKCS #7, PFX, or another one that cmstream cert show "
        "reads; may be given several times")  # fmt: skip
    add_archive_passwords(parser)
    add("-o", "--output", default="-", metavar="OUT", help="default: standard output")
    _add_policy(add)
    add("--binary", action="store_true", help="the input is any file, not a mail")
    add("--form", choices=["der", "pem", "smime"], help="the output's, with --binary; default: der")
    add_password(parser)
    add("input", nargs="?", default="-", metavar="MESSAGE", help=_INPUT)


def _add_policy(add: Any) -> None:
    """The options for each choice of a Policy."""
    add("--cipher", choices=policy.CIPHER_CHOICES, default=policy.DEFAULT.cipher,
        help="the content's cipher; auto takes the strongest that all certificates name, and OAEP "
        "for those that name it; default: %(default)s, which all mail programs read")  # fmt: skip
    add("--key-transport", choices=get_args(policy.KeyTransport), default="pkcs1v15",
        help="how the content's key is encrypted for RSA; default: %(default)s, which all mail "
        "programs read")  # fmt: skip
    add("--key-agreement", choices=get_args(policy.KeyAgreement), default="standard",
        help="how the content's key is encrypted for elliptic curves: as the standards say, or as "
        "some programs need it; default: %(default)s")  # fmt: skip
    add("--header-protection", choices=[*PROTECTIONS], default="none",
        help="seal the header fields too (RFC 9788): baseline hides the subject, shy also "
        "names and the time zone; default: %(default)s")  # fmt: skip
    add("--forbid", action="append", default=[], choices=FORBIDDABLE, metavar="NAME",
        help="never use this cipher or key transport; may be given several times")  # fmt: skip
    add("--recipient-id", choices=get_args(policy.RecipientId), default="issuer-serial",
        help="how the message names its recipients; default: %(default)s")  # fmt: skip
    add("--already-encrypted", choices=get_args(policy.AlreadyEncrypted),
        help="what to do with a mail that is encrypted already; default: pass")  # fmt: skip
    problems = sorted(policy.PROBLEMS - {"address-mismatch"})  # this knows nobody's address
    add("--refuse", action="append", default=[], choices=problems, metavar="CODE",
        help="make this problem of a certificate an error, not a warning; may be given several "
        f"times: {', '.join(problems)}")  # fmt: skip


def _add_cert(commands: Any) -> None:
    text = "show certificate files, and export certificates from them"
    parser = subcommand(commands, "cert", text, _CERT_EXAMPLES, None)
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=Parser)

    text = "show what a certificate file holds"
    shown = subcommand(actions, "show [options] [FILE ...]", text, _CERT_EXAMPLES, _show)
    shown.add_argument("--json", action="store_true", help="print JSON")
    add_password(shown)
    shown.add_argument("files", nargs="*", default=["-"], metavar="FILE", help=_INPUT)

    text = "write the certificates of a PFX or another file, without private keys"
    usage = "export -o OUT [options] PFX"
    export = subcommand(actions, usage, text, _CERT_EXAMPLES, _export)
    export.add_argument("-o", "--output", required=True, metavar="OUT", help="file to write")
    export.add_argument("--form", choices=["pem", "der"], default="pem", help="default: pem")
    add_password(export)
    export.add_argument("file", metavar="PFX", help="- is standard input")


# --- certificates ----------------------------------------------------------------------------


def _show(options: argparse.Namespace) -> None:
    files = [(called(name), certificates(name, options)) for name in options.files]
    say(show.as_json(files) if options.json else show.as_text(files))


def _export(options: argparse.Namespace) -> None:
    file = certificates(options.file, options)
    if options.form == "der" and len(file.recipients) != 1:
        raise Failure(
            os.EX_DATAERR, f"{options.file}: DER holds one certificate, and the file has "
            f"{len(file.recipients)}: use --form pem"
        )  # fmt: skip
    report(options.file, file)
    spare_key(options.output)
    with output(options.output) as out:
        for recipient in file.recipients:
            out.write(recipient.der if options.form == "der" else recipient.pem)


# --- encryption ------------------------------------------------------------------------------


def _encrypt(options: argparse.Namespace) -> None:
    if options.form and not options.binary:
        raise Failure(os.EX_USAGE, "--form needs --binary: a mail always becomes a mail")
    form: Form = (options.form or "der") if options.binary else "message"
    if form == "der" and options.output == "-" and sys.stdout is not None and sys.stdout.isatty():
        raise Failure(
            os.EX_USAGE, "DER is binary, which a terminal can't show: use -o FILE or --form pem"
        )
    chosen = _policy(options)
    to = _recipients(options, chosen)
    spare(options.output, [*options.recipient, *options.to_password_file, options.password_file])
    with (
        about(options.input, _REMEDIES),
        open_input(options.input) as source,
        output(options.output) as out,
    ):
        beginning = _beginning(source)
        if form == "message":
            _warn_if_no_mail(called(options.input), beginning)
        for piece in _sealed(beginning, source, to, form, chosen):
            out.write(piece)


_REMEDIES = {
    "already-encrypted": "it is encrypted already: --already-encrypted pass lets it through, "
    "--already-encrypted encrypt encrypts it again",
}


def _beginning(source: BinaryIO) -> bytes:
    """The beginning of the input; of a short pipe, all of it. A file is left where it was."""
    if not source.seekable():
        return source.read(HELD)
    here = source.tell()
    beginning = source.read(CHUNK)
    source.seek(here)
    return beginning


_MAIL_FIELD = re.compile(
    rb"\n(?:from|date|to|cc|received|subject|message-id|return-path)[ \t]*:", re.IGNORECASE
)
_SEALED = re.compile(
    rb"\ncontent-type:\s*(?:application/(?:x-)?(?:pkcs7(?:-mime)?|cms)|multipart/encrypted)\b",
    re.IGNORECASE,
)


def _warn_if_no_mail(name: str, beginning: bytes) -> None:
    """It is only a warning: a gateway mustn't lose a mail, however odd it is."""
    if not beginning or _says_encrypted(beginning):
        return  # nothing is an error; sealed content may be binary, and passes as it is
    if b"\0" in beginning[: mime.PEEK_LIMIT]:
        what = "has a NUL near its beginning"
    elif not _MAIL_FIELD.search(_header(beginning)):
        what = "has no From, Date or To"
    else:
        return
    warn(f"{name}: {what}: is it a mail? Its first lines stay readable; use --binary for any "
         "other file")  # fmt: skip


def _says_encrypted(beginning: bytes) -> bool:
    return bool(_SEALED.search(_header(beginning)))


def _header(beginning: bytes) -> bytes:
    """A line end, and the header block or as much of it as is there."""
    start = beginning[:CHUNK]
    end, _ = mime.header_end(start, 0, final=True)
    return b"\n" + start[:end]


def _policy(options: argparse.Namespace) -> policy.Policy:
    if options.binary and options.header_protection != "none":
        raise Failure(os.EX_USAGE, "--header-protection works for a mail only, not with --binary")
    if options.binary and options.already_encrypted:
        raise Failure(os.EX_USAGE, "--already-encrypted works for a mail only, not with --binary")
    if (cipher := options.cipher) in options.forbid:
        what = (
            "is the default cipher" if cipher == policy.DEFAULT.cipher else "is named by --cipher"
        )
        raise Failure(os.EX_USAGE, f"--forbid: {cipher} {what}: choose another with --cipher")
    try:
        return policy.Policy(
            cipher=options.cipher,
            key_transport=options.key_transport,
            key_agreement=options.key_agreement,
            header_protection=PROTECTIONS[options.header_protection],
            recipient_id=options.recipient_id,
            already_encrypted=options.already_encrypted or policy.DEFAULT.already_encrypted,
            refuse=frozenset(options.refuse),
            forbid=frozenset(options.forbid),
        )
    except ValueError as error:
        raise Failure(os.EX_USAGE, f"--{error}") from None


def _recipients(options: argparse.Namespace, chosen: policy.Policy) -> Recipients:
    found: list[Recipient | Password] = [*archive_passwords(options)]
    for name in options.recipient:
        file = certificates(name, options)
        report(name, file)
        found += file.recipients
    if not found:
        raise Failure(os.EX_USAGE, "give --recipient, --to-password-file or --to-password-env")
    to = Recipients(found)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RecipientWarning)
        to.check(chosen)
    for warning in caught:
        warn(str(warning.message))
    return to


def _sealed(
    beginning: bytes, source: BinaryIO, to: Recipients, form: Form, chosen: policy.Policy
) -> Iterable[bytes]:
    """The pieces of the sealed input: in DER if it is seekable or short, else in BER."""
    if not source.seekable():
        if len(beginning) == HELD:
            _warn_if_unchecked(beginning, form, chosen)
            rest = iter(lambda: source.read(CHUNK), b"")
            return _streamed(itertools.chain([beginning], rest), to, form, chosen)
        source = io.BytesIO(beginning)
    here = source.tell()
    total = source.seek(0, io.SEEK_END) - here
    source.seek(here)
    chunks = encrypt_iter(source, to, form=form, policy=chosen)
    # What comes out is longer than what goes in by a third in base64.
    return with_progress(chunks, total if form == "der" else total * 66 // 48)


def _warn_if_unchecked(beginning: bytes, form: Form, chosen: policy.Policy) -> None:
    if form == "message" and chosen.already_encrypted != "encrypt" and _says_encrypted(beginning):
        warn(
            "standard input: says that it is encrypted already, but a pipe so long can't be "
            "checked: it is encrypted again; give it as a file"
        )


def _streamed(
    chunks: Iterable[bytes], to: Recipients, form: Form, chosen: policy.Policy
) -> Iterator[bytes]:
    context = encryptor(to, form=form, policy=chosen)
    for chunk in with_progress(chunks, None):
        yield context.update(chunk)
    yield context.finalize()
