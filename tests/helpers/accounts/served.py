"""The web application under uvicorn, in a thread, and clients that call it over a socket."""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from contextlib import ExitStack, closing, contextmanager

import httpx
import uvicorn

from cmstream.accounts import create_store, open_store
from cmstream.accounts.http.settings import Settings
from cmstream.accounts.people.people import SCOPES, People
from cmstream.accounts.web.app import create_app
from helpers.accounts.support import ADMINISTRATOR, OWNER

ALICE, BOB = "alice@example.org", "bob@example.org"
PASSWORDS = {"root": "sixteen green bicycles", ALICE: "the walrus and a lake"}
ACCOUNTS = "/api/v1/accounts"


def certificates(address=ALICE):
    return f"{ACCOUNTS}/{address}/certificates"


def peopled(path):
    """A store in a file: two accounts, an administrator, and an owner of the first account."""
    with create_store(f"sqlite:///{path}") as store:
        populate(store)
    return path


def populate(store):
    people = People(store)
    store.add_account(ALICE, by=ADMINISTRATOR, cipher="aes256-cbc")
    store.add_account(BOB, by=ADMINISTRATOR, cipher="aes256-cbc")
    people.add("root", "administrator", password=PASSWORDS["root"], by=ADMINISTRATOR)
    people.add(ALICE, "owner", account=ALICE, password=PASSWORDS[ALICE], by=OWNER)


class World:
    """A server and those who call it."""

    def __init__(self, base, store, stack):
        self.base, self.store, self.people, self._stack = base, store, People(store), stack
        self.administrator = self.machine(*SCOPES)

    def client(self, **headers):
        client = httpx.Client(base_url=self.base, headers=headers, timeout=20)
        return self._stack.enter_context(client)

    def machine(self, *scopes, account=None):
        """A client with a token."""
        self.secret, self.token = self.people.add_token(
            "a machine", scopes=scopes, account=account, by=ADMINISTRATOR
        )
        return self.client(authorization=f"Bearer {self.secret}")

    def sign_in(self, name, *, confirmed=False):
        """A client of somebody who has signed in."""
        client, password = self.client(), PASSWORDS[name]
        answer = client.post("/api/v1/session", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        if confirmed:
            answer = client.post("/api/v1/session/confirmation", json={"password": password})
            assert answer.status_code == 200, answer.text
        return client


@contextmanager
def serving(url, **settings):
    """A World whose server uses the store at a URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://localhost:{listener.getsockname()[1]}"
    app = create_app(Settings(**{"database": url, "public_url": base} | settings))
    config = uvicorn.Config(
        app, lifespan="on", ws="none", log_config=None, access_log=False, proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    with closing(listener), ExitStack() as stack:
        thread.start()
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield World(base, stack.enter_context(open_store(url)), stack)


def copy(path, folder):
    """The URL of a copy of a store in a file."""
    return f"sqlite:///{shutil.copyfile(path, folder / 'accounts.sqlite3')}"


def token(page):
    """What a form of the page must bring back."""
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


def send(client, page, action, data=None, **options):
    """Send a form, with the token that a page has for it."""
    return client.post(action, data={"csrf": token(client.get(page)), **(data or {})}, **options)
