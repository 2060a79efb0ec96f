"""The administrator's pages in a real browser."""

from __future__ import annotations

import datetime as dt

import pytest

from helpers.accounts.support import ADMINISTRATOR, pem
from helpers.accounts.visitor import ROOTS_PASSWORD

pytestmark = pytest.mark.slow

BOB = "bob@example.org"


def again(person, button):
    person.page.get_by_label("Your password for this page").fill(ROOTS_PASSWORD)
    person.press(button)


def rows(person):
    return person.page.get_by_role("main").locator("tbody tr")


def test_an_account_and_its_owner_who_comes_by_a_link(root, visitor, store):
    assert root.heading() == "Accounts"
    root.follow("Add an account")
    root.page.get_by_label("Address of the mailbox").fill("nobody")
    again(root, "Add the account")
    assert root.page.get_by_role("alert").count() == 1
    assert root.page.get_by_label("Address of the mailbox").input_value() == "nobody"
    root.page.get_by_label("Address of the mailbox").fill("Bob@Example.ORG")
    root.page.get_by_label("Aliases").fill("robert@example.org\nbobby@example.org")
    root.picture("add-account")
    root.press("Add the account")
    link = root.page.locator("#link").inner_text()
    root.picture("sign-in-link")
    assert store.account(BOB).aliases == ("bobby@example.org", "robert@example.org")
    bob = visitor()
    bob.open(link)
    bob.page.get_by_label("New password", exact=True).fill("three yellow kayaks")
    bob.page.get_by_label("New password, again").fill("three yellow kayaks")
    bob.press("Set the password")
    assert bob.heading() == BOB
    assert bob.says("made this account on")
    root.open(f"/account?address={BOB}")
    root.follow(f"New sign-in link for {BOB}")
    root.press("Make the link")
    assert root.heading() == f"Sign-in link for {BOB}"


def test_the_list_is_searched_and_filtered(root, store):
    now = dt.datetime.now(dt.timezone.utc)
    for name, days in (("carol", 10), ("dora", 900)):
        address = f"{name}@example.org"
        store.add_account(address, by=ADMINISTRATOR, cipher="aes256-cbc")
        data = pem(emails=(address,), not_after=now + dt.timedelta(days=days))
        store.import_certificates(address, data, by=ADMINISTRATOR)
    root.open("/accounts")
    assert rows(root).count() == 3
    root.picture("accounts")
    root.follow("Expiring soon")
    assert rows(root).all_inner_texts()[0].startswith("carol@example.org")
    assert rows(root).count() == 1
    root.follow("Unprotected")
    assert [text.split()[0] for text in rows(root).all_inner_texts()] == ["alice@example.org"]
    root.follow("All")
    root.page.get_by_label("Search for an address").fill("dora")
    root.press("Search")
    assert rows(root).count() == 1
    root.page.get_by_label("Search for an address").fill("zoe")
    root.press("Search")
    assert root.says("No account matches.")
    root.open("/accounts")
    root.follow("carol@example.org")
    assert root.heading() == "carol@example.org"
    root.picture("account-by-administrator")


def test_a_folder_is_checked_and_then_imported(root, store, tmp_path):
    folder = tmp_path / "certificates"
    folder.mkdir()
    for number, name in enumerate(("alice", "bob", "carol")):
        data = pem(number=number, emails=(f"{name}@example.org",))
        (folder / f"{name}.pem").write_bytes(data)
    (folder / "notes.txt").write_text("Nothing here")
    root.open("/accounts/import")
    root.picture("import-many")
    root.page.get_by_label("Or a whole folder").set_input_files(folder)
    root.press("Check the files")
    assert root.says("1 of 4 can be imported. Nothing is saved yet.")
    assert root.says("There is no such account.")
    root.open("/accounts/import")
    root.page.get_by_label("Or a whole folder").set_input_files(folder)
    root.page.get_by_label("Add accounts that don't exist yet").check()
    root.press("Check the files")
    assert root.says("3 of 4 can be imported.")
    assert [one.address for one in store.accounts()] == ["alice@example.org"]
    root.picture("import-checked")
    again(root, "Save")
    assert root.says("3 of 3 imported.")
    root.picture("imported")
    assert {one.address for one in store.accounts() if one.protected} == {
        "alice@example.org",
        BOB,
        "carol@example.org",
    }


