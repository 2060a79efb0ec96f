"""A connection to an IMAP server that is signed in to one account. Whatever goes wrong with it
becomes a MailboxError; after one the next command connects again."""

from __future__ import annotations

import imaplib
import ipaddress
import re
import socket
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, ProtocolError
from imapclient.imap_utf7 import decode, encode

from .errors import MailboxError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .places import Access

TIMEOUT = SocketTimeout(connect=30, read=300)
"""Seconds for a connection, and for an answer."""
_LOST = (IMAPClientAbortError, ProtocolError, OSError, EOFError)


class Refused(Exception):  # noqa: N818 - an answer
    """The server said no to one command; nothing is wrong with the connection."""


@dataclass(frozen=True)
class Server:
    """What a URL names. ``user``: who signs in, None for the account's address."""

    host: str
    port: int
    tls: bool
    user: str | None

    @classmethod
    def of(cls, url: str) -> Server:
        """Raises MailboxError ``invalid-place``."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise MailboxError("invalid-place", f"{url!r}: {error}") from None
        login, _, _ = parts.netloc.rpartition("@")
        if ":" in login:
            text = "a password doesn't belong into a URL: use --password-file"
            raise MailboxError("invalid-place", text)
        if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
            text = f"{url!r} is no mailbox on a server: give imaps://[USER@]HOST[:PORT]/"
            raise MailboxError("invalid-place", text)
        tls = parts.scheme == "imaps"
        return cls(parts.hostname, port or (993 if tls else 143), tls, unquote(login) or None)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, so that nobody can listen in."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True)
class Selected:
    """A folder as it was when it was selected: its UIDVALIDITY and UIDNEXT (RFC 3501 section
    2.3.1.1), and how many messages it had."""

    name: bytes
    validity: int
    next: int
    count: int


class Session:
    """For one thread. ``name``: of the server, in sentences; ``user``: who is signed in. Raises
    MailboxError ``unavailable``, ``permission-denied``, and what :meth:`connect` raises."""

    def __init__(self, name: str, user: str) -> None:
        self._name, self._user = name, user
        self._client: IMAPClient | None = None
        self.selected: Selected | None = None
        self._may_change: set[bytes] = set()
        self._tells_folders: bool | None = None

    def connect(self) -> IMAPClient:
        """A connection that is signed in. Raises MailboxError, or what :mod:`imaplib` raises."""
        raise NotImplementedError

    def disconnected(self) -> None:
        """Is called when the connection has ended."""

    @property
    def tells_folders(self) -> bool:
        """Whether it is a Dovecot, which tells of a message in what folder it is."""
        if self._tells_folders is None:
            self._tells_folders = False
            with suppress(Refused), self.talking() as client:
                told = client.id_() if client.has_capability("ID") else ()
                self._tells_folders = b"Dovecot" in _words(told)
        return self._tells_folders

    @contextmanager
    def talking(self) -> Iterator[IMAPClient]:
        """The connection, for commands alone. Raises :class:`Refused` for the answers NO and BAD,
        and MailboxError if it is lost."""
        if self._client is None:
            try:
                self._client = _exact(self.connect())
            except (*_LOST, IMAPClientError, UnicodeError) as error:
                raise self.unavailable(error) from None
        try:
            yield self._client
        except Refused:
            raise
        except _LOST as error:
            self.drop()
            raise self.unavailable(error) from None
        except IMAPClientError as error:
            raise Refused(said(error)) from None
        except BaseException:
            self.drop()  # in the middle of a command
            raise

    def select(self, name: bytes, *, again: bool = False) -> Selected | None:
        """Selects a folder by the name that the server writes; ``again``: even if it is selected,
        to know what is new. None if it isn't there (any more). Raises MailboxError
        ``permission-denied``."""
        if not again and self._client and self.selected and self.selected.name == name:
            return self.selected
        self.selected = None
        with self.talking() as client:
            try:
                found = client.select_folder(name)
            except imaplib.IMAP4.readonly:  # for imaplib it is the end of the connection
                client._imap.untagged_responses.pop("READ-ONLY", None)  # noqa: SLF001
                raise self._denied(name, "it can only be read") from None
            except IMAPClientAbortError:
                raise
            except IMAPClientError as error:
                if client.folder_exists(name):
                    raise self._denied(name, said(error)) from None
                return None
        if name not in self._may_change:
            self._require_rights(name, found.get(b"PERMANENTFLAGS"))
        if b"UIDVALIDITY" not in found:
            text = f"{self._name} gives what is in {shown(name)} no lasting numbers (UIDVALIDITY)"
            raise MailboxError("unsupported-server", text)
        self.selected = Selected(
            name, found[b"UIDVALIDITY"], found.get(b"UIDNEXT", 1), found[b"EXISTS"]
        )
        return self.selected

    def _require_rights(self, name: bytes, flags: Collection[bytes] | None) -> None:
        """All that a message needs to be replaced with what it is marked with. ``flags``: those
        that the server lets this user set, None if it doesn't tell."""
        if flags is not None and b"\\deleted" not in {one.lower() for one in flags}:
            raise self._denied(name, "nothing can be marked for removal in it")
        with self.talking() as client:
            lacking = _lacking_rights(client, name) if client.has_capability("ACL") else ""
        if lacking:
            raise self._denied(name, f"these rights are lacking: {lacking}")
        self._may_change.add(name)

    def close(self) -> None:
        """Signs out."""
        if self._client is not None:
            with suppress(Exception):
                self._client.logout()
        self.drop()

    def drop(self) -> None:
        """Closes the connection, in whatever state it is."""
        client, self._client, self.selected = self._client, None, None
        self._may_change.clear()
        self._tells_folders = None
        if client is not None:
            with suppress(Exception):
                client.shutdown()
            self.disconnected()

    def _denied(self, name: bytes, why: str) -> MailboxError:
        text = f"the folder {shown(name)} can't be changed ({why}): give {self._user} the rights"
        return MailboxError("permission-denied", text)

    def unavailable(self, error: BaseException) -> MailboxError:
        """What a lost connection becomes."""
        text = f"{self._name} is out of reach, or has closed the connection ({said(error)})"
        return MailboxError("unavailable", f"{text}: run this again when it is there")


