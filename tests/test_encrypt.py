"""The one-shot and the push shapes: what comes out opens to what went in, however it is cut."""

from __future__ import annotations

import random
import threading
from array import array
from email.message import EmailMessage
from io import BytesIO

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import load_der_x509_certificate
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from helpers.opening import dearmour, envelope, open_cms, open_message
from helpers.people import person

SIZES = [0, 1, 15, 16, 17, 46, 47, 48, 49, 4095, 4096, 4097, 16383, 16384, 16385, 100_000]
MESSAGE = (
    b"From: b@example.net\r\nSubject: x\r\nContent-Type: text/plain\r\n\r\nHello,\r\nAlice\r\n"
)


def octets(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def push(context: cmstream.Encryptor, data: bytes, cut: int) -> bytes:
    pieces = [context.update(data[i : i + cut]) for i in range(0, len(data), cut)]
    return b"".join([*pieces, context.finalize()])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes128-cbc"])
def test_one_shot_gives_der_that_opens(alice, size, cipher):
    policy = cmstream.DEFAULT.clone(cipher=cipher)
    sealed = cmstream.encrypt(octets(size), [alice.recipient], policy=policy)
    assert open_cms(sealed, alice.key) == (octets(size), cipher, 0, 1)


@pytest.mark.parametrize("size", SIZES)
def test_forms_differ_in_armour_alone(alice, size):
    for form in ("pem", "smime"):
        text = cmstream.encrypt(octets(size), alice.recipient, form=form)
        assert open_cms(dearmour(text), alice.key).content == octets(size)


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("form", ["der", "pem", "smime"])
@pytest.mark.parametrize("size", SIZES)
def test_push_gives_the_same_for_every_cut(alice, size, form, sized):
    data = octets(size)
    for cut in (1, 7, 16, 4096, 40_000) if size < 5000 else (1000, 16384, 99_999):
        context = cmstream.encryptor(alice.recipient, form=form, size=size if sized else None)
        sealed = push(context, data, cut)
        cms = sealed if form == "der" else dearmour(sealed)
        assert open_cms(cms, alice.key).content == data
        assert (cms[1] == 0x80) is not sized


@given(
    st.lists(st.binary(max_size=5000), max_size=8), st.booleans(), st.sampled_from(["der", "pem"])
)
@settings(max_examples=60, deadline=None)
def test_random_cuts(parts, sized, form):
    data, someone = b"".join(parts), person()
    context = cmstream.encryptor(someone.recipient, form=form, size=len(data) if sized else None)
    sealed = b"".join([*map(context.update, parts), context.finalize()])
    cms = sealed if form == "der" else dearmour(sealed)
    assert open_cms(cms, someone.key).content == data


def test_indefinite_segments_do_not_depend_on_cuts(alice):
    lengths = {
        tuple(map(len, (push(cmstream.encryptor(alice.recipient), octets(100_000), cut),)))
        for cut in (1, 999, 100_000)
    }
    assert len(lengths) == 1


@pytest.mark.parametrize("form", ["der", "pem", "smime", "message"])
def test_update_into_respects_its_bound_and_no_more(alice, form):
    data = MESSAGE + b"line\n" * 5000
    context = cmstream.encryptor(alice.recipient, form=form)
    out = b""
    for start in range(0, len(data), 3000):
        part = data[start : start + 3000]
        buffer = bytearray(b"\xaa" * (context.bound(len(part)) + 8))
        count = context.update_into(part, memoryview(buffer)[:-8])
        assert buffer[-8:] == b"\xaa" * 8
        out += buffer[:count]
    buffer = bytearray(context.bound(0))
    out += buffer[: context.finalize_into(buffer)]
    if form == "message":
        assert open_message(out, alice.key)[1].endswith(b"line\r\n")
    else:
        assert open_cms(out if form == "der" else dearmour(out), alice.key).content == data


@pytest.mark.parametrize("form", ["der", "message"])
def test_too_small_a_buffer_is_an_error_without_harm(alice, form):
    context = cmstream.encryptor(alice.recipient, form=form, size=len(MESSAGE))
    with pytest.raises(ValueError, match="too small"):
        context.update_into(MESSAGE, bytearray(10))
    sealed = context.update(MESSAGE) + context.finalize()
    cms = sealed if form == "der" else dearmour(sealed)
    assert open_cms(cms, alice.key).content.endswith(b"Hello,\r\nAlice\r\n")


def test_every_bytes_like_object_is_taken(alice):
    import array

    data = octets(1000)
    for given_as in (bytearray(data), memoryview(data), array.array("I", data)):
        assert open_cms(cmstream.encrypt(given_as, alice.recipient), alice.key).content == data


def test_keys_and_ivs_are_fresh(alice):
    seals = [cmstream.encrypt(b"same", alice.recipient) for _ in range(20)]
    parts = [envelope(sealed)["encryptedContentInfo"] for sealed in seals]
    ivs = {bytes(p["contentEncryptionAlgorithm"]["parameters"]) for p in parts}
    assert len(ivs) == len({bytes(p["encryptedContent"]) for p in parts}) == 20


def test_too_much_and_too_little_for_size(alice):
    context = cmstream.encryptor(alice.recipient, size=10)
    context.update(b"0123456789")
    with pytest.raises(cmstream.SizeMismatchError, match="more") as caught:
        context.update(b"x")
    assert caught.value.code == "size-mismatch"
    with pytest.raises(cmstream.AlreadyFinalized):
        context.finalize()
    context = cmstream.encryptor(alice.recipient, size=10)
    context.update(b"012345678")
    with pytest.raises(cmstream.SizeMismatchError, match="less"):
        context.finalize()
    with pytest.raises(cmstream.AlreadyFinalized):
        context.update(b"9")


def test_the_last_block_is_withheld_until_the_end(alice):
    context = cmstream.encryptor(alice.recipient, size=32)
    given = context.update(bytes(32))
    assert len(context.finalize()) == 16
    assert len(given) > 32


def test_finalize_and_abort_end_a_stream(alice):
    for end in ("finalize", "abort"):
        context = cmstream.encryptor(alice.recipient)
        getattr(context, end)()
        for call in (lambda c=context: c.update(b""), context.finalize):
            with pytest.raises(cmstream.AlreadyFinalized):
                call()


def test_a_second_thread_in_one_stream_gets_an_error(alice):
    context = cmstream.encryptor(alice.recipient)
    data, errors = bytes(8 << 20), []

    def work():
        try:
            for _ in range(8):
                context.update(data)
        except cmstream.ConcurrentUseError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 1
    context.abort()


def test_many_recipients_each_open_it(alice, bob):
    people = [alice, bob, person(1024, number=3), person(3072, number=4)]
    with pytest.warns(cmstream.RecipientWarning, match="2048"):
        to = cmstream.Recipients([p.recipient for p in people] + [alice.recipient])
        sealed = cmstream.encrypt(b"for all", to)
    assert len(to) == 4
    infos = envelope(sealed)["recipientInfos"]
    serials = [int(i["ktri"]["rid"]["issuerAndSerialNumber"]["serialNumber"]) for i in infos]
    for someone in people:
        index = serials.index(someone.recipient.serial)
        assert open_cms(sealed, someone.key, index).content == b"for all"


@pytest.mark.parametrize("key_transport", ["pkcs1v15", "oaep-sha256"])
@pytest.mark.parametrize("recipient_id", ["issuer-serial", "ski"])
def test_policies(alice, key_transport, recipient_id):
    policy = cmstream.Policy(key_transport=key_transport, recipient_id=recipient_id)
    opened = open_cms(cmstream.encrypt(b"x", alice.recipient, policy=policy), alice.key)
    assert opened[:3] == (b"x", "aes256-cbc", 2 if recipient_id == "ski" else 0)


def test_ski_falls_back_to_issuer_and_serial():
    someone = person(subject_key_identifier=False, number=7)
    policy = cmstream.Policy(recipient_id="ski")
    assert (
        open_cms(cmstream.encrypt(b"x", someone.recipient, policy=policy), someone.key).version == 0
    )


def test_nobody_to_encrypt_to():
    with pytest.raises(cmstream.RecipientError) as caught:
        cmstream.encrypt(b"secret", [])
    assert caught.value.code == "no-recipients"


def test_a_policy_can_refuse(alice):
    someone = person(purposes=(), emails=(), number=8)
    policy = cmstream.Policy(refuse={"no-email"})
    with pytest.raises(cmstream.RecipientError, match="e-mail") as caught:
        cmstream.encrypt(b"secret", [alice.recipient, someone.recipient], policy=policy)
    assert caught.value.code == "unusable-recipient"
    assert caught.value.fingerprint == someone.recipient.fingerprint
    assert caught.value.problems == ("no-email",)


def test_a_warning_comes_once_for_each_prepared_recipient():
    to = cmstream.Recipients([person(emails=(), number=9).recipient])
    with pytest.warns(cmstream.RecipientWarning):
        cmstream.encrypt(b"x", to)
    cmstream.encrypt(b"x", to)


WARNS = {
    "encrypt": lambda to: cmstream.encrypt(b"x", to),
    "encrypt_message": lambda to: cmstream.encrypt_message(b"x", to),
    "encryptor": lambda to: cmstream.encryptor(to, form="message"),
    "EncryptWriter": lambda to: cmstream.EncryptWriter(BytesIO(), to),
    "EncryptReader": lambda to: cmstream.EncryptReader(BytesIO(b"x"), to),
    "encrypt_iter": lambda to: list(cmstream.encrypt_iter([b"x"], to)),
    "encrypt_many": lambda to: cmstream.encrypt_many([(b"x", to)]),
    "encrypt_many_iter": lambda to: list(cmstream.encrypt_many_iter([(b"x", to)])),
    "encrypt_many_into": lambda to: cmstream.encrypt_many_into([(b"x", to)], bytearray(9999)),
    "check": lambda to: cmstream.Recipients([to]).check(),
    "cipher": lambda to: cmstream.Recipients([to]).cipher(),
}


@pytest.mark.parametrize("call", WARNS.values(), ids=WARNS)
def test_a_warning_is_of_the_callers_line(call):
    """Filters by module, and whoever looks for the line, need that."""
    someone = person(emails=(), number=10).recipient
    with pytest.warns(cmstream.RecipientWarning) as caught:
        call(cmstream.Recipient.from_der(someone.der))
    assert {one.filename for one in caught} == {__file__}


@pytest.mark.parametrize(
    "change",
    [{"cipher": "des"}, {"refuse": {"ugly"}}, {"recipient_id": "name"}, {"key_transport": ""}],
)
def test_a_policy_takes_known_values_alone(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        cmstream.DEFAULT.clone(**change)


def test_unknown_form_and_negative_size(alice):
    with pytest.raises(ValueError, match="form"):
        cmstream.encrypt(b"", alice.recipient, form="cms")
    with pytest.raises(ValueError, match="size"):
        cmstream.encryptor(alice.recipient, size=-1)


def test_cryptography_reads_it(alice):
    certificate = alice.recipient
    x509 = load_der_x509_certificate(certificate.der)
    der = cmstream.encrypt(b"hello\r\n", alice.recipient)
    assert pkcs7.pkcs7_decrypt_der(der, x509, alice.key, []) == b"hello\r\n"
    assert x509.public_bytes(Encoding.DER) == certificate.der


def test_items_of_several_octets(alice):
    numbers = array("I", range(20_000))
    context = cmstream.encryptor(alice.recipient)
    sealed = context.update(numbers) + context.finalize()
    assert open_cms(sealed, alice.key).content == numbers.tobytes()


def test_a_type_error_names_the_argument_and_the_type(alice, me, tmp_path):
    mail, certificate = EmailMessage(), load_der_x509_certificate(alice.recipient.der)
    to = cmstream.Recipients([alice.recipient])
    sealed = cmstream.encrypt(b"x", to)
    for call, text in (
        (lambda: cmstream.load_recipients("alice.pem"), "^data: give bytes, not text"),
        (lambda: cmstream.load_recipients(tmp_path), "^data: PosixPath isn't bytes-like"),
        (lambda: cmstream.inspect("sealed.eml"), "^source: str is no binary file"),
        (lambda: cmstream.encrypt_message("From: x", to), "^message or content: give bytes"),
        (
            lambda: cmstream.encrypt_message(mail, to),
            r"EmailMessage isn't bytes-like: give its as_by",
        ),
        (lambda: cmstream.encrypt_many([b"", b""]), "^jobs: bytes is no "),
        (lambda: cmstream.encrypt_many([(b"",)]), r"^jobs: tuple of 1 is no pair \(data, to\)"),
        (lambda: cmstream.encrypt_many([7]), "^jobs: int is no pair"),
        (lambda: cmstream.decrypt_many([(sealed,)]), r"^jobs: tuple of 1 is no pair \(sealed, id"),
        (lambda: cmstream.decrypt_many([sealed]), r"^jobs: bytes is no pair \(sealed, ident"),
        (lambda: cmstream.encrypt(b"", to, policy="aes256-gcm"), "^policy: 'aes256-gcm' is no Pol"),
        (lambda: cmstream.encryptor(to, policy=None), "^policy: None is no Policy: give one, as"),
        (lambda: cmstream.decrypt("sealed", me), "^sealed: give bytes"),
        (lambda: cmstream.decrypt(sealed, alice.key), "^identities: RSAPrivateKey is no Identity"),
        (lambda: cmstream.decrypt(sealed, [alice.key]), "^identities: RSAPrivateKey is no Ident"),
        (lambda: cmstream.encrypt(b"", [to]), r"^to: Recipients is no Recipient: .* \[\*these, "),
        (lambda: cmstream.encrypt(b"", "alice.pem"), "^to: str is no Recipient"),
        (lambda: cmstream.encrypt(b"", None), "^to: NoneType is no Recipient"),
        (lambda: cmstream.Identity(alice.key, alice), "^certificate: Person isn't bytes-like"),
        (lambda: cmstream.Identity(alice.key, "alice.pem"), "^certificate: give bytes, not text"),
        (lambda: cmstream.Identity.from_pem("alice.pem", b"x"), "^private key's file: give b"),
        (lambda: cmstream.Identity.from_pem(b"x", "alice.pem"), "^certificate: give bytes, not"),
        (lambda: cmstream.Identity.from_pkcs12("alice.pfx"), "^PKCS #12 file: give bytes, not"),
        (lambda: cmstream.Identity.from_kek("0123456789012345", b"id"), "^key: give bytes, not"),
        (
            lambda: cmstream.Identity.from_pem(b"x", b"x", 1234),
            "^password: give text or .* not int",
        ),
        (
            lambda: cmstream.Identity.from_pkcs12(b"x", 1234),
            "^password: give text or bytes, not int",
        ),
        (lambda: cmstream.load_identities(b"x", password=1), "^password: give text or bytes, not"),
        (lambda: cmstream.load_recipients(b"x", password=1), "^password: give text or bytes, not"),
        (lambda: cmstream.Recipient.from_password(1234), "^password: give text or bytes, not int"),
        (lambda: cmstream.Recipient.from_der("alice.pem"), "^der: give bytes, not text"),
        (lambda: cmstream.Recipient.from_der(None), "^der: NoneType isn't bytes-like"),
        (lambda: cmstream.load_recipients(certificate), r"its public_bytes\(Encoding.DER\)"),
        (
            lambda: alice.recipient.problems("today"),
            "^at: give a datetime with a time zone, not str",
        ),
        (lambda: cmstream.Identity.from_kek(bytes(16), "id"), "^key_id: give bytes, not text"),
        (
            lambda: cmstream.EncryptWriter(BytesIO(), to).write("text"),
            "^data: give bytes, not text",
        ),
    ):
        with pytest.raises(TypeError, match=text):
            call()
    with pytest.raises(ValueError, match=r"refuse: there is no 'old': choose among .*expired"):
        cmstream.Policy(refuse={"old"})
