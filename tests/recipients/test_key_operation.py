"""A key behind an object: what it raises, and what comes of it."""

from __future__ import annotations

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

import cmstream
from helpers.authorities import identity, rsa_identity

TEXT = b"third flower pot"


class EncryptedDataInvalid(RuntimeError):  # noqa: N818 - its own name
    """As the library of a token has it."""


class Refusing:
    """A key that raises something, whatever it is asked."""

    def __init__(self, error):
        self.error = error

    def refuse(self, *_):
        raise self.error

    decrypt = exchange = decapsulate = refuse


PEOPLE = {"RSA": rsa_identity(), "X25519": identity("x25519"), "ML-KEM": identity("mlkem768")}


@pytest.fixture(params=PEOPLE, ids=str)
def certificate(request):
    return PEOPLE[request.param][1].public_bytes(Encoding.DER)


def raised(error, certificate):
    me = cmstream.Identity(Refusing(error), certificate)
    for cipher in ("aes256-cbc", "aes256-gcm"):
        sealed = cmstream.encrypt(TEXT, me.recipient, policy=cmstream.Policy(cipher=cipher))
        with pytest.raises(Exception) as caught:
            for _ in range(9):  # with CBC random content comes once in 256 attempts
                cmstream.decrypt(sealed, me)
        yield caught.value


@pytest.mark.parametrize("error", [ValueError("wrong"), EncryptedDataInvalid("0x40"), Exception()])
def test_every_refusal_is_the_one_error(certificate, error):
    for found in raised(error, certificate):
        assert isinstance(found, cmstream.DecryptionError)
        assert "wrong" not in str(found)
        assert found.__cause__ is None


@pytest.mark.parametrize("error", [UnsupportedAlgorithm("no OAEP"), NotImplementedError("none")])
def test_what_it_cannot_do_is_told(certificate, error):
    for found in raised(error, certificate):
        assert isinstance(found, cmstream.EnvelopeError)
        assert found.code == "unsupported-cipher"
        assert str(error) in str(found)


@pytest.mark.parametrize(
    "error", [cmstream.KeyUnavailableError("the token is away"), ConnectionResetError("it went"),
              TimeoutError("too slow"), TimeoutError()]
)  # fmt: skip
def test_a_token_that_is_away_says_so(certificate, error):
    for found in raised(error, certificate):
        assert isinstance(found, cmstream.KeyUnavailableError)
        assert isinstance(found, OSError)
        assert found.code == "key-unavailable"
        assert str(found).endswith("try again when it is there")
        assert (str(error) or "(TimeoutError)") in str(found)


@pytest.mark.parametrize("error", [TypeError("a mistake"), AttributeError("a mistake")])
def test_a_mistake_of_the_author_passes(certificate, error):
    for found in raised(error, certificate):
        assert found is error


@pytest.mark.parametrize("answer", [None, "text", 16, [1, 2], EncryptedDataInvalid("0x40")])
def test_an_answer_that_is_no_bytes_is_a_mistake_too(certificate, answer):
    me = cmstream.Identity(Refusing(None), certificate)
    me.key.decrypt = me.key.exchange = me.key.decapsulate = lambda *_: answer
    for sealed in (
        cmstream.encrypt(TEXT, me.recipient),
        cmstream.encrypt_message(TEXT, me.recipient),
    ):
        with pytest.raises(
            TypeError, match=r"the private key's answer: give bytes|isn't bytes-like"
        ):
            cmstream.decrypt(sealed, me)
