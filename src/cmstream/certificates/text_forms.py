"""What people's programs make of a certificate in text: typographic dashes and spaces, literal
escapes, directory entries, mails, base64 alone. Brought back to PEM or to octets.

Nothing here asks what the octets are, and all of it takes time in proportion to the text.
"""

from __future__ import annotations

import base64
import re
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PARTS = 50
"""Parts of a mail that are looked at. A signed one has one signature, and a chain a few files."""
MAX_HEADER = 8 << 10
"""Octets of a part's header on either side of its Content-Type."""

_TYPOGRAPHY = {
    **dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2212, 0xFE63, 0xFF0D], "-"),
    **dict.fromkeys([0x2013, 0x2014, 0x2015], "--"),  # en, em, horizontal bar
    **dict.fromkeys([0xA0, 0x85, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " "),
    **dict.fromkeys([0xAD, *range(0x200B, 0x2010), 0x2060, 0xFEFF], ""),  # no width
    **dict.fromkeys([0x2028, 0x2029], "\n"),
}
_LOOSE_MARKER = re.compile(
    rb"-{1,15}[ \t]{0,4}(BEGIN|END)[ \t]{1,4}"
    rb"((?:X509 |TRUSTED )?CERTIFICATE|PKCS7|PKCS #7 SIGNED DATA|CMS|PKCS12|PFX)[ \t]{0,4}-{1,15}"
)
_QUOTED = re.compile(rb"(?m)^[> \t]*>[ \t]?")
_ESCAPED_END = re.compile(rb"\\{1,4}[nrt]")
_ESCAPED_ASCII = re.compile(rb"\\u00([2-7][0-9A-Fa-f])")


def plain(data: bytes) -> bytes:
    """The text in UTF-8 with LF and common dashes and spaces, without what quoting it has added."""
    text = data if data.isascii() else _common(data)
    if b"BEGIN%20" in text:
        text = unquote_to_bytes(text)
    if b"\\" in text:
        text = _ESCAPED_END.sub(b"\n", text)
        text = _ESCAPED_ASCII.sub(lambda found: bytes.fromhex(found[1].decode()), text)
        text = text.replace(b"\\/", b"/")
    return _QUOTED.sub(b"", text.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))


def _common(data: bytes) -> bytes:
    """Typographic characters as ASCII has them; how many hyphens became one dash, nobody knows."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return _LOOSE_MARKER.sub(rb"-----\1 \2-----", text.translate(_TYPOGRAPHY).encode())


def has_odd_dashes(text: bytes) -> bool:
    """Whether there is a BEGIN line, but for the number of its hyphens."""
    return _LOOSE_MARKER.search(text) is not None


# --- octets in base64 ------------------------------------------------------------------------

_ATTRIBUTE = re.compile(
    rb"(?im)^(?:(?:userCertificate|userSMIMECertificate|userPKCS12|cACertificate)(?:;[\w-]+)*::"
    rb"|(?:\w+\.)?KEY(?:;[^:\n]{1,200})?:(?:data:[^,\n]{1,200},)?)[ \t]*([A-Za-z0-9+/]+=*)[ \t]*$"
)
_XML = re.compile(rb"<(?:\w{1,32}:)?X509Certificate>([A-Za-z0-9+/=\s]*)<")
_PART = re.compile(
    rb"(?im)^content-type:[ \t]*(?:\n[ \t]+)?\"?application/(?:"
    rb"(?:x-)?pkcs7-(?:(?P<signature>signature)|mime)|(?:x-)?pkcs12|pkix-cert|x-x509-(?:ca|user|email)-cert|x-pkcs7-cert\w+|x-pem-file|"
    rb"octet-stream)\b"
)
_IN_BASE64 = re.compile(rb"(?im)^content-transfer-encoding:[ \t]*(?:\n[ \t]+)?base64")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")


def embedded(text: bytes) -> list[bytes]:
    """The octets that a text without armour holds in base64: values of a directory entry (LDIF, RFC
    2849) or a vCard (RFC 6350), XML's X509Certificate, parts of a mail, or the whole text."""
    unfolded = re.sub(rb"\n[ \t]", b"", text)
    values = [found[1] for found in _ATTRIBUTE.finditer(unfolded)]
    values += [found[1] for found in _XML.finditer(text)]
    values = values or list(_parts(text))
    if not values:
        whole = b"".join(text.split()).strip(b"\"',;")
        values = [whole] if _BASE64.fullmatch(whole) else []
    return [octets for octets in map(octets_of, values) if octets]


def _parts(text: bytes) -> Iterator[bytes]:
    """The bodies of a mail's parts that may hold certificates, whatever holds the parts. Of several
    signatures only the last: it is the sender's, behind those of the mails that were passed on."""
    last = -1
    parts = list(islice(_PART.finditer(text), MAX_PARTS))
    signatures = [part for part in parts if part["signature"]]
    for part in parts:
        if part in signatures[:-1]:
            continue
        end = text.find(b"\n\n", part.start(), part.end() + MAX_HEADER)
        before = text[max(0, part.start() - MAX_HEADER) : part.start()].rpartition(b"\n\n")[2]
        # A second field of one header has the same body, which is read but once.
        if end > last and _IN_BASE64.search(before + text[part.start() : end]):
            last = end
            yield text[end + 2 :].partition(b"\n--")[0]


def octets_of(value: bytes) -> bytes:
    """What a value in base64 stands for, its padding there or not; b"" if it is something else."""
    value = b"".join(value.split()).rstrip(b"=")
    if not _BASE64.fullmatch(value) or len(value) % 4 == 1:
        return b""
    return base64.b64decode(value + b"=" * (-len(value) % 4))


_MAIL_FIELD = re.compile(
    rb"(?im)^(?:received|return-path|message-id|mime-version|from|delivered-to):"
)


def is_mail(text: bytes) -> bool:
    """Whether a text begins as mails do."""
    head = text[:MAX_HEADER].partition(b"\n\n")[0]
    return bool(_MAIL_FIELD.search(head))


def is_ldif(text: bytes) -> bool:
    """Whether a text begins as a directory's entries do."""
    return bool(re.match(rb"(?i)(?:version:[^\n]*\n|#[^\n]*\n|\n){0,50}dn::?[ \t]", text))
