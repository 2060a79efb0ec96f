"""AuthEnvelopedData (RFC 5083) as it is sealed: every shape, form and cut opens to what went in by
parsers and one-shot ciphers that aren't ours."""

from __future__ import annotations

import asyncio
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.der import decoder, encoder
from pyasn1_modules import rfc5084

import cmstream
from cmstream.cms import aead, authenticated
from cmstream.command import cli
from cmstream.engine import gate
from cmstream.mail import mime
from helpers.opening import AuthContentInfo, auth_envelope, dearmour, open_cms, open_message
from helpers.people import person

CIPHERS = ["aes256-gcm", "aes128-gcm", "chacha20-poly1305"]
FORMS = ["der", "pem", "smime"]
SEGMENT = 16 << 10
SIZES = [0, 1, 15, 16, 17, 47, 48, 49, 4096, SEGMENT - 1, SEGMENT, SEGMENT + 1, 300_000]
GCM = cmstream.DEFAULT.clone(cipher="aes256-gcm")
HEAD = b"From: b@example.net\nSubject: x\nContent-Type: text/plain\n\n"
INSIDE = b"Content-Type: text/plain\r\n\r\n"


def octets(size):
    return random.Random(size).randbytes(size)


def policy(cipher):
    return cmstream.DEFAULT.clone(cipher=cipher)


def pushed(data, to, cut, **options):
    context = cmstream.encryptor(to, **options)
    parts = [context.update(data[i : i + cut]) for i in range(0, len(data), cut)]
    return b"".join([*parts, context.finalize()])


def plain_der(sealed, form):
    return sealed if form == "der" else dearmour(sealed)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("size", SIZES)
def test_one_shot_gives_der_that_opens(alice, size, cipher):
    for form in FORMS:
        sealed = cmstream.encrypt(octets(size), alice.recipient, policy=policy(cipher), form=form)
        der = plain_der(sealed, form)
        assert open_cms(der, alice.key) == (octets(size), cipher, 0, 1)
        info, rest = decoder.decode(der, asn1Spec=AuthContentInfo())
        assert rest == b""
        assert encoder.encode(info) == der


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cipher", CIPHERS)
def test_push_opens_for_every_cut(alice, form, sized, cipher):
    for size, cut in ((100, 1), (5000, 7), (SEGMENT, 4096), (300_000, 99_999), (300_000, 300_000)):
        data = octets(size)
        options = {"form": form, "size": size if sized else None, "policy": policy(cipher)}
        der = plain_der(pushed(data, alice.recipient, cut, **options), form)
        assert open_cms(der, alice.key).content == data
        assert (der[1] == 0x80) is not sized


def test_segments_are_as_long_as_of_the_other_ciphers(alice):
    data = octets(3 * SEGMENT + 5)
    sealed = pushed(data, alice.recipient, 1000, policy=GCM)
    assert sealed.count(b"\x04\x82\x40\x00") == 3
    assert sealed.endswith(bytes(6))
    assert sealed[-28:-22] == bytes(4) + b"\x04\x10"


@given(
    st.lists(st.binary(max_size=5000), max_size=8),
    st.booleans(),
    st.sampled_from(FORMS),
    st.sampled_from(CIPHERS),
)
@settings(max_examples=60, deadline=None)
def test_random_cuts(parts, sized, form, cipher):
    data, someone = b"".join(parts), person()
    size = len(data) if sized else None
    context = cmstream.encryptor(someone.recipient, form=form, size=size, policy=policy(cipher))
    sealed = b"".join([*map(context.update, parts), context.finalize()])
    assert open_cms(plain_der(sealed, form), someone.key).content == data


def test_algorithms_are_written_as_their_standards_say(alice):
    """RFC 5084 section 3.2: the tag's length isn't the default of 12, so it is written; RFC 8103
    section 4: the nonce alone."""
    for cipher in CIPHERS:
        sealed = cmstream.encrypt(b"x", alice.recipient, policy=policy(cipher))
        parts = auth_envelope(sealed)["authEncryptedContentInfo"]["contentEncryptionAlgorithm"]
        if cipher == "chacha20-poly1305":
            assert bytes(parts["parameters"])[:2] == b"\x04\x0c"
        else:
            found, _ = decoder.decode(parts["parameters"], asn1Spec=rfc5084.GCMParameters())
            assert found["aes-ICVlen"] == 16


