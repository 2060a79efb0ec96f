"""What the subcommands share: options, input, passwords, warnings, and how they end."""

from __future__ import annotations

import argparse
import codecs
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, TypeVar

from ..certificates import archive_keys
from ..certificates.containers import MAX_FILE
from ..certificates.recipient import read_certificates
from ..errors import CertificateError, CmstreamError, RecipientError
from .endings import Failure, Stopped, heeded
from .output import output, replaces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..certificates.archive_keys import Password
    from ..certificates.recipient import CertificateFile

T = TypeVar("T")


@contextmanager
def stoppable() -> Iterator[None]:
    """Raises Stopped where these signals would end the process and leave a temporary file. A
    handler that was set meanwhile stays."""

    def stop(number: int, _: object) -> None:
        raise Stopped(number)

    ours = threading.current_thread() is threading.main_thread()  # others can't have handlers
    signals = heeded((signal.SIGTERM, signal.SIGHUP)) if ours else ()
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


class Parser(argparse.ArgumentParser):
    """Ends with 64 on wrong usage, as sysexits(3) has it."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but a subcommand reports what it doesn't know, with its own usage; and an
        option that there isn't comes before whatever is wrong because of it."""
        words = sys.argv[1:] if args is None else list(args)
        if told := [self._told(name) for name in self._strange(words)]:
            self.error("; ".join(told))
        options, unknown = super().parse_known_args(words, namespace)
        # Argparse gives a word that may be left out its chance only directly behind the one before.
        for action in self._get_positional_actions():
            left_out = action.nargs == "?" and getattr(options, action.dest, None) == action.default
            if left_out and unknown and (unknown[0] == "-" or not unknown[0].startswith("-")):
                setattr(options, action.dest, unknown.pop(0))
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown

    def _strange(self, words: list[str]) -> Iterator[str]:
        """The long options that there aren't; of what follows a subcommand, that one knows. For
        argparse a word with a space in it is none: it may be a file's name."""
        for word in words:
            if word == "--" or (self._subparsers and not word.startswith("-")):
                return
            name = word.partition("=")[0]
            if name.startswith("--") and not (
                " " in name or any(known.startswith(name) for known in self._option_string_actions)
            ):
                yield name

    def _told(self, name: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415 - slow to import, seldom wanted

        near = get_close_matches(name, self._option_string_actions, 1)
        return f"there is no option {name}" + (f": did you mean {near[0]}?" if near else "")

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"cmstream: {message} (see {self.prog} --help)\n")


