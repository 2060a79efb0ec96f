"""A proxy before a real server that cuts the connection at one step of the conversation."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

from helpers.servers.place import free

_CHUNK = 1 << 20


class Cutting:
    """Each time the client speaks after the server did is a turn, counted from 1 in ``turns``.

    ``cut(turn, how)``: the connection ends before the client's words of that turn go on
    (``before``), with half of them (``half``), or when the server has answered them, and the answer
    is lost (``answer``). Then nobody gets through until ``mend()``.
    """

    def __init__(self, server):
        self.place, self._server = free(), server
        self.mend()
        self._socket = socket.create_server(self.place)
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self, turn, how):
        self.turns, self.is_cut, self._at = 0, False, (turn, how)

    def mend(self):
        self.cut(0, "")

    def stop(self):
        self._socket.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client):
        with client, contextlib.suppress(OSError):
            if self.is_cut:
                return
            with socket.create_connection(self._server) as server:
                self._pass(client, server)

    def _pass(self, client, server):
        selector = selectors.DefaultSelector()
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(one, selectors.EVENT_READ)
        speaks = server
        while True:
            for key, _ in selector.select():
                data = key.fileobj.recv(_CHUNK)
                if key.fileobj is client and speaks is server:
                    self.turns += 1
                speaks = key.fileobj
                if self._ends(data, speaks is client, server) or not data:
                    return
                (server if speaks is client else client).sendall(data)

    def _ends(self, data, is_client, server):
        turn, how = self._at
        if turn != self.turns or is_client == (how == "answer"):
            return False
        self.is_cut = True
        if how == "half":
            server.sendall(data[: len(data) // 2])
        return True
