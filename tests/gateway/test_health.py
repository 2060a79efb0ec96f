"""Health, readiness and figures over a socket, while store and next hop come and go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from urllib.parse import urlsplit

import httpx

from cmstream.accounts import open_store
from cmstream.gateway import health
from cmstream.gateway.health import serve_health
from cmstream.gateway.log import Log
from cmstream.gateway.metrics import Metrics
from cmstream.gateway.next_hop import NextHop
from cmstream.gateway.service import Service
from cmstream.gateway.settings import Place, Settings


async def greet(reader, writer):
    """A server that says who it is."""
    writer.write(b"220 mail.test\r\n")
    while line := await reader.readline():
        writer.write(
            b"250-mail.test\r\n250 PIPELINING\r\n" if line[:4] == b"LHLO" else b"221 .\r\n"
        )
    writer.close()


async def watched(url, tell, *, hop=True):
    """Runs ``tell(client, hop server)`` against a gateway's health port."""
    loop = asyncio.get_running_loop()
    mail = await asyncio.start_server(greet, "127.0.0.1", 0)
    place = Place("lmtp", host="127.0.0.1", port=mail.sockets[0].getsockname()[1])
    with open_store(url) as store, socket.create_server(("127.0.0.1", 0)) as sock:
        settings = Settings((), url, place if hop else None)
        next_hop = NextHop(place, settings) if hop else None
        service = Service(settings, store, Log(settings), Metrics(), next_hop)
        before = signal.getsignal(signal.SIGTERM)
        serving = loop.create_task(serve_health(sock, service))
        base = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, timeout=30) as client:
            await tell(client, mail)
        assert signal.getsignal(signal.SIGTERM) is before
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert serving.cancelled()
        await service.close()
    mail.close()
    await asyncio.sleep(0.01)  # the server's connections end


def test_a_gateway_that_can_take_mail(sqlite_url):
    async def tell(client, _):
        for path, text in (("/health", "ok\n"), ("/nothing", "Not Found")):
            assert (await client.get(path)).text == text
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()) == (200, {"store": "ok", "next_hop": "ok"})
        assert (await client.post("/ready")).status_code == 405

    asyncio.run(watched(sqlite_url, tell))


def test_figures(sqlite_url):
    async def tell(client, _):
        answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "cmstream_gateway_stage_seconds_bucket" in answer.text
        assert 'cmstream_info{version="' in answer.text

    asyncio.run(watched(sqlite_url, tell))


def test_a_next_hop_that_goes_away(sqlite_url, monkeypatch):
    monkeypatch.setattr(health, "FRESH", 0)

    async def tell(client, mail):
        mail.close()
        answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json() == {"store": "ok", "next_hop": "unreachable"}
        assert (await client.get("/health")).status_code == 200

    asyncio.run(watched(sqlite_url, tell))


def test_a_store_that_goes_away_and_comes_back(sqlite_url, monkeypatch):
    monkeypatch.setattr(health, "FRESH", 0)
    path = urlsplit(sqlite_url).path

    async def tell(client, _):
        os.rename(path, f"{path}.away")  # noqa: PTH104
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["store"]) == (503, "store-unavailable")
        os.rename(f"{path}.away", path)  # noqa: PTH104
        for _ in range(50):
            if (answer := await client.get("/ready")).status_code == 200:
                break
            await asyncio.sleep(0.1)
        assert answer.json() == {"store": "ok"}

    asyncio.run(watched(sqlite_url, tell, hop=False))


def test_many_questions_are_one(sqlite_url):
    asked = []

    async def tell(client, mail):
        answers = await asyncio.gather(*(client.get("/ready") for _ in range(10)))
        assert {json.dumps(one.json()) for one in answers} == {'{"store": "ok", "next_hop": "ok"}'}
        mail.close()
        asked.append((await client.get("/ready")).status_code)

    asyncio.run(watched(sqlite_url, tell))
    assert asked == [200]