class ServerSession(Session):
    """A connection to a server by TCP. Raises MailboxError ``no-such-host``,
    ``untrusted-certificate``, ``sign-in-failed``, ``no-uidplus``, ``unsupported-server`` too."""

    def __init__(self, server: Server, account: str, access: Access) -> None:
        super().__init__(str(server), server.user or account)
        self._server, self._access = server, access

    def connect(self) -> IMAPClient:
        """Encrypted, or to this machine."""
        server = self._server
        try:
            context = ssl.create_default_context(cafile=self._access.certificates)
        except (OSError, ssl.SSLError) as error:
            text = f"the file with authorities {self._access.certificates} can't be read: {error}"
            raise MailboxError("untrusted-certificate", text) from None
        client = IMAPClient(
            server.host, server.port, ssl=server.tls, ssl_context=context, timeout=TIMEOUT
        )
        try:
            self._prepare(client, context)
        except BaseException:
            with suppress(Exception):
                client.shutdown()
            raise
        return client

    def _prepare(self, client: IMAPClient, context: ssl.SSLContext) -> None:
        # IMAPClient sends the end of a line by itself.
        client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._server.tls and not (
            self._server.is_here and not client.has_capability("LOGINDISABLED")
        ):
            if not client.has_capability("STARTTLS"):
                text = f"{self._server} offers no encryption: use imaps://, or a server that does"
                raise MailboxError("untrusted-certificate", text)
            client.starttls(context)
        self._sign_in(client)
        if not client.has_capability("UIDPLUS"):
            text = (
                f"{self._server} has no UIDPLUS (RFC 4315), so that one message can't be removed "
                "without others: use the place of its files (maildir:, mbox:, dbox:)"
            )
            raise MailboxError("no-uidplus", text)
        if client.has_capability("X-GM-EXT-1"):
            text = (
                f"{self._server} keeps a message that is removed from a folder (Gmail's All Mail), "
                "so that nothing would be sealed"
            )
            raise MailboxError("unsupported-server", text)

    def _sign_in(self, client: IMAPClient) -> None:
        access, user = self._access, self._user
        if access.password is None:
            text = (
                f"{self._server}: no password is given for it: seal takes it by --password-file, "
                "open by --imap-password-file"
            )
            raise MailboxError("sign-in-failed", text)
        plain = client.has_capability("AUTH=PLAIN")
        try:
            if access.master and access.separator is None:
                if not plain:
                    text = (
                        f"{self._server} has no SASL PLAIN, by which a master user signs in for "
                        "another: see --master-separator"
                    )
                    raise MailboxError("sign-in-failed", text)
                client.plain_login(access.master, access.password, user)
                return
            if access.master:
                user = f"{user}{access.separator}{access.master}"
            if plain:
                client.plain_login(user, access.password)
            else:
                client.login(user, access.password)
        except IMAPClientError as error:
            lost = error if isinstance(error, _LOST) else error.__context__
            if isinstance(lost, _LOST):  # for IMAPClient that is a wrong password too
                raise lost from None
            raise self._not_let_in(user, said(error)) from None

    def _not_let_in(self, user: str, why: str) -> MailboxError:
        if "[UNAVAILABLE]" in why.upper():
            return MailboxError("unavailable", f"{self._server} can't tell who may sign in: {why}")
        who = f"{self._access.master} for {user}" if self._access.master else user
        text = f"{self._server} doesn't let {who} sign in ({why}): look at the name and password"
        if self._access.master and self._access.separator is None:
            text += ", and whether the server wants --master-separator"
        return MailboxError("sign-in-failed", text)

    def unavailable(self, error: BaseException) -> MailboxError:
        """Says what is wrong with the certificate or the name, if it is that."""
        if isinstance(error, ssl.SSLCertVerificationError):
            text = (
                f"the certificate of {self._server} isn't to be trusted ({error.verify_message}): "
                "name the authority's certificate by --ca-file, and the server as it is named there"
            )
            return MailboxError("untrusted-certificate", text)
        if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
            text = f"{self._server} doesn't begin with TLS: imap:// is for STARTTLS, imaps:// isn't"
            return MailboxError("unavailable", text)
        if isinstance(error, socket.gaierror | UnicodeError):
            return MailboxError("no-such-host", f"there is no host {self._server.host}")
        return super().unavailable(error)


