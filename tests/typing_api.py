"""Must type-check under ``mypy --strict``: how a gateway's author would use the library. Never
run."""

from __future__ import annotations

import array
import io
import zipfile
from typing import TYPE_CHECKING

import cmstream
from cmstream.accounts import Account, StoreCode, StoreUnavailable, UnusableAccount, open_store

if TYPE_CHECKING:
    import mmap
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
    reads: tuple[str, ...] | None = recipient.capabilities
    assert pem or der or serial or valid or reads
    return (*emails, *codes, recipient.fingerprint, recipient.key, recipient.subject)


def shapes(message: bytearray, to: list[cmstream.Recipient]) -> Iterator[bytes]:
    policy: cmstream.Policy = cmstream.DEFAULT.clone(cipher="aes128-cbc", recipient_id="ski")
    prepared = cmstream.Recipients(to)
    chosen: str = prepared.cipher(cmstream.Policy(cipher="auto", forbid=frozenset({"aes128-cbc"})))
    assert chosen
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


def archives(data: bytes, someone: cmstream.Recipient, me: cmstream.Identity) -> bytes:
    password: cmstream.Password = cmstream.Recipient.from_password("open sesame")
    kek: cmstream.Kek = cmstream.Recipient.from_kek(bytearray(32), b"2026")
    sealed = cmstream.encrypt(data, [someone, password, kek]) or cmstream.encrypt(data, kek)
    assert cmstream.encrypt_many([(data, password), (data, [kek])], form="der")
    return cmstream.decrypt(sealed, cmstream.Identity.from_password(b"open sesame")) or (
        cmstream.decrypt(sealed, [cmstream.Identity.from_kek(bytes(32), b"2026"), me])
    )


def identities(pfx: bytes, key: bytes, pem: bytes) -> list[cmstream.Identity]:
    one: cmstream.Identity = cmstream.Identity.from_pkcs12(pfx, "secret")
    other = cmstream.Identity.from_pem(key, pem, password=b"secret")
    recipient: cmstream.Recipient | None = one.recipient
    names: tuple[bytes, ...] = one.key_identifiers
    assert names
    return [one, cmstream.Identity(other.key, recipient), cmstream.Identity(other.key, pem)]


def opening(sealed: bytearray, me: list[cmstream.Identity]) -> Iterator[bytes]:
    yield cmstream.decrypt(memoryview(sealed), me[0])
    yield cmstream.decrypt_message(sealed, me)
    context: cmstream.Decryptor = cmstream.decryptor(iter(me), message=True)
    buffer = bytearray(context.bound(len(sealed)))
    count: int = context.update_into(sealed, buffer)
    yield bytes(buffer[:count]) + context.update(b"") + context.finalize()
    context.abort()
    yield from cmstream.decryptor(me, spool_limit=1 << 20).finalize_iter()
    with cmstream.DecryptWriter(io.BytesIO(), me, message=True, unverified=True) as out:
        out.write(sealed)
    reader: io.RawIOBase = cmstream.DecryptReader(io.BytesIO(sealed), me)
    yield reader.read() or b""
    yield from cmstream.decrypt_iter([sealed], me[0], message=True)
    jobs = ((sealed, one) for one in me)
    answers: list[bytes | Exception] = cmstream.decrypt_many(jobs, return_exceptions=True)
    yield from (one for one in answers if isinstance(one, bytes))
    yield from cmstream.decrypt_many([(sealed, me)])


def any_buffer(shared: mmap.mmap, to: list[cmstream.Recipient], me: cmstream.Identity) -> bytes:
    policy = cmstream.Policy(refuse={"expired"}, forbid={"aes128-cbc"}, warn=frozenset())
    jobs, numbers = [(shared, to)], [(array.array("I", [1]), to)]
    into: list[memoryview] = cmstream.encrypt_many_into(jobs, bytearray(9999), policy=policy)
    flow: Iterator[memoryview] = cmstream.encrypt_many_iter(numbers)
    mixed: Iterator[memoryview | Exception] = cmstream.encrypt_many_iter(
        jobs, return_exceptions=True
    )
    assert into and flow and mixed and cmstream.inspect(shared)
    with cmstream.EncryptWriter(io.BytesIO(), to) as out, zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"text")
        out.write(shared)
    return b"" if cmstream.is_encrypted(shared) else cmstream.decrypt(shared, me)


def inspection(sealed: io.BytesIO, known: list[cmstream.Recipient]) -> Iterator[str]:
    found: cmstream.Inspection = cmstream.inspect(sealed, certificates=known)
    size: int | None = found.content_octets
    yield f"{found.form} {found.content_type} {found.cipher} {found.encoding} {size}"
    one: cmstream.Addressee
    for one in found.addressees:
        serial: int | None = one.serial
        recipient: cmstream.Recipient | None = one.recipient
        yield f"{one.kind} {one.issuer} {serial} {recipient} {one.key_octets} {one.algorithm}"


def opening_errors(sealed: bytes, me: cmstream.Identity) -> str:
    try:
        cmstream.decrypt(sealed, me)
    except cmstream.NoRecipientError as error:
        return " ".join(error.recipients)
    except (cmstream.EnvelopeError, cmstream.DecryptionError) as error:
        return error.code
    return ""


def errors(message: bytes, to: list[cmstream.Recipient]) -> str:
    try:
        cmstream.encrypt_message(message, to)
    except cmstream.RecipientError as error:
        return f"{error.code} {error.fingerprint} {error.problems}"
    except cmstream.CmstreamError as error:
        return error.code
    already: bool = cmstream.is_encrypted(message)
    return str(already)


def stored(url: str, address: str, message: bytes) -> bytes | None:
    try:
        with open_store(url) as store:
            seal = store.seal_for(address)
            account: Account | None = seal.account
            hidden: str = account.header_protection if account else "none"
    except StoreUnavailable as error:
        return None if error.code == StoreCode.STORE_UNAVAILABLE else message
    except UnusableAccount as error:
        where: str = error.account
        raise LookupError(where) from None
    if seal.recipients is None or seal.policy is None:
        return message if hidden == "none" else None
    return cmstream.encrypt_message(message, seal.recipients, policy=seal.policy)


def again(error: cmstream.CmstreamError) -> bool:
    code: str = cmstream.Code.KEY_UNAVAILABLE
    return error.code == code
