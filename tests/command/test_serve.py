"""``cmstream serve`` as a real process: the first start, workers, proxies, the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest
from sqlalchemy import select

from cmstream.accounts import open_store, tables
from cmstream.accounts.http.settings import Settings
from cmstream.accounts.people import limits
from cmstream.accounts.people.people import People
from cmstream.command import serve
from cmstream.command.cli import main
from helpers.accounts.serving import PATIENCE, reverse_proxy, serving
from helpers.accounts.support import ADMINISTRATOR

PASSWORD = "a horse that staples"
OTHER = "a battery that trots"
ANY = "0.0.0.0"  # noqa: S104 - nothing listens there


@pytest.fixture
def manned(url):
    """A store with an administrator."""
    with open_store(url) as store:
        People(store).add("boss", "administrator", password=PASSWORD, by=ADMINISTRATOR)
    return url


@pytest.fixture
def manned_sqlite(sqlite_url):
    with open_store(sqlite_url) as store:
        People(store).add("boss", "administrator", password=PASSWORD, by=ADMINISTRATOR)
    return sqlite_url


def sources(url):
    """For whom attempts were counted; those that failed stay."""
    with open_store(url) as store, store.database.read() as connection:
        return set(connection.execute(select(tables.attempts.c.subject)).scalars())


def subject(source):
    return next(name for name in limits.subjects("", source) if name.startswith("source"))


def test_a_first_start_makes_the_database_and_lets_the_administrator_in(empty_url, tmp_path):
    with serving(empty_url, tmp_path) as server:
        assert server.ask("GET", "/health")[0] == 200
        assert server.ask("GET", f"/link/{server.link}")[0] == 200
        assert server.ask("GET", "/link/another")[0] in {403, 404, 410}
        with open_store(empty_url) as store:
            People(store).use_link(server.link, PASSWORD)
        status, cookie = server.sign_in("administrator", PASSWORD)
        assert status == 200
        status, _, body = server.ask("GET", "/api/v1/session", Cookie=cookie)
        assert (status, json.loads(body)["role"]) == (200, "administrator")
        log = server.log.read_text()
        for secret in (server.link, cookie.partition("=")[2], PASSWORD):
            assert secret not in log
        assert server.stop() == 0
    with serving(empty_url, tmp_path) as server:
        assert server.link is None
        assert server.out.read_text() == ""


def test_a_start_without_an_administrator_who_can_sign_in_prints_a_new_link(sqlite_url, tmp_path):
    with serving(sqlite_url, tmp_path) as server:
        first = server.link
    with serving(sqlite_url, tmp_path, "--public-url", "https://keys.example.org/") as server:
        assert server.link != first
        assert f"\nhttps://keys.example.org/link/{server.link}\n" in server.out.read_text()
        with open_store(sqlite_url) as store:
            assert People(store).link(server.link).person.name == "administrator"
            assert len(People(store).everyone()) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_runs_is_finished_when_the_server_is_told_to_end(
    manned_sqlite, tmp_path, workers
):
    body = json.dumps({"name": "boss", "password": PASSWORD}).encode()
    head = (
        f"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with serving(manned_sqlite, tmp_path, "--workers", workers) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(head.encode() + body[:10])
            server.ask("GET", "/health")  # what was sent before has arrived by now
            server.process.send_signal(signal.SIGTERM)
            server.wait("Shutting down")
            connection.sendall(body[10:])
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Set-Cookie" in answer or b"set-cookie" in answer
        while server.process.poll() is None:  # signals that come while it ends change nothing
            server.process.send_signal(signal.SIGTERM)
        assert server.process.returncode == 0
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", server.port), timeout=1)


def test_a_request_that_is_on_its_way_is_answered(manned_sqlite, tmp_path):
    asked = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(manned_sqlite, tmp_path) as server:
        address = ("127.0.0.1", server.port)
        with (
            socket.create_connection(address, timeout=PATIENCE) as fresh,
            socket.create_connection(address, timeout=PATIENCE) as used,
            socket.create_connection(address, timeout=PATIENCE) as idle,
        ):
            used.sendall(asked)
            answer = b""
            while not answer.endswith(b"}"):
                answer += used.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200")
            server.process.send_signal(signal.SIGTERM)
            server.wait("Shutting down")
            for connection in (fresh, used):
                connection.sendall(asked)
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))  # noqa: B023
                assert answer.startswith(b"HTTP/1.1 200")
            assert idle.recv(1) == b""
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_end_it_as_gently(sqlite_url, tmp_path, number):
    with serving(sqlite_url, tmp_path) as server:
        assert server.stop(number) == 0
        assert "Application shutdown complete" in server.log.read_text()


def test_nohup_keeps_it_running(sqlite_url, tmp_path, monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with serving(sqlite_url, tmp_path) as server:
            server.process.send_signal(signal.SIGHUP)
            for _ in range(10):
                time.sleep(0.05)
                assert server.ask("GET", "/health")[0] == 200
            assert server.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_workers_see_each_others_sessions_and_limits(manned, tmp_path):
    with serving(manned, tmp_path, "--workers", 2) as server:
        status, cookie = server.sign_in("boss", PASSWORD)
        assert status == 200
        seen, answers = set(), []
        for _ in range(200):
            status, headers, _ = server.ask("GET", "/api/v1/session", Cookie=cookie)
            answers.append(status)
            seen.add(server.wait(rf"\S+ \S+ (\d+) INFO {headers['X-Request-ID']}"))
            if len(seen) > 1 and len(answers) >= 8:
                break
        assert set(answers) == {200}
        assert len(seen) == 2
        tries = [server.sign_in("boss", OTHER)[0] for _ in range(limits.BY_NAME_AND_SOURCE + 2)]
        assert tries == [401] * limits.BY_NAME_AND_SOURCE + [429] * 2


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(manned_sqlite, tmp_path):
    with serving(manned_sqlite, tmp_path, "--workers", 2) as server:
        _, cookie = server.sign_in("boss", PASSWORD)
        pid = int(server.wait(r"Started server process \[(\d+)\]"))
        os.kill(pid, signal.SIGKILL)
        server.wait(rf"Child process \[{pid}\] died")
        assert server.ask("GET", "/api/v1/session", Cookie=cookie)[0] == 200
        assert server.stop() == 0


@pytest.mark.slow
def test_workers_are_renewed_without_a_gap(manned_sqlite, tmp_path):
    with serving(manned_sqlite, tmp_path, "--workers", 2) as server:
        server.process.send_signal(signal.SIGHUP)
        answers = []
        while server.log.read_text().count("Finished server process") < 2:
            answers.append(server.ask("GET", "/health")[0])
        assert set(answers) == {200}
        assert server.ask("GET", "/health")[0] == 200
        assert server.stop() == 0


# --- proxies ---------------------------------------------------------------------------------


def test_behind_a_proxy_its_word_counts_and_a_strangers_does_not(manned_sqlite, tmp_path):
    public = "https://keys.example.org"
    options = ("--public-url", public, "--trusted-proxies", "127.0.0.2,10.0.0.0/8")
    with (
        serving(manned_sqlite, tmp_path, *options) as server,
        reverse_proxy(server.port) as proxy,
    ):
        status, cookie = server.sign_in("boss", PASSWORD, port=proxy, Host="keys.example.org")
        assert status == 200
        assert cookie.startswith("__Host-")
        # The proxy appends whom it speaks for; what a client says before that is hearsay.
        server.sign_in("boss", OTHER, port=proxy, X_Forwarded_For="203.0.113.5")
        assert sources(manned_sqlite) >= {subject("127.0.0.1")}
        server.sign_in("boss", OTHER, X_Forwarded_For="203.0.113.6")
        server.sign_in("boss", OTHER, X_Forwarded_For="10.0.0.1", X_Forwarded_Proto="https")
        found = sources(manned_sqlite)
        for hearsay in ("203.0.113.5", "203.0.113.6", "10.0.0.1", "127.0.0.2"):
            assert subject(hearsay) not in found
        assert server.ask("GET", "/health", Host="keys.example.org", port=proxy)[0] == 200
        assert server.ask("GET", "/health", Host="evil.example", port=proxy)[0] == 400


def test_a_proxy_speaks_for_its_clients(manned_sqlite, tmp_path):
    options = ("--public-url", "https://keys.example.org", "--trusted-proxies", "127.0.0.0/30")
    with (
        serving(manned_sqlite, tmp_path, *options) as server,
        reverse_proxy(server.port) as proxy,
    ):
        # Both hops are trusted now, so that the client is whom the first one names.
        server.sign_in("boss", OTHER, port=proxy, X_Forwarded_For="203.0.113.5")
        assert subject("203.0.113.5") in sources(manned_sqlite)
        assert subject("127.0.0.1") not in sources(manned_sqlite)


def test_without_a_proxy_nobodys_word_counts(manned_sqlite, tmp_path):
    with serving(manned_sqlite, tmp_path) as server:
        server.sign_in("boss", OTHER, X_Forwarded_For="203.0.113.5", X_Forwarded_Proto="https")
        assert sources(manned_sqlite) == set(limits.subjects("boss", "127.0.0.1"))


def test_a_proxy_that_nobody_named_is_told_once(manned_sqlite, tmp_path):
    with (
        serving(manned_sqlite, tmp_path, "--public-url", "https://keys.example.org") as server,
        reverse_proxy(server.port) as proxy,
    ):
        assert "https://keys.example.org isn't where it listens" in server.log.read_text()
        for _ in range(3):
            assert server.ask("GET", "/health", port=proxy)[0] == 200
        server.wait("127.0.0.2 passes on requests")
        server.ask("GET", "/health", Forwarded="for=203.0.113.5")
        assert server.log.read_text().count("passes on requests") == 1


@pytest.mark.parametrize(
    ("public", "options", "told"),
    [
        ("https://keys.example.org", {}, True),
        ("https://localhost:8025", {}, True),
        ("http://localhost:8025", {}, False),
        ("http://127.0.0.1:8025", {"host": ANY}, False),
        ("http://localhost", {}, True),
        ("http://keys.example.org:8025", {}, True),
        ("http://keys.example.org:8025", {"host": ANY}, False),
        ("https://keys.example.org", {"trusted_proxies": ("127.0.0.1",)}, False),
    ],
)
def test_a_proxy_is_missed_where_the_public_url_needs_one(public, options, told):
    host = options.pop("host", "127.0.0.1")
    found = serve.missing_proxy(Settings(public_url=public, **options), host, 8025)
    assert bool(found) is told
    assert not told or "--trusted-proxies" in found


@pytest.mark.parametrize(
    ("host", "options", "told"),
    [
        ("127.0.0.1", {}, False),
        ("::1", {}, False),
        (ANY, {}, True),
        ("::", {}, True),
        (ANY, {"public_url": "https://keys.example.org"}, False),
        (ANY, {"hosts": ("*",)}, False),
        (ANY, {"trusted_proxies": ("192.0.2.1",)}, False),
    ],
)
def test_a_server_for_others_needs_the_name_that_they_ask_for(host, options, told):
    found = serve.missing_url(Settings(**options), host)
    assert ("--public-url" in found) is told


def test_a_missing_url_is_told_at_the_start(sqlite_url, tmp_path):
    with serving(sqlite_url, tmp_path, "--host", ANY) as server:
        server.wait("others can reach 0.0.0.0")


# --- endings ---------------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """Runs what can't start, and gives its code and error; there is no database afterwards."""
    for name in ("CMSTREAM_PUBLIC_URL", "CMSTREAM_TRUSTED_PROXIES", "CMSTREAM_NOTIFY"):
        monkeypatch.delenv(name, raising=False)

    def run(*options):
        words = ["serve", "--port", "0", "--database", f"sqlite:///{tmp_path}/new.sqlite3"]
        try:
            code = main([*words, *map(str, options)])
        except SystemExit as ending:
            code = ending.code
        found = capsys.readouterr()
        assert found.out == ""
        assert list(tmp_path.iterdir()) == []
        return code, found.err.splitlines()[-1]

    return run


def test_a_port_that_is_taken_changes_nothing(refused):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused("--port", port) == (
            os.EX_UNAVAILABLE,
            f"cmstream: can't listen at 127.0.0.1 port {port}: Address already in use",
        )


@pytest.mark.parametrize(
    "options, code",
    [(["--public-url", "keys.example.org"], 64), (["--workers", "0"], 64), (["--port", "x"], 64),
     (["--trusted-proxies", "everybody"], 64), (["--port", "99999"], 64),
     (["--public-url", "https://example.org/keys"], 64), (["--notify", "/no/program"], 64),
     (["--host", "192.0.2.1"], 69), (["--database", "mysql://x"], 64),
     (["--database", "sqlite:////no/such/folder/x"], 66)],
)  # fmt: skip
def test_exit_codes(refused, options, code):
    found, line = refused(*options)
    assert found == code
    assert line.startswith("cmstream: ")
