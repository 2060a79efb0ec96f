"""A mailbox on an IMAP server (RFC 3501), any one that has UIDPLUS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from .errors import MailboxError
from .imap_folder import ImapFolder
from .imap_selected import Folder
from .imap_session import Refused, Server, ServerSession, shown
from .mailbox import changed_within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from imapclient import IMAPClient
    from typing_extensions import Self

    from .imap_session import Session
    from .journal import MailboxJournal
    from .places import Access

_EVERY = 5.0
"""Seconds between two looks at the folders for which the server sends no word."""
_NO_FOLDERS = {b"\\noselect", b"\\nonexistent"}
_VIEWS = {b"\\all", b"\\flagged", b"\\important"}
"""Folders that show messages of others (RFC 6154, RFC 8457)."""


def opened(rest: str, account: str, journal: MailboxJournal, access: Access) -> ImapMailbox:
    """The mailbox of an account on the server that a URL names. It is signed in to when it is
    entered."""
    return ImapMailbox(ServerSession(Server.of(rest), account, access), journal, access.drafts)


class _Listed(NamedTuple):
    """A folder in the server's list. ``raw``: its name as the server writes it; ``marks``: its
    attributes, in lower case."""

    raw: bytes
    name: str
    marks: frozenset[bytes]


class ImapMailbox:
    """A :class:`~cmstream.mailboxes.mailbox.Mailbox`."""

    def __init__(
        self, session: Session, journal: MailboxJournal, drafts: Sequence[str] = ("Drafts",)
    ) -> None:
        self._session, self._journal = session, journal
        self._drafts = {one.casefold() for one in drafts}
        self._folders: dict[str, ImapFolder] = {}
        self._listed: dict[str, _Listed] = {}
        self._names: set[bytes] = set()

    def __enter__(self) -> Self:
        try:
            with self._session.talking():
                pass
        except BaseException:
            self._journal.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()
        self._journal.close()

    def folders(self) -> Sequence[ImapFolder]:
        """Those of the account itself that are there now, not those of others; INBOX is the
        first."""
        self._listed = {one.name: one for one in self._list()}
        for name, one in self._listed.items():
            if name not in self._folders:
                folder = Folder(self._session, one.raw)
                self._folders[name] = ImapFolder(folder, name, self._journal)
            named = name.rpartition("/")[2].casefold() in self._drafts
            self._folders[name].others = self._names
            self._folders[name].drafts = named or b"\\drafts" in one.marks  # a mark may come later
        return [self._folders[name] for name in self._listed]

    def wait(self, seconds: float) -> Collection[str]:
        """The server tells at once of the folder in which mail programs keep what they send, or
        else of INBOX (IDLE, RFC 2177); the others are asked for every few seconds."""
        folders, told = self.folders(), self._told()
        try:
            self._session.select(told)
        except MailboxError as error:
            if error.code != "permission-denied":
                raise
            told = b""  # STATUS asks for it, as for the others
        return changed_within(
            seconds,
            lambda: [one.name for one in folders if self._is_changed(one, told)],
            self._idle,
            _EVERY,
        )

    def _told(self) -> bytes:
        sent = (one.raw for one in self._listed.values() if b"\\sent" in one.marks)
        return next(sent, b"INBOX")

    def _is_changed(self, folder: ImapFolder, selected: bytes) -> bool:
        """Once for each change: a folder that can't be used is named once, too."""
        found = self._state(self._listed[folder.name].raw, selected)
        if found is None or found == folder.seen:
            return False
        folder.seen = found
        return True

    def _state(self, raw: bytes, selected: bytes) -> tuple[int, int] | None:
        """UIDVALIDITY and UIDNEXT of a folder; None if it isn't there any more."""
        if raw == selected:  # of it STATUS may say what was (RFC 3501 section 6.3.10)
            here = self._session.select(raw, again=True)
            return (here.validity, here.next) if here else None
        try:
            with self._session.talking() as client:
                found = client.folder_status(raw, ["UIDVALIDITY", "UIDNEXT"])
        except Refused:
            return None
        return found.get(b"UIDVALIDITY", 0), found.get(b"UIDNEXT", 0)

    def _idle(self, seconds: float) -> None:
        with self._session.talking() as client:
            if client.has_capability("IDLE"):
                client.idle()
                client.idle_check(timeout=seconds)
                client.idle_done()
                return
        time.sleep(seconds)
        with self._session.talking() as client:
            client.noop()

    def _list(self) -> Iterator[_Listed]:
        try:
            with self._session.talking() as client:
                found, foreign = _list(client), _foreign(client)
        except Refused as error:
            raise MailboxError("unavailable", f"the server lists no folders: {error}") from None
        listed = []
        self._names = {raw for _, _, raw in found}
        for marks, delimiter, raw in found:
            lower = frozenset(one.lower() for one in marks)
            if lower & (_NO_FOLDERS | _VIEWS) or raw.startswith(foreign):
                continue
            name = "INBOX" if raw.upper() == b"INBOX" else _named(shown(raw), delimiter)
            listed.append(_Listed(raw, name, lower))
        yield from sorted(listed, key=lambda one: (one.name != "INBOX", one.name))


def _named(name: str, delimiter: bytes | None) -> str:
    """With "/" between the parts. Where the server has another delimiter, each stands for the
    other: so ``a.b`` and ``a/b`` have two names."""
    other = (delimiter or b"/").decode("ascii", "replace")
    return name.translate({ord(other): "/", ord("/"): other})


def _list(client: IMAPClient) -> list[tuple[tuple[bytes, ...], bytes | None, bytes]]:
    """All folders, with their special uses (RFC 6154) where a server tells them when asked."""
    if not (client.has_capability("SPECIAL-USE") and client.has_capability("LIST-EXTENDED")):
        found = client.list_folders()
    else:
        words = [b'""', b'"*"', b"RETURN", b"(SPECIAL-USE)"]
        data = client._raw_command_untagged(b"LIST", words, uid=False)  # noqa: SLF001
        found = client._proc_folder_list(data)  # noqa: SLF001
    return [
        (flags, delimiter, name if isinstance(name, bytes) else str(name).encode())
        for flags, delimiter, name in found  # a number, for IMAPClient
    ]


def _foreign(client: IMAPClient) -> tuple[bytes, ...]:
    """How the names of folders begin that are other people's, or everybody's (RFC 2342)."""
    if not client.has_capability("NAMESPACE"):
        return ()
    spaces = client.namespace()
    return tuple(
        prefix for kind in (spaces.other, spaces.shared) for prefix, _ in kind or () if prefix
    )
