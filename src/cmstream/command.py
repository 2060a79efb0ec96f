"""What the subcommands share: arguments, input, passwords, and endings."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

from .certificates import read_certificates
from .errors import CmstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .certificates import CertificateFile

T = TypeVar("T")


class Failure(Exception):  # noqa: N818 - an ending, not always an error
    """Ends the command with a line and a code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Parser(argparse.ArgumentParser):
    """Ends with 64 on wrong usage, as sysexits(3) has it."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"cmstream: {message} (see {self.prog} --help)\n")


def subcommand(commands: Any, name: str, text: str, examples: str, run: Any) -> Any:
    """Adds a subcommand whose help ends with examples."""
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_password(add: Any) -> None:
    """Adds the options that say where a password is."""
    add("--password-file", metavar="FILE", help="its first line is the PFX's password")
    add("--password-env", metavar="NAME", help="the environment variable with the password")


def read(name: str) -> bytes:
    """A whole file. Raises Failure with 66."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise Failure(os.EX_NOINPUT, f"can't read {name}: {error.strerror}") from None


def password(options: argparse.Namespace) -> str | bytes | None:
    """As the options say, if they do."""
    if options.password_file:
        return read(options.password_file).partition(b"\n")[0].rstrip(b"\r")
    if options.password_env:
        if options.password_env not in os.environ:
            raise Failure(os.EX_USAGE, f"{options.password_env} isn't in the environment")
        return os.environ[options.password_env]
    return None


def certificates(name: str, options: argparse.Namespace) -> CertificateFile:
    """What is in the file; asks for the password of a PFX if there is somebody to ask."""
    data = read(name)
    return unlocked(name, options, lambda secret: read_certificates(data, password=secret))


def unlocked(name: str, options: argparse.Namespace, load: Callable[[str | bytes | None], T]) -> T:
    """What ``load`` gives for the password; asks for it where it is needed and there is somebody to
    ask."""
    try:
        try:
            return load(password(options))
        except CmstreamError as error:
            if error.code != "password-needed" or not sys.stdin.isatty():
                raise
        return load(ask(name))
    except CmstreamError as error:
        raise Failure(os.EX_DATAERR, f"{name}: {error} [{error.code}]") from None


def ask(name: str) -> str:
    """Asks on the terminal."""
    from getpass import getpass  # noqa: PLC0415 - slow to import, seldom wanted

    return getpass(f"Password of {name}: ")


def report(name: str, file: CertificateFile) -> None:
    """Warns of what was left out of a certificate file."""
    if file.private_key_ignored:
        warn(f"{name}: the private key in it was ignored; only the certificate is needed")
    for aside in file.set_aside:
        warn(f"{name}: set aside {aside.subject}: {aside.reason}")


def warn(text: str) -> None:
    """A line on standard error."""
    print(f"cmstream: warning: {text}", file=sys.stderr)


def open_input(name: str) -> BinaryIO:
    """The file, or standard input. Raises Failure with 66."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise Failure(os.EX_NOINPUT, f"can't read {name}: {error.strerror}") from None
