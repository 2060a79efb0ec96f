"""What tests of mailboxes on IMAP servers share: mail that is filed, sealed and read back."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import cmstream
from cmstream.mailboxes.errors import LeftAlone
from cmstream.mailboxes.journal import Journal
from cmstream.mailboxes.mailbox import Change
from cmstream.mailboxes.places import Access, open_mailbox
from cmstream.scratch import Scratch
from helpers.people import identity, person


class Filed(NamedTuple):
    """A message as a mail program sees it. ``date``: INTERNALDATE as the server writes it."""

    flags: frozenset
    date: bytes
    content: bytes


def message(number=0, body=b"Dear Bob,\r\n\r\nhello.\r\n", *, message_id=True):
    """One that comes back from being sealed and opened octet for octet."""
    name = b"Message-ID: <%d.mail@example.org>\r\n" % number if message_id else b""
    return (
        b"From: alice@example.org\r\nSubject: number %d\r\n%s"
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n%s" % (number, name, body)
    )


FLAGS = [(), (b"\\Seen",), (b"\\Seen", b"\\Answered", b"$Label1"), (b"\\Flagged", b"NonJunk")]
DATES = [
    b"01-Feb-2003 04:05:06 +0000",
    b"29-Feb-2024 23:59:59 -0730",
    b" 9-Nov-1999 00:00:00 +0545",
]


LONG = (1 << 20) + 5


def put(client, folder, content, flags=(), date=DATES[0]):
    """Files a message."""
    words = [client._normalise_folder(folder), b"(%s)" % b" ".join(flags), b'"%s"' % date]
    client._imap.literal = content
    kind, data = client._imap._simple_command("APPEND", *words)
    assert kind == "OK", data


def fill(client, folder, count=7, first=0, **options):
    for i in range(first, first + count):
        put(client, folder, message(i, **options), FLAGS[i % len(FLAGS)], DATES[i % len(DATES)])


def filed(client, folder="INBOX"):
    """All of a folder, in its order."""
    client.select_folder(folder, readonly=True)
    found = []
    for uid in sorted(client.search("ALL")):
        kind, data = client._imap.uid("FETCH", str(uid), "(FLAGS INTERNALDATE BODY.PEEK[])")
        assert kind == "OK", data
        parsed = client.fetch([uid], ["FLAGS", "BODY.PEEK[]"]).get(uid)
        if parsed is None:  # it was removed meanwhile
            continue
        line = b" ".join(part[0] if isinstance(part, tuple) else part for part in data)
        date = line.partition(b'INTERNALDATE "')[2].partition(b'"')[0]
        flags = frozenset(one for one in parsed[b"FLAGS"] if one != b"\\Recent")
        found.append(Filed(flags, date, parsed[b"BODY[]"]))
    client.select_folder(folder, readonly=True)  # not every server has UNSELECT
    return found


def opened(found):
    """The same, with what is sealed opened by Alice's key."""
    return [one._replace(content=opened_content(one.content)) for one in found]


def opened_content(content):
    if not cmstream.is_encrypted(content):
        return content
    return bytes(cmstream.decrypt_message(content, [identity(person())]))


def private_key():
    """Alice's, in PEM."""
    return person().key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def is_sealed(content):
    """False for one that was removed while it was fetched."""
    return content is not None and b"application/pkcs7-mime" in content.partition(b"\r\n\r\n")[0]


@contextmanager
def mailbox(place, user, notes, task="seal", **access):
    """A mailbox that is entered, with its journal."""
    access = {"password": "x", **access}
    with (
        Journal(notes) as journal,
        open_mailbox(str(place), user, journal, task=task, access=Access(**access)) as box,
    ):
        yield box


def seal(content):
    return bytes(cmstream.encrypt_message(content, [person().recipient]))


def changes(folder, found, make=seal):
    """What takes the place of messages, each read and sealed."""
    for stored in found:
        try:
            scratch = folder.read(stored)
        except LeftAlone:
            continue
        if scratch is None:
            continue
        content = b"".join(scratch.chunks())
        if make is seal and cmstream.is_encrypted(content):
            folder.keep([stored])
            continue
        new = Scratch()
        new.write(make(content))
        digests = [hashlib.sha256(one).digest() for one in (content, bytes(b"".join(new.chunks())))]
        yield Change(stored, digests[0], new, digests[1])


def sweep(box, *, batch=256, names=None, make=seal):
    """What a sweep does with a mailbox; gives the outcomes."""
    done = []
    for folder in box.folders():
        if names is not None and folder.name not in names:
            continue
        folder.recover()
        waiting = []
        for stored in folder.messages():
            waiting.append(stored)
            if len(waiting) == batch:
                done += folder.replace([*changes(folder, waiting, make)])
                waiting = []
        done += folder.replace([*changes(folder, waiting, make)])
    return done


def results(outcomes):
    return [one.result for one in outcomes]
