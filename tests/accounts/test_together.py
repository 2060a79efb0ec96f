"""What counts as a change, and several changes in one transaction."""

from __future__ import annotations

from functools import partial

import pytest

from cmstream.accounts import Conflict, Invalid, NotFound, imports, open_store
from cmstream.command.cli import main
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem

ALICE, BOB = "alice@example.org", "bob@example.org"


@pytest.fixture
def alices(store):
    store.add_account(ALICE, by=ADMINISTRATOR, cipher="aes256-cbc")
    for number in range(2):
        store.import_certificates(ALICE, pem(number), by=OWNER)
    return store


def fingerprints(store, state="active"):
    return [one.fingerprint for one in store.certificates(ALICE) if one.state == state]


def written(store):
    return store.database.counter(), len(store.audit())


def test_a_change_of_nothing_empties_no_cache(alices):
    first, second = fingerprints(alices)
    alices.retire_certificate(ALICE, second, by=OWNER)
    before, cached = written(alices), alices.seal_for(ALICE)
    for nothing in (
        partial(alices.change_account, ALICE),
        partial(alices.change_account, ALICE, cipher="aes256-cbc", aliases=[ALICE]),
        partial(alices.describe_certificate, ALICE, first, ""),
        partial(alices.activate_certificate, ALICE, first),
        partial(alices.retire_certificate, ALICE, second),
        partial(alices.import_certificates, ALICE, pem(0)),
        partial(alices.set_switch, "encryption", "as-accounts-say"),
    ):
        nothing(by=ADMINISTRATOR)
        assert written(alices) == before
        assert alices.seal_for(ALICE) is cached
    alices.change_account(ALICE, by=OWNER, cipher="aes128-cbc")
    assert alices.database.counter() == before[0] + 1
    assert alices.seal_for(ALICE).policy.cipher == "aes128-cbc"


def test_changes_together_are_seen_at_their_end(alices, url):
    with open_store(url) as other:
        with alices.together() as store:
            store.add_account(BOB, by=ADMINISTRATOR)
            store.change_account(ALICE, by=OWNER, cipher="aes128-cbc")
            assert store.account(BOB).address == BOB
            assert [one.address for one in other.accounts()] == [ALICE]
            assert alices.account(ALICE).cipher == "aes256-cbc"
        assert [one.address for one in other.accounts()] == [ALICE, BOB]
        assert alices.seal_for(ALICE).policy.cipher == "aes128-cbc"


def test_changes_together_are_made_all_or_none(alices):
    before = written(alices)
    with pytest.raises(NotFound), alices.together() as store:
        store.change_account(ALICE, by=OWNER, cipher=None)
        store.delete_certificate(ALICE, "0" * 64, by=OWNER)
    assert written(alices) == before
    assert alices.account(ALICE).cipher == "aes256-cbc"


def test_a_change_that_fails_among_others_is_undone_alone(alices):
    alices.add_account(BOB, by=ADMINISTRATOR, aliases=["rob@example.org"])
    before = written(alices)
    with alices.together() as store:
        with pytest.raises(Conflict):  # after the cipher was written
            store.change_account(
                ALICE, by=ADMINISTRATOR, cipher="aes128-cbc", aliases=["rob@example.org"]
            )
        with pytest.raises(Invalid), store.together() as inner:
            inner.change_account(ALICE, by=OWNER, cipher=None)
            inner.change_account(ALICE, by=OWNER, cipher="none such")
        store.change_account(BOB, by=OWNER, cipher="aes256-cbc")
    assert alices.account(ALICE).cipher == "aes256-cbc"
    assert alices.account(BOB).cipher == "aes256-cbc"
    assert written(alices) == (before[0] + 1, before[1] + 1)


def test_the_command_sets_all_or_nothing(alices, url, capsys):
    first, second = fingerprints(alices)
    before = written(alices)
    words = ["account", "set", "--database", url, ALICE]
    assert main([*words, "--retire", first, "--cipher", "aes128-cbc", "--aliases", "no address"])
    assert "invalid-address" in capsys.readouterr().err
    assert written(alices) == before
    assert fingerprints(alices) == [first, second]
    assert main([*words, "--retire", first, "--cipher", "aes128-cbc"]) == 0
    assert fingerprints(alices) == [second]
    assert alices.account(ALICE).cipher == "aes128-cbc"


def test_the_command_reads_a_file_while_others_can_write(alices, url, tmp_path, monkeypatch):
    file, read, done = tmp_path / "new.pem", imports.read, []
    file.write_bytes(pem(2))

    def meanwhile(*arguments):
        done.append(alices.add_account(f"{len(done)}@example.org", by=ADMINISTRATOR))
        return read(*arguments)

    monkeypatch.setattr(imports, "read", meanwhile)
    assert main(["account", "import", "--database", url, ALICE, str(file)]) == 0
    assert len(done) == 1
    assert len(fingerprints(alices)) == 3
