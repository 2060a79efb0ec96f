"""How mail for an address is sealed: the rules."""

from __future__ import annotations

import datetime as dt
import gc
from functools import partial
from types import TracebackType

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

import cmstream
from cmstream.accounts import (
    StoreUnavailable,
    UnusableAccount,
    brief_connection,
    open_store,
    tables,
)
from cmstream.accounts.account import Account, StoredCertificate
from cmstream.accounts.errors import Invalid
from cmstream.accounts.lookup import SealingRules
from cmstream.accounts.record import Record
from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.authorities import NOW, YEARS, identity, key_usage, rsa_identity
from helpers.opening import open_message

ALICE = "alice@example.org"
MAIL = b"Subject: x\r\n\r\nHello\r\n"


def add(store, address=ALICE, *, certificate=None, **changes):
    store.add_account(address, by=ADMINISTRATOR)
    data = certificate or pem()
    store.import_certificates(address, data, by=ADMINISTRATOR, confirm_mismatch=True)
    changes.setdefault("cipher", "aes256-cbc")
    store.change_account(address, by=ADMINISTRATOR, **changes)


def brief(url, address, *, appended=False):
    """The answer without SQLAlchemy; an error where the store would have to be asked."""
    found = brief_connection.seals(url, [address], appended=appended)
    if found is None:
        raise StoreUnavailable("store-unavailable", "the store must be asked")
    return found[0]


@pytest.fixture(params=["store", "brief connection"])
def store(request, url):
    """Both ways to look up."""
    with open_store(url) as opened:
        if request.param == "brief connection":
            opened.seal_for = partial(brief, url)
        yield opened


def owner(store, address):
    seal = store.seal_for(address)
    return seal.account and seal.account.address.partition("@")[0]


# --- what it answers -------------------------------------------------------------------------


def test_a_seal_seals(store):
    add(store, cipher="aes128-cbc")
    seal = store.seal_for("<Alice+news@EXAMPLE.org.>")
    assert (seal.action, seal.reason.code, seal.account.address) == ("seal", "enabled", ALICE)
    assert seal.recipients.cipher(seal.policy) == "aes128-cbc"
    sealed = cmstream.encrypt_message(MAIL, seal.recipients, policy=seal.policy)
    assert open_message(sealed, rsa_identity()[0])[1].endswith(b"Hello\r\n")


def test_what_is_left_says_why(store):
    store.add_account("off@example.org", by=ADMINISTRATOR)
    add(store)
    left = {
        "off@example.org": "disabled",
        "bob@example.org": "unknown-address",
        "alice@example.net": "unknown-address",
    }
    for address, code in left.items():
        seal = store.seal_for(address)
        assert (seal.action, seal.reason.code) == ("leave", code)
        assert seal.recipients is seal.policy is None
        assert address in str(seal.reason)


def test_the_order_is_exact_alias_detail_domain(store):
    add(store, "exact+x@example.org")
    add(store, "alias@example.org", aliases=["exact+y@example.org", "exact+y+z@example.org"])
    add(store, "exact@example.org")
    add(store, "domain@example.net", domains=["example.org", "bücher.example"])
    assert owner(store, "exact+x@example.org") == "exact+x"
    assert owner(store, "Exact+Y@example.org") == "alias"
    assert owner(store, "exact+w@example.org") == "exact"
    assert owner(store, "exact+x+y@example.org") == "exact"
    assert owner(store, "anybody+x@example.org") == "domain"
    assert owner(store, "anybody@XN--BCHER-KVA.example") == "domain"
    assert owner(store, "anybody@sub.example.org") is None


def test_the_first_that_is_there_decides_even_if_it_leaves(store):
    store.add_account(ALICE, by=ADMINISTRATOR)
    add(store, "domain@example.net", domains=["example.org"])
    assert store.seal_for(ALICE).reason.code == "disabled"


@pytest.mark.parametrize("address", ["", "alice", "<>", "alice@example.org, bob@example.org"])
def test_what_is_no_address_is_never_unknown(store, address):
    with pytest.raises(Invalid):
        store.seal_for(address)


