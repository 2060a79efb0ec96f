"""Must type-check under ``mypy --strict``: how a gateway's author would use the library. Never
run."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import cmstream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


def recipients(data: bytes) -> list[cmstream.Recipient]:
    file: cmstream.CertificateFile = cmstream.read_certificates(data, password="secret")
    reasons: list[str] = [aside.reason for aside in file.set_aside]
    ignored: bool = file.private_key_ignored
    assert reasons or ignored
    return cmstream.load_recipients(data, password=b"secret")


def facts(recipient: cmstream.Recipient, at: datetime) -> tuple[str, ...]:
    emails: tuple[str, ...] = recipient.emails
    pem: bytes = recipient.pem
    der: bytes = recipient.der
    serial: int = recipient.serial
    valid: datetime = recipient.not_after
    codes: tuple[str, ...] = tuple(problem.code for problem in recipient.problems(at))
    assert pem or der or serial or valid
    return (*emails, *codes, recipient.fingerprint, recipient.key, recipient.subject)


def shapes(message: bytearray, to: list[cmstream.Recipient]) -> Iterator[bytes]:
    policy: cmstream.Policy = cmstream.DEFAULT.clone(cipher="aes128-cbc", recipient_id="ski")
    prepared = cmstream.Recipients(to)
    yield cmstream.encrypt_message(message, prepared, policy=policy)
    yield cmstream.encrypt(memoryview(message), to[0], form="pem")
    context: cmstream.Encryptor = cmstream.encryptor(to, size=len(message), form="message")
    buffer = bytearray(context.bound(len(message)))
    count: int = context.update_into(message, buffer)
    yield bytes(buffer[:count]) + context.finalize()
    with cmstream.EncryptWriter(io.BytesIO(), to) as out:
        out.write(message)
    reader: io.RawIOBase = cmstream.EncryptReader(io.BytesIO(message), to)
    yield reader.read() or b""
    yield from cmstream.encrypt_iter([message], to)


def errors(message: bytes, to: list[cmstream.Recipient]) -> str:
    try:
        cmstream.encrypt_message(message, to)
    except cmstream.RecipientError as error:
        return f"{error.code} {error.fingerprint} {error.problems}"
    except cmstream.CmstreamError as error:
        return error.code
    already: bool = cmstream.is_encrypted(message)
    return str(already)
