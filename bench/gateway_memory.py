"""The memory of a running gateway while one long message goes through it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import resident
from mail_servers import SEALED

if TYPE_CHECKING:
    from mail_servers import Place

HEAD = b"From: Carol <carol@example.net>\r\nSubject: large\r\nContent-Type: text/plain\r\n\r\n"
BLOCK = (b"x" * 62 + b"\r\n") * (1 << 12)  # 256 KiB
PATIENCE = 600


def above_base(process: int, place: Place, length: int) -> int:
    """By how many bytes the peak of its resident memory exceeds what it has before a message of so
    many bytes, which is sent to a protected account by LMTP. Short messages should have gone
    through it already."""
    return resident.above_base(lambda: send(place, length), process)


def send(place: Place, length: int) -> None:
    """One message of some blocks. Raises RuntimeError when it isn't taken."""
    with socket.create_connection(place, timeout=PATIENCE) as connection:
        replies = connection.makefile("rb")

        def say(command: bytes, wanted: bytes) -> None:
            connection.sendall(command)
            while (reply := replies.readline())[3:4] == b"-":
                pass
            if not reply.startswith(wanted):
                raise RuntimeError(f"{command.decode()}: {reply.decode()}")

        say(b"", b"220")
        say(b"LHLO client.example.net\r\n", b"250")
        say(b"MAIL FROM:<carol@example.net>\r\n", b"250")
        say(b"RCPT TO:<%b>\r\n" % SEALED.encode(), b"250")
        say(b"DATA\r\n", b"354")
        connection.sendall(HEAD)
        for _ in range((length - len(HEAD)) // len(BLOCK)):
            connection.sendall(BLOCK)
        say(b".\r\n", b"250")
        say(b"QUIT\r\n", b"221")
