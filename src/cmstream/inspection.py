"""Inspects a sealed message: whom it is for and how it is encrypted, without any key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from .cms.envelope_reader import EnvelopeReader
from .cms.enveloped import (
    Envelope,
    Name,
    RecipientInfo,
    cipher_name,
    type_name,
)
from .streams import CHUNK, chunks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .certificates.recipient import Recipient
    from .engine.decoder import NativeDecoder
    from .engine.gate import Buffer


class Addressee(NamedTuple):
    """One whom a message is for (RFC 5652 section 6.2).

    ``kind``: ``key-transport``, ``key-agreement``, ``kek``, ``password``, ``kem`` (RFC 9629) or
    ``other``. Named by ``issuer`` (RFC 4514 text) and ``serial``, or by ``key_identifier``; None
    where it isn't.
    ``algorithm``: what encrypts the key, a name or a dotted object identifier. ``key_octets``: of
    the encrypted key, as far as it is key transport. ``recipient``: the certificate that this
    names, if one was given that does.
    """

    kind: str
    issuer: str | None
    serial: int | None
    key_identifier: bytes | None
    algorithm: str
    key_octets: int
    recipient: Recipient | None


class Inspection(NamedTuple):
    """``form``: ``mail``, ``pem``, ``base64`` or ``binary``; ``content_type``: ``enveloped-data``
    or ``authenticated-enveloped-data``; ``encoding``: ``BER`` where a length is indefinite, else
    ``DER``; ``version``: the CMSVersion; ``inner_type``: of the content, and ``cipher``: a
    name or dotted; ``content_octets``: of the encrypted content, its padding included."""

    form: str
    content_type: str
    encoding: str
    version: int
    inner_type: str
    cipher: str
    content_octets: int
    addressees: tuple[Addressee, ...]


def inspect(
    source: Buffer | BinaryIO | Iterable[Buffer], *, certificates: Iterable[Recipient] = ()
) -> Inspection:
    """Reads a sealed message of any form, octets, a binary file or an iterable of chunks, to its
    end, in constant memory, and tells what it says of itself. It needs no key, and proves nothing.

    Raises EnvelopeError as :func:`~cmstream.decrypt` does.
    """
    inspector = _Inspector()
    for chunk in _pieces(source):
        inspector.update(memoryview(chunk).cast("B"))
    return inspector.finish(tuple(certificates))


def _pieces(source: Any) -> Iterable[Buffer]:
    """Octets in memory come in pieces too: what is made of them takes little room then."""
    if isinstance(source, str):
        raise TypeError("source: give bytes, an open binary file, or chunks, not text")
    try:
        view = memoryview(source).cast("B")
    except TypeError:  # a file, or chunks
        return chunks(source)
    return (view[start : start + CHUNK] for start in range(0, len(view), CHUNK))


class _Inspector:
    """Reads a message without a key: its ciphertext comes out, and is thrown away."""

    _envelope: Envelope

    def __init__(self) -> None:
        self._reader = EnvelopeReader(self._open_content)
        self._buffer = bytearray()

    def _open_content(self, decoder: NativeDecoder, envelope: Envelope, _: bytes) -> NativeDecoder:
        self._envelope = envelope
        decoder.give_ciphertext()
        return decoder

    def update(self, data: memoryview) -> None:
        need = self._reader.bound(len(data))
        if len(self._buffer) < need:
            self._buffer = bytearray(need + need // 4)  # it grows while something is held back
        self._reader.update_into(data, self._buffer)

    def finish(self, certificates: tuple[Recipient, ...]) -> Inspection:
        self._reader.finish_into(bytearray(self._reader.bound(0)))
        start, decoder, envelope = self._reader.start, self._reader.decoder, self._envelope
        return Inspection(
            form="mail" if start.head else start.armour,
            content_type=envelope.content_type,
            encoding="BER" if decoder.is_ber else "DER",
            version=envelope.version,
            inner_type=type_name(envelope.inner_type),
            cipher=cipher_name(envelope.cipher),
            content_octets=decoder.content_len,
            addressees=tuple(
                _addressee(info, name, certificates)
                for info in envelope.recipients()
                for name in info.names or (Name(),)
            ),
        )


def _addressee(info: RecipientInfo, name: Name, certificates: tuple[Recipient, ...]) -> Addressee:
    return Addressee(
        kind=info.kind,
        issuer=name.issuer_text if name.issuer else None,
        serial=name.serial_number if name.serial else None,
        key_identifier=name.key_identifier,
        algorithm=info.how,
        key_octets=len(info.encrypted_key),
        recipient=next((one for one in certificates if name.is_of(one, _identifiers(one))), None),
    )


def _identifiers(recipient: Recipient) -> tuple[bytes, ...]:
    return () if recipient.key_identifier is None else (recipient.key_identifier,)
