"""A real browser: Debian's Chromium, at a server on the loopback.

``CMSTREAM_SCREENSHOTS`` names a folder for pictures of the pages, light and dark, wide and narrow.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from helpers.accounts.support import session

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = os.environ.get("CMSTREAM_SCREENSHOTS", "")
ALICE, ALICES_PASSWORD = "alice@example.org", "seven green teapots"
ROOT, ROOTS_PASSWORD = "postmaster", "nine purple tractors"
WIDE, NARROW = {"width": 1100, "height": 800}, {"width": 360, "height": 740}


class Visitor:
    """A person at a browser of their own, who notices what must never happen: a request to
    elsewhere, a violation of the policy, an error on the console."""

    def __init__(self, browser, base, **options):
        self.base = base
        self.context = browser.new_context(base_url=base, viewport=WIDE, **options)
        self.context.set_default_timeout(10_000)
        self.wrong = []
        self.context.on("request", self._request)
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.wrong.append(str(error.error)))
        self.page = self.context.new_page()

    def _request(self, request):
        parts = urlsplit(request.url)
        if parts.netloc != urlsplit(self.base).netloc:
            self.wrong.append(f"request to {request.url}")

    def _console(self, message):
        """A status of 4xx that a test provokes is logged as an error too."""
        if message.type in {"error", "warning"} and "the server responded with" not in message.text:
            self.wrong.append(message.text)

    def open(self, path):
        return self.page.goto(path)

    def sign_in(self, name=ALICE, password=ALICES_PASSWORD):
        self.open("/sign-in")
        self.page.get_by_label("Name or address").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.press("Sign in")
        return self

    def enter(self, store, name):
        """The same without the form and its work."""
        cookie = {"name": "cmstream", "value": session(store, name), "url": self.base}
        self.context.add_cookies([cookie])
        self.open("/")
        return self

    def press(self, name):
        self.page.get_by_role("main").get_by_role("button", name=name, exact=True).click()
        self.page.wait_for_load_state()

    def follow(self, name):
        self.page.get_by_role("main").get_by_role("link", name=name).first.click()

    def says(self, text):
        self.page.get_by_role("main").get_by_text(text).first.wait_for()
        return True

    def heading(self):
        return self.page.get_by_role("heading", level=1).inner_text()

    def picture(self, name):
        """The page in four pictures, if anybody wants them."""
        if not SCREENSHOTS:
            return
        folder = Path(SCREENSHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        for scheme in ("light", "dark"):
            for width, size in (("wide", WIDE), ("narrow", NARROW)):
                self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                self.page.set_viewport_size(size)
                self.page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(WIDE)

    def close(self):
        self.context.close()
        assert not self.wrong
