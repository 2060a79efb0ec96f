"""From nothing, by the command alone: ``cmstream serve`` makes the database and a link, and people
end with a sealed message that OpenSSL opens."""

from __future__ import annotations

import pytest

from accounts.browser.test_browser_owner import key_file, opened, pem_file
from helpers.accounts.serving import serving
from helpers.accounts.visitor import Visitor

pytestmark = pytest.mark.slow


def test_the_first_start_leads_to_a_message_that_openssl_opens(chromium, tmp_path):
    with serving(f"sqlite:///{tmp_path / 'accounts.sqlite3'}", tmp_path) as server:
        base = f"http://localhost:{server.port}"
        root, alice = Visitor(chromium, base), Visitor(chromium, base)
        choose(root, f"/link/{server.link}", "nine purple tractors")
        root.follow("Add an account")
        root.page.get_by_label("Address of the mailbox").fill("alice@example.org")
        root.page.get_by_label("Your password for this page").fill("nine purple tractors")
        root.press("Add the account")
        choose(alice, root.page.locator("#link").inner_text(), "seven green teapots")
        alice.open("/account/upload")
        alice.page.get_by_label("Files with certificates").set_input_files(pem_file(tmp_path))
        alice.press("Look into the files")
        alice.page.get_by_label("Your password for this page").fill("seven green teapots")
        alice.press("Save")
        alice.open("/account/test")
        with alice.page.expect_download() as download:
            alice.press("Download it")
        download.value.save_as(tmp_path / "test.eml")
        root.close()
        alice.close()
    assert "opened a sealed message" in opened(tmp_path / "test.eml", key_file(tmp_path))


def choose(person, link, password):
    person.open(link)
    person.page.get_by_label("New password", exact=True).fill(password)
    person.page.get_by_label("New password, again").fill(password)
    person.press("Set the password")
