"""What things are called in an archive: names that every file system, bucket and terminal takes,
and that give the source's own octets back."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from urllib.parse import unquote_to_bytes

META = ".cmstream"
"""The folder in a target that belongs to the archive itself."""

MAIL, FILE = ".eml", ".p7m"
"""How the names of sealed mails (S/MIME) and of all other sealed files (CMS in DER) end."""

_LONGEST = 255 - len(FILE)  # bytes of a file's name that file systems take
_KEPT = 180
# Octets that are no UTF-8, and what moves a terminal's cursor.
_ODD = re.compile("[%\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ENDING = re.compile(r"\.(?=(?:eml|p7m)\Z)", re.IGNORECASE)


def quoted(part: str) -> str:
    """A file's name, as the system gives it, as text: ``%XX`` stands for each octet that isn't
    printable UTF-8, and for ``%`` itself."""
    return _ODD.sub(_octets, part) if _ODD.search(part) else part


def _octets(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in os.fsencode(found[0]))


def quoted_folder(part: str) -> str:
    """The same for a folder, whose name never ends as that of a sealed file does."""
    if part in {"", ".", "..", META}:
        return "%2F" if not part else part.replace(".", "%2E")
    return as_folder(quoted(part))


def as_folder(part: str) -> str:
    """A quoted name with another sign for the dot of such an ending."""
    return _ENDING.sub("%2E", part)


def original(name: str) -> str:
    """What a quoted name stands for, as the system takes it."""
    return os.fsdecode(unquote_to_bytes(name)) if "%" in name else name


def target(name: str, ending: str) -> str:
    """The sealed file's place for a quoted name. Parts that are too long for a file system are cut,
    and told apart by a hash."""
    if ending == MAIL and name.endswith(MAIL):
        name = name[: -len(MAIL)]
    if len(name) > _LONGEST // 4:
        name = "/".join(map(_short, name.split("/")))
    return name + ending


def folded(name: str) -> str:
    """What file systems take for the same name that don't tell case or accents' forms apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def is_inside(name: str) -> bool:
    """Whether a sealed file's place is in the target, and not among what is the archive's own."""
    parts = name.split("/")
    return parts[0] != META and "\0" not in name and not {"", ".", ".."} & {*parts}


def _short(part: str) -> str:
    octets = part.encode()
    if len(octets) <= _LONGEST:
        return part
    digest = hashlib.sha256(octets).hexdigest()[:16]
    return octets[:_KEPT].decode(errors="ignore") + "~" + digest
