"""What a file is that holds no certificate in a form that is read here, as far as its beginning
tells, and how to get at the certificate."""

from __future__ import annotations

import re

_JAVA = (
    'take the certificate out by "keytool -exportcert -rfc -alias NAME -keystore FILE", or the key '
    'store into PKCS #12 by "keytool -importkeystore"'
)
_UNPACK = "unpack it and send the certificate that is inside"

_RECODE = (
    "save it in ASCII or UTF-8 (in PowerShell: Get-Content FILE | Set-Content -Encoding ascii NEW)"
)

_BEGINNINGS = {
    b"\xff\xfe": ("text in UTF-16", _RECODE),
    b"\xfe\xff": ("text in UTF-16", _RECODE),
    b"\0\0\xfe\xff": ("text in UTF-32", _RECODE),
    b"\xfe\xed\xfe\xed": ("a Java key store (JKS)", _JAVA),
    b"\xce\xce\xce\xce": ("a Java key store (JCEKS)", _JAVA),
    b"\x00\x00\x00\x02\x00\x00\x00\x14": ("a key store of Bouncy Castle (BKS)", _JAVA),
    b"\x00\x00\x00\x01\x00\x00\x00\x14": ("a key store of Bouncy Castle (BKS)", _JAVA),
    b"PK\x03\x04": ("a zip archive or an office document", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!": ("a rar archive", _UNPACK),
    b"\x1f\x8b": ("a file packed with gzip", _UNPACK),
    b"%PDF": ("a PDF document", "send the certificate file itself"),
    b"{\\rtf": ("a text document (RTF)", "send the certificate file itself"),
    b"\x89PNG": ("a picture", "send the certificate file itself"),
    b"\xff\xd8\xff": ("a picture", "send the certificate file itself"),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": (
        "a document or mail of Microsoft Office (such as .msg)",
        "save the mail as .eml, or send the certificate file itself",
    ),
    b"L\x00\x00\x00\x01\x14\x02\x00": ("a shortcut of Windows", "send the file that it leads to"),
    b"PuTTY-User-Key-File": ("a private key of PuTTY", "send an S/MIME certificate instead"),
    b"SQLite format 3": (
        "a database, perhaps a browser's (cert9.db)",
        "export the certificate in that program",
    ),
}
_UTF16 = re.compile(rb"(?:[\t\n\r -~]\0){4}|(?:\0[\t\n\r -~]){4}")
"""Without its mark."""
_WEB_PAGE = re.compile(rb"(?i)(?:\xef\xbb\xbf)?\s{0,64}(?:<!doctype html|<html)")


def named(data: bytes) -> str:
    """A sentence that says what the file is and what to do, without its full stop; "" if its
    beginning isn't known."""
    for beginning, (what, remedy) in _BEGINNINGS.items():
        if data.startswith(beginning):
            return _sentence(what, remedy)
    if _UTF16.match(data):
        return _sentence("text in UTF-16", _RECODE)
    if _WEB_PAGE.match(data[:256]):
        return "this is a web page, not a certificate: download the file that it leads to"
    return ""


def _sentence(what: str, remedy: str) -> str:
    return f"this is {what}, which isn't read as a certificate: {remedy}"
