"""A client that says what a test wants said: no check, no repair, all replies kept."""

from __future__ import annotations

import socket


class Client:
    """Speaks SMTP or LMTP to a Place, or to the Unix socket at a path; ``with`` ends it."""

    def __init__(self, place, protocol="smtp", *, timeout=120, hello=True):
        if isinstance(place, tuple):
            self.socket = socket.create_connection(place, timeout)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(place).removeprefix("unix:"))
        self.protocol, self._replies = protocol, self.socket.makefile("rb")
        try:
            self.greeting = self.reply()
            if hello:
                answer = self.command("LHLO client" if protocol == "lmtp" else "EHLO client")
                self.features = {line[4:].split(" ")[0] for line in answer.splitlines()[1:]}
        except OSError:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._replies.close()
        self.socket.close()

    def reply(self) -> str:
        """The next one, with all its lines."""
        lines = []
        while not lines or lines[-1][3:4] == "-":
            line = self._replies.readline()
            if not line:
                raise ConnectionResetError("the server has ended the connection")
            lines.append(line.decode("utf-8", "surrogateescape").rstrip("\r\n"))
        return "\n".join(lines)

    def say(self, line) -> None:
        self.socket.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")

    def command(self, line) -> str:
        self.say(line)
        return self.reply()

    def send(self, recipients, message, *, sender="bob@example.net", options=(), each=()):
        """One transaction; gives the reply for each recipient: to RCPT where that was refused,
        else to the message. The message is octets, or pieces of them that need no stuffing."""
        begun = self.command(" ".join([f"MAIL FROM:<{sender}>", *options]))
        if not begun.startswith("2"):
            return dict.fromkeys(recipients, begun)
        replies = {one: self.command(" ".join([f"RCPT TO:<{one}>", *each])) for one in recipients}
        accepted = [one for one, reply in replies.items() if reply.startswith("2")]
        if not accepted:
            self.command("RSET")
            return replies
        ready = self.command("DATA")
        if not ready.startswith("354"):
            return replies | dict.fromkeys(accepted, ready)
        self._content(message)
        answers = [self.reply() for _ in (accepted if self.protocol == "lmtp" else [None])]
        answers *= len(accepted) // len(answers)
        return replies | dict(zip(accepted, answers, strict=True))

    def _content(self, message) -> None:
        if isinstance(message, bytes):
            end = b"" if not message or message.endswith(b"\r\n") else b"\r\n"
            self.socket.sendall(stuffed(message) + end + b".\r\n")
            return
        for piece in message:
            self.socket.sendall(piece)
        self.socket.sendall(b".\r\n")

    def quit(self) -> str:
        return self.command("QUIT")


def stuffed(message: bytes) -> bytes:
    return b"." * message.startswith(b".") + message.replace(b"\r\n.", b"\r\n..")


def refused(replies: dict[str, str]) -> dict[str, str]:
    """The recipients for whom it wasn't taken."""
    return {one: reply for one, reply in replies.items() if not reply.startswith("2")}
