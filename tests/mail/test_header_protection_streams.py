"""Header protection in every shape, there and back."""

from __future__ import annotations

import email
import io
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from cmstream.command.cli import main
from cmstream.mail import header_restorer, mime
from helpers.people import identity, person
from helpers.shapes import pieces, pushed
from mail.test_header_protection import BASELINE, HCPS, PAYLOAD, SAMPLE, TYPE, VERSION
from mail.test_mime import FRAGMENTS

BODY = "Grüße,\r\nBob\r\n".encode() * 3000
MESSAGE = b"Received: x\r\n" + SAMPLE + TYPE + b"\r\n" + BODY
WHOLE = b"Received: x\r\n" + VERSION + SAMPLE + TYPE + b"\r\n" + BODY


def protecting(hcp):
    return cmstream.DEFAULT.clone(header_protection=hcp)


def piecewise(message, to, policy, cut=1000, **options):
    """With exactly as much room as is asked for."""
    context = cmstream.encryptor(to, form="message", policy=policy, **options)
    out = b""
    for part in pieces(message, cut):
        buffer = bytearray(context.bound(len(part)))
        out += buffer[: context.update_into(part, buffer)]
    buffer = bytearray(context.bound(0))
    return out + buffer[: context.finalize_into(buffer)]


def written(message, to, policy):
    sink = io.BytesIO()
    with cmstream.EncryptWriter(sink, to, form="message", policy=policy) as out:
        out.write(message)
    return sink.getvalue()


def gathered(message, to, policy):
    with cmstream.Gatherer(workers=1) as gather:
        return bytes(gather.submit(message, to, policy=policy).result())


SEAL = {
    "one-shot": lambda m, to, policy: cmstream.encrypt_message(m, to, policy=policy),
    "push": piecewise,
    "octets": lambda m, to, policy: piecewise(m[:500], to, policy, cut=1) and piecewise(
        m, to, policy, cut=7919
    ),
    "sized": lambda m, to, policy: piecewise(m, to, policy, size=len(m)),
    "counted": lambda m, to, policy: piecewise(
        m.replace(b"\r\n", b"\n"), to, policy, size=len(m.replace(b"\r", b"")),
        line_feeds=BODY.count(b"\n"),
    ),
    "writer": written,
    "reader": lambda m, to, policy: cmstream.EncryptReader(
        io.BytesIO(m), to, form="message", policy=policy
    ).read(),
    "iterator": lambda m, to, policy: b"".join(
        cmstream.encrypt_iter(pieces(m, 999), to, form="message", policy=policy)
    ),
    "many": lambda m, to, policy: bytes(
        cmstream.encrypt_many([(m, to, policy), (m, to)])[0]
    ),
    "into": lambda m, to, policy: bytes(
        cmstream.encrypt_many_into([(m, to)], bytearray(1 << 16), policy=policy)[0]
    ),
    "gatherer": gathered,
}  # fmt: skip


@pytest.mark.parametrize("shape", SEAL)
def test_every_shape_seals_the_same(alice, me, shape):
    sealed = SEAL[shape](MESSAGE, alice.recipient, protecting("baseline"))
    assert sealed.startswith(b"Received: x\r\n" + BASELINE + mime.ENTITY_HEADER)
    entity = PAYLOAD.replace(VERSION, b"").replace(b'; hp="cipher"', b';\r\n hp="cipher"')
    assert cmstream.decrypt(sealed, me) == entity + BODY
    assert cmstream.decrypt_message(sealed, me) == WHOLE


def opened_into(sealed, me, cut):
    context, out = cmstream.decryptor(me, message=True), b""
    for part in pieces(sealed, cut):
        buffer = bytearray(context.bound(len(part)))
        out += buffer[: context.update_into(part, buffer)]
    buffer = bytearray(context.bound(0))
    return out + buffer[: context.finalize_into(buffer)]


def opened_by_writer(sealed, me):
    sink = io.BytesIO()
    with cmstream.DecryptWriter(sink, me, message=True) as out:
        out.write(sealed)
    return sink.getvalue()


OPEN = {
    "push": lambda s, me: pushed(pieces(s, 997), me, message=True),
    "into": lambda s, me: opened_into(s, me, 1000),
    "octets": lambda s, me: opened_into(s, me, 1),
    "writer": opened_by_writer,
    "reader": lambda s, me: cmstream.DecryptReader(io.BytesIO(s), me, message=True).read(),
    "iterator": lambda s, me: b"".join(cmstream.decrypt_iter(pieces(s, 33), me, message=True)),
    "many": lambda s, me: cmstream.decrypt_many([(s, me)])[0],
}


@pytest.mark.parametrize("shape", OPEN)
@pytest.mark.parametrize("hcp", HCPS)
def test_every_shape_gives_the_fields_back(alice, me, shape, hcp):
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient, policy=protecting(hcp))
    assert OPEN[shape](sealed, me) == WHOLE


def test_the_content_alone_is_what_was_sealed(alice, me):
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient, policy=protecting("shy"))
    assert cmstream.decrypt(sealed, me) == cmstream.decrypt_many([(sealed, me)], form="content")[0]
    assert cmstream.decrypt(sealed, me).startswith(SAMPLE + b"HP-Outer: Subject: [...]\r\n")


def test_another_program_opens_it(alice, me, tmp_path):
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = alice.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key").write_bytes(key)
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient, policy=protecting("baseline"))
    command = ["openssl", "cms", "-decrypt", "-inkey", str(tmp_path / "key"), "-binary"]
    done = subprocess.run(command, input=sealed, capture_output=True, check=True)
    assert done.stdout == cmstream.decrypt(sealed, me)


