"""Which cipher and key transport come out of what everyone wishes and the policy allows."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

import cmstream
from cmstream.certificates import archive_keys
from cmstream.certificates.recipient import load_recipients
from cmstream.ciphers import AUTHENTICATED, KEY_LEN
from cmstream.errors import RecipientError
from cmstream.policy import Policy
from cmstream.recipients import policy_resolution
from cmstream.recipients.recipients import prepare
from helpers.authorities import certificate, identity, rsa_key
from helpers.wishes import RC2, TRIPLE_DES, wishes
from recipients.test_key_transport import marked
from recipients.test_key_transport import oaep as oaep_parameters

CBC = ("aes256-cbc", "aes128-cbc")
OAEP = ("oaep-sha256", "oaep-sha384", "oaep-sha512")
AUTO = Policy(cipher="auto")


@functools.cache
def reader(*names, says=True, kind="rsa"):
    """Somebody whose certificate names these, or without ``says`` none at all."""
    key = rsa_key() if kind == "rsa" else identity(kind)[0]
    made = certificate(key, extra=(wishes(*names),) if says else ())
    (found,) = load_recipients(made.public_bytes(Encoding.DER))
    return found


SILENT = reader(says=False)


def cipher(*recipients, **policy):
    return policy_resolution.content_cipher(recipients, AUTO.clone(**policy))


def transport(recipient, **policy):
    return policy_resolution.key_transport(recipient, AUTO.clone(**policy))


def oaep_only(recipient):
    return dataclasses.replace(recipient, oaep_only=True)


def test_every_cipher_has_its_place():
    assert set(policy_resolution.BY_STRENGTH) == set(KEY_LEN)
    assert set(policy_resolution.BY_STRENGTH[:3]) == AUTHENTICATED


def test_who_says_nothing_reads_what_every_client_does():
    assert cipher(SILENT) == "aes256-cbc"
    assert cipher(SILENT, reader(*KEY_LEN)) == "aes256-cbc"
    assert cipher(SILENT, reader("aes128-cbc", "aes256-gcm")) == "aes128-cbc"
    assert transport(SILENT) == "pkcs1v15"


@pytest.mark.parametrize("kind", ["SECP256R1", "x25519"])
def test_keys_on_curves_count_as_others_do(kind):
    assert cipher(reader(says=False, kind=kind)) == "aes256-cbc"
    assert cipher(reader("aes256-gcm", kind=kind)) == "aes256-gcm"


def test_the_strongest_wins_whatever_the_certificate_prefers():
    names = list(KEY_LEN)
    for best in policy_resolution.BY_STRENGTH:
        assert cipher(reader(*names)) == cipher(reader(*reversed(names))) == best
        names.remove(best)


def test_all_must_read_it():
    one = reader("aes256-gcm", "chacha20-poly1305", "aes128-gcm", *CBC)
    other = reader("aes128-gcm", "aes256-cbc", "chacha20-poly1305")
    assert cipher(one, other) == "chacha20-poly1305"
    assert cipher(one, other, reader("aes128-gcm")) == "aes128-gcm"


@pytest.mark.parametrize("names", [(), (TRIPLE_DES, RC2), ("pkcs1v15", "oaep-sha256")])
def test_who_names_no_cipher_of_ours_is_taken_to_read_what_every_client_does(names):
    assert cipher(reader(*names)) == "aes256-cbc"


def test_where_nothing_is_common_it_is_what_every_client_reads():
    assert cipher(reader("aes256-gcm"), reader("chacha20-poly1305")) == "aes256-cbc"
    assert cipher(reader("aes256-gcm"), SILENT) == "aes256-cbc"


@pytest.mark.parametrize("archive", [archive_keys.password("x"), archive_keys.kek(bytes(32), b"1")])
def test_archives_read_everything(archive):
    assert cipher(archive) == "aes256-gcm"
    assert cipher(archive, reader("aes128-gcm")) == "aes128-gcm"
    assert cipher(archive, SILENT) == "aes256-cbc"
    assert transport(archive, key_transport="oaep-sha384") == "oaep-sha384"
    assert "(an archive)" in str(refusal(cipher, archive, forbid=KEY_LEN))


@pytest.mark.parametrize("octets", [16, 24])
def test_an_archive_reads_no_longer_keys_than_its_own(octets):
    archive = archive_keys.kek(bytes(octets), b"1")
    assert cipher(archive) == cipher(archive, reader("aes128-gcm")) == "aes128-gcm"
    assert cipher(archive, SILENT) == "aes128-cbc"


def test_what_is_forbidden_is_passed_over():
    everything = reader(*KEY_LEN)
    for count, best in enumerate(policy_resolution.BY_STRENGTH):
        assert cipher(everything, forbid=policy_resolution.BY_STRENGTH[:count]) == best
    assert cipher(SILENT, forbid={"aes256-cbc"}) == "aes128-cbc"


def test_a_cipher_that_was_chosen_stays():
    for name in KEY_LEN:
        assert (
            policy_resolution.content_cipher([SILENT, reader("aes128-cbc")], Policy(cipher=name))
            == name
        )


def refusal(call, *arguments, **options):
    with pytest.raises(RecipientError) as caught:
        call(*arguments, **options)
    assert caught.value.code == "unusable-recipient"
    return caught.value


def test_the_error_names_who_reads_nothing_that_is_allowed():
    good = reader(*KEY_LEN)
    error = refusal(cipher, good, SILENT, forbid=CBC)
    assert error.fingerprint == SILENT.fingerprint
    assert "CN=Alice" in str(error)
    assert "aes256-cbc, aes128-cbc, which the policy forbids: forbid less" in str(error)
    error = refusal(cipher, reader("aes256-gcm"), forbid={"aes256-gcm"})
    assert "it reads aes256-gcm," in str(error)


def test_the_error_names_all_who_read_nothing_in_common():
    some = [reader("aes256-gcm"), reader("chacha20-poly1305")]
    error = refusal(cipher, *some, forbid=CBC)
    assert error.fingerprint is None
    assert "(CN=Alice; CN=Alice)" in str(error)
    assert "each by itself" in str(error)
    assert str(refusal(cipher, *some * 3, forbid=CBC)).count("CN=Alice") == 5


def test_the_oaep_that_a_certificate_names_first_is_taken():
    for first in OAEP:
        assert transport(reader("pkcs1v15", "aes256-gcm", first, *OAEP)) == first
    assert transport(reader(*OAEP), forbid={"oaep-sha256"}) == "oaep-sha384"
    assert transport(reader("oaep-sha512"), forbid={"oaep-sha512"}) == "pkcs1v15"
    assert transport(reader("pkcs1v15"), key_transport="oaep-sha384") == "oaep-sha384"


def test_a_key_transport_is_wished_for_under_auto_alone():
    assert transport(reader(*OAEP), cipher="aes256-cbc") == "pkcs1v15"


def test_a_key_that_is_for_oaep_gets_it():
    only = oaep_only(reader("aes256-cbc"))
    for cipher_name in ("auto", "aes256-cbc"):
        assert transport(only, cipher=cipher_name) == "oaep-sha256"
        assert transport(only, cipher=cipher_name, key_transport="oaep-sha512") == "oaep-sha512"
        error = refusal(transport, only, cipher=cipher_name, forbid={"oaep-sha256"})
        assert error.fingerprint == only.fingerprint
        assert "needs the key transport oaep-sha256, which the policy forbids" in str(error)
    wishing = oaep_only(reader("oaep-sha512", "oaep-sha384"))
    assert transport(wishing) == "oaep-sha512"
    assert transport(wishing, cipher="aes256-cbc") == "oaep-sha256"


def test_the_oaep_that_a_key_allows_may_be_forbidden(alice):
    someone = marked(alice, oaep_parameters("oaep-sha384")).recipient
    for cipher_name in ("auto", "aes256-cbc"):
        for forbid in ((), {"oaep-sha256"}):
            assert transport(someone, cipher=cipher_name, forbid=forbid) == "oaep-sha384"
        error = refusal(transport, someone, cipher=cipher_name, forbid={"oaep-sha384"})
        assert "needs the key transport oaep-sha384," in str(error)
    for name in ("oaep-sha1", "oaep-sha256"):
        other = marked(alice, oaep_parameters(name)).recipient
        assert transport(other) == "oaep-sha256"


def test_other_keys_have_no_key_transport_to_choose():
    other = reader("oaep-sha512", kind="x25519")
    assert transport(other) == "pkcs1v15"
    assert transport(other, key_transport="oaep-sha256", forbid={"pkcs1v15"}) == "oaep-sha256"


def test_a_forbidden_key_transport_is_of_matter_for_rsa_alone(alice):
    none = {"pkcs1v15"}
    only_curves = Policy(forbid=none)
    assert cmstream.encrypt(b"x", reader(kind="x25519"), policy=only_curves)
    wishing = reader("oaep-sha256", "aes256-cbc")
    sealed = cmstream.encrypt(b"x", wishing, policy=AUTO.clone(forbid=none))
    assert cmstream.inspect(sealed).addressees[0].algorithm.startswith("rsa-oaep")
    for policy in (only_curves, AUTO.clone(forbid=none)):
        with pytest.raises(RecipientError, match="needs the key transport pkcs1v15") as caught:
            cmstream.encrypt(b"x", alice.recipient, policy=policy)
        assert caught.value.code == "unusable-recipient"


def test_each_has_a_policy_with_nothing_open():
    some = [SILENT, reader("oaep-sha384", "aes256-cbc"), SILENT]
    policies = policy_resolution.resolve_policies(some, AUTO.clone(recipient_id="ski"))
    assert [one.key_transport for one in policies] == ["pkcs1v15", "oaep-sha384", "pkcs1v15"]
    assert {(one.cipher, one.recipient_id) for one in policies} == {("aes256-cbc", "ski")}
    default = Policy()
    assert all(one is default for one in policy_resolution.resolve_policies(some, default))


SHAPES = {
    "one shot": lambda to: cmstream.encrypt(DATA, to, policy=AUTO),
    "among many": lambda to: cmstream.encrypt_many([(DATA, to)] * 3, form="der", policy=AUTO)[1],
    "a stream": lambda to: b"".join(cmstream.encrypt_iter([DATA], to, policy=AUTO)),
}
DATA = b"What is written here is read by all of them."


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("wished", "chosen"),
    [
        ((None, None), "aes256-cbc"),
        ((None, ("aes128-cbc", "oaep-sha512")), "aes128-cbc"),
        ((("oaep-sha256", *CBC), ("aes256-gcm", "aes256-cbc")), "aes256-cbc"),
    ],
)
def test_the_choice_is_what_the_message_has(wished, chosen, shape):
    some = [reader(*(one or ()), says=one is not None) for one in wished]
    to = cmstream.Recipients(some)
    sealed = bytes(SHAPES[shape](to))
    assert to.cipher(AUTO) == chosen
    found = cmstream.inspect(sealed, certificates=some)
    assert found.cipher == chosen
    for addressee in found.addressees:
        wishes_oaep = "oaep" in str(addressee.recipient.capabilities)
        assert addressee.algorithm.startswith("rsa-oaep" if wishes_oaep else "rsa-pkcs1v15")
    for one in some:
        assert cmstream.decrypt(sealed, cmstream.Identity(rsa_key(), one)) == DATA


def test_every_kind_of_recipient_has_the_one_cipher():
    kek = archive_keys.kek(bytes(32), b"of the archive")
    curves = [reader("aes128-cbc", "aes256-gcm", kind=kind) for kind in ("SECP256R1", "x25519")]
    rsa = reader("oaep-sha256", "aes128-cbc")
    sealed = cmstream.encrypt(DATA, [rsa, *curves, kek], policy=AUTO)
    found = cmstream.inspect(sealed)
    assert found.cipher == "aes128-cbc"
    assert {one.kind for one in found.addressees} == {"key-transport", "key-agreement", "kek"}
    for one, kind in zip(curves, ("SECP256R1", "x25519"), strict=True):
        assert cmstream.decrypt(sealed, cmstream.Identity(identity(kind)[0], one)) == DATA
    assert cmstream.decrypt(sealed, cmstream.Identity(rsa_key(), rsa)) == DATA
    assert cmstream.decrypt(sealed, kek) == DATA


def test_the_choice_is_made_once_for_each_policy():
    to = cmstream.Recipients([reader("aes128-cbc")])
    assert prepare(to, AUTO) is prepare(to, AUTO.clone()) is prepare(to, AUTO)
    assert to.cipher(AUTO) == "aes128-cbc"
    assert to.cipher() == "aes256-cbc"


def test_a_forbidden_transport_is_an_error_before_anything_is_sealed():
    to = cmstream.Recipients([SILENT, oaep_only(reader("aes256-cbc"))])
    policy = Policy(forbid={"oaep-sha256"})
    refusal(cmstream.encrypt, DATA, to, policy=policy)
    refusal(to.check, policy)
    (error,) = cmstream.encrypt_many([(DATA, to)], policy=policy, return_exceptions=True)
    assert error.code == "unusable-recipient"
    assert cmstream.encrypt(DATA, to, policy=policy.clone(key_transport="oaep-sha384"))


@given(st.data())
def test_any_wishes_and_bans_give_a_cipher_that_all_read_or_an_error(data):
    ciphers = st.sets(st.sampled_from(policy_resolution.BY_STRENGTH))
    wishes_of_each = data.draw(st.lists(ciphers, min_size=1, max_size=3))
    some = [reader(*sorted(one)) for one in wishes_of_each]
    forbid = data.draw(ciphers)
    common = set.intersection(*[one or set(CBC) for one in wishes_of_each]) or set(CBC)
    if common <= forbid:
        refusal(cipher, *some, forbid=forbid)
    else:
        found = cipher(*some, forbid=forbid)
        assert found in common - forbid
        stronger = policy_resolution.BY_STRENGTH[: policy_resolution.BY_STRENGTH.index(found)]
        assert not common & set(stronger) - forbid