def test_what_is_filed_by_a_mail_program_is_sealed_where_that_is_wanted(store):
    add(store)
    assert store.seal_for(ALICE, appended=True).reason.code == "not-on-append"
    assert store.seal_for(ALICE).action == "seal"
    store.change_account(ALICE, by=ADMINISTRATOR, encrypt_on_append=True)
    assert store.seal_for(ALICE, appended=True).action == "seal"
    store.set_switch("encrypt_on_append", "no", by=ADMINISTRATOR)
    assert store.seal_for(ALICE, appended=True).reason.code == "not-on-append"


def test_nothing_usable_is_an_error_unless_the_owner_or_the_server_says_otherwise(store):
    store.add_account(ALICE, cipher="aes256-cbc", by=ADMINISTRATOR)
    for _ in range(2):  # from the cache, too
        with pytest.raises(UnusableAccount) as caught:
            store.seal_for(ALICE)
    assert (caught.value.code, caught.value.account) == ("no-usable-certificate", ALICE)
    store.change_account(ALICE, by=ADMINISTRATOR, when_unusable="clear")
    assert store.seal_for(ALICE).reason.code == "no-usable-certificate"
    store.set_switch("when_unusable", "error", by=ADMINISTRATOR)
    with pytest.raises(UnusableAccount):
        store.seal_for(ALICE)
    store.set_switch("encryption", "off", by=ADMINISTRATOR)
    assert store.seal_for(ALICE).reason.code == "switched-off"


def test_rotation(store):
    add(store)
    store.import_certificates(ALICE, pem(1), by=ADMINISTRATOR)
    both = store.seal_for(ALICE).recipients
    assert len(both) == 2
    old = store.certificates(ALICE)[0].fingerprint
    store.retire_certificate(ALICE, old, by=ADMINISTRATOR)
    (left,) = store.seal_for(ALICE).recipients
    assert left.fingerprint != old


# --- the rules, for everything that an account can be ----------------------------------------

SECOND = dt.timedelta(seconds=1)


def der(**options):
    return rsa_identity(**options)[1].public_bytes(Encoding.DER)


CERTIFICATES = {
    "valid": der,
    "valid too": lambda: der(number=1),
    "X25519": lambda: identity("x25519")[1].public_bytes(Encoding.DER),
    "weak": lambda: der(bits=1024),
    "early": lambda: der(number=2, not_before=NOW + SECOND),
    "expired": lambda: der(number=3, not_after=NOW - SECOND),
    "expired long ago": lambda: der(number=4, not_after=NOW - YEARS / 2),
    "only signs": lambda: identity("ed25519", usage=key_usage("digital_signature"))[1].public_bytes(
        Encoding.DER
    ),
    "damaged": lambda: der()[:-50],
    "none at all": lambda: b"",
}
EXPIRED = {"expired", "expired long ago"}
UNUSABLE = {"only signs", "damaged", "none at all"}


@pytest.fixture(scope="module")
def stored():
    made = {}
    for number, (name, make) in enumerate(CERTIFICATES.items()):
        for state in ("active", "retired"):
            made[name, state] = StoredCertificate(
                f"{number:064x}", make(), "", state, False, NOW, NOW, "root"
            )
    return made


switches = st.fixed_dictionaries(
    {
        "encryption": st.sampled_from(["as-accounts-say"] * 5 + ["off"]),
        "encrypt_on_append": st.sampled_from(["", "yes", "no"]),
        "when_unusable": st.sampled_from(["", "error", "clear"]),
        "header_protection": st.sampled_from(["", "none", "baseline", "shy"]),
        "default_header_protection": st.sampled_from(["none", "baseline", "shy"]),
    }
)
accounts = st.builds(
    Account,
    id=st.just(1),
    address=st.just(ALICE),
    cipher=st.sampled_from(["aes256-cbc", "aes128-cbc", "aes256-gcm", "auto", None]),
    encrypt_on_append=st.booleans(),
    when_unusable=st.sampled_from(["error", "clear"]),
    header_protection=st.sampled_from(["as-server-says", "none", "baseline", "shy"]),
    clients=st.just(()),
    aliases=st.just(()),
    domains=st.just(()),
    created_at=st.just(NOW),
)
held = st.dictionaries(st.sampled_from([*CERTIFICATES]), st.sampled_from(["active", "retired"]))


def hidden(switches, account):
    own = account.header_protection
    if switches["header_protection"]:
        return switches["header_protection"]
    return switches["default_header_protection"] if own == "as-server-says" else own


