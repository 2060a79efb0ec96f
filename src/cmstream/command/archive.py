"""``cmstream archive``: seals files and exported mail, reads the archive back, and opens it."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import warnings
from typing import TYPE_CHECKING, Any

from .. import policy
from ..archive.errors import ArchiveError
from ..archive.opening import open_archive
from ..archive.sealing import seal
from ..archive.verifying import verify
from ..errors import CmstreamError, RecipientWarning
from . import standard_streams
from .endings import Failure, Stopped
from .identities import add_keys, identities
from .progress import StatusLine
from .shared import (
    Parser,
    add_archive_passwords,
    add_password,
    archive_passwords,
    certificates,
    report,
    say,
    subcommand,
    warn,
)
from .whole_batches import WholeBatches

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..archive.report import Report

_SEAL_EXAMPLES = """\
examples:
  cmstream archive seal --to vault.pem /srv/mail-export sealed/
  cmstream archive seal --to vault.pem s3://export/2019/ s3://sealed/2019/ --ray auto

Mails (Maildirs, .eml files, members of mbox files and .eml members of tar files) become S/MIME
messages, all other files CMS in DER (.p7m). A second run seals what is new, and nothing twice.

The names and sizes of files, and header fields of mails such as Subject, stay readable.

A password takes a good part of a second for each file, by design.

Exit codes: 64 wrong usage, 65 a source has changed or can't be sealed, 66 one can't be read, 73 the
target can't be created, 75 try again: the disk is full, for instance, or the archive is busy.
"""
_VERIFY_EXAMPLES = """\
examples:
  cmstream archive verify sealed/
  cmstream archive verify --to vault.pem s3://sealed/2019/ --json

Exit codes: 64 wrong usage, 65 something isn't as it should be, 66 there is no archive or its
manifest can't be read, 75 try again.
"""
_OPEN_EXAMPLES = """\
examples:
  cmstream archive open --pfx vault.pfx sealed/ opened/

