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
    from collections.abc import Mapping, Sequence

    from .outcome import Outcome
    from .protocol.envelope import Rcpt

Level = Literal["info", "warning", "error"]


class Head(NamedTuple):
    """What each line begins with. ``now``: seconds since the epoch."""

    now: float
    process: int
    level: Level


class Text:
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
    def message(head: Head, outcome: Outcome, recipients: Sequence[Rcpt], *, sender: bytes,
                protocol: str, client: str, queue_id: str) -> str:  # fmt: skip
        """What became of one."""
        start = (
            f"{_moment(head.now)} {head.process} {head.level} message protocol={protocol}"
            f" bytes={outcome.length} seconds={outcome.seconds:.6f}"
        )
        words = [start]
        if sender:
            words.append(f"from={_word(_decoded(sender))}")
        if queue_id:
            words.append(f"queue_id={_word(queue_id)}")
        if client:
            words.append(f"client={_word(client)}")
        if outcome.failed:
            words.append(f"failed={_word(outcome.failed)}")
        for rcpt, told in zip(recipients, outcome.recipients, strict=True):
            action, reason, detail, reply = told
            words.append(f"to={_word(rcpt.address)} action={action} reason={reason}")
            if detail:
                words.append(f"detail={_quoted(detail)}")
            if reply is not None:
                words.append(f"reply={_quoted(reply.text)}")
        return " ".join(words)


class Json:
    """An object for each line."""

    @staticmethod
    def event(head: Head, text: str, fields: Mapping[str, Any]) -> str:
        """Of anything but a message."""
        told = {name: value for name, value in fields.items() if value is not None and value != ""}
        start = {"time": _moment(head.now), "process": head.process, "level": head.level}
        return _encode({**start, "event": text, **told})

    @staticmethod
    def message(head: Head, outcome: Outcome, recipients: Sequence[Rcpt], *, sender: bytes,
                protocol: str, client: str, queue_id: str) -> str:  # fmt: skip
        """What became of one."""
        start = (
            f'{{"time": "{_moment(head.now)}", "process": {head.process}, "level": "{head.level}",'
            f' "event": "message", "protocol": {_quoted(protocol)}, "bytes": {outcome.length},'
            f' "seconds": {outcome.seconds:.6f}'
        )
        words = [start]
        if sender:
            words.append(f'"from": {_quoted(_decoded(sender))}')
        if queue_id:
            words.append(f'"queue_id": {_quoted(queue_id)}')
        if client:
            words.append(f'"client": {_quoted(client)}')
        if outcome.failed:
            words.append(f'"failed": {_quoted(outcome.failed)}')
        whom = []
        for rcpt, told in zip(recipients, outcome.recipients, strict=True):
            action, reason, detail, reply = told
            one = f'"to": {_quoted(rcpt.address)}, "action": "{action}", "reason": "{reason}"'
            if detail:
                one += f', "detail": {_quoted(detail)}'
            if reply is not None:
                one += f', "reply": {_quoted(reply.text)}'
            whom.append(f"{{{one}}}")
        words.append(f'"recipients": [{", ".join(whom)}]}}')
        return ", ".join(words)


_encode = json.JSONEncoder(default=str).encode
_quoted = lru_cache(1024)(_encode)
_BARE = re.compile(r"[!#-\[\]-~]+").fullmatch


@lru_cache(1024)
def _word(text: str) -> str:
    return text if _BARE(text) else _encode(text)


@lru_cache(1024)
def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _moment(now: float) -> str:
    """In UTC."""
    return f"{_second(int(now))}.{int(now % 1 * 1000):03}Z"


@lru_cache(1)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
