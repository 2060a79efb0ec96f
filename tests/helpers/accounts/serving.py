"""``cmstream serve`` as a process of its own, and a reverse proxy to put in front of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

PATIENCE = 120


class Server:
    """Started at a free port; ``link`` is what it printed for the administrator."""

    def __init__(self, url, folder, *options):
        self.log = folder / "log"
        self.out = folder / "out"
        words = ["serve", "--port", "0", "--database", url, *map(str, options)]
        hidden = ("CMSTREAM_", "XDG_")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        with self.log.open("wb") as errors, self.out.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cmstream", *words],
                stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment,
            )  # fmt: skip
        self.port = int(self.wait(r"listening at \S+ port (\d+)"))
        self.wait("Application startup complete")

    @property
    def link(self):
        found = re.search(r"^http\S+/link/(\S+)$", self.out.read_text(), re.MULTILINE)
        return found and found[1]

    def wait(self, pattern):
        """Until the log has it; gives the first group."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = re.search(pattern, self.log.read_text())
            if found:
                return found[1] if found.re.groups else found[0]
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} isn't in the log:\n{self.log.read_text()}")

    def ask(self, method, path, body=None, *, port=None, **fields):
        """One request over a connection of its own: status, header fields, body."""
        connection = http.client.HTTPConnection("localhost", port or self.port, timeout=PATIENCE)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def sign_in(self, name, password, **options):
        """Status, and the session's cookie."""
        given = {"name": name, "password": password}
        status, headers, _ = self.ask("POST", "/api/v1/session", given, **options)
        return status, (headers["Set-Cookie"] or "").partition(";")[0]

    def stop(self, number=signal.SIGTERM):
        """Ends it and gives the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextmanager
def serving(url, folder, *options):
    server = Server(url, folder, *options)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def reverse_proxy(port, address="127.0.0.2"):
    """A proxy as they all are: it comes from ``address``, appends whom it speaks for to
    X-Forwarded-For, sets X-Forwarded-Proto and leaves the Host field. Gives its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            request, *fields = iter(lambda: self.rfile.readline().rstrip(), b"")
            named = [field.partition(b":")[::2] for field in fields]
            values = {name.lower(): value.strip() for name, value in named}
            body = self.rfile.read(int(values.get(b"content-length", 0)))
            chain = [values.pop(b"x-forwarded-for", b""), self.client_address[0].encode()]
            values[b"x-forwarded-for"] = b", ".join(filter(None, chain))
            values[b"x-forwarded-proto"] = b"https"
            values[b"connection"] = b"close"
            lines = [request, *(name + b": " + value for name, value in values.items()), b"", body]
            with socket.create_connection(("127.0.0.1", port), source_address=(address, 0)) as to:
                to.sendall(b"\r\n".join(lines))
                while data := to.recv(1 << 16):
                    self.wfile.write(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
