"""Maildirs for tests, whom they belong to, and what is in them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import count
from typing import NamedTuple

import cmstream
from cmstream.accounts import open_store
from cmstream.mailboxes.change import Opening, Sealing
from cmstream.mailboxes.journal import Journal
from cmstream.mailboxes.pace import Pace
from cmstream.mailboxes.places import Access, open_mailbox
from cmstream.mailboxes.report import Report
from cmstream.mailboxes.sweep import Sweep
from helpers.accounts.support import ADMINISTRATOR

ALICE = "alice@example.org"
_numbers = count(1)


class Mail(NamedTuple):
    """What a mail server and its users know of a message, besides its content."""

    part: str
    flags: str
    mtime: int


def text(number: int, size: int = 600) -> bytes:
    """A message that tells itself from all others."""
    line = b"This line is in message %d and nowhere else.\n" % number
    head = (
        b"From: Bob <bob@example.net>\nTo: alice@example.org\nSubject: Message %d\n"
        b"Message-ID: <%d@example.net>\nDate: Mon, 1 Jan 2024 12:00:00 +0000\n\n"
    ) % (number, number)
    return head + line * max(1, size // len(line))


def make(root) -> None:
    for part in ("cur", "new", "tmp"):
        (root / part).mkdir(parents=True)


def put(folder, content: bytes, *, flags=":2,S", part="cur", at=1_600_000_000, name=None):
    """A message as a mail server puts it there; gives its path."""
    number = next(_numbers)
    base = name or f"{at}.M{number}P77.mail.example.org,S={len(content)}"
    path = folder / part / f"{base}{flags if part == 'cur' else ''}"
    path.write_bytes(content)
    path.chmod(0o600)
    os.utime(path, (at, at))
    return path


_FLAGS = (":2,", ":2,S", ":2,RS", ":2,FS", ":2,Sa", ":2,FRSab")


def fill(root, number: int, *, seed=0, size=600) -> dict[bytes, Mail]:
    """So many messages; what :func:`mails` gives of them."""
    chosen = random.Random(seed)
    for index in range(number):
        flags, part = chosen.choice(_FLAGS), chosen.choice(("cur", "cur", "cur", "new"))
        put(root, text(index, size), flags=flags, part=part, at=1_500_000_000 + 60 * index)
    return mails(root)


def files(root):
    return [path for part in ("new", "cur") for path in sorted((root / part).iterdir())]


def mails(root, me=None) -> dict[bytes, Mail]:
    """Of each message, by its content in canonical form, as the owner of the key sees it. Fails
    where one is there twice."""
    found = {}
    for path in files(root):
        content = plain(path.read_bytes(), me)
        assert content not in found, (path, content[:200])
        flags = path.name.partition(":")[2]
        found[content] = Mail(path.parent.name, flags, path.stat().st_mtime_ns)
    return found


def plain(message: bytes, me=None) -> bytes:
    """A message in canonical form, opened if it is sealed and there is a key, without the field
    that says that it is MIME."""
    if me is not None and cmstream.is_encrypted(message):
        message = cmstream.decrypt_message(message, me)
    lines = message.replace(b"\r\n", b"\n")
    return lines.replace(b"MIME-Version: 1.0\n", b"", 1)


def sealed(root) -> list[bool]:
    """Whether each message is; one that is replaced meanwhile isn't yet."""
    return [_is_sealed(path) for path in files(root)]


def _is_sealed(path) -> bool:
    try:
        return cmstream.is_encrypted(path.read_bytes())
    except FileNotFoundError:
        return False


def protected(url, recipient, address=ALICE, **settings):
    """The store at a URL, with an account whose mail is sealed."""
    store = open_store(url)
    protect(store, address, recipient.pem, **settings)
    return store


def protect(store, address, certificate, **settings):
    """Adds an account whose mail is sealed."""
    store.add_account(address, by=ADMINISTRATOR)
    store.import_certificates(address, certificate, by=ADMINISTRATOR)
    store.change_account(address, by=ADMINISTRATOR, cipher="aes256-cbc", **settings)


def seal(store, root, journal, *, address=ALICE, appended=False, **options) -> Report:
    return sweep(Sealing(store, address, appended=appended), root, journal, **options)


def unseal(me, root, journal, **options) -> Report:
    return sweep(Opening([me]), root, journal, task="open", **options)


def sweep(changing, root, journal, *, task="seal", address=ALICE, access=None, **options):
    """One run, as the command has it."""
    report = Report()
    with (
        Journal(journal) as notes,
        open_mailbox(
            f"maildir:{root}", address, notes, task=task, access=access or Access()
        ) as mailbox,
    ):
        Sweep(mailbox, changing, report, Pace(), **options).run()
    return report


class Mine(NamedTuple):
    """A store, a Maildir, a journal, and the key of whom they belong to."""

    store: object
    root: object
    notes: object
    me: cmstream.Identity

    def run(self, task: str) -> Report:
        if task == "seal":
            return seal(self.store, self.root, self.notes)
        return unseal(self.me, self.root, self.notes)

    def mails(self) -> dict[bytes, Mail]:
        return mails(self.root, self.me)

    def finished(self, task: str) -> bool:
        return all(one is (task == "seal") for one in sealed(self.root))


def started(sqlite_url, notes, *words, bound_by_modes=False) -> subprocess.Popen:
    """``cmstream mailbox seal``, as a process. ``bound_by_modes``: even as root it may write only
    what its owner may."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    command = bound if bound_by_modes and not os.geteuid() else []
    command += [sys.executable, "-m", "cmstream", "mailbox", "seal", "--journal", notes, *words]
    environment = {**os.environ, "CMSTREAM_DATABASE": sqlite_url}
    return subprocess.Popen(
        [str(one) for one in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
