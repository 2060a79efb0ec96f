"""A real server and a real browser: Debian's Chromium against uvicorn on the loopback.

``CMSTREAM_SCREENSHOTS`` names a folder for pictures of the pages, light and dark, wide and narrow.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

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


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """uvicorn with the application of a database, until it is stopped."""

    def __init__(self, database, log, **settings):
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.log = log
        names = {f"CMSTREAM_{name.upper()}": value for name, value in settings.items()}
        environment = {
            **os.environ,
            "CMSTREAM_DATABASE": database,
            "CMSTREAM_PUBLIC_URL": self.url,
            **names,
        }
        command = [sys.executable, "-m", "uvicorn", "--factory"]
        command += ["cmstream.accounts.web.app:create_app", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--no-access-log"]
        with log.open("wb") as sink:
            self.process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink)
        self._wait()

    def _wait(self):
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
                return
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        pytest.fail(f"the server doesn't answer: {self.log.read_text()}")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Visitor:
    """A person at a browser of their own, who notices what must never happen: a request to
    elsewhere, a violation of the policy, an error on the console."""

    def __init__(self, browser, server, **options):
        self.server = server
        self.context = browser.new_context(base_url=server.url, viewport=WIDE, **options)
        self.context.set_default_timeout(10_000)
        self.wrong = []
        self.context.on("request", self._request)
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.wrong.append(str(error.error)))
        self.page = self.context.new_page()

    def _request(self, request):
        parts = urlsplit(request.url)
        if parts.netloc != urlsplit(self.server.url).netloc:
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

    def press(self, name):
        self.page.get_by_role("main").get_by_role("button", name=name, exact=True).click()

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
                self.page.emulate_media(color_scheme=scheme)
                self.page.set_viewport_size(size)
                self.page.screenshot(path=folder / f"{name}-{scheme}-{width}.png", full_page=True)
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size(WIDE)

    def close(self):
        self.context.close()
        assert not self.wrong