def test_the_version_is_0_whoever_reads_it(alice):
    """RFC 5083 section 2.1, where EnvelopedData has 2 for a key identifier."""
    sealed = cmstream.encrypt(b"x", alice.recipient, policy=GCM.clone(recipient_id="ski"))
    assert open_cms(sealed, alice.key).version == 0


def test_no_key_and_no_nonce_comes_twice(alice):
    keys, nonces = set(), set()
    to = cmstream.Recipients([alice.recipient])
    sealed = [cmstream.encrypt(b"same", to, policy=GCM) for _ in range(10)]
    sealed += map(bytes, cmstream.encrypt_many([(b"same", to)] * 10, form="der", policy=GCM))
    for one in sealed:
        parts = auth_envelope(one)["authEncryptedContentInfo"]["contentEncryptionAlgorithm"]
        nonces.add(bytes(parts["parameters"]))
        keys.add(bytes(auth_envelope(one)["authEncryptedContentInfo"]["encryptedContent"]))
    assert len(nonces) == len(keys) == 20


# Messages


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\n\n"])
@pytest.mark.parametrize("cut", [1, 977, 1 << 20])
def test_line_ends_become_canonical_however_it_is_cut(alice, sized, end, cut):
    body = f"a line of text{end}".encode() * (200 if cut == 1 else 20_000)
    line_feeds = body.count(b"\n") - body.count(b"\r\n")
    message = HEAD + body
    options = {"size": len(message), "line_feeds": line_feeds} if sized else {}
    sealed = pushed(message, alice.recipient, cut, form="message", policy=GCM, **options)
    outside, inside = open_message(sealed, alice.key)
    assert inside == INSIDE + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert b"\r\nContent-Type: application/pkcs7-mime; smime-type=authEnveloped-data;" in outside
    assert (dearmour(sealed)[1] == 0x80) is not sized


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"x", b"text" * 9]), max_size=60),
       st.integers(1, 50), st.integers(1, 40))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_pieces_end_between_a_carriage_return_and_its_line_feed(parts, cut, piece):
    body, someone = b"".join(parts), person()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(authenticated, "PIECE", piece)
        sealed = pushed(HEAD + body, someone.recipient, cut, form="message", policy=GCM)
    canonical = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert open_message(sealed, someone.key)[1] == INSIDE + canonical


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_one_shot_messages(alice, end):
    for size in (0, 1, 100, 20_000):
        message = HEAD.replace(b"\n", end) + (b"text" + end) * size
        sealed = cmstream.encrypt_message(message, alice.recipient, policy=GCM)
        assert open_message(sealed, alice.key)[1] == INSIDE + b"text\r\n" * size
        assert cmstream.is_encrypted(sealed)


def test_binary_content_stays_as_it_is(alice):
    head = b"Content-Transfer-Encoding: binary\n\n"
    sealed = cmstream.encrypt_message(head + b"a\nb", alice.recipient, policy=GCM)
    assert open_message(sealed, alice.key)[1] == head.replace(b"\n", b"\r\n") + b"a\nb"


def test_a_bare_line_feed_breaks_the_promise_of_a_size(alice):
    message = HEAD + b"x\r\n" * 20_000 + b"x\n"
    context = cmstream.encryptor(alice.recipient, form="message", size=len(message), policy=GCM)
    with pytest.raises(cmstream.SizeMismatchError, match="bare LF"):
        context.update(message)
    with pytest.raises(cmstream.AlreadyFinalized):
        context.finalize()


@pytest.mark.parametrize("cipher", CIPHERS)
def test_what_is_sealed_already_passes_or_is_sealed_again(alice, cipher):
    once = cmstream.encrypt_message(HEAD + b"x", alice.recipient, policy=policy(cipher))
    assert cmstream.encrypt_message(once, alice.recipient, policy=GCM) == once
    assert pushed(once, alice.recipient, 100, form="message", policy=GCM) == once
    again = GCM.clone(already_encrypted="encrypt")
    twice = cmstream.encrypt_message(once, alice.recipient, policy=again)
    inner = open_message(twice, alice.key)[1]
    assert open_message(inner, alice.key)[1] == INSIDE + b"x"
    with pytest.raises(cmstream.MessageError, match="encrypted already"):
        refuse = GCM.clone(already_encrypted="refuse")
        cmstream.encrypt_message(once, alice.recipient, policy=refuse)


