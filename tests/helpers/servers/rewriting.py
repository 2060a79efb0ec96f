"""A proxy before a real server that changes what either side says, so that the server does what
other servers do."""

from __future__ import annotations

import contextlib
import socket
import threading

from helpers.servers.place import free

_CHUNK = 1 << 20


class Rewriting:
    """``asked`` and ``answered`` make of what the client, or the server, has sent at once what goes
    on. ``url``: where it listens."""

    def __init__(self, server, *, asked=bytes, answered=bytes):
        self._server, self._asked, self._answered = server, asked, answered
        place = free()
        self.url = f"imap://{place}/"
        self._socket = socket.create_server(place)
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(self._server)
                for one, other, change in (
                    (client, server, self._asked),
                    (server, client, self._answered),
                ):
                    threading.Thread(target=_pass, args=(one, other, change), daemon=True).start()


def _pass(one, other, change):
    with contextlib.suppress(OSError):
        while data := one.recv(_CHUNK):
            other.sendall(change(data))
        other.shutdown(socket.SHUT_WR)
