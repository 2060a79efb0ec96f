"""What all servers of tests have in common: a folder, a place, a log, and a start and an end."""

from __future__ import annotations

import subprocess

from helpers.servers.client import Client, refused
from helpers.servers.place import free, wait


class Server:
    """Runs between ``start`` and ``stop``, or inside ``with``."""

    def __init__(self, folder, place=None):
        self.folder, self.place = folder, place or free()
        self._read_from = 0
        folder.chmod(0o755)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def command(self) -> list[str]:
        """The program, which stays in the foreground and writes its log to its output."""
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait(lambda: self.place.answers() or self.process.poll() is not None, tell=self.log)
        assert self.process.poll() is None, self.log()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def log(self) -> str:
        """All that it has said since the last ``forget``."""
        log = self.folder / "log"
        return log.read_bytes()[self._read_from :].decode(errors="replace") if log.exists() else ""

    def forget(self) -> None:
        log = self.folder / "log"
        self._read_from = log.stat().st_size if log.exists() else 0

    def logged(self, *parts: str, number: int = 1) -> list[str]:
        """The lines of the log that hold all parts, as soon as there are so many."""

        def found():
            lines = self.log().splitlines()
            hits = [line for line in lines if all(part in line for part in parts)]
            return hits if len(hits) >= number else None

        return wait(found, tell=self.log)

    def send(self, recipients, message, *, sender="bob@example.net", options=(), each=()):
        """Hands a message in by SMTP, dots stuffed and nothing else changed; gives the recipients
        for whom it wasn't taken, and why. ``options`` are parameters of MAIL, ``each`` of RCPT."""
        with Client(self.place) as client:
            return refused(
                client.send(recipients, message, sender=sender, options=options, each=each)
            )
