"""How the command ends early. Needs nothing but Python's core."""

from __future__ import annotations

# The module around it takes as long to import as Python takes to start.
import _signal  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Failure(Exception):  # noqa: N818 - an ending, not always an error
    """Ends the command with a line and a code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stopped(BaseException):
    """Somebody asks the process to end, by SIGTERM or SIGHUP; ``number``: of the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def heeded(numbers: Iterable[int]) -> list[int]:
    """Those of these signals that this process wasn't started to ignore: nohup(1) ignores SIGHUP,
    and a shell SIGINT for what a script puts in the background."""
    return [one for one in numbers if _signal.getsignal(one) != _signal.SIG_IGN]
