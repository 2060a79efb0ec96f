"""What the pages tell an owner: the way on when something doesn't work, in one wording each."""

from __future__ import annotations

import pytest

from accounts.test_pages import _peopled, alice, client, database, store
from cmstream.accounts import Conflict
from cmstream.accounts.pages.help_pages import TOPICS
from helpers.accounts.owning import pfx_file
from helpers.accounts.served import ALICE, send, serving
from helpers.accounts.support import ADMINISTRATOR, OWNER, pem, session

__all__ = ["_peopled", "alice", "client", "database", "store"]  # fixtures


def test_whoever_cannot_read_the_test_message_finds_what_to_do(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    assert 'href="/help/unreadable">No, what now?' in alice.get("/account/test").text
    page = alice.get("/help/unreadable")
    assert page.status_code == 200
    programs = [f"/help/{name}" for name, one in TOPICS.items() if one.program]
    for target in (*programs, "/account/settings", "/account/off", "/help/key"):
        assert f'href="{target}"' in page.text
    assert "/help/unreadable" in alice.get("/help").text


def test_no_test_message_is_offered_that_could_not_be_sealed(alice, store):
    def refused(said, link, code):
        page = alice.get("/account/test").text
        assert said in page
        assert "Download it" not in page
        assert "Yes, I could read it" not in page
        assert (f'href="{link}">' in page) == bool(link)
        with pytest.raises(Conflict) as caught:
            store.confirm_test(ALICE, by=OWNER)
        assert caught.value.code == code
        assert send(alice, "/account", "/account/test/read").status_code == 422
        assert store.tested_at(ALICE) is None

    refused("There is no certificate to use", "/account/upload", "no-usable-certificate")
    store.import_certificates(ALICE, pem(), by=OWNER)
    store.change_account(ALICE, by=OWNER, cipher=None)
    refused("Encryption is off: switch it on", "/account/settings", "disabled")
    store.change_account(ALICE, by=OWNER, cipher="aes256-cbc")
    assert "Yes, I could read it" in alice.get("/account/test").text
    store.set_switch("encryption", "off", by=ADMINISTRATOR)
    refused("Encryption is off for the whole server", "", "switched-off")
    store.set_switch("encryption", "as-accounts-say", by=ADMINISTRATOR)
    assert send(alice, "/account", "/account/test/read").status_code == 303
    assert store.tested_at(ALICE)


def test_an_owner_learns_whether_the_subject_is_hidden(alice, store):
    store.import_certificates(ALICE, pem(), by=OWNER)
    store.set_switch("default_header_protection", "baseline", by=ADMINISTRATOR)
    overview = alice.get("/account").text
    assert (
        "The subject and other header fields</dt><dd>as the server says: subject hidden" in overview
    )
    assert "That is now: subject hidden." in alice.get("/account/settings").text
    assert "It shows as [...] in programs" in alice.get("/account/test").text
    store.set_switch("default_header_protection", "none", by=ADMINISTRATOR)
    assert "as the server says: readable" in alice.get("/account").text
    assert "It shows as [...]" not in alice.get("/account/test").text
    store.set_switch("header_protection", "shy", by=ADMINISTRATOR)
    assert "<dd>subject, names and time zone hidden <span" in alice.get("/account").text
    assert (
        "That is now: subject, names and time zone hidden." in alice.get("/account/settings").text
    )
    assert "“The subject and other header fields”" in alice.get("/help/sealed").text


@pytest.mark.parametrize(
    ("password", "said"),
    [
        (
            "donkeys",
            "The password of alice.p12 is wrong: type it again, and choose the file again.",
        ),
        ("", "alice.p12 has a password: type it, and choose the file again."),
    ],
)
def test_a_wrong_password_of_a_file_is_said_in_one_sentence(alice, tmp_path, password, said):
    files = {"files": ("alice.p12", pfx_file(tmp_path).read_bytes())}
    where = ("/account/upload", "/account/upload", {"pfx_password": password})
    page = send(alice, *where, files=files).text
    assert page.count(said) == page.count("alice.p12") == 2
    assert "One thing isn't right yet" in page.replace("&#39;", "'")
    assert "None of the files can be used" not in page
    files = [("files", files["files"]), ("files", ("x.pem", b"nothing"))]
    page = send(alice, *where, files=files).text
    assert "None of the files can be used" in page
    assert page.count(said) == 2


def test_touch_screens_are_offered_no_dropping(alice):
    assert 'class="scripted pointer small muted">Or drop' in alice.get("/account/upload").text
    style = alice.get("/static/style.css").text
    touch = style[style.index("@media (hover: none), (pointer: coarse)") :]
    assert touch.partition("}")[0].endswith(".has-script .pointer { display: none; ")


def test_encryption_that_is_off_is_called_so_in_the_list(database, store):
    store.change_account(ALICE, by=OWNER, cipher=None)
    with serving(database) as world:
        root = world.client()
        root.cookies["cmstream"] = session(store, "root")
        page = root.get("/accounts").text
    assert ">encryption is off<" in page
    assert '<td data-label="Cipher">off</td>' in page
