"""The other side of the milter protocol, and a gateway to speak it with."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cmstream.accounts import open_store
from cmstream.gateway.listener import Listener
from cmstream.gateway.log import Log
from cmstream.gateway.metrics import Metrics
from cmstream.gateway.milter_connection import MilterConnection
from cmstream.gateway.service import Service
from cmstream.gateway.settings import Place, Settings

if TYPE_CHECKING:
    from pathlib import Path


def packet(command: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", 1 + len(data)) + command + data


def strings(*words: bytes) -> bytes:
    return b"".join(word + b"\0" for word in words)


def offer(version=6, actions=0x1FF, steps=0x1FFFFF) -> bytes:
    """What Postfix 3.7 offers, unless it is told otherwise."""
    return packet(b"O", struct.pack(">III", version, actions, steps))


def macros(stage: bytes, *words: bytes) -> bytes:
    return packet(b"D", stage + strings(*words))


def field(name: bytes, value: bytes) -> bytes:
    return packet(b"L", strings(name, value))


def packets(data: bytes) -> list[tuple[bytes, bytes]]:
    """All of it taken apart; nothing may be left over."""
    found = []
    while data:
        (length,) = struct.unpack_from(">I", data)
        assert len(data) >= 4 + length
        found.append((data[4:5], data[5 : 4 + length]))
        data = data[4 + length :]
    return found


class Client:
    """A mail server on one connection, as Postfix does it: no replies but to RCPT and the end."""

    def __init__(self, place):
        self.socket = socket.create_connection(place, timeout=30)
        self.send(offer())
        self.agreed = self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def reply(self) -> tuple[bytes, bytes]:
        """The next packet; empty at the end of the connection."""
        (length,) = struct.unpack(">I", self._read(4) or b"\0\0\0\0")
        found = self._read(length)
        return found[:1], found[1:]

    def _read(self, count: int) -> bytes:
        found = b""
        with suppress(ConnectionError):
            while len(found) < count and (more := self.socket.recv(count - len(found))):
                found += more
        return found

    def mail(self, *recipients: str) -> list[tuple[bytes, bytes]]:
        """The envelope; gives the answers to the recipients."""
        self.send(macros(b"M", b"i", b"4QX"), packet(b"M", strings(b"<bob@example.net>")))
        answers = []
        for one in recipients:
            self.send(packet(b"R", strings(b"<" + one.encode() + b">")))
            answers.append(self.reply())
        return answers

    def message(self, fields, body: bytes = b"", piece=65535):
        """The rest of the message; gives what the milter wants, and its verdict."""
        self.send(packet(b"T"))
        assert self.reply() == (b"c", b"")
        self.send(*(field(*one) for one in fields))
        for start in range(0, len(body), piece):
            self.send(packet(b"B", body[start : start + piece]))
        self.send(macros(b"E", b"i", b"4QX"), packet(b"E"))
        wanted = []
        while (found := self.reply())[0] in {b"m", b"h", b"b", b"p"}:
            wanted.append(found)
        return wanted, found


def changed(fields, body: bytes, wanted) -> bytes:
    """The message after a milter's changes, with CRLF; the number of a field counts those of its
    name that are still there, as it does for Postfix."""
    fields = list(fields)
    new = [data for code, data in wanted if code == b"b"]
    for code, data in wanted:
        if code == b"m":
            (number,) = struct.unpack_from(">I", data)
            name, value, _ = data[4:].split(b"\0")
            places = [i for i, one in enumerate(fields) if one[0].lower() == name.lower()]
            place = places[number - 1]
            fields[place : place + 1] = [(name, value)] if value else []
        elif code == b"h":
            fields.append(tuple(data.split(b"\0")[:2]))
    return written(fields) + b"\r\n" + (b"".join(new) if new else body)


def written(fields) -> bytes:
    """A header block, as a mail server sends it."""
    lines = (b"%b:%b" % one for one in fields)
    return b"".join(re.sub(rb"\r?\n", b"\r\n", line) + b"\r\n" for line in lines)


class Running:
    """A gateway that listens as a milter, in a thread of this process. Its log is JSON."""

    def __init__(self, database: str, folder: Path, **settings):
        self._log = folder / "gateway.log"
        self.settings = Settings(
            (Place("milter"),), database, log_file=self._log, log_format="json", **settings
        )

    def log(self) -> list[dict]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    async def _serve(self, ready):
        self._end = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        with open_store(self.settings.database) as store:
            self.service = Service(self.settings, store, Log(self.settings), Metrics())
            self.listener = Listener(self.settings.listen[0], self.service)
            server = await self.loop.create_server(
                lambda: MilterConnection(self.listener), "127.0.0.1", 0
            )
            self.place = tuple(server.sockets[0].getsockname())
            ready.set()
            await self._end.wait()
            server.close()
            for one in tuple(self.listener.connections):
                one.transport.abort()
            await asyncio.sleep(0)
            await self.service.close()

    def start(self):
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(30)

    def call(self, function, *arguments):
        """Runs it in the gateway's own thread."""
        done = asyncio.run_coroutine_threadsafe(_call(function, *arguments), self.loop)
        return done.result(30)

    def stop(self):
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)


async def _call(function, *arguments):
    return function(*arguments)


@contextmanager
def running(database: str, folder: Path, **settings):
    made = Running(database, folder, **settings)
    made.start()
    try:
        yield made
    finally:
        made.stop()