def subcommand(commands: Any, usage: str, text: str, examples: str, run: Any) -> Any:
    """Adds a subcommand whose help ends with examples. ``usage``: its name, and the least that must
    be given."""
    name, _, needed = usage.partition(" ")
    parser = commands.add_parser(
        name,
        usage=f"%(prog)s {needed}" if needed else None,
        help=text,
        description=text,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_password(parser: Any, of: str = "the PFX") -> None:
    """Adds the options that say where the password is; only one of them may be given."""
    add = parser.add_mutually_exclusive_group().add_argument
    add("--password-file", metavar="FILE", help=f"file whose first line is the password of {of}")
    add("--password-env", metavar="NAME", help="environment variable that holds that password")


def add_archive_passwords(parser: Any) -> None:
    """Adds the options that say where the passwords to seal with are; each of them counts."""
    for source, metavar, text in (
        ("file", "FILE", "file whose first line is a password that opens what is sealed"),
        ("env", "NAME", "environment variable that holds such a password"),
    ):
        parser.add_argument(f"--to-password-{source}", action="append", default=[],
            metavar=metavar, help=f"{text}; may be given several times")  # fmt: skip


def read(name: str) -> bytes:
    """A whole file. Raises Failure with 66."""
    with open_input(name) as file:
        try:
            return file.read()
        except OSError as error:
            raise Failure(os.EX_NOINPUT, f"can't read {name}: {error.strerror}") from None


def say(text: str) -> None:
    """Prints on standard output, which must be there."""
    with output("-") as out:
        out.write(text.encode() + b"\n")


def password(options: argparse.Namespace) -> str | bytes | None:
    """The password that the options name, or None."""
    if options.password_file:
        return _from_file(options.password_file)
    return _from_environment(options.password_env) if options.password_env else None


def _from_file(name: str) -> bytes:
    """The first line, without the mark that some editors put before UTF-8."""
    return read(name).partition(b"\n")[0].rstrip(b"\r").removeprefix(codecs.BOM_UTF8)


def _from_environment(variable: str) -> str:
    if variable not in os.environ:
        raise Failure(os.EX_USAGE, f"the environment has no variable {variable}")
    return os.environ[variable]


def archive_password(options: argparse.Namespace) -> Password | None:
    """The password that opens an archive, if the options name one."""
    secret = password(options)
    if secret is None:
        return None
    return _archive_password(options.password_file or options.password_env, secret)


def archive_passwords(options: argparse.Namespace) -> list[Password]:
    """The passwords that an archive is sealed with."""
    files, variables = options.to_password_file, options.to_password_env
    return [
        *(_archive_password(name, _from_file(name)) for name in files),
        *(_archive_password(name, _from_environment(name)) for name in variables),
    ]


def _archive_password(source: str, secret: str | bytes) -> Password:
    if not secret:
        raise Failure(os.EX_USAGE, f"{source}: the password is empty, which protects nothing")
    return archive_keys.password(secret)


def certificates(name: str, options: argparse.Namespace) -> CertificateFile:
    """What the file holds. Asks for the password of a PFX if there is a terminal."""
    data = read(name)
    return unlocked(name, options, lambda secret: read_certificates(data, password=secret))


def unlocked(
    name: str,
    options: argparse.Namespace,
    load: Callable[[str | bytes | None], T],
    files: Mapping[str, str] = MappingProxyType({}),
) -> T:
    """What ``load`` gives for the password. Asks for the password if it is needed and there is a
    terminal. ``files`` maps the name at the beginning of an error to the file that it means."""
    try:
        try:
            return load(password(options))
        except CmstreamError as error:
            if error.code != "password-needed":
                raise
            secret = ask(name)
            if secret is None:
                ways = f"give --password-file or --password-env [{error.code}]"
                text = f"{_told(error, name, files)}: {ways}"
                raise Failure(os.EX_DATAERR, text) from None
        return load(secret)
    except CmstreamError as error:
        raise Failure(os.EX_DATAERR, f"{_told(error, name, files)} [{error.code}]") from None


def _told(error: CmstreamError, name: str, files: Mapping[str, str]) -> str:
    which, _, text = str(error).partition(": ")
    return f"{files[which]}: {text}" if which in files else f"{called(name)}: {error}"


def ask(name: str) -> str | None:
    """Asks for a password on the terminal; None if there is no terminal or no answer."""
    from getpass import getpass  # noqa: PLC0415 - slow to import, seldom wanted

    if sys.stdin is None or not sys.stdin.isatty():
        return None
    try:
        return getpass(f"Password of {name}: ")
    except EOFError:
        return None


def report(name: str, file: CertificateFile) -> None:
    """Warns about what of a certificate file isn't used."""
    if file.private_key_ignored:
        warn(f"{name}: the private key in it was ignored; only the certificate is needed")
    for aside in file.set_aside:
        which = aside.subject or f"{aside.fingerprint[:16]}…"  # one that can't be read has no name
        warn(f"{name}: set aside {which}: {aside.reason}")


def warn(text: str) -> None:
    """Prints a warning on standard error."""
    _tell(f"warning: {text}")


def note(text: str) -> None:
    """Prints on standard error what people should know though nothing is wrong."""
    _tell(f"note: {text}")


def _tell(text: str) -> None:
    """Where nobody can read it, because a terminal was closed, the work goes on."""
    with suppress(OSError):
        print(f"cmstream: {text}", file=sys.stderr)


def spare(target: str, given: Iterable[str | None]) -> None:
    """Raises Failure with 64 where the result would take the place of a file that holds a key, a
    certificate or a password of this very run: it may be the only one."""
    for name in given:
        with suppress(OSError):
            if name and replaces(target) and Path(name).samefile(target):
                text = f"-o {target} would replace {name}, which is needed here: name another file"
                raise Failure(os.EX_USAGE, text)


def spare_key(target: str) -> None:
    """Raises Failure with 73 where a private key would be replaced by certificates."""
    path = Path(target)
    try:
        if not replaces(target) or path.stat().st_size > MAX_FILE:
            return
        holds = read_certificates(path.read_bytes()).private_key_ignored
    except CertificateError as error:
        holds = error.code in _WITH_A_KEY
    except OSError:
        return
    if holds:
        text = f"{target} holds a private key, which would be lost: name another file for -o"
        raise Failure(os.EX_CANTCREAT, text)


_WITH_A_KEY = {"private-key-only", "password-needed", "wrong-password"}


def called(name: str) -> str:
    """What an input is called in a message."""
    return "standard input" if name == "-" else name


@contextmanager
def about(name: str, remedies: dict[str, str] | None = None) -> Iterator[None]:
    """Adds the input's name to an error, and the remedy if there is one for its code."""
    try:
        yield
    except RecipientError:
        raise  # that one names its certificate
    except CmstreamError as error:
        text = (remedies or {}).get(error.code, "").format(error=error) or error
        raise Failure(os.EX_DATAERR, f"{called(name)}: {text} [{error.code}]") from None


def open_input(name: str) -> BinaryIO:
    """The file, or standard input. Raises Failure with 66."""
    if name == "-" and sys.stdin is None:
        raise Failure(os.EX_NOINPUT, "can't read standard input: it is closed")
    if name == "-":
        return sys.stdin.buffer
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise Failure(os.EX_NOINPUT, f"can't read {name}: {error.strerror}") from None
