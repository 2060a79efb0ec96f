"""Small clients and sinks that come as programs: Postfix's smtp-source and smtp-sink, and swaks."""

from __future__ import annotations

import os
import subprocess

from helpers.peers.program import must, need, run
from helpers.servers.place import Place, free, wait
from helpers.servers.postfix import need_postfix


def smtp_source(place: Place, *, messages=1, sessions=1, length=4096, recipients=1, lmtp=False,
                sender="bob@example.net", to="alice@example.org"):  # fmt: skip
    """Sends so many messages over so many connections at a time; with several recipients, their
    addresses begin with a number each."""
    need_postfix()
    return must(
        "smtp-source", *(["-L"] if lmtp else []), "-m", messages, "-s", sessions, "-l", length,
        "-r", recipients, "-f", sender, "-t", to, f"inet:{place}", timeout=300,
    )  # fmt: skip


class SmtpSink:
    """Takes everything and keeps nothing."""

    def __init__(self, protocol="smtp"):
        need_postfix()
        self.place = free()
        user = [] if os.getuid() else ["-u", "nobody"]
        spoken = ["-L"] if protocol == "lmtp" else []
        command = ["smtp-sink", *user, *spoken, str(self.place), "100"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait(self.place.answers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(30)


def swaks(place, *words, to="alice@example.org", sender="bob@example.net", protocol="ESMTP"):
    """One transaction, told step by step; gives the finished process."""
    need("swaks")
    where = ["--socket", str(place)[5:]] if str(place).startswith("unix:") else [
        "--server", place.host, "--port", place.port]  # fmt: skip
    return run(
        "swaks", *where, "--protocol", protocol, "--to", to, "--from", sender,
        "--ehlo", "client.example.net", *words, timeout=120,
    )  # fmt: skip