def test_the_entity_header_differs_in_the_type_alone():
    assert mime.AUTH_ENTITY_HEADER.replace(b"authEnveloped", b"enveloped") == mime.ENTITY_HEADER


# Buffers, promises, failures


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("form", [*FORMS, "message"])
def test_update_into_respects_its_bound_and_no_more(alice, form, sized):
    data = HEAD + b"line\r\n" * 50_000
    size = len(data) if sized else None
    context = cmstream.encryptor(alice.recipient, form=form, size=size, policy=GCM)
    out = b""
    for start in range(0, len(data), 7000):
        part = data[start : start + 7000]
        buffer = bytearray(b"\xaa" * (context.bound(len(part)) + 8))
        count = context.update_into(part, memoryview(buffer)[:-8])
        assert buffer[-8:] == b"\xaa" * 8
        out += buffer[:count]
    buffer = bytearray(context.bound(0))
    out += buffer[: context.finalize_into(buffer)]
    expected = INSIDE + b"line\r\n" * 50_000 if form == "message" else data
    assert open_cms(plain_der(out, form), alice.key).content == expected


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_exactly_what_an_update_gives_is_enough_room(alice, form, sized, monkeypatch):
    """C bounds each piece; together they mustn't ask for more than all of them give."""
    monkeypatch.setattr(authenticated, "PIECE", 1000)
    data = octets(60_000)
    size = len(data) if sized else None
    context = cmstream.encryptor(alice.recipient, form=form, size=size, policy=GCM)
    out = bytearray(context.bound(len(data) + 1))
    at = context.update_into(data[:333], out)
    for start in range(333, len(data), 7777):
        part = data[start : start + 7777]
        room = gate.lib.seal_update_bound(context._encoder._seal, len(part))
        if room:
            with pytest.raises(ValueError, match="too small"):
                context.update_into(part, memoryview(out)[at : at + room - 1])
        assert context.update_into(part, memoryview(out)[at : at + room]) == room
        at += room
    at += context.finalize_into(memoryview(out)[at:])
    assert open_cms(plain_der(bytes(out[:at]), form), alice.key).content == data


@pytest.mark.parametrize("sized", [True, False])
def test_too_small_a_buffer_is_an_error_without_harm(alice, sized):
    data = octets(100_000)
    size = len(data) if sized else None
    context = cmstream.encryptor(alice.recipient, size=size, policy=GCM)

    def attempt(call, *arguments):
        with pytest.raises(ValueError, match="too small"):
            call(*arguments, bytearray(10))

    attempt(context.update_into, data[:50_000])
    out = context.update(data[:50_000])
    attempt(context.update_into, data[50_000:])
    attempt(context.finalize_into)
    out += context.update(data[50_000:])
    attempt(context.finalize_into)
    out += context.finalize()
    assert open_cms(out, alice.key).content == data


def test_too_much_and_too_little_for_size(alice):
    for size, data, word in ((10, b"0123456789x", "more"), (10, b"012345678", "less")):
        context = cmstream.encryptor(alice.recipient, size=size, policy=GCM)
        with pytest.raises(cmstream.SizeMismatchError, match=word):
            context.update(data)
            context.finalize()
        with pytest.raises(cmstream.AlreadyFinalized):
            context.update(b"")


def test_the_tag_is_withheld_until_the_end(alice):
    context = cmstream.encryptor(alice.recipient, size=32, policy=GCM)
    context.update(bytes(32))
    assert len(context.finalize()) == 2 + 16


@pytest.mark.parametrize("end", ["finalize", "abort"])
def test_an_ended_stream_takes_nothing_and_knows_nothing(alice, end):
    context = cmstream.encryptor(alice.recipient, form="message", policy=GCM)
    context.update(HEAD + b"secret line\n" * 2000)
    seal = context._output
    assert b"secret line" in seal._text
    getattr(context, end)()
    assert not any(seal._text)
    assert seal._cipher is None
    for call in (lambda: context.update(b""), context.finalize):
        with pytest.raises(cmstream.AlreadyFinalized):
            call()
    for call in (lambda: seal.update_into(b"x", bytearray(9)), lambda: seal.finish_into(b"")):
        with pytest.raises(cmstream.AlreadyFinalized):
            call()


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(aead, "GCM_LIMIT", 1000)
    monkeypatch.setattr(aead, "CHACHA20_LIMIT", 1000)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.usefixtures("small_limits")
