"""The owner's way from the first sight of the page to a message that was read, and the help."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from cmstream.accounts.pages.help_pages import TOPICS
from cmstream.accounts.people.people import People
from helpers.accounts.owning import again, pem_file, upload
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem
from helpers.accounts.visitor import ALICE, NARROW
from helpers.authorities import authority, rsa_identity

pytestmark = pytest.mark.slow


def test_what_somebody_else_changed_stays_until_it_is_acknowledged(alice, store):
    store.import_certificates(ALICE, pem(), by=ADMINISTRATOR)
    alice.open("/account")
    assert alice.says("Somebody else changed your account: one change")
    alice.picture("overview-foreign-change")
    told = alice.page.get_by_text("Whoever adds a certificate can read the mail to come.")
    assert not told.is_visible()
    alice.page.get_by_text("Somebody else changed your account").click()
    assert told.is_visible()
    alice.picture("overview-foreign-change-open")
    alice.page.get_by_role("button", name="added a certificate").click()
    assert alice.says("Thank you")
    assert alice.page.get_by_text("Somebody else changed").count() == 0
    alice.follow("All changes")
    assert alice.says("added a certificate")
    alice.picture("changes")


def test_the_making_of_the_account_is_one_line_with_one_button(alice, store):
    alice.page.set_viewport_size(NARROW)
    line = alice.page.get_by_text("made this account on")
    button = alice.page.get_by_role("button", name="I know about this")
    assert button.count() == 1
    assert line.bounding_box()["height"] < NARROW["height"] / 8
    next_step = alice.page.get_by_role("heading", name="Your next step").bounding_box()
    assert next_step["y"] < NARROW["height"] / 2
    button.click()
    assert alice.says("Thank you")
    assert line.count() == 0
    assert store.audit(ALICE, unacknowledged=True) == []


def test_a_link_for_somebody_who_has_a_password_is_no_part_of_it(alice, store):
    people = People(store)
    people.add_link("set-password", ALICE, by=ADMINISTRATOR)
    alice.open("/account")
    assert alice.says("Somebody else changed your account: one change")
    assert alice.page.get_by_text("made this account on").count() == 1


def test_the_steps_lead_on_until_all_are_done(alice, store, tmp_path):
    titles = ["Get a certificate", "Add it here", "Try it"]
    assert steps_of(alice) == [*titles[:2], "Try it later"]
    alice.follow("Add your certificate")
    upload(alice, pem_file(tmp_path))
    alice.page.get_by_label("Encrypt the mail from now on").uncheck()
    again(alice, "Save")
    assert steps_of(alice) == ["Get a certificate done", "Add it here", "Try it later"]
    assert alice.says("The certificate is here.")
    alice.picture("steps-switch-on")
    alice.follow("Switch encryption on")
    alice.press("Save")
    assert steps_of(alice) == ["Get a certificate done", "Add it here done", "Try it"]
    alice.picture("steps-try")
    alice.follow("Get a test message")
    alice.press("Yes, I could read it")
    assert alice.says("your mail program opens sealed mail")
    assert alice.page.get_by_role("heading", name="Your next step").count() == 0
    assert alice.says("You have tried it")
    alice.picture("steps-done")
    store.import_certificates(ALICE, pem(number=1), by=OWNER)
    alice.open("/account")
    assert steps_of(alice)[2] == "Try it"


def steps_of(person):
    return [" ".join(one.split()) for one in person.page.locator(".steps h3").all_inner_texts()]


# --- a signed mail -------------------------------------------------------------------------------


def signed_mail(folder, *, changed=False):
    key, certificate = rsa_identity()
    text = b"Dear Bob, it is me."
    mail = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(text)
        .add_signer(certificate, key, hashes.SHA256())
        .add_certificate(authority()[1])
        .sign(Encoding.SMIME, [pkcs7.PKCS7Options.DetachedSignature])
    )
    path = folder / "signed.eml"
    path.write_bytes(mail.replace(text, b"Dear Bob, it is he.") if changed else mail)
    return path


def test_a_signed_mail_gives_its_certificate(alice, store, tmp_path):
    upload(alice, signed_mail(tmp_path))
    assert alice.says("The signature of the mail is right")
    alice.picture("preview-signed-mail")
    again(alice, "Save")
    assert [one.recipient.emails for one in store.certificates(ALICE)] == [(ALICE,)]


def test_a_signed_mail_that_was_changed_proves_nothing(alice, tmp_path):
    upload(alice, signed_mail(tmp_path, changed=True))
    assert alice.says(": the signature proves nothing")
    alice.picture("preview-changed-mail")


# --- help ----------------------------------------------------------------------------------------


def test_help_is_read_before_the_sign_in(visitor):
    person = visitor(java_script_enabled=False)
    person.open("/sign-in")
    person.follow("What this is about")
    assert person.heading() == "Help"
    person.picture("help")
    for name, topic in TOPICS.items():
        person.open("/help")
        person.follow(topic.title)
        assert person.heading() == topic.title
        assert topic.source in person.page.content()
        person.picture(f"help-{name}")
    assert person.open("/help/nothing").status == 404


def test_the_programs_that_an_owner_names_lead_to_their_help(alice, store):
    store.change_account(ALICE, by=OWNER, clients=["outlook-new", "gpgsm", "mutt"])
    alice.open("/account")
    links = alice.page.get_by_role("link", name="Help for")
    assert links.all_inner_texts() == ["Help for Outlook", "Help for KMail and Kleopatra"]
    alice.follow("Help for Outlook")
    assert alice.heading() == "Outlook"
