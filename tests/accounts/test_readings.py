"""Files are read beside everything else: nobody's uploads keep others waiting."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from cmstream.accounts.http import readings
from cmstream.accounts.store import Store
from helpers.accounts.served import ALICE, BOB, certificates, copy, peopled, serving
from helpers.accounts.support import pem, session

PATIENCE = 60


@pytest.fixture(scope="module")
def _peopled(tmp_path_factory):
    return peopled(tmp_path_factory.mktemp("readings") / "accounts.sqlite3")


@pytest.fixture
def world(_peopled, tmp_path):
    """A server with one thread for everything but reading files."""
    with serving(copy(_peopled, tmp_path), threads=1) as found:
        yield found


class Held:
    """Readings that have begun and go on when they are told to."""

    def __init__(self):
        self.begun, self._go = threading.Semaphore(0), threading.Event()

    def wait(self):
        self.begun.release()
        assert self._go.wait(PATIENCE)

    def let_go(self):
        self._go.set()


@pytest.fixture
def held(monkeypatch):
    found, preview = Held(), Store.preview

    def hold(*arguments, **options):
        found.wait()
        return preview(*arguments, **options)

    monkeypatch.setattr(Store, "preview", hold)
    yield found
    found.let_go()


def preview(client, address=ALICE):
    return client.put(f"{certificates(address)}?preview", content=pem())


def owner(world, address=ALICE):
    return world.machine("accounts:read", "certificates:write", account=address)


def assert_refused(answer):
    assert (answer.status_code, answer.json()["code"]) == (429, "too-many-uploads"), answer.text
    assert int(answer.headers["retry-after"]) >= 1


def test_the_server_answers_while_all_readers_are_busy(world, held):
    alice, bob = owner(world), owner(world, BOB)
    with ThreadPoolExecutor() as pool:
        busy = [pool.submit(preview, alice) for _ in range(readings.AT_ONCE)]
        for _ in busy:
            assert held.begun.acquire(timeout=PATIENCE)
        waiting = pool.submit(preview, bob, BOB)
        assert world.client().get("/health").status_code == 200
        assert alice.get(certificates()).status_code == 200
        assert not held.begun.acquire(blocking=False)
        held.let_go()
        assert [one.result().status_code for one in [*busy, waiting]] == [200] * 3


def test_a_caller_has_so_many_readings_and_no_more(world, held):
    first, second, root = owner(world), owner(world), world.administrator
    browser = world.client()
    browser.cookies["cmstream"] = session(world.store, ALICE)
    page = browser.get("/account/upload").text
    form = {"csrf": re.search(r'name="csrf" value="([^"]+)"', page)[1]}
    with ThreadPoolExecutor() as pool:
        busy = [pool.submit(preview, first) for _ in range(readings.OF_A_CALLER)]
        for _ in busy:
            assert held.begun.acquire(timeout=PATIENCE)
        for client in (first, second):
            assert_refused(preview(client))
            assert_refused(client.put(certificates(), content=pem()))
        answer = browser.post("/account/upload", data=form, files={"files": ("a.pem", pem())})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert "are being read already" in answer.text
        saving = browser.post("/account/save", data={**form, "certificates": pem()})
        assert saving.status_code == 429
        others = pool.submit(preview, root)
        held.let_go()
        assert [one.result().status_code for one in [*busy, others]] == [200] * 3
    assert preview(first).status_code == 200


def test_an_owner_takes_so_much_time_and_no_more(world, monkeypatch):
    alice, bob, root = owner(world), owner(world, BOB), world.administrator
    monkeypatch.setattr(readings, "SECONDS", 0.0)
    assert preview(alice).status_code == 200
    refused = preview(alice)
    assert_refused(refused)
    assert int(refused.headers["retry-after"]) <= readings.WINDOW
    assert_refused(preview(owner(world)))
    assert preview(bob, BOB).status_code == 200
    assert [preview(root).status_code for _ in range(3)] == [200] * 3
    monkeypatch.setattr(readings, "WINDOW", 0.0)
    assert preview(alice).status_code == 200


def test_a_reading_that_fails_counts_and_leaves_its_place(world, monkeypatch):
    alice = owner(world)
    for _ in range(2 * readings.OF_A_CALLER):
        answer = alice.put(f"{certificates()}?preview", content=b"none")
        assert answer.json()["code"] == "not-a-certificate"
    monkeypatch.setattr(readings, "SECONDS", 0.0)
    assert_refused(preview(alice))
