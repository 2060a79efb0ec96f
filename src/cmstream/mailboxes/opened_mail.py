"""Whether what came out of a sealed message may be the mail that went in.

With RSA and CBC a wrong key goes unnoticed once in 256 attempts: one that is tried without its
certificate, or one whose certificate has the name and the serial number of an old one. Somebody who
reads such noise sees what it is; in a mailbox it would take the place of the only copy.
"""

from __future__ import annotations

import codecs
import io
import re
import warnings
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ..errors import UnsealedParts
from ..mail import fields, mime
from ..streams import decrypt_iter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..certificates.archive_keys import ArchiveKey
    from ..engine.gate import Buffer
    from ..recipients.identity import Identity
    from ..streams import Source

NO_MAIL = "what comes out is no mail: it was sealed for another key, or it is damaged"
"""What to say where it isn't."""

ENOUGH = mime.HEADER_LIMIT
"""So many bytes from the beginning of an opened message tell."""

_LOOKED_AT = 64
"""Bytes of the content, which noise begins like a mail for once in 2 to the power of 24 or more."""
_OF_CONTENT = re.compile(fields.named(rb"content-[!-9;-~]*"), re.IGNORECASE)
_ASCII = re.compile(rb"[\x00-\x7f]")
_CONTROL = re.compile(rb"[^\t\n\f\r\x1b -~\x80-\xff]")


def may_be_mail(
    opened: Buffer, sealed: Buffer | Source, identities: Sequence[Identity | ArchiveKey]
) -> bool:
    """``opened``: the opened message, or :data:`ENOUGH` bytes of it. Raises as
    :func:`~cmstream.decrypt_iter` does."""
    beginning = b"\n" + bytes(memoryview(opened)[:ENOUGH])
    end = fields.BLANK_LINE.search(beginning)
    # Such fields of the sealed message itself don't stay.
    if _OF_CONTENT.search(beginning, 0, end.start() + 1 if end else len(beginning)):
        return True
    return _begins_like_mail(_content(sealed, identities))


def _content(sealed: Any, identities: Sequence[Identity | ArchiveKey]) -> bytes:
    """The beginning of the entity that was sealed (RFC 8551 section 3.1), without other fields."""
    source = sealed if hasattr(sealed, "seek") else io.BytesIO(sealed)
    source.seek(0)
    found = bytearray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnsealedParts)
        with closing(decrypt_iter(source, identities)) as pieces:  # type: ignore[type-var]
            for piece in pieces:
                found += piece
                if len(found) >= _LOOKED_AT:
                    break
    return bytes(found[:_LOOKED_AT])


def _begins_like_mail(content: bytes) -> bool:
    """An empty header block, or text: a header block is text, too."""
    if content.startswith((b"\r\n", b"\n")):
        return True
    if _CONTROL.search(content):
        return False
    high = len(content) - len(_ASCII.findall(content))
    return 4 * high <= len(content) or _is_utf8(content)


def _is_utf8(beginning: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return True
