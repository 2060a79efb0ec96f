"""The README's recipe for a key in a token, with SoftHSM."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

import cmstream
from helpers import handmade
from helpers.authorities import certificate
from helpers.people import Person

LIBRARIES = [
    Path(folder, "libsofthsm2.so")
    for folder in ("/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm")
]
LIBRARY = next((path for path in LIBRARIES if path.exists()), None)
README = Path(__file__).parents[2] / "src" / "cmstream" / "README.md"
TEXT = b"third flower pot"

if not (LIBRARY and shutil.which("softhsm2-util")) and not os.environ.get("CI"):
    pytest.skip("needs SoftHSM (Debian's softhsm2)", allow_module_level=True)
if os.environ.get("CI"):
    import pkcs11
else:
    pkcs11 = pytest.importorskip("pkcs11")


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "conf"))
        options = ["--init-token", "--free", "--label", "t", "--so-pin", "1234", "--pin", "1234"]
        subprocess.run(["softhsm2-util", *options], check=True, capture_output=True)
        token = pkcs11.lib(str(LIBRARY)).get_token(token_label="t")
        with token.open(rw=True, user_pin="1234") as found:
            yield token, found


class PublicHalf:
    """What a certificate is made of."""

    def __init__(self, public):
        from pkcs11.util.rsa import encode_rsa_public_key

        self._public = load_der_public_key(encode_rsa_public_key(public))

    def public_key(self):
        return self._public


@pytest.fixture(scope="module")
def token_key():
    """The class that the README shows."""
    (code,) = re.findall(
        r"### A key in a token.*?```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL
    )
    names = {}
    exec(code, names)  # noqa: S102 - the project's own text
    return names["TokenKey"]


@pytest.fixture(scope="module")
def person(session, token_key):
    """Somebody whose key stands in the token, which never gives it out."""
    public, private = session[1].generate_keypair(
        pkcs11.KeyType.RSA, 2048, store=True, label="Alice"
    )
    cert = certificate(PublicHalf(public)).public_bytes(Encoding.DER)
    recipient = cmstream.Recipient.from_der(cert)
    return Person(PublicHalf(public), recipient), cmstream.Identity(token_key(private), recipient)


@pytest.mark.parametrize("cipher", ["aes256-cbc", "aes256-gcm"])
def test_a_token_opens(person, cipher):
    _, me = person
    sealed = cmstream.encrypt(TEXT, me.recipient, policy=cmstream.Policy(cipher=cipher))
    assert cmstream.decrypt(sealed, me) == TEXT
    assert cmstream.decrypt_many([(sealed, me)] * 3, form="content") == [TEXT] * 3


def test_oaep_opens_or_is_refused_for_what_it_is(person):
    _, me = person
    for transport in ("oaep-sha256", "oaep-sha512"):
        policy = cmstream.Policy(key_transport=transport)
        sealed = cmstream.encrypt(TEXT, me.recipient, policy=policy)
        try:
            assert cmstream.decrypt(sealed, me) == TEXT
        except cmstream.EnvelopeError as error:
            assert error.code == "unsupported-cipher"


@pytest.mark.parametrize(
    "encrypted", [b"\1" * 256, bytes(255) + b"\2", b"", b"\1" * 200, b"\xff" * 256]
)
def test_wrong_padding_is_like_damaged_content(person, encrypted):
    who, me = person
    content = handmade.encrypt(handmade.pad(TEXT))
    sealed = handmade.envelope([handmade.ktri(who, encrypted=encrypted)], content)
    right = cmstream.encrypt(TEXT, me.recipient)
    texts = set()
    for message in (sealed, right[:-20] + bytes([right[-20] ^ 1]) + right[-19:]):
        with pytest.raises(cmstream.DecryptionError) as caught:
            for _ in range(9):  # random content comes once in 256 attempts
                cmstream.decrypt(message, me)
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_a_token_that_is_away_is_asked_again(session, token_key):
    token, _ = session
    with token.open(rw=True) as lost:
        public, private = lost.generate_keypair(pkcs11.KeyType.RSA, 2048)
        cert = certificate(PublicHalf(public)).public_bytes(Encoding.DER)
        me = cmstream.Identity(token_key(private), cert)
        sealed = cmstream.encrypt(TEXT, me.recipient)
        assert cmstream.decrypt(sealed, me) == TEXT
    with pytest.raises(cmstream.KeyUnavailableError, match="try again") as caught:
        cmstream.decrypt(sealed, me)
    assert caught.value.code == "key-unavailable"
