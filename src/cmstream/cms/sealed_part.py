"""Finds the sealed part of a mail that somebody put into ``multipart/mixed`` on its way: a mailing
list adds its footer so, and a company its disclaimer."""

from __future__ import annotations

import email
import email.policy
import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ..engine.decoder import envelope_error
from ..errors import MessageError
from ..mail import fields, mime
from ..mail.labels import content_type
from .already_encrypted import CMS_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

_MIXED = b"multipart/mixed"
_DEEPEST, _MOST_PARTS = 4, 1000
_OTHER_CMS = re.compile(
    rb"smime-type[ \t]*=[ \t\"]*(?:signed-|certs-only|compressed-data)", re.IGNORECASE
)


class SealedPart(NamedTuple):
    """``message``: the sealed part as a mail of its own, with the fields of the mail around it.
    ``others``: how many parts stand beside it, none of them sealed."""

    message: bytes
    others: int


def sealed_part(message: bytes) -> SealedPart | None:
    """The one sealed part of a mail in memory; None if it has none, or isn't ``multipart/mixed``
    (RFC 2046 section 5.1.3). Raises EnvelopeError ``not-enveloped`` if several are sealed."""
    end = _header_end(message)
    if not end or content_type(message[:end])[1] != _MIXED:
        return None
    leaves = list(islice(_leaves(message, 0), _MOST_PARTS + 1))
    if len(leaves) > _MOST_PARTS:
        return None
    sealed = [leaf for leaf in leaves if _is_sealed(leaf)]
    if len(sealed) > 1:
        text = f"{len(sealed)} of its parts are sealed: save each to a file and open it alone"
        raise envelope_error("not-enveloped", text)
    if not sealed:
        return None
    return SealedPart(_as_mail(message[:end], sealed[0]), len(leaves) - 1)


def _header_end(entity: bytes) -> int:
    try:
        end, _ = mime.header_end(entity, 0, final=True)
    except MessageError:
        return 0
    return end or 0


def _leaves(entity: bytes, depth: int) -> Iterator[bytes]:
    """The parts that hold no others, in their order."""
    head = entity[: _header_end(entity)]
    if depth == _DEEPEST or content_type(head)[1] != _MIXED:
        yield entity
        return
    for part in _parts(head, entity[len(head) :]):
        yield from _leaves(part, depth + 1)


def _parts(head: bytes, body: bytes) -> Iterator[bytes]:
    boundary = email.message_from_bytes(head, policy=email.policy.compat32).get_boundary()
    if not boundary:
        return
    name = re.escape(boundary.encode("utf-8", "surrogateescape"))
    line = re.compile(rb"(?:\A|\r?\n)--" + name + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    start = None
    for found in line.finditer(body):
        if start is not None:
            yield re.sub(rb"\A\r?\n", b"", body[start : found.start()])
        start = None if found[1] else found.end()
        if start is None:
            return
    if start is not None:  # cut off: the last part ends where the mail does
        yield re.sub(rb"\A\r?\n", b"", body[start:])


def _is_sealed(part: bytes) -> bool:
    head = part[: _header_end(part)]
    return content_type(head)[1] in CMS_TYPES and not _OTHER_CMS.search(head)


def _as_mail(outer: bytes, part: bytes) -> bytes:
    end = _header_end(part)
    around = mime.frame(outer).outside[: -len(mime.ENTITY_HEADER)]
    own = (one.raw for one in fields.split(mime.lines(part[:end])) if one.name[:8] == b"content-")
    return b"".join([around, *own, b"\r\n", part[end:]])
