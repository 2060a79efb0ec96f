"""What there is to seal: files, Maildirs, and the members of mbox and tar files, found one after
the other in constant memory."""

from __future__ import annotations

import os
import re
import stat
import tarfile
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import MessageError
from ..mail import mbox
from .items import FILE, MAIL, MBOX, Item, Stamp
from .names import as_folder, quoted, quoted_folder
from .report import Left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAILDIR = {"cur", "new", "tmp"}
_MAIL = re.compile(r"\.eml\Z", re.IGNORECASE)
_INFO = re.compile(r"[:;!]2,[^/]*\Z")
_CHUNK = 1 << 20


Found = Item | Left


def file_item(folder: str, part: str, path: str, root: int, stamp: Stamp) -> Item:
    """The item of a file in a folder that is no Maildir's. ``folder``: its quoted name, which ends
    in a slash."""
    name = quoted(part)
    kind = MAIL if _MAIL.search(part) else FILE
    if kind == MAIL and not part.endswith(".eml"):
        name = as_folder(name)  # the ending's case must not make two names one
    return Item(folder + name, root, path, kind, stamp)


def maildir_item(folder: str, part: str, path: str, root: int, stamp: Stamp) -> Item:
    """The item of a mail in a Maildir's ``new`` or ``cur``: its name stays the same when a mail
    program moves it to ``cur`` and changes its flags."""
    own = as_folder(quoted(_INFO.sub("", part)))
    box = folder[: -len("cur/")]
    return Item(f"{box}cur/{own}", root, path, MAIL, stamp, source=folder + quoted(part))


def walk(path: str, label: str, root: int) -> Iterator[Found]:
    """What a local file or folder holds, which is called ``label``. Links and devices aren't
    followed."""
    try:
        info = os.lstat(path)
    except OSError as error:
        yield unreadable(quoted(label), error)
        return
    if stat.S_ISDIR(info.st_mode):
        yield from _folder(path, quoted_folder(label) + "/", root)
    elif stat.S_ISREG(info.st_mode):
        yield file_item("", label, path, root, (info.st_size, info.st_mtime_ns))
    else:
        yield _special(quoted(label), stat.S_ISLNK(info.st_mode))


def unreadable(name: str, error: OSError) -> Left:
    """A source that can't be read."""
    return Left(name, "unreadable", error.strerror or type(error).__name__)


def _special(name: str, link: bool) -> Left:
    if link:
        return Left(name, "symbolic-link", "a symbolic link isn't followed")
    return Left(name, "special-file", "neither a file nor a folder")


def _folder(path: str, name: str, root: int) -> Iterator[Found]:
    """Depth first: only the names of the folders on the way are held."""
    waiting: list[tuple[str, str, Callable[..., Found]]] = [(path, name, file_item)]
    while waiting:
        path, name, item = waiting.pop()
        folders: list[str] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.name)
                    else:
                        yield _entry(entry, name, item, root)
        except OSError as error:
            yield unreadable(name, error)
        maildir = {*folders} >= _MAILDIR
        mail = _mails_once()
        for part in sorted(folders, reverse=True):
            inside = f"{name}{quoted_folder(part)}/"
            if maildir and part == "tmp":
                if _holds_something(f"{path}/{part}"):
                    yield Left(inside, "maildir-tmp", "what is delivered just now isn't mail yet")
            else:
                mails = maildir and part in _MAILDIR
                waiting.append((f"{path}/{part}", inside, mail if mails else file_item))


def _holds_something(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except OSError:
        return True


def _mails_once() -> Callable[..., Found]:
    """Items of one Maildir, each name once."""
    seen: set[int] = set()  # hashes

    def item(folder: str, part: str, path: str, root: int, stamp: Stamp) -> Found:
        found = maildir_item(folder, part, path, root, stamp)
        if hash(found.name) in seen:
            why = "another mail of this Maildir has the same name but for its flags: rename one"
            return Left(found.source, "same-name", why)
        seen.add(hash(found.name))
        return found

    return item


def _entry(entry: os.DirEntry[str], folder: str, item: Callable[..., Found], root: int) -> Found:
    try:
        if not entry.is_file(follow_symlinks=False):
            return _special(folder + quoted(entry.name), entry.is_symlink())
        info = entry.stat(follow_symlinks=False)
    except OSError as error:
        return unreadable(folder + quoted(entry.name), error)
    return item(folder, entry.name, entry.path, root, (info.st_size, info.st_mtime_ns))


# --- files that are split ----------------------------------------------------------------------


def looks_split(beginning: bytes) -> str:
    """Whether a file is split into its members: ``mbox``, ``tar`` or an empty text. ``beginning``:
    at least its first 2 KiB, if it has so many."""
    if beginning[257:262] == b"ustar":
        return "tar"
    if beginning[:5] != b"From ":
        return ""
    try:
        next(mbox.messages([beginning[: 4 << 10]]), None)
    except MessageError:
        return ""
    return "mbox"


def members(item: Item, what: str, file: BinaryIO) -> Iterator[Found]:
    """The members of an mbox or a tar file, as parts of it. Raises OSError, MessageError and
    tarfile.TarError where it can't be read to its end."""
    folder, _, part = item.name.rpartition("/")
    folder = f"{folder}/{as_folder(part)}/" if folder else f"{as_folder(part)}/"
    return _of_mbox(item, folder, file) if what == "mbox" else _of_tar(item, folder, file)


def look_into(file: BinaryIO) -> Callable[[int, int], bytes]:
    """What stands at an offset of a file, which goes on where it was."""

    def look(offset: int, count: int) -> bytes:
        here = file.tell()
        file.seek(offset)
        found = file.read(count)
        file.seek(here)
        return found

    return look


def _of_mbox(item: Item, folder: str, file: BinaryIO) -> Iterator[Item]:
    chunks = iter(lambda: file.read(_CHUNK), b"")
    number, start = 0, -1
    for message in mbox.messages(chunks, look_into(file)):
        if start >= 0:
            yield _entry_of_mbox(item, folder, number, start, message.start)
        number, start = number + 1, message.start
    if start >= 0:
        yield _entry_of_mbox(item, folder, number, start, item.stamp[0])


def _entry_of_mbox(item: Item, folder: str, number: int, start: int, end: int) -> Item:
    name = f"{folder}{number:06}"
    return item._replace(
        name=name, kind=MBOX, offset=start, length=end - start, source=name + ".eml"
    )


def _of_tar(item: Item, folder: str, file: BinaryIO) -> Iterator[Found]:
    seen: dict[int, int] = {}
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # or they would all be held
            if member.isdir():
                continue
            parts = [one for one in member.name.split("/") if one not in {"", "."}] or [""]
            inside = folder + "".join(f"{quoted_folder(one)}/" for one in parts[:-1])
            found = file_item(inside, parts[-1], item.path, item.root, item.stamp)
            yield _member(found._replace(name=_unused(found.name, seen)), member)


def _unused(name: str, seen: dict[int, int]) -> str:
    """A name that no member before has. ``seen``: how often each was asked for, by its hash."""
    own = hash(name)
    unused = name
    while hash(unused) in seen:
        seen[own] += 1
        unused = f"{name}~{seen[own]}"
    seen[hash(unused)] = 1
    return unused


def _member(found: Item, member: Any) -> Found:
    if member.issparse():
        return Left(found.name, "sparse-member", "a sparse member of a tar file: unpack it first")
    if not member.isreg():
        return _special(found.name, member.issym() or member.islnk())
    return found._replace(offset=member.offset_data, length=member.size)