Exit codes: 64 wrong usage, 65 something couldn't be opened, 66 there is no archive, 73 the folder
can't be created, 75 try again.
"""
_CODES = {
    "busy": os.EX_TEMPFAIL,
    "unreachable": os.EX_TEMPFAIL,
    "no-archive": os.EX_NOINPUT,
    "no-source": os.EX_NOINPUT,
    "damaged-manifest": os.EX_DATAERR,
    "not-empty": os.EX_CANTCREAT,
}
_WRONG = {"sealed": "not sealed", "verified": "failed", "opened": "not opened"}
_SHOWN = 20
"""The most files that are named on standard error; --json names more."""


def add_command(commands: Any) -> None:
    """Adds it to the command."""
    text = "seal files and exported mail into an archive, check it, open it"
    parser = subcommand(commands, "archive", text, _SEAL_EXAMPLES, None)
    actions = parser.add_subparsers(required=True, metavar="ACTION", parser_class=Parser)
    _add_seal(actions)
    _add_verify(actions)
    _add_open(actions)


def _add_seal(actions: Any) -> None:
    text = "seal files that the archive doesn't have yet"
    usage = "seal (--to CERT | --to-password-file FILE) [options] SOURCE ... TARGET"
    parser = subcommand(actions, usage, text, _SEAL_EXAMPLES, _seal)
    add = parser.add_argument
    add("--to", action="append", default=[], metavar="CERT",
        help="certificate file to seal to; may be given several times")  # fmt: skip
    add_archive_passwords(parser)
    add("--processes", type=_count, metavar="N", help="default: one for each processor")
    add("--ray", metavar="ADDRESS",
        help="seal on the machines of this Ray cluster; auto: the cluster of this "
        "machine")  # fmt: skip
    add("--as-files", action="store_true",
        help="seal mails, mbox and tar files as any other file, octet for octet")  # fmt: skip
    add("--update", action="store_true", help="seal again what has changed since it was sealed")
    add("--cipher", choices=policy.CIPHER_CHOICES, default=policy.DEFAULT.cipher,
        help="the content's cipher; default: %(default)s")  # fmt: skip
    add("--take-over", action="store_true",
        help="buckets only: ignore the lock of a run that you know has ended")  # fmt: skip
    _add_json(add)
    add_password(parser, "a PFX file that --to names")
    add("sources", nargs="+", metavar="SOURCE", help="a file, a folder, or a bucket's URL")
    add("target", metavar="TARGET", help="a folder or a bucket's URL, new or an archive")


def _add_verify(actions: Any) -> None:
    text = "read an archive back without a key, and say what isn't as it should be"
    parser = subcommand(actions, "verify [options] TARGET", text, _VERIFY_EXAMPLES, _verify)
    add = parser.add_argument
    add("--to", action="append", default=[], metavar="CERT",
        help="everything must be sealed to these certificates; default: to those of the "
        "manifest")  # fmt: skip
    add("--processes", type=_count, metavar="N", help="default: one for each processor")
    _add_json(add)
    add_password(parser, "a PFX file that --to names")
    add("target", metavar="TARGET")


def _add_open(actions: Any) -> None:
    text = "give the files of an archive back"
    usage = "open (--pfx PFX | -k KEY [-c CERT] | --password-file FILE) [options] TARGET OUT"
    parser = subcommand(actions, usage, text, _OPEN_EXAMPLES, _open)
    add_keys(parser)
    _add_json(parser.add_argument)
    parser.add_argument("target", metavar="TARGET")
    parser.add_argument("out", metavar="OUT", help="a new or an empty folder")


def _add_json(add: Any) -> None:
    add("--json", action="store_true", help="print the report as JSON")


def _count(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text}: it must be a number from 1 to 9999")
    return int(text)


def _seal(options: argparse.Namespace) -> None:
    to = [*_people(options), *archive_passwords(options)]
    if not to:
        raise Failure(os.EX_USAGE, "give --to, --to-password-file or --to-password-env")
    whole, found = WholeBatches(_tell_of_waiting), None
    try:
        with whole.handled(), whole:
            found = _sealed(options, to, whole.asked)
            if whole.asked():  # also where it came too late to stop anything
                with contextlib.suppress(OSError):  # of a terminal that was closed
                    _show(found, "sealed", options)
    except CmstreamError as error:
        raise _failure(error) from None
    except (KeyboardInterrupt, Stopped):
        if found is None or found.stopped:
            warn("the same command again goes on where this one ends")
        raise
    _end(found, "sealed", options)


def _sealed(options: argparse.Namespace, to: list[Any], stop: Callable[[], bool]) -> Report:
    with warnings.catch_warnings(record=True) as caught, _Progress() as tell:
        warnings.simplefilter("always", RecipientWarning)
        found = seal(
            options.sources, options.target, to,
            policy=policy.Policy(cipher=options.cipher), as_files=options.as_files,
            update=options.update, processes=options.processes, ray=options.ray,
            take_over=options.take_over, tell=tell, stop=stop,
        )  # fmt: skip
    for text in dict.fromkeys(str(one.message) for one in caught):
        warn(text)
    return found


def _tell_of_waiting() -> None:
    if os.isatty(2):
        with contextlib.suppress(OSError):  # one that takes nothing now must not end the run
            os.write(2, b"\n")  # behind ^C
    standard_streams.tell("finishing the files in hand: interrupt again to end at once")


def _verify(options: argparse.Namespace) -> None:
    to = _people(options) or None
    try:
        with _Progress() as tell:
            found = verify(options.target, to=to, processes=options.processes, tell=tell)
    except CmstreamError as error:
        raise _failure(error) from None
    except PermissionError as error:
        why = f"can't read {error.filename}: {error.strerror}"
        raise Failure(os.EX_NOINPUT, why) from None
    _end(found, "verified", options)


def _open(options: argparse.Namespace) -> None:
    me = identities(options)
    try:
        with _Progress() as tell:
            found = open_archive(options.target, options.out, me, tell=tell)
    except CmstreamError as error:
        raise _failure(error) from None
    except (KeyboardInterrupt, Stopped):
        warn(f"{options.out} doesn't hold everything: give a new folder to the next run")
        raise
    _end(found, "opened", options)


def _people(options: argparse.Namespace) -> list[Any]:
    found: list[Any] = []
    for name in options.to:
        file = certificates(name, options)
        report(name, file)
        found += file.recipients
    return found


def _failure(error: CmstreamError) -> Failure:
    own = isinstance(error, ArchiveError)
    code = _CODES.get(error.code, os.EX_USAGE) if own else os.EX_DATAERR
    return Failure(code, f"{error} [{error.code}]")


def _end(found: Report, done: str, options: argparse.Namespace) -> None:
    """Prints what came of it; ends with a code where something was left."""
    _show(found, done, options)
    if count := found.failed:
        code = os.EX_NOINPUT if "unreadable" in found.left and done == "sealed" else os.EX_DATAERR
        raise Failure(code, f"{count} {_files(count)} {_WRONG[done]}: --json names them")


def _show(found: Report, done: str, options: argparse.Namespace) -> None:
    if options.json:
        say(json.dumps(found.as_document(), indent=2))
    else:
        say(_summary(found, done))
        _name(found)


def _name(found: Report) -> None:
    """Says what was left, and the same reason once."""
    said = set()
    for one in found.named[:_SHOWN]:
        warn(
            f"{one.name} [{one.code}]" if one[1:] in said else f"{one.name}: {one.why} [{one.code}]"
        )
        said.add(one[1:])
    if (more := found.left.total() - _SHOWN) > 0:
        warn(f"and {more} more")


def _summary(found: Report, done: str) -> str:
    stopped = ", before the run was stopped" if found.stopped else ""
    parts = [f"{done} {found.done} {_files(found.done)}, {_size(found.octets)}{stopped}"]
    if found.known:
        parts.append(f"{found.known} known already")
    parts += [f"{count} {code}" for code, count in sorted(found.left.items())]
    return "; ".join(parts)


def _files(count: int) -> str:
    return "file" if count == 1 else "files"


def _size(octets: int) -> str:
    return f"{octets} bytes" if octets < 1 << 20 else f"{octets / (1 << 20):.1f} MiB"


class _Progress:
    """How far a run has come, in a line on a terminal."""

    def __init__(self) -> None:
        self._line = StatusLine()

    def __enter__(self) -> Callable[[Report], None]:
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._line.end()

    def _tell(self, found: Report) -> None:
        if not self._line.due:
            return
        seconds = max(found.seconds, 1e-6)
        rate = f"{found.done / seconds:.0f} files/s, {found.octets / seconds / (1 << 20):.1f} MiB/s"
        left = sum(found.left.values())
        self._line.show(
            f"{found.done} files, {_size(found.octets)}, {rate}, {found.known} known, {left} left"
        )
