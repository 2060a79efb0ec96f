"""A real gateway as a process, for what talks to it by the protocol ``seal:``."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

from cmstream.gateway.protocol.seal import Answer, Reader


class Gateway:
    def __init__(self, process, place, log):
        self.process, self.place, self._log = process, place, log

    def log(self):
        return self._log.read_text("utf-8")

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(self.place)
        return client

    def exchange(self, octets, *, shut=False):
        """All that the gateway answers to one connection, until it ends it."""
        with self.connect() as client:
            sender = threading.Thread(target=self._send, args=(client, octets, shut))
            sender.start()
            try:
                return rest(client)
            finally:
                sender.join()

    @staticmethod
    def _send(client, octets, shut):
        with suppress(OSError):  # the gateway may end it before it has read all
            client.sendall(octets)
            if shut:
                client.shutdown(socket.SHUT_WR)


def rest(client):
    """All that still comes."""
    return b"".join(iter(lambda: client.recv(1 << 16), b""))


@contextmanager
def gateway(folder, database, *options):
    place, log = f"{folder}/seal", folder / "log"
    words = ["gateway", "--listen", f"seal:unix:{place}", "--database", database,
             "--log-file", log, *options]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "cmstream", *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert "ready" in process.stderr.readline()
            yield Gateway(process, place, log)
        finally:
            process.terminate()
            process.communicate(timeout=60)
    assert no_surprise(log.read_text("utf-8"))


def no_surprise(log):
    """Whether nothing went wrong that the gateway's event loop alone took notice of."""
    return not [line for line in log.splitlines() if "asyncio: " in line or "Traceback" in line]


def answers(octets):
    """Code, sentences and message of each answer in what came."""
    reader, found = Reader(Answer.read), []
    reader.receive(octets)
    while (event := reader.next_event()) is not None:
        if isinstance(event, Answer):
            found.append([event.code, event.sentences, b""])
        else:
            found[-1][2] += event
    assert reader.between
    return found
