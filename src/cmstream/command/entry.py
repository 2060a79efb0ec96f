"""What the program ``cmstream`` starts with. A mail server calls ``cmstream seal`` for each
message, so that imports no more than it needs; everything else is the whole command's."""

from __future__ import annotations

# The module around it takes as long to import as Python takes to start.
import _signal  # type: ignore[import-not-found]
import os
import sys

from . import DEFERRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def program() -> int:
    """The command as a whole process. An interrupt that comes while Python ends doesn't change the
    exit code of a command that is done; one that failed ends at once, without a traceback."""
    code = os.EX_USAGE  # unless main() returns
    try:
        code = main()
    finally:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL if code else _signal.SIG_IGN)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and gives its exit code; no exception leaves it but SystemExit."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] != [DEFERRING]:
        try:
            whole = _whole()
        except KeyboardInterrupt as error:
            defer(error)
            return 130  # as the whole command ends then
        return whole(words)
    try:
        from . import seal_start  # noqa: PLC0415 - what fails there must be 75 too

        code = seal_start.main(words[1:])
        return _whole()(words) if code is None else code
    except SystemExit:  # the parser's, after help or wrong usage
        raise
    except BaseException as error:  # noqa: BLE001 - a mail server must be told to try again
        return defer(error)


def _whole() -> Callable[[list[str]], int]:
    from .cli import main as whole  # noqa: PLC0415 - slow to import

    return whole


def defer(error: BaseException) -> int:
    """Tells what went wrong, and gives 75."""
    text = f"unexpected error ({type(error).__name__}): try again"
    if isinstance(error, OSError):
        text = ": ".join(str(one) for one in (error.filename, error.strerror or error) if one)
    elif isinstance(error, KeyboardInterrupt):
        text = "interrupted"
    from .standard_streams import tell  # noqa: PLC0415 - nothing is imported before main()

    tell(text)
    return os.EX_TEMPFAIL
