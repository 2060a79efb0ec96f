"""What the lines of the gateway's log look like: text, or JSON. No octet that a client sends makes
a line of its own.

Lines about messages are many, so a function makes each in one go.
"""

from __future__ import annotations

import json
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .outcome import Outcome, Told
    from .protocol.envelope import Rcpt
    from .protocol.replies import Reply

Level = Literal["info", "warning", "error"]


class Head(NamedTuple):
    """What each line begins with. ``now``: seconds since the epoch."""

    now: float
    process: int
    level: Level


class _Lines:
    """What both forms tell of a message."""

    @classmethod
    def message(cls, head: Head, outcome: Outcome, recipients: Sequence[Rcpt], *, sender: bytes,
                protocol: str, client: str, queue_id: str) -> str:  # fmt: skip
        """What became of one."""
        told = [("from", decoded(sender))] if sender else []
        if queue_id:
            told.append(("queue_id", queue_id))
        if client:
            told.append(("client", client))
        if outcome.failed:
            told.append(("failed", outcome.failed))
        whom = zip(recipients, outcome.recipients, strict=True)
        return cls._message(head, outcome, protocol, told, whom)

    @staticmethod
    def _message(head: Head, outcome: Outcome, protocol: str, told: list[tuple[str, str]],
                 whom: Iterable[tuple[Rcpt, Told]]) -> str:  # fmt: skip
        """The line. ``told``: names and values."""
        raise NotImplementedError


class Text(_Lines):
    """``name=value``, with quotes and JSON's escapes where a value has spaces or anything odd."""

    @staticmethod
    def event(head: Head, text: str, fields: Mapping[str, Any]) -> str:
        """Of anything but a message."""
        told = "".join(
            f" {name}={_word(str(value))}"
            for name, value in fields.items()
            if value is not None and value != ""
        )
        shown = text if text.isprintable() else _quoted(text)
        return f"{_moment(head.now)} {head.process} {head.level} {shown}{told}"

    @staticmethod
    def _message(head: Head, outcome: Outcome, protocol: str, told: list[tuple[str, str]],
                 whom: Iterable[tuple[Rcpt, Told]]) -> str:  # fmt: skip
        line = (
            f"{_moment(head.now)} {head.process} {head.level} message protocol={protocol}"
            f" bytes={outcome.length} seconds={outcome.seconds:.6f}"
        )
        for name, value in told:
            line += f" {name}={_word(value)}"
        for rcpt, (action, reason, detail, reply) in whom:
            line += f" to={_word(rcpt.address)} action={action} reason={reason}"
            if detail:
                line += f" detail={_quoted(detail)}"
            if reply is not None:
                line += f" reply={_said(reply)}"
        return line


class Json(_Lines):
    """An object for each line."""

    @staticmethod
    def event(head: Head, text: str, fields: Mapping[str, Any]) -> str:
        """Of anything but a message."""
        told = {name: value for name, value in fields.items() if value is not None and value != ""}
        start = {"time": _moment(head.now), "process": head.process, "level": head.level}
        return _encode({**start, "event": text, **told})

    @staticmethod
    def _message(head: Head, outcome: Outcome, protocol: str, told: list[tuple[str, str]],
                 whom: Iterable[tuple[Rcpt, Told]]) -> str:  # fmt: skip
        line = (
            f'{{"time": "{_moment(head.now)}", "process": {head.process}, "level": "{head.level}",'
            f' "event": "message", "protocol": {_quoted(protocol)}, "bytes": {outcome.length},'
            f' "seconds": {outcome.seconds:.6f}'
        )
        for name, value in told:
            line += f', "{name}": {_quoted(value)}'
        people = []
        for rcpt, (action, reason, detail, reply) in whom:
            one = f'"to": {_quoted(rcpt.address)}, "action": "{action}", "reason": "{reason}"'
            if detail:
                one += f', "detail": {_quoted(detail)}'
            if reply is not None:
                one += f', "reply": {_said(reply)}'
            people.append(f"{{{one}}}")
        return f'{line}, "recipients": [{", ".join(people)}]}}'


LONGEST_REPLY = 2000
"""Characters of a next hop's reply that a line has; it may be of two million."""
_encode = json.JSONEncoder(default=str).encode
_quoted = lru_cache(1024)(_encode)
_BARE = re.compile(r"[!#-\[\]-~]+").fullmatch


@lru_cache(1024)
def _word(text: str) -> str:
    return text if _BARE(text) else _encode(text)


def _said(reply: Reply) -> str:
    return _quoted(reply.text[:LONGEST_REPLY])


@lru_cache(1024)
def decoded(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _moment(now: float) -> str:
    """In UTC."""
    return f"{_second(int(now))}.{int(now % 1 * 1000):03}Z"


@lru_cache(1)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
