"""How the command ends early. Needs nothing but Python's core."""

from __future__ import annotations


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
