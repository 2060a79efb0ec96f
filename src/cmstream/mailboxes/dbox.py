"""A mailbox in any format of a Dovecot on this machine (mdbox, sdbox, …), through Dovecot's own
program for IMAP: ``doveadm exec imap``, which nobody has to sign in to. So it keeps all that IMAP
keeps, and no message lies anywhere between."""

from __future__ import annotations

import imaplib
import os
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from imapclient import IMAPClient

from .errors import MailboxError
from .imap import ImapMailbox
from .imap_session import TIMEOUT, Session, said

if TYPE_CHECKING:
    from .journal import MailboxJournal
    from .places import Access

_CHUNK = 256 << 10
_EXIT = 10.0
"""Seconds that it may take to end."""


def opened(rest: str, account: str, journal: MailboxJournal, access: Access) -> ImapMailbox:
    """The mailbox of an account. ``rest``: Dovecot's configuration file, empty for the usual
    one."""
    return ImapMailbox(DoveadmSession(rest, account), journal, access.drafts)


class DoveadmSession(Session):
    """A conversation with a program of this machine. Raises MailboxError ``no-such-mailbox``,
    ``needs-package``."""

    def __init__(self, configuration: str, account: str) -> None:
        super().__init__("Dovecot", account)
        config = ["-c", os.path.abspath(configuration)] if configuration else []  # noqa: PTH100
        self._command = ["doveadm", *config, "exec", "imap", "-u", account]
        self._process: subprocess.Popen[bytes] | None = None

    def connect(self) -> IMAPClient:
        """Starts the program."""
        ours, its = socket.socketpair()
        with tempfile.TemporaryFile() as errors:
            try:
                self._start(its, errors)
                return _Client(ours)
            except FileNotFoundError:
                its.close()
                ours.close()
                text = "there is no doveadm here: dbox: needs Dovecot on the same machine"
                raise MailboxError("needs-package", text) from None
            except (imaplib.IMAP4.error, OSError) as error:
                ours.close()
                self.disconnected()
                raise self._not_started(errors, error) from None

    def _start(self, its: socket.socket, errors: BinaryIO) -> None:
        """Its output is a pipe: as root it doesn't take a socket for that. It doesn't wait at its
        input, and so no write to that socket does; with a time-out Python waits by itself."""
        its.settimeout(TIMEOUT.read)
        self._process = subprocess.Popen(
            self._command, stdin=its.fileno(), stdout=subprocess.PIPE, stderr=errors.fileno()
        )
        threading.Thread(target=_pass_on, args=(self._process.stdout, its), daemon=True).start()

    def disconnected(self) -> None:
        """Waits for its end."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_EXIT)
                return
            process.kill()
            process.wait()

    def _not_started(self, errors: BinaryIO, error: BaseException) -> MailboxError:
        errors.seek(0)
        lines = errors.read().decode(errors="replace").splitlines() or [said(error)]
        text = f"Dovecot opens no mailbox of {self._user} ({said(Exception(lines[-1]))})"
        text += ": is it the account's name there, and this the configuration of that Dovecot "
        return MailboxError("no-such-mailbox", f"{text}(dbox:/etc/dovecot/other.conf)?")


def _pass_on(output: BinaryIO, its: socket.socket) -> None:
    """All that the program says, until its end, or until nobody listens."""
    with output, its, suppress(OSError):
        while chunk := os.read(output.fileno(), _CHUNK):
            its.sendall(chunk)


class _Connection(imaplib.IMAP4):
    """Talks through a socket that is connected already."""

    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        super().__init__()

    def _create_socket(self, timeout: float | None) -> socket.socket:
        del timeout
        return self._connected


class _Client(IMAPClient):  # type: ignore[misc]
    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        super().__init__("doveadm", ssl=False, timeout=TIMEOUT)

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - IMAPClient's own name
        return _Connection(self._connected)
