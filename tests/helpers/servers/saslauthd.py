"""A daemon that says who may sign in, for servers that ask Cyrus SASL's saslauthd: at its socket,
and everybody has one password."""

from __future__ import annotations

import socketserver
import struct
import threading


class Saslauthd(socketserver.ThreadingUnixStreamServer):
    """Listens at a path from the start to ``stop``."""

    daemon_threads = True

    def __init__(self, path, password: str):
        super().__init__(str(path), _Request)
        path.chmod(0o777)
        self.password = password.encode()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Request(socketserver.StreamRequestHandler):
    """Name, password, service and realm come, each with its length in two bytes before it; so does
    the answer go."""

    def handle(self):
        _name, password, _service, _realm = (self._string() for _ in range(4))
        answer = b"OK" if password == self.server.password else b"NO"
        self.wfile.write(struct.pack(">H", len(answer)) + answer)

    def _string(self) -> bytes:
        return self.rfile.read(struct.unpack(">H", self.rfile.read(2))[0])
