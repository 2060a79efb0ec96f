"""A next hop for tests: a real SMTP or LMTP server that writes down what it is given, and answers
as it is told to."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from pathlib import Path

from helpers.servers.conversation import EXTENSIONS, Conversation, Gone, end
from helpers.servers.place import free, wait
from helpers.servers.transactions import Session, Transaction


class NextHop:
    """Listens from the start; ``with`` ends it.

    ``answers`` gives other replies than ours by event: "connect", "EHLO" (and "LHLO"), a command,
    "body" (asked once, after the first octets of a message) and "dot". A value is a reply, DROP,
    HANG, or a table of such by recipient for "RCPT" and "dot", or a function of the Transaction and
    the address that gives one or None. It may be changed at any time.
    """

    def __init__(self, protocol="lmtp", *, place=None, extensions=EXTENSIONS, answers=None,
                 tls=None, implicit=False):  # fmt: skip
        self.protocol, self.place, self.extensions = protocol, place or free(), extensions
        self.answers = answers or {}
        self.tls, self.implicit = tls, implicit
        self.transactions: list[Transaction] = []
        """Those that are whole, in the order in which they ended."""
        self.begun: list[Transaction] = []
        self.sessions: list[Session] = []
        self.ending = threading.Event()
        self._threads: list[threading.Thread] = []
        self._held: set[Conversation] = set()
        self.start()

    def start(self) -> None:
        """Listens, again after a ``stop``, at the same place."""
        self.ending.clear()
        if isinstance(self.place, Path):
            self.place.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(self.place))
            self.place.chmod(0o777)
            self._listener.listen(100)
        else:
            self._listener = socket.create_server(self.place, backlog=100)
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """Ends all connections at once, without a word."""
        self.ending.set()
        end(self._listener)
        for one in list(self._held):
            end(one.connection)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)
        self._threads.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def __str__(self):
        return f"unix:{self.place}" if isinstance(self.place, Path) else str(self.place)

    def wait(self, number: int = 1, *, seconds: float = 60, tell=str) -> list[Transaction]:
        """All whole transactions as soon as there are so many."""
        wait(lambda: len(self.transactions) >= number, seconds, tell)
        return self.transactions

    def to(self, address: str) -> list[Transaction]:
        """The transactions in which somebody's mail was taken."""
        return [one for one in self.transactions if address in one.taken]

    def _run(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener) -> None:
        while not self.ending.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._run(self._serve, connection)

    def _serve(self, connection) -> None:
        session = Session(len(self.sessions) + 1)
        self.sessions.append(session)
        conversation = Conversation(self, connection, session)
        self._held.add(conversation)
        with suppress(Gone, OSError), closing(conversation):
            conversation.hold()
        self._held.discard(conversation)