def test_more_than_a_cipher_can_is_refused_in_time(alice, cipher):
    how = policy(cipher)
    for call in (
        lambda: cmstream.encryptor(alice.recipient, size=1001, policy=how),
        lambda: cmstream.encrypt(bytes(1001), alice.recipient, policy=how),
        lambda: cmstream.encrypt_many([(bytes(1001), alice.recipient)], form="der", policy=how),
        lambda: cmstream.encrypt_message(HEAD + bytes(1000), alice.recipient, policy=how),
    ):
        with pytest.raises(cmstream.MessageError, match="aes256-cbc") as caught:
            call()
        assert caught.value.code == "too-large"
    sealed = cmstream.encrypt(bytes(1000), alice.recipient, policy=how)
    assert open_cms(sealed, alice.key).content == bytes(1000)
    context = cmstream.encryptor(alice.recipient, policy=how)
    context.update(bytes(1000))
    with pytest.raises(cmstream.MessageError):
        context.update(b"x")
    with pytest.raises(cmstream.AlreadyFinalized):
        context.finalize()


# The other shapes


class Unseekable(io.RawIOBase):
    def __init__(self, data):
        self._file = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        return self._file.readinto(buffer)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("source", [io.BytesIO, Unseekable])
def test_file_shapes(alice, source, cipher):
    data, options = octets(600_000), {"policy": policy(cipher)}
    sink = io.BytesIO()
    with cmstream.EncryptWriter(sink, alice.recipient, **options) as out:
        out.write(data)
    reader = cmstream.EncryptReader(source(data), alice.recipient, **options)
    pieces = cmstream.encrypt_iter(source(data), alice.recipient, **options)
    for sealed in (sink.getvalue(), reader.read(), b"".join(pieces)):
        assert open_cms(sealed, alice.key)[:2] == (data, cipher)


def test_a_message_file_is_measured_first(alice):
    message = HEAD + b"text\n" * 100_000
    reader = cmstream.EncryptReader(io.BytesIO(message), alice.recipient, form="message",
                                    policy=GCM)  # fmt: skip
    sealed = reader.read()
    assert dearmour(sealed)[1] != 0x80
    assert open_message(sealed, alice.key)[1] == INSIDE + b"text\r\n" * 100_000


def test_a_writer_s_exception_leaves_no_tag(alice):
    sink = io.BytesIO()
    with pytest.raises(KeyError), cmstream.EncryptWriter(sink, alice.recipient, size=9, policy=GCM) as out:  # noqa: E501  # fmt: skip
        out.write(b"012345678")
        raise KeyError
    whole = cmstream.encrypt(b"012345678", alice.recipient, policy=GCM)
    assert len(sink.getvalue()) == len(whole) - 18


def mixed_jobs(alice, bob):
    both = cmstream.Recipients([alice.recipient, bob.recipient])
    how = [policy(cipher) for cipher in [*CIPHERS, "aes256-cbc", "aes128-cbc"]]
    return [(HEAD + b"line\n" * n, both, how[n % 5]) for n in (*range(40), 5001, 30_000)]


def test_batches_mix_ciphers(alice, bob):
    jobs = mixed_jobs(alice, bob)
    # One issuer for both: in the SET the serial number decides.
    index = sorted([alice, bob], key=lambda one: one.recipient.serial_der).index(alice)
    for n, answer in enumerate(cmstream.encrypt_many(jobs)):
        data, _, how = jobs[n]
        assert isinstance(answer, memoryview)
        opened = open_cms(dearmour(bytes(answer)), alice.key, index)
        assert opened.content == data.replace(b"\n", b"\r\n").partition(b"x\r\n")[2]
        assert opened.cipher == how.cipher
    assert len(list(cmstream.encrypt_many_iter(jobs, in_flight=7))) == len(jobs)


