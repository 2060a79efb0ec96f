"""From nothing, by the command alone: ``cmstream serve`` makes the database and a link, and people
end with a sealed message that OpenSSL opens."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from .test_browser_owner import key_file, opened, pem_file
from .visitor import Visitor


@pytest.fixture
def served(tmp_path):
    """The command's address and the lines that it writes."""
    url = f"sqlite:///{tmp_path / 'accounts.sqlite3'}"
    command = [sys.executable, "-m", "cmstream", "serve", "--port", "0", "--database", url]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    killer = threading.Timer(60, process.kill)
    killer.start()
    link = next(found for line in process.stderr if (found := re.search(r"http\S+/link/\S+", line)))
    for line in process.stderr:
        if "running on" in line:
            break
    threading.Thread(target=process.stderr.read).start()
    yield link.group()
    process.terminate()
    assert process.wait(30) in {0, -15, 143}
    killer.cancel()


def test_the_first_start_leads_to_a_message_that_openssl_opens(chromium, served, tmp_path):
    server = SimpleNamespace(url=served.partition("/link/")[0])
    root = Visitor(chromium, server)
    choose(root, served, "nine purple tractors")
    root.follow("Add an account")
    root.page.get_by_label("Address of the mailbox").fill("alice@example.org")
    root.press("Add the account")
    alice = Visitor(chromium, server)
    choose(alice, root.page.locator("#link").inner_text(), "seven green teapots")
    alice.open("/account/upload")
    alice.page.get_by_label("Files with certificates").set_input_files(pem_file(tmp_path))
    alice.press("Look into the files")
    alice.page.get_by_label("Your password, again").fill("seven green teapots")
    alice.press("Save")
    alice.open("/account/test")
    with alice.page.expect_download() as download:
        alice.press("Download it")
    download.value.save_as(tmp_path / "test.eml")
    assert "opened a sealed message" in opened(tmp_path / "test.eml", key_file(tmp_path))
    root.close()
    alice.close()


def choose(person, link, password):
    person.open(link)
    person.page.get_by_label("New password", exact=True).fill(password)
    person.page.get_by_label("New password, again").fill(password)
    person.press("Set the password")
