"""What tests of archives share: a tree of sources, its archive, and what is in both."""

from __future__ import annotations

import os
import sqlite3
import tarfile
from io import BytesIO
from pathlib import Path

from cmstream.archive.sealing import seal

MAIL = (
    b"Received: from a by b;\r\n Mon, 3 Jan 2022 00:00:00 +0000\r\n"
    b"Mime-Version: 1.0 (made by hand)\r\nFrom: Carol <carol@example.net>\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nSubject: the plan\r\n"
    b"Content-Transfer-Encoding: 8bit\r\nTo: alice@example.org\r\n\r\n"
    b"SECRET and more\r\n.\r\nlast line without an end"
)
BARE = MAIL.replace(b"\r\n", b"\n")
SECRET = b"SECRET"
FROM = b"From carol@example.net Mon Jan  3 00:00:00 2022\n"
AS_NOBODY = """
import ctypes, os, sys  # what is imported later may lie where nobody may read
from cmstream.command import archive, cli
from cmstream.recipients import key_transport
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(cli.main())
"""
"""The command as somebody whom the system refuses something."""


def write(path, data):
    path = Path(os.fsdecode(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def mbox(*mails):
    return b"".join(FROM + mail.rstrip(b"\n") + b"\n\n" for mail in mails)


def tar(members):
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, BytesIO(data))
    return out.getvalue()


def numbered(folder, count, data=BARE):
    """A folder of as many different mails and files, half and half."""
    for number in range(count):
        name = f"{number % 7}/{number}" + (".eml" if number % 2 else ".txt")
        write(folder / name, data + b" %d\n" % number)
    return folder


def tree(folder):
    """The contents of all files below, by their paths as bytes."""
    return {
        os.fsencode(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def sealed(target):
    """The sealed files, without what belongs to the archive itself."""
    return {name: data for name, data in tree(target).items() if not name.startswith(b".cmstream/")}


def rows(target):
    """The manifest, by name."""
    database = sqlite3.connect(target / ".cmstream" / "manifest.sqlite3")
    try:
        database.row_factory = sqlite3.Row
        return {one["name"]: dict(one) for one in database.execute("SELECT * FROM sealed")}
    finally:
        database.close()


def check_nothing_is_left(target):
    """No temporary file, and nothing readable in any file."""
    assert sorted(one.name for one in (target / ".cmstream").iterdir()) == [
        "lock",
        "manifest.sqlite3",
    ]
    assert not [name for name, data in tree(target).items() if SECRET in data]


def archived(source, target, person, **options):
    """Seals a source into an archive."""
    return seal([str(source)], str(target), [person.recipient], **{"processes": 1} | options)