def _words(parsed: object) -> set[object]:
    """All that is in an answer, however deep."""
    if isinstance(parsed, list | tuple):
        return {word for one in parsed for word in _words(one)}
    return {parsed}


def _lacking_rights(client: IMAPClient, name: bytes) -> str:
    """Of those to insert, mark and remove messages (RFC 4314 section 2.1). Where there is one right
    for both, "d", it is an older server (RFC 2086)."""
    try:
        kind, told = client._imap.myrights(_quoted(name))  # noqa: SLF001
    except IMAPClientAbortError:
        raise
    except IMAPClientError:
        return ""
    if kind != "OK" or not isinstance(told[-1], bytes):
        return ""
    rights = {*told[-1].rpartition(b" ")[2].decode("ascii", "replace")}
    if "d" in rights and not rights & {"t", "e"}:
        rights |= {"t", "e"}
    return "".join(one for one in "swite" if one not in rights)


def shown(name: bytes) -> str:
    """A folder's name for people: as the server writes it where that isn't modified UTF-7 (RFC 3501
    section 5.1.3), or where another name would look the same."""
    with suppress(UnicodeError):
        decoded = str(decode(name))
        if encode(decoded) == name:
            return decoded
    return name.decode("ascii", "backslashreplace")


def _exact(client: IMAPClient) -> IMAPClient:
    """Lets it name folders as the server does, octet for octet."""
    client.folder_encode = False
    client._normalise_folder = _quoted  # noqa: SLF001
    return client


def _quoted(name: bytes | str) -> bytes:
    octets = name.encode("ascii") if isinstance(name, str) else name
    return b'"%s"' % octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def said(error: BaseException) -> str:
    """What a server or the system said, in one line that can be printed."""
    text = str(error) or type(error).__name__
    if quoted := re.fullmatch(r"b(['\"])(.*)\1", text, re.DOTALL):
        text = quoted[2]
    return re.sub(r"[^ -~]+", " ", text)[:300].strip()