def test_a_table_says_what_belongs_to_whom(root, store, tmp_path):
    (tmp_path / "card.pem").write_bytes(pem(number=1, emails=("robert@example.net",)))
    text = pem(number=0).decode().replace("\n", "\r\n")
    table = (
        "address;file;certificate;cipher;description\r\n"
        f"{BOB};card.pem;;aes128-cbc;his card\r\n"
        f'alice@example.org;;"{text}";;\r\n'
        "carol@example.org;missing.pem;;;\r\n"
        "dora@example.org;;AAAA;;\r\n"
    )
    (tmp_path / "table.csv").write_text(table)
    root.open("/accounts/import")
    files = [tmp_path / "table.csv", tmp_path / "card.pem"]
    root.page.get_by_label("Files", exact=True).set_input_files(files)
    root.page.get_by_label("Add accounts that don't exist yet").check()
    root.press("Check the files")
    assert root.says("2 of 4 can be imported.")
    assert root.says("The file missing.pem wasn't among those chosen.")
    root.picture("import-table")
    again(root, "Save")
    assert root.says("1 of 2 imported.")
    assert [one.address for one in store.accounts()] == ["alice@example.org"]


def test_another_address_of_a_table_is_taken_when_ticked(root, store, tmp_path):
    (tmp_path / "card.pem").write_bytes(pem(number=1, emails=("robert@example.net",)))
    (tmp_path / "table.csv").write_text(f"address,file,cipher\n{BOB},card.pem,aes128-cbc\n")
    root.open("/accounts/import")
    files = [tmp_path / "table.csv", tmp_path / "card.pem"]
    root.page.get_by_label("Files", exact=True).set_input_files(files)
    root.page.get_by_label("Add accounts that don't exist yet").check()
    root.press("Check the files")
    root.page.get_by_label("Save those too that name another address").check()
    again(root, "Save")
    assert root.says("1 of 1 imported.")
    assert store.account(BOB).cipher == "aes128-cbc"


def test_a_plan_that_was_damaged_is_refused(root, store, tmp_path):
    (tmp_path / "alice.pem").write_bytes(pem())
    root.open("/accounts/import")
    root.page.get_by_label("Files", exact=True).set_input_files(tmp_path / "alice.pem")
    root.press("Check the files")
    root.page.evaluate("document.querySelector('[name=plan]').value = '{}'")
    again(root, "Save")
    assert root.says("The plan came back damaged")
    assert store.certificates("alice@example.org") == []


def test_the_switches_override_and_everybody_sees_it(root, store):
    root.open("/switches")
    root.picture("switches")
    root.page.get_by_label("Off for everybody").check()
    again(root, "Save")
    assert root.says("The switches are set.")
    assert store.switches()["encryption"] == "off"
    root.open("/accounts")
    assert root.says("Encryption is switched off for the whole server")
    root.open("/account?address=alice@example.org")
    assert root.says("Encryption is off for the whole server.")


def test_the_audit_log_names_everything_and_goes_back(root, store):
    for number in range(60):
        store.change_account("alice@example.org", by=ADMINISTRATOR, clients=[f"mutt-{number}"])
    root.open("/log")
    assert rows(root).count() == 50
    root.picture("audit-log")
    root.follow("Older changes")
    assert root.says("added the account")


def test_what_an_account_covers(root, store):
    store.add_account(BOB, by=ADMINISTRATOR, aliases=["robert@example.org"])
    root.open("/account/addresses?address=alice@example.org")
    root.page.get_by_label("Aliases").fill("robert@example.org")
    root.page.get_by_label("Domains").fill("alice.example")
    root.picture("addresses")
    again(root, "Save")
    assert root.says("obert@example.org is another account's alias already.")
    root.page.get_by_label("Aliases").fill("ally@example.org")
    root.press("Save")
    assert root.says("The addresses are saved.")
    account = store.account("alice@example.org")
    assert (account.aliases, account.domains) == (("ally@example.org",), ("alice.example",))


def test_an_account_is_removed_after_a_word_of_warning(root, store):
    root.open("/account/remove?address=alice@example.org")
    assert root.says("Its certificates and its owners' access are gone.")
    again(root, "Remove the account")
    assert root.says("The account is removed.")
    assert store.accounts() == []