# An inner header block of any kind


def sealed_entity(entity, to, head=b"Subject: [...]\r\nX-Outer: y\r\n"):
    return head + cmstream.encrypt(entity, to, form="smime")


@pytest.mark.parametrize(
    "version", [VERSION, b"mime-version : 1.0 (x)\n", b"MIME-VERSION:\r\n 1.0\r\n"]
)
def test_the_version_comes_once(alice, me, version):
    entity = b"Subject: x\r\n" + version + TYPE + b"\r\nHello\n"
    outside = b"Subject: [...]\r\nX-Outer: y\r\n"
    for work in OPEN.values():
        assert work(sealed_entity(entity, alice.recipient), me) == outside + entity
    body = b"MIME-Version: 1.0\r\n"
    assert cmstream.decrypt_message(sealed_entity(b"\r\n" + body, alice.recipient), me) == (
        outside + VERSION + b"\r\n" + body
    )


@given(FRAGMENTS, st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_what_protects_nothing_comes_as_it_was(entity, cut):
    alice = person()
    sealed = sealed_entity(entity, alice.recipient)
    outside = b"Subject: [...]\r\nX-Outer: y\r\n" + VERSION
    found = cmstream.decrypt_message(sealed, identity(alice))
    assert opened_into(sealed, identity(alice), cut) == found
    assert found.startswith(outside)
    # Between header and body an empty line may have come in.
    rest = found.removeprefix(outside)
    more = b"\r\n\r\n"[: len(rest) - len(entity)]
    assert any(rest == entity[:at] + more + entity[at:] for at in range(len(entity) + 1)) and len(
        rest
    ) - len(entity) in {0, 2, 4}
    assert b"\n\r\n" in found or b"\n\n" in found


def test_an_endless_inner_header_block_is_given_as_it_is(alice, me):
    unit = b"X: %b\r\n" % (b"y" * 990)
    entity = PAYLOAD[:-2] + unit * (header_restorer.INNER_LIMIT // len(unit) + 9) + b"\r\nbody"
    for cut in (256 << 10, 4 << 20):
        sealed = sealed_entity(entity, alice.recipient)
        assert (
            opened_into(sealed, me, cut) == b"Subject: [...]\r\nX-Outer: y\r\n" + VERSION + entity
        )


def test_a_large_header_block_comes_back(alice, me):
    head = b"".join(b"X-%d: %b\r\n" % (n, b"y" * 380) for n in range(10_000)) + TYPE
    message = head + b"\r\nbody\r\n"
    sealed = cmstream.encrypt_message(message, alice.recipient, policy=protecting("shy"))
    assert cmstream.decrypt_message(sealed, me) == VERSION + message
    assert opened_into(sealed, me, 1 << 20) == VERSION + message


@pytest.mark.parametrize("unit", [b"a:\n", b"To:a@b\n", b"Subject:\n", b"Content-Type:\n"])
def test_there_is_always_room(alice, me, unit):
    message = unit * 20_000 + b"\n\n" + b"\n" * 9000
    sealed = piecewise(message, alice.recipient, protecting("shy"), cut=1 << 20)
    opened_into(sealed, me, 1 << 20)


def test_nothing_comes_before_the_header_block_is_whole(alice, me):
    sealed = cmstream.encrypt_message(MESSAGE, alice.recipient, policy=protecting("baseline"))
    context = cmstream.decryptor(me, message=True)
    end = sealed.index(b"\r\n\r\n") + 4
    assert context.update(sealed[: end + 1100]) == b""  # the key, and some of the fields
    assert context.update(sealed[end + 1100 :]).startswith(WHOLE[:200])


def test_a_message_sealed_twice_opens_twice(alice, me):
    once = cmstream.encrypt_message(MESSAGE, alice.recipient, policy=protecting("baseline"))
    again = cmstream.DEFAULT.clone(header_protection="shy", already_encrypted="encrypt")
    twice = cmstream.encrypt_message(once, alice.recipient, policy=again)
    opened = cmstream.decrypt_message(twice, me)
    assert email.message_from_bytes(opened)["Subject"] == "[...]"
    assert cmstream.decrypt_message(opened, me) == WHOLE


def test_the_command_protects_the_header(alice, tmp_path, capsysbinary):
    (tmp_path / "alice.pem").write_bytes(alice.recipient.pem)
    (tmp_path / "mail").write_bytes(MESSAGE)
    arguments = ["encrypt", "-r", str(tmp_path / "alice.pem"), "--header-protection", "shy"]
    assert main([*arguments, str(tmp_path / "mail")]) == 0
    assert b"\r\nSubject: [...]\r\n" in capsysbinary.readouterr().out
    assert main([*arguments, "--binary", str(tmp_path / "mail")]) == 64


def test_a_long_header_block_in_small_pieces_takes_linear_time(alice):
    """What is held back needs a little more room with each piece."""
    message = (b"X-A: " + b"b" * 100 + b"\r\n") * 12_000 + TYPE + b"\r\n"
    begin = time.process_time()
    out = io.BytesIO()
    with cmstream.EncryptWriter(
        out, alice.recipient, form="message", policy=protecting("shy")
    ) as writer:
        for piece in pieces(message, 1000):
            writer.write(piece)
    assert time.process_time() - begin < 2
    assert cmstream.decrypt_message(out.getvalue(), identity(alice)).endswith(TYPE + b"\r\n")
