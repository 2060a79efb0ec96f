"""Certificates of a serialized store, the form ``.sst`` in which Windows exports several: a list of
properties, some of which are certificates (CertSaveStore of the Windows API)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..asn1.tlv import TlvError

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGINNING = b"\0\0\0\0CERT"
"""Version 0, and the file's type."""

_PROPERTY = struct.Struct("<III")
_CERTIFICATE = 32  # CERT_CERT_PROP_ID
_X509 = 1


def certificates(data: bytes) -> Iterator[bytes]:
    """Each in DER, in the order of the file. Raises TlvError if the file ends too early."""
    position = len(BEGINNING)
    while True:
        if position + _PROPERTY.size > len(data):
            raise TlvError("the store has no end", truncated=True)
        kind, encoding, length = _PROPERTY.unpack_from(data, position)
        position += _PROPERTY.size
        if kind == 0:
            return
        if position + length > len(data):
            raise TlvError("a part of the store is longer than what is there", truncated=True)
        if kind == _CERTIFICATE and encoding & 0xFFFF == _X509:
            yield data[position : position + length]
        position += length
