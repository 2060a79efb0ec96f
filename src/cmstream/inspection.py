"""Inspects a sealed message: whom it is for and how it is encrypted, without any key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from .certificates.archive_keys import ArchiveKey
from .certificates.recipient import Recipient
from .cms.envelope_reader import EnvelopeReader
from .cms.enveloped import (
    Envelope,
    Name,
    RecipientInfo,
    cipher_name,
    type_name,
)
from .errors import octets_of
from .streams import CHUNK, chunks

if TYPE_CHECKING:
    from .engine.decoder import NativeDecoder
    from .engine.gate import AnyBuffer, Buffer


class Addressee(NamedTuple):
    """One recipient of a message, as its RecipientInfo names it (RFC 5652 section 6.2).

    ``kind``: ``key-transport``, ``key-agreement``, ``kek``, ``password``, ``kem`` (RFC 9629) or
    ``other``. ``issuer`` (RFC 4514 text) and ``serial``, or ``key_identifier``: its name; the
    others are None. ``algorithm``: what encrypts the key, a name or a dotted object identifier.
    ``key_octets``: the length of the encrypted key in bytes, for key transport alone.
    ``recipient``: the given certificate that this names, if there is one.
    """

    kind: str
    issuer: str | None
    serial: int | None
    key_identifier: bytes | None
    algorithm: str
    key_octets: int
    recipient: Recipient | None


class Inspection(NamedTuple):
    """What an encrypted message says of itself.

    ``form``: ``mail``, ``pem``, ``base64`` or ``binary``. ``content_type``: ``enveloped-data`` or
    ``authenticated-enveloped-data``. ``encoding``: ``BER`` if a length is indefinite, else ``DER``.
    ``version``: the CMSVersion. ``inner_type``: the content's type, and ``cipher``: each a name or
    a dotted object identifier. ``content_octets``: the length of the encrypted content in bytes,
    its padding included, or None where it isn't in the message (RFC 5652 section 6.1).
    ``addressees``: the recipients. ``unsealed_parts``: how many other parts a mail has whose sealed
    part is in multipart/mixed; 0 where all of it is sealed."""

    form: str
    content_type: str
    encoding: str
    version: int
    inner_type: str
    cipher: str
    content_octets: int | None
    addressees: tuple[Addressee, ...]
    unsealed_parts: int = 0


def inspect(
    source: AnyBuffer | BinaryIO | Iterable[AnyBuffer],
    *,
    certificates: Recipient | Iterable[Recipient | ArchiveKey] = (),
) -> Inspection:
    """Reads an encrypted message of any form to its end, and gives what it says of itself. It needs
    no key, and proves nothing. ``source``: bytes, a binary file or an iterable of chunks; memory is
    constant. Of a multipart/mixed it reads the one sealed part, and counts the others.
    ``certificates``: those that addressees are compared with, given as recipients are; none will
    do.

    Raises EnvelopeError as :func:`~cmstream.decrypt` does.
    """
    known = _certificates(certificates)
    reader = EnvelopeReader(_give_ciphertext)
    buffer = bytearray()
    for chunk in _pieces(source):
        data = memoryview(chunk)
        if len(buffer) < (need := reader.bound(len(data))):
            buffer = bytearray(need + need // 4)  # it grows while something is held back
        reader.update_into(data, buffer)
    reader.finish_into(bytearray(reader.bound(0)))
    return _inspection(reader, known)


def _certificates(given: Any) -> tuple[Recipient, ...]:
    """Those who have one, of what may be recipients."""
    every = (given,) if isinstance(given, Recipient) else given
    found = tuple(every) if isinstance(every, Iterable) else (every,)
    for one in found:
        if not isinstance(one, Recipient | ArchiveKey):
            raise TypeError(
                f"certificates: {type(one).__name__} is no Recipient: give Recipient objects, as "
                "load_recipients makes them"
            )
    return tuple(one for one in found if isinstance(one, Recipient))


def _pieces(source: Any) -> Iterable[Buffer]:
    """The chunks of a source. Bytes in memory are cut too, so that the output takes little room."""
    try:
        memoryview(source)
    except TypeError:  # a file, or chunks
        return chunks(source)
    view = octets_of(source, "source")
    return (view[start : start + CHUNK] for start in range(0, len(view), CHUNK))


def _give_ciphertext(decoder: NativeDecoder, _: Envelope, __: bytes) -> NativeDecoder:
    """Without a key the ciphertext comes out, which nobody needs."""
    decoder.give_ciphertext()
    return decoder


def _inspection(reader: EnvelopeReader, certificates: tuple[Recipient, ...]) -> Inspection:
    start, decoder, envelope = reader.start, reader.decoder, reader.envelope
    return Inspection(
        form="mail" if start.head else start.armour,
        content_type=envelope.content_type,
        encoding="BER" if decoder.is_ber else "DER",
        version=envelope.version,
        inner_type=type_name(envelope.inner_type),
        cipher=cipher_name(envelope.cipher),
        content_octets=decoder.content_len if decoder.has_content else None,
        addressees=tuple(
            _addressee(info, name, certificates)
            for info in envelope.recipients()
            for name in info.names or (Name(),)
        ),
        unsealed_parts=reader.unsealed_parts,
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