@given(switches, st.none() | accounts, held, st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_rules(stored, switches, account, held, appended):
    certificates = [stored[key] for key in held.items()]
    record = Record(switches, account, certificates if account else ())
    seal = DESK.answer(ALICE, record, appended=appended, at=NOW.timestamp()).seal
    usable = {name for name, state in held.items() if state == "active"} - UNUSABLE
    append = {"yes": True, "no": False}.get(
        switches["encrypt_on_append"], account and account.encrypt_on_append
    )
    if account is None:
        assert seal.reason.code == "unknown-address"
    elif switches["encryption"] == "off":
        assert seal.reason.code == "switched-off"
    elif account.cipher is None:
        assert seal.reason.code == "disabled"
    elif appended and not append:
        assert seal.reason.code == "not-on-append"
    elif usable:
        assert seal.action == "seal"
        chosen = usable - EXPIRED or usable
        assert {one.der for one in seal.recipients} == {CERTIFICATES_DER[n] for n in chosen}
        assert seal.policy.cipher == account.cipher
        assert (seal.policy.header_protection or "none") == hidden(switches, account)
        cmstream.encrypt_message(MAIL, seal.recipients, policy=seal.policy)
        bad = (UNUSABLE | {"weak", "early"} | EXPIRED) & {
            n for n, s in held.items() if s == "active"
        }
        assert len(seal.notes) == len(bad)
    elif (switches["when_unusable"] or account.when_unusable) == "clear":
        assert seal.reason.code == "no-usable-certificate"
    else:
        assert isinstance(seal, UnusableAccount)
        assert seal.account == ALICE
        return
    assert seal.action == ("seal" if seal.reason.code == "enabled" else "leave")


DESK = SealingRules()
CERTIFICATES_DER = {}


@pytest.fixture(autouse=True, scope="module")
def _ders(stored):
    CERTIFICATES_DER.update({name: one.der for (name, _), one in stored.items()})


def test_an_expired_certificate_alone_is_used_and_reported(store):
    add(store, certificate=pem(not_after=NOW))
    seal = store.seal_for(ALICE)
    assert seal.action == "seal"
    (note,) = seal.notes
    assert "is used: The certificate expired on 2026-01-01." in note
    store.import_certificates(ALICE, pem(1), by=ADMINISTRATOR)
    seal = store.seal_for(ALICE)
    assert len(seal.recipients) == 1
    assert "left out" in seal.notes[0]


def test_a_certificate_for_signing_is_left_out_beside_one_for_encrypting(store):
    signs = key_usage("digital_signature")
    signature = rsa_identity(number=1, common_name="Sign", usage=signs)[1]
    add(store, certificate=signature.public_bytes(Encoding.PEM))
    alone = store.seal_for(ALICE)
    assert [one.subject for one in alone.recipients] == ["CN=Sign"]
    store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
    both = store.seal_for(ALICE)
    assert [one.subject for one in both.recipients] == ["CN=Alice"]
    assert any("left out" in note and "key encipherment" in note for note in both.notes)


def test_a_certificate_that_cannot_be_read_any_more_blocks_no_other(store):
    add(store)
    store.import_certificates(ALICE, pem(1), by=ADMINISTRATOR)
    table = tables.certificates
    broken = store.certificates(ALICE)[0].fingerprint
    with store.database.write() as connection:
        connection.execute(
            table.update().where(table.c.fingerprint == broken).values(der=b"\x30\x82nonsense")
        )
    store._lookups.expire()
    seal = store.seal_for(ALICE)
    assert len(seal.recipients) == 1
    assert broken[:16] in seal.notes[0]


def test_to_know_that_a_certificate_cannot_be_read_takes_no_memory(store):
    """An error that is raised again and again keeps the frames of each time."""
    add(store)
    with store.database.write() as connection:
        connection.execute(tables.certificates.update().values(der=b"\x30\x82nonsense"))

    def traces():
        for _ in range(100):
            store._lookups.expire()
            with pytest.raises(UnusableAccount):
                store.seal_for(ALICE)
        gc.collect()
        return sum(isinstance(one, TracebackType) for one in gc.get_objects())

    assert traces() == traces()


def test_a_setting_of_the_future_is_no_answer(store):
    add(store)
    with store.database.write() as connection:
        connection.execute(tables.accounts.update().values(cipher="aes512-xyz"))
    store._lookups.expire()
    with pytest.raises(StoreUnavailable):
        store.seal_for(ALICE)
