"""Does a mail that passes as encrypted show somebody the planted text?"""

from __future__ import annotations

import base64
import binascii
import email
import email.policy
import re
from typing import TYPE_CHECKING

from helpers.already import PLANTED, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RUN = 12


def runs_of(*texts: bytes) -> re.Pattern[bytes]:
    runs = {text[at : at + _RUN] for text in texts for at in range(len(text) - _RUN + 1)}
    return re.compile(b"|".join(map(re.escape, sorted(runs))))


ANY_RUN = runs_of(PLANTED)
IN_ANY_FORM = runs_of(PLANTED, base64.b64encode(PLANTED), quoted(PLANTED))
HEAD = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)


def masked(message: bytes) -> bytes:
    """The message without planted text where it may stay: in its header fields, and in one line in
    front of the first part, which belongs to none."""
    end = HEAD.match(message).end()
    head, body = message[:end], message[end:]
    line = (email.message_from_bytes(message).preamble or "").strip()
    line = line.encode("ascii", "surrogateescape")
    if b"\n" not in line and len(line) <= 100:
        body = body.replace(line, dashed(line), 1)
    return dashed(head) + body


def dashed(text: bytes) -> bytes:
    while IN_ANY_FORM.search(text):
        text = IN_ANY_FORM.sub(b"-" * _RUN, text)
    return text


def decodings(text: bytes) -> Iterator[bytes]:
    """A text as it stands, and by each transfer encoding."""
    yield text
    yield binascii.a2b_qp(text)
    for found in re.findall(rb"(?:[A-Za-z0-9+/]{8,}={0,2}\s*)+", text):
        if not len(b"".join(found.split())) % 4:
            yield base64.b64decode(found)


def planted_in(texts: Iterable[bytes]) -> bytes | None:
    """A run of the planted text that somebody sees; None if nobody does."""
    found = (ANY_RUN.search(one) for text in texts for one in decodings(text))
    return next((one[0] for one in found if one), None)


def python_sees(message: bytes) -> list[bytes]:
    """The message, and each part as it stands and decoded, by both policies."""
    found = [message]
    for policy in (email.policy.compat32, email.policy.default):
        for part in email.message_from_bytes(message, policy=policy).walk():
            for decode in (False, True):
                payload = part.get_payload(decode=decode)
                if isinstance(payload, str):
                    payload = payload.encode("utf-8", "surrogateescape")
                if isinstance(payload, bytes):
                    found.append(payload)
    return found
