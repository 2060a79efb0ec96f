"""The owner's pages in a real browser: from the first sign-in to a message that OpenSSL opens."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cmstream.accounts.people import credentials, limits
from helpers.accounts.owning import (
    again,
    key_file,
    opened,
    pem_file,
    pfx_file,
    save,
    upload,
)
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem
from helpers.accounts.visitor import ALICE, ALICES_PASSWORD
from helpers.authorities import rsa_identity

pytestmark = pytest.mark.slow

MISMATCH = ("bob@example.net",)


# --- in and out ----------------------------------------------------------------------------------


def test_a_wrong_password_is_said_and_the_name_stays(visitor):
    person = visitor()
    person.open("/")
    assert person.heading() == "Sign in"
    person.picture("sign-in")
    person.sign_in(password="wrong")
    assert person.says("Name or password is wrong.")
    assert person.page.get_by_label("Name or address").input_value() == ALICE
    assert person.page.get_by_label("Password").input_value() == ""
    person.picture("sign-in-wrong")


def test_too_many_attempts_are_refused_with_a_time_to_wait(visitor, store):
    with store.database.write() as connection:
        for _ in range(limits.BY_NAME_AND_SOURCE):
            limits.claim(connection, limits.subjects(ALICE, "127.0.0.1"), credentials.now())
    person = visitor().sign_in()
    assert person.says("Too many attempts to sign in: try again in 15 minutes.")


def test_after_the_sign_in_comes_the_page_that_was_asked_for(visitor):
    person = visitor()
    person.open("/account/settings")
    person.page.get_by_label("Name or address").fill(ALICE)
    person.page.get_by_label("Password").fill(ALICES_PASSWORD)
    person.press("Sign in")
    assert person.heading() == "How it is encrypted"
    person.page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    assert person.says("You are signed out.")
    person.open("/account")
    assert person.heading() == "Sign in"


def test_a_link_sets_a_password_once(visitor, store):
    from cmstream.accounts.people.people import People

    people = People(store)
    store.add_account("bob@example.org", by=ADMINISTRATOR)
    people.add("bob@example.org", "owner", account="bob@example.org", by=ADMINISTRATOR)
    secret = people.add_link("first-sign-in", "bob@example.org", by=ADMINISTRATOR)
    person = visitor()
    person.open(f"/link/{secret}")
    person.picture("first-sign-in")
    assert person.says("For the mailbox bob@example.org.")
    assert person.page.get_by_text("(15 minutes left)").count() == 1
    fill_new(person, "short", "short")
    assert person.says("The password is shorter than 12 characters")
    fill_new(person, "three yellow kayaks", "three yellow canoes")
    assert person.says("The two passwords differ")
    fill_new(person, "three yellow kayaks", "three yellow kayaks")
    assert person.heading() == "bob@example.org"
    second = visitor()
    assert second.open(f"/link/{secret}").status == 403
    assert second.says("The link works no more: it was used, is too old, or a newer one took")
    second.picture("error-403")
    assert second.sign_in("bob@example.org", "three yellow kayaks").heading() == "bob@example.org"


def fill_new(person, new, repeat):
    person.page.get_by_label("New password", exact=True).fill(new)
    person.page.get_by_label("New password, again").fill(repeat)
    person.press("Set the password")


def test_a_person_changes_the_own_password(alice, visitor):
    alice.open("/password")
    alice.page.get_by_label("Present password").fill("wrong")
    fill_new(alice, "eight white donkeys", "eight white donkeys")
    assert alice.says("That isn't your password.")
    alice.page.get_by_label("Present password").fill(ALICES_PASSWORD)
    fill_new(alice, "eight white donkeys", "eight white donkeys")
    assert alice.says("Your password is changed.")
    assert visitor().sign_in(password="eight white donkeys").heading() == ALICE


# --- certificates --------------------------------------------------------------------------------


def test_from_nothing_to_a_sealed_message_that_openssl_opens(alice, store, tmp_path):
    assert alice.says("Not encrypted")
    alice.picture("overview-empty")
    pfx, public = pfx_file(tmp_path), tmp_path / "public_cert.pem"
    command = ["openssl", "pkcs12", "-in", pfx, "-clcerts", "-nokeys", "-passin", "pass:horses"]
    subprocess.run([*command, "-out", public], check=True, timeout=30)
    alice.follow("Add certificates")
    alice.picture("upload")
    upload(alice, public)
    assert alice.heading() == "Check before you save"
    _, certificate = rsa_identity(number=0)
    for text in ("RSA-2048", ALICE, "nothing wrong with it"):
        assert alice.says(text)
    assert fingerprint(certificate) in squeezed(alice)
    assert store.certificates(ALICE) == []
    alice.picture("preview")
    again(alice, "Save")
    assert alice.says("The certificates are saved, and mail is encrypted from now on.")
    alice.picture("overview")
    alice.follow("Test message")
    alice.picture("test-message")
    with alice.page.expect_download() as download:
        alice.press("Download it")
    assert download.value.suggested_filename == "test.eml"
    download.value.save_as(tmp_path / "test.eml")
    assert "opened a sealed message" in opened(tmp_path / "test.eml", key_file(tmp_path))


def fingerprint(certificate):
    from cryptography.hazmat.primitives.hashes import SHA256

    return certificate.fingerprint(SHA256()).hex()


def squeezed(person):
    return "".join(person.page.get_by_role("main").inner_text().split())


def test_a_pfx_needs_its_password_and_its_key_is_nowhere(alice, store, tmp_path):
    pfx = pfx_file(tmp_path)
    upload(alice, pfx)
    assert alice.says("alice.pfx has a password: type it, and choose the file again.")
    alice.picture("upload-pfx-without-password")
    assert alice.page.get_by_text("None of the files can be used").count() == 0
    upload(alice, pfx, password="donkeys")
    assert alice.page.get_by_role("alert").count()
    upload(alice, pfx, password="horses")
    assert alice.says("A private key came along")
    assert alice.says("Set aside")
    alice.picture("preview-pfx")
    html = alice.page.content()
    assert "PRIVATE KEY" not in html
    assert "horses" not in html
    again(alice, "Save")
    assert len(store.certificates(ALICE)) == 1


def test_several_files_at_once_and_one_that_is_none(alice, store, tmp_path):
    files = [pem_file(tmp_path, f"{n}.pem", number=n) for n in range(2)]
    letter = tmp_path / "letter.pem"
    letter.write_text("Dear Alice")
    upload(alice, *files, letter)
    assert alice.says("letter.pem can't be used")
    assert alice.says(f"2 certificates for {ALICE}")
    alice.picture("preview-several")
    again(alice, "Save")
    assert len(store.certificates(ALICE)) == 2


def test_files_are_dropped_on_the_frame(alice, tmp_path):
    alice.open("/account/upload")
    text = pem_file(tmp_path).read_text()
    transfer = alice.page.evaluate_handle(
        """text => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([text], "dropped.pem"));
            return transfer;
        }""",
        text,
    )
    alice.page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
    assert alice.says("dropped.pem")
    alice.press("Look into the files")
    assert alice.heading() == "Check before you save"


def test_another_address_is_saved_only_when_ticked(alice, store, tmp_path):
    upload(alice, pem_file(tmp_path, emails=MISMATCH))
    assert alice.says(f"The certificate is for bob@example.net, not for {ALICE}.")
    alice.page.get_by_label("Description").fill("Bob's")
    again(alice, "Save")
    assert alice.says("Tick this if the certificate is meant for this mailbox.")
    assert alice.page.get_by_label("Description").input_value() == "Bob's"
    assert store.certificates(ALICE) == []
    alice.picture("preview-mismatch")
    alice.page.get_by_label("I know that a certificate names another address").check()
    save(alice)
    assert [one.mismatch_confirmed for one in store.certificates(ALICE)] == [True]


def test_a_wrong_password_saves_nothing(alice, store, tmp_path):
    upload(alice, pem_file(tmp_path))
    alice.page.get_by_label("Your password for this page").fill("wrong")
    alice.press("Save")
    assert alice.says("That isn't your password.")
    assert store.certificates(ALICE) == []


def test_a_new_certificate_retires_the_old_one(alice, store, tmp_path):
    store.import_certificates(ALICE, pem(), by=OWNER)
    upload(alice, pem_file(tmp_path, number=1))
    alice.page.get_by_label("Retire the certificates in use until now").check()
    again(alice, "Save")
    assert [one.state for one in store.certificates(ALICE)] == ["active", "retired"]
    alice.picture("overview-two")


def test_retire_use_again_describe_delete(alice, store):
    for number in range(2):
        store.import_certificates(ALICE, pem(number=number), by=OWNER)
    alice.open("/account")
    alice.follow("Manage")
    alice.picture("certificate")
    alice.page.get_by_label("What you recognise it by").fill("the old card")
    again(alice, "Save the description")
    assert alice.says("The description is saved.")
    alice.follow("Retire")
    assert alice.says("What that means")
    alice.picture("retire")
    alice.press("Retire it")
    assert alice.says("The certificate is retired")
    alice.page.get_by_role("link", name="Manage the old card").click()
    alice.follow("Use it again")
    alice.press("Use it again")
    assert alice.says("The certificate is in use again.")
    alice.page.get_by_role("link", name="Manage the old card").click()
    alice.follow("Delete")
    alice.press("Delete it")
    assert alice.says("The certificate is deleted.")
    assert len(store.certificates(ALICE)) == 1


def test_the_last_certificate_stays_while_encryption_is_on(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    store.change_account(ALICE, cipher="aes256-cbc", by=OWNER)
    alice.open("/account")
    alice.follow("Manage")
    alice.follow("Delete")
    again(alice, "Delete it")
    assert alice.says("It is the only active certificate")
    assert len(store.certificates(ALICE)) == 1


def test_an_expired_certificate_is_shown_as_what_it_is(alice, store):
    import datetime as dt

    old = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
    span = {"not_before": old, "not_after": old + dt.timedelta(days=90)}
    store.import_certificates(ALICE, pem(number=3, **span), by=OWNER)
    store.change_account(ALICE, cipher="aes256-cbc", by=OWNER)
    alice.open("/account")
    assert alice.says("Encrypted, with an expired certificate")
    assert alice.says("The certificate expired on 2024-03-31.")
    alice.picture("overview-expired")


# --- the choices ---------------------------------------------------------------------------------


def test_switching_on_without_a_certificate_says_what_it_means(alice, store):
    alice.open("/account/settings")
    again(alice, "Save")
    assert alice.says("all its mail would wait in the mail server")
    assert store.account(ALICE).cipher is None
    alice.picture("without-certificate")
    alice.page.get_by_label("Switch it on all the same").check()
    save(alice)
    assert alice.says("Your choice is saved.")
    assert store.account(ALICE).cipher == "aes256-cbc"


def test_the_cipher_is_chosen_and_all_else(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    alice.open("/account/settings")
    alice.page.get_by_label("AES-128", exact=True).check()
    alice.page.get_by_label("Deliver it unencrypted").check()
    alice.picture("settings")
    again(alice, "Save")
    assert alice.says("Your choice is saved.")
    account = store.account(ALICE)
    assert (account.cipher, account.when_unusable) == ("aes128-cbc", "clear")


def test_a_cipher_that_few_programs_read_is_behind_a_word(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    alice.open("/account/settings")
    few = alice.page.get_by_label("ChaCha20-Poly1305")
    assert not few.is_visible()
    alice.page.get_by_text("More ciphers").click()
    few.check()
    alice.picture("settings-more-ciphers")
    again(alice, "Save")
    assert store.account(ALICE).cipher == "chacha20-poly1305"
    alice.open("/account/settings")
    assert few.is_visible()


def test_drafts_are_offered_where_something_seals_them(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    store.change_account(ALICE, encrypt_on_append=True, by=OWNER)
    alice.open("/account")
    assert alice.says("stay as they are: nothing on this server seals them")
    alice.open("/account/settings")
    drafts = alice.page.get_by_label("Encrypt them too")
    assert drafts.count() == 0
    again(alice, "Save")
    assert store.account(ALICE).encrypt_on_append, "what isn't shown isn't changed"
    store.set_switch("append_sealed_by", "sweeper", by=ADMINISTRATOR)
    alice.open("/account/settings")
    assert alice.says("A program on this server seals them some time after they are saved.")
    assert drafts.is_checked()
    alice.picture("settings-drafts")
    drafts.uncheck()
    save(alice)
    assert not store.account(ALICE).encrypt_on_append


def test_encryption_on_without_a_certificate_is_said_loudly(alice, store):
    store.change_account(ALICE, cipher="aes256-cbc", by=OWNER)
    alice.open("/account")
    assert alice.says("Mail is held back")
    alice.picture("overview-held-back")


def test_switching_off_says_first_what_it_means(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    store.change_account(ALICE, cipher="aes256-cbc", by=OWNER)
    alice.open("/account")
    alice.follow("Switch encryption off")
    assert alice.says("New mail is stored as it comes.")
    assert store.account(ALICE).cipher == "aes256-cbc"
    alice.picture("switch-off")
    again(alice, "Switch encryption off")
    assert alice.says("Encryption is off.")
    assert store.account(ALICE).cipher is None


def test_the_test_message_is_sent(alice, store, mailed, tmp_path):
    store.import_certificates(ALICE, pem(), by=OWNER)
    store.change_account(ALICE, cipher="aes256-cbc", by=OWNER)
    alice.open("/account/test")
    alice.press(f"Send it to {ALICE}")
    assert alice.says("The test message is on its way.")
    alice.picture("test-message-sent")
    assert "opened a sealed message" in opened(mailed, key_file(tmp_path))


def test_without_encryption_there_is_no_test_message(alice):
    alice.open("/account/test")
    assert alice.says("No test message can be sealed yet.")
    assert alice.page.get_by_role("button", name="Download it").count() == 0


# --- what isn't there ----------------------------------------------------------------------------


def test_what_an_owner_may_not_see_is_not_there(alice, store):
    store.add_account("bob@example.org", by=ADMINISTRATOR)
    nobodys = f"fingerprint={'0' * 64}"
    for path in (
        "/account?address=bob@example.org",
        "/account/settings?address=bob@example.org",
        f"/account/certificate?{nobodys}",
        f"/account/certificate/burn?{nobodys}",
        "/accounts",
        "/accounts/add",
        "/switches",
        "/log",
        "/nothing",
    ):
        assert alice.open(path).status == 404, path
        assert alice.heading() == "There is no such page"
    alice.picture("error-404")


def test_without_a_script_all_of_it_works(visitor, store, tmp_path):
    person = visitor(java_script_enabled=False).sign_in()
    upload(person, pem_file(tmp_path))
    again(person, "Save")
    assert person.says("mail is encrypted from now on")
    assert person.page.get_by_text("Or drop files").count() == 0
    person.follow("Test message")
    with person.page.expect_download() as download:
        person.press("Download it")
    download.value.save_as(tmp_path / "test.eml")
    assert "opened a sealed message" in opened(tmp_path / "test.eml", key_file(tmp_path))
    person.open("/account/off")
    save_off(person)
    assert store.account(ALICE).cipher is None


def save_off(person):
    person.press("Switch encryption off")
    assert person.says("Encryption is off.")


def test_the_forms_are_not_sent_from_elsewhere(alice, store):
    """A form with another session's token changes nothing."""
    alice.open("/account/off")
    alice.page.evaluate("document.querySelector('main [name=csrf]').value = 'forged'")
    alice.page.get_by_label("Your password for this page").fill(ALICES_PASSWORD)
    alice.press("Switch encryption off")
    assert alice.heading() == "That isn't allowed"
    assert "change-account" not in [entry.action for entry in store.audit(ALICE)]


def test_when_the_store_is_away_the_page_says_so(alice, database):
    path = Path(database.removeprefix("sqlite:///"))
    path.rename(path.with_name("away"))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.mkdir()
    status = alice.open("/account").status
    assert status == 503
    assert alice.heading() == "Not available just now"
    alice.picture("error-503")
