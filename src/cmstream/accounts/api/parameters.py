"""The parameters that operations of the API share: their paths, their names and their bounds."""

from __future__ import annotations

from ..addresses import LONGEST
from ..http.inputs import LARGEST, PASSWORD_BASE64_HEADER, PASSWORD_HEADER
from ..http.views import ROOT
from .schemas import ADDRESS, LINE, Schema, flag, number, text

ACCOUNT = f"{ROOT}/accounts/{{address:address}}"
CERTIFICATE = f"{ACCOUNT}/certificates/{{fingerprint:fingerprint}}"

IN_PATH: dict[str, Schema] = {
    "address": ADDRESS,
    "fingerprint": text(
        "SHA-256 of the certificate, hexadecimal.",
        pattern="^[0-9a-fA-F]{64}$",
        minLength=64,
        maxLength=64,
    ),
    "entry": number("The entry's number.", minimum=1, maximum=LARGEST),
    "id": number("The token's number.", minimum=1, maximum=LARGEST),
    "name": text("The person's name.", minLength=1, maxLength=200, pattern="^[^/]+$"),
}
"""What may stand in paths, by its name there."""

_LIMIT = number("How many at most.", minimum=1, maximum=1000, default=100)


def _line(description: str) -> Schema:
    return {**LINE, "pattern": "^[ -~]*$", "description": description}


LIST: dict[str, Schema] = {
    "search": _line(
        "A part of an address, a domain, or of a certificate's subject, description or fingerprint."
    ),
    "expiring_within": number(
        "Days in which the last certificate in use expires.", minimum=0, maximum=36500
    ),
    "unprotected": flag("Only those whose mail isn't sealed."),
    "after": {**_line("The page before ended with it."), "maxLength": LONGEST},
    "limit": _LIMIT,
}
AUDIT: dict[str, Schema] = {
    "before": number("Entries with a smaller number.", minimum=1, maximum=LARGEST),
    "limit": _LIMIT,
    "unacknowledged": flag("What others changed and the owner hasn't seen."),
}
SWITCH_ON: dict[str, Schema] = {
    "without_certificate": flag(
        "Switch encryption on although no certificate can be used: all mail waits then."
    ),
}
IMPORT: dict[str, Schema] = {
    "preview": flag("Only tell what would be taken."),
    "confirm_mismatch": flag("Take certificates for another address too."),
    "retire_others": flag("Retire all other certificates of the account."),
    "description": _line("In the owner's words."),
}
PASSWORDS: dict[str, Schema] = {
    PASSWORD_HEADER: text("The password of a PFX, in UTF-8."),
    PASSWORD_BASE64_HEADER: text(
        "The same in base64, for a password that a header can't carry.",
        pattern="^([A-Za-z0-9+/]{4})*$",
    ),
}
