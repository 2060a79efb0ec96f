"""A message to many accounts, each of which is to get one of its own, by a protocol that has one
answer for all."""

from __future__ import annotations

import pytest

from cmstream.accounts import open_store
from helpers.accounts.support import ADMINISTRATOR
from helpers.peers.openssl import OpenSSL
from helpers.servers.mail import ALICE, BOB, CAROL, DORA, SECRET, Cell, person_of
from helpers.servers.place import wait
from helpers.servers.ways import way

pytestmark = pytest.mark.slow

TEXT = Cell(ALICE, "text").message()
MANY = [f"sailor{number}@example.org" for number in range(30)]


def enlist(running):
    """Thirty accounts, which share a certificate: whose it is doesn't matter here."""
    url = f"sqlite:///{running.gateway.folder}/accounts.sqlite3"
    with open_store(url) as store:
        for one in MANY:
            store.add_account(one, by=ADMINISTRATOR)
            store.import_certificates(
                one, person_of(0).recipient.pem, confirm_mismatch=True, by=ADMINISTRATOR
            )
            store.change_account(one, cipher="aes256-cbc", by=ADMINISTRATOR)


def got(running):
    return sorted(to for one in running.hop.transactions for to in one.taken)


def test_each_account_gets_its_own_where_that_is_wished():
    with way("after queue smtp", "--mixed", "split") as running:
        assert running.send([ALICE, DORA, CAROL, BOB], TEXT) == {}
        wait(lambda: got(running) == sorted([ALICE, DORA, CAROL, BOB]), tell=running.tell)
        groups = sorted(sorted(one.addresses) for one in running.hop.transactions)
        assert groups == [[ALICE], [BOB, CAROL], [DORA]]
        for one in running.hop.transactions:
            assert (SECRET in one.message) == (len(one.addresses) == 2)


def test_a_sender_with_thirty_of_them_reaches_all():
    """After 15 refusals the others are sealed for together, or Postfix would give up first."""
    with way("after queue smtp", "--mixed", "split") as running:
        enlist(running)
        assert running.send(MANY, TEXT) == {}
        wait(lambda: got(running) == sorted(MANY), tell=running.tell)
        assert not any(SECRET in one.message for one in running.hop.transactions)
        assert max(len(one.addresses) for one in running.hop.transactions) > 1


def test_together_all_thirty_share_one(tmp_path):
    with way("before queue") as running:
        enlist(running)
        assert running.send(MANY, TEXT) == {}
        wait(lambda: got(running) == sorted(MANY), tell=running.tell)
        assert len(running.hop.transactions) == 1
        sealed = running.hop.transactions[0].message
        assert SECRET in OpenSSL(tmp_path).open(sealed, person_of(0), "smime")
