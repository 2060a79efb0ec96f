"""Which header fields are sealed too: an account's choice, the server's default, its override."""

from __future__ import annotations

import pytest

import cmstream
from accounts.test_lookup import ALICE, add, store
from cmstream.accounts import Invalid
from helpers.accounts.support import ADMINISTRATOR

__all__ = ["store"]  # a fixture: both ways to look up


def sealed_by(store):
    return store.seal_for(ALICE).policy.header_protection


@pytest.mark.parametrize(
    ("own", "default", "override", "expected"),
    [
        ("as-server-says", "none", "", None),
        ("as-server-says", "shy", "", "shy"),
        ("none", "shy", "", None),
        ("baseline", "none", "", "baseline"),
        ("shy", "shy", "none", None),
        ("none", "none", "baseline", "baseline"),
    ],
)
def test_who_decides(store, own, default, override, expected):
    add(store)
    store.change_account(ALICE, header_protection=own, by=ADMINISTRATOR)
    store.set_switch("default_header_protection", default, by=ADMINISTRATOR)
    store.set_switch("header_protection", override, by=ADMINISTRATOR)
    assert sealed_by(store) == expected


def test_a_new_account_leaves_it_to_the_server_which_protects_none(store):
    add(store)
    assert store.account(ALICE).header_protection == "as-server-says"
    assert sealed_by(store) is None
    mail = b"Subject: The boat\r\n\r\nbody\r\n"
    seal = store.seal_for(ALICE)
    sealed = cmstream.encrypt_message(mail, seal.recipients, policy=seal.policy)
    assert b"The boat" in sealed


def test_only_what_there_is_can_be_chosen(store):
    add(store)
    for wrong in ("loud", "", None, True):
        with pytest.raises(Invalid):
            store.change_account(ALICE, header_protection=wrong, by=ADMINISTRATOR)
    with pytest.raises(Invalid):
        store.set_switch("default_header_protection", "as-server-says", by=ADMINISTRATOR)