@pytest.mark.parametrize("form", ["message", "der"])
def test_batches_with_bad_jobs_between(alice, form, small_limits):
    policies = [GCM, cmstream.DEFAULT, policy("chacha20-poly1305")]
    jobs = [(HEAD + bytes(2000 * (n % 4 == 3)), alice.recipient, policies[n % 3])
            for n in range(24)]  # fmt: skip
    jobs.insert(5, (HEAD, [], GCM))
    answers = cmstream.encrypt_many(jobs, form=form, return_exceptions=True)
    assert isinstance(answers.pop(5), cmstream.RecipientError)
    for n, answer in enumerate(answers):
        if n % 4 == 3 and n % 3 != 1:
            assert isinstance(answer, cmstream.MessageError)
        else:
            opened = open_cms(plain_der(bytes(answer), form), alice.key)
            assert opened.cipher == policies[n % 3].cipher


def test_into_the_callers_buffer(alice):
    jobs = [(bytes(n), alice.recipient, how) for n in (0, 5000) for how in (GCM, cmstream.DEFAULT)]
    need = sum(map(len, cmstream.encrypt_many(jobs, form="der")))
    buffer = bytearray(need)
    answers = cmstream.encrypt_many_into(jobs, buffer, form="der")
    for (data, _, how), answer in zip(jobs, answers, strict=True):
        assert answer.obj is buffer
        assert answer.readonly
        assert open_cms(bytes(answer), alice.key)[:2] == (data, how.cipher)
    with pytest.raises(ValueError, match=f"give {need} or more"):
        cmstream.encrypt_many_into(jobs, bytearray(need - 1), form="der")


def test_gatherer(alice):
    async def run():
        async with cmstream.Gatherer(workers=1) as gather:
            calls = [gather.encrypt_message(HEAD + b"%d" % n, alice.recipient,
                     policy=policy(CIPHERS[n % 3])) for n in range(9)]  # fmt: skip
            return await asyncio.gather(*calls)

    for n, answer in enumerate(asyncio.run(run())):
        assert open_message(bytes(answer), alice.key)[1] == INSIDE + b"%d" % n


@pytest.mark.parametrize("cipher", CIPHERS)
def test_the_command(alice, cipher, tmp_path):
    certificate, source, out = (tmp_path / name for name in ("alice.pem", "in", "out"))
    certificate.write_bytes(alice.recipient.pem)
    source.write_bytes(HEAD + b"text\n")
    arguments = ["encrypt", "-r", certificate, "--cipher", cipher, "-o", out, source]
    assert cli.main(list(map(str, arguments))) == 0
    assert open_message(out.read_bytes(), alice.key)[1] == INSIDE + b"text\r\n"
    assert cli.main(list(map(str, [*arguments, "--binary"]))) == 0
    assert open_cms(out.read_bytes(), alice.key)[:2] == (HEAD + b"text\n", cipher)


# The frame


@given(st.integers(0, (1 << 36) - 32), st.sampled_from(CIPHERS))
@settings(max_examples=100)
def test_the_total_is_what_the_lengths_add_up_to(size, cipher):
    seal = authenticated.AuthenticatedEncoder(cipher)
    seal.plan(infos=b"\x30\x00", version=0, size=size)

    def element(length):
        return length + 2 + (0 if length < 128 else (length.bit_length() + 7) // 8)

    algorithm = 29 if cipher == "chacha20-poly1305" else 32
    content_info = element(11 + algorithm + element(size))
    enveloped = element(3 + element(2) + content_info + 18)
    assert seal.total == element(13 + element(enveloped))


@given(st.integers(0, 70_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_lengths_near_every_border(size, base64):
    seal = authenticated.AuthenticatedEncoder("aes128-gcm")
    seal.plan(infos=b"\x30\x00", version=0, size=size, base64=base64)
    out = bytearray(seal.bound(size))
    count = seal.update_into(bytes(size), out)
    assert count + seal.finish_into(memoryview(out)[count:]) == seal.total


def test_every_kernel_seals_alike(level):
    data = octets(70_000)
    for size in (None, len(data)):
        outs = []
        for cpu in (level, "portable"):
            gate.restrict_cpu(cpu)
            seal = authenticated.AuthenticatedEncoder("aes256-gcm")
            seal._cipher = aead.Encryption("aes256-gcm", bytes(32), bytes(12))
            gate.ffi.memmove(seal._key.iv, bytes(16), 16)
            seal.plan(infos=b"\x30\x00", version=0, size=size, base64=True, line_ends="as-is")
            out = bytearray(seal.bound(len(data)))
            count = seal.update_into(data, out)
            outs.append(bytes(out[: count + seal.finish_into(memoryview(out)[count:])]))
        assert outs[0] == outs[1]
