"""The gateway's log: one line for each message and for each event, as text or as JSON.

No line has content or a subject, and no octet that a client sends makes a line of its own.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CmstreamError
from .log_lines import LONGEST_REPLY, Head, Json, Text, decoded
from .outcome import ANOTHER_COPY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .log_lines import Level
    from .outcome import Outcome, Told
    from .protocol.envelope import Rcpt
    from .settings import Settings

_USUAL = {"sealed", "left"}
_PLACES = 4
"""So many places in the code are named for an error, the innermost first."""
_LONGEST_ADDRESS = 320
"""Characters of an address in a line about one recipient: there may be many with one sender."""
_LOOK = 1.0
"""Seconds between two looks whether somebody has moved the file away."""


def _is_usual(one: Told) -> bool:
    return one.action in _USUAL and (one.reply is None or one.reply.kind == 2)


class Log:
    """Of one process; several may share a file. Raises OSError where it can't be opened."""

    def __init__(self, settings: Settings) -> None:
        self._file = _File(settings.log_file) if settings.log_file else _Stderr()
        self._lines = Json if settings.log_format == "json" else Text
        self._process = os.getpid()

    def message(self, outcome: Outcome, *, protocol: str, client: str, queue_id: str,
                sender: bytes, recipients: Sequence[Rcpt]) -> None:  # fmt: skip
        """What became of one message. ``queue_id``: the client's name for it, or nothing."""
        odd = outcome.failed or not all(map(_is_usual, outcome.recipients))
        head = Head(time.time(), self._process, "warning" if odd else "info")
        line = self._lines.message(
            head, outcome, recipients,
            sender=sender, protocol=protocol, client=client, queue_id=queue_id,
        )  # fmt: skip
        self._file.write(line, head.now)

    def refused(self, told: Told, *, to: str | None, protocol: str, client: str, queue_id: str,
                sender: bytes) -> None:  # fmt: skip
        """A recipient is refused before a message comes; or its sender, without ``to``."""
        fields = {
            "protocol": protocol, "from": decoded(sender)[:_LONGEST_ADDRESS], "queue_id": queue_id,
            "client": client, "to": to and to[:_LONGEST_ADDRESS], "action": told.action,
            "reason": told.reason, "detail": told.detail,
            "reply": told.reply and told.reply.text[:LONGEST_REPLY],
        }  # fmt: skip
        level: Level = "info" if told.reason == ANOTHER_COPY else "warning"
        self._write(level, "sender" if to is None else "recipient", fields)

    def info(self, text: str, **fields: object) -> None:
        """Something happened."""
        self._write("info", text, fields)

    def warning(self, text: str, **fields: object) -> None:
        """Somebody should look after it."""
        self._write("warning", text, fields)

    def error(self, error: BaseException, about: str = "") -> None:
        """Something failed that nobody foresaw. ``about``: what was being done."""
        text, fields = _described(error)
        self._write("error", f"{about}: {text}" if about else text, fields)

    def adopt(self) -> None:
        """What libraries log in this process goes here too, from warnings on."""
        root = logging.getLogger()
        root.handlers[:] = [_Library(self)]
        root.setLevel(logging.WARNING)

    def reopen(self) -> None:
        """Opens the file again: it may have been moved. Goes on with the old one if it can't."""
        try:
            self._file.reopen()
        except OSError as error:
            self.error(error, "can't open the log again")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, level: Level, text: str, fields: Mapping[str, Any]) -> None:
        head = Head(time.time(), self._process, level)
        self._file.write(self._lines.event(head, text, fields), head.now)


class _Library(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {record.getMessage().partition(chr(10))[0]}"
        if record.exc_info and record.exc_info[1] is not None:
            self._log.error(record.exc_info[1], text)
        else:
            self._log.warning(text)


# --- where it goes ---------------------------------------------------------------------------


class _Stderr:
    """A log that can't be written stops no mail."""

    _descriptor = 2

    def write(self, line: str, now: float) -> None:
        """Writes a line, at this time."""
        del now
        rest = line.encode("ascii", "backslashreplace") + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            pass

    def reopen(self) -> None:
        """It stays."""

    def close(self) -> None:
        """It stays."""


class _File(_Stderr):
    """Each line is one write at the file's end, so that those of several processes don't mix."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = time.time()
        self._descriptor = self._open()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def write(self, line: str, now: float) -> None:
        if not 0 <= now - self._looked < _LOOK:
            self._looked = now
            with suppress(OSError):
                if self._moved():
                    self.reopen()
        super().write(line, now)

    def _moved(self) -> bool:
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return True

    def reopen(self) -> None:
        new = self._open()
        os.close(self._descriptor)
        self._descriptor = new

    def close(self) -> None:
        os.close(self._descriptor)


def _described(error: BaseException) -> tuple[str, dict[str, Any]]:
    """The type, and the places in the code. The text only of errors that are written for people:
    any other may quote what a client sent."""
    frames = traceback.extract_tb(error.__traceback__)[: -_PLACES - 1 : -1]
    places = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames)
    why = ""
    if isinstance(error, CmstreamError):
        why = f"{error} [{error.code}]"
    elif isinstance(error, OSError) and error.errno:
        why = ": ".join(filter(None, (str(error.filename or ""), os.strerror(error.errno))))
    return type(error).__name__, {"why": why, "at": places}
