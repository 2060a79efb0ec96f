"""Puts switches, settings, dates and errors into words for the pages."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .. import change_words, cipher_words
from ..account_settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ... import Problem, Recipient
    from ...errors import CmstreamError
    from ..cipher_words import Cipher
    from ..errors import AccessDenied
    from ..setting import Option, Setting


CIPHERS, BY_NAME, USUAL = cipher_words.CIPHERS, cipher_words.BY_NAME, cipher_words.USUAL
change, setting = change_words.change, change_words.setting

DONE = {
    "saved": "The certificates are saved.",
    "not-on": "The certificates are saved. Encryption isn't on yet: one of your mail programs "
    "can't open this cipher. Choose another one.",
    "on": "The certificates are saved, and mail is encrypted from now on.",
    "settings": "Your choice is saved.",
    "addresses": "The addresses are saved.",
    "off": "Encryption is off. New mail is stored as it comes.",
    "retired": "The certificate is retired: new mail isn't sealed for it any more.",
    "activated": "The certificate is in use again.",
    "deleted": "The certificate is deleted.",
    "described": "The description is saved.",
    "seen": "Thank you: it won't be shown again.",
    "sent": "The test message is on its way.",
    "read": "Good: your mail program opens sealed mail.",
    "password": "Your password is changed.",
    "signed-out": "You are signed out.",
    "removed": "The account is removed.",
    "added": "The account is added.",
    "switches": "The switches are set.",
}
UNSEALED_APPEND = "stay as they are: nothing on this server seals them"
APPEND_SEALED_BY = {
    "script": "This server seals them as they are saved.",
    "sweeper": "A program on this server seals them some time after they are saved. Until then they"
    " are in the mailbox as they were.",
}
"""What seals drafts and sent mail, by the switch."""
PFX_PASSWORD = "Password of a .pfx or .p12 file"  # noqa: S105 - a field's label
_INSTEAD = {
    "password-needed": "It has a password: type it, and choose the file again.",
    "wrong-password": "Its password is wrong: type it again, and choose the file again.",
    "private-key-only": "This is a private key, which is for you alone. It wasn't kept. Send the"
    " certificate alone, as .pem, .cer or .p7b.",
}
"""What is said of a file to whoever has the form before them."""


_LOCKED = {
    "password-needed": "{name} has a password: type it, and choose the file again.",
    "wrong-password": "The password of {name} is wrong: type it again, and choose the file again.",
}


def locked(error: CmstreamError, name: str) -> str:
    """What to say at the field for the password of a file, "" if that isn't what is wrong."""
    return _LOCKED.get(error.code, "").format(name=name)


def of_file(error: CmstreamError) -> str:
    """Why an uploaded file can't be used, and what to do in the form."""
    return _INSTEAD.get(error.code) or sentence(error)


SWITCHES: tuple[dict[str, Any], ...] = (
    {
        "name": "encryption",
        "label": "Encryption",
        "choices": (
            ("as-accounts-say", "As each account says", ""),
            ("off", "Off for everybody", "All mail is stored in the clear from now on."),
        ),
    },
    {
        "name": "encrypt_on_append",
        "label": SETTINGS["encrypt_on_append"].label,
        "choices": (
            ("", "As each account says", ""),
            ("yes", "Always encrypt it", ""),
            ("no", "Never encrypt it", ""),
        ),
    },
    {
        "name": "append_sealed_by",
        "label": "What seals drafts and sent mail on this server",
        "choices": (
            ("none", "Nothing", "Then owners don't see the choice for them."),
            ("script", "A script of the mail server", "It calls cmstream seal --append."),
            (
                "sweeper",
                "A program that goes through the mailboxes",
                "Until it has come by, they are in the mailbox as they were saved.",
            ),
        ),
    },
    {
        "name": "when_unusable",
        "label": "If an account has no usable certificate",
        "choices": (
            ("", "As each account says", ""),
            (
                "error",
                "Let its mail wait",
                "Mail servers try again for some days. It waits as it came.",
            ),
            ("clear", "Deliver it unencrypted", "Whoever runs the server can then read it."),
        ),
    },
    {
        "name": "header_protection",
        "label": SETTINGS["header_protection"].label,
        "choices": (
            ("", "As each account says", ""),
            ("none", "Always readable", ""),
            ("baseline", "Always hide the subject", "Some mail programs show [...] in its place."),
            (
                "shy",
                "Always hide the subject, names and the time zone",
                "Some mail programs show [...] in place of the subject.",
            ),
        ),
    },
    {
        "name": "default_header_protection",
        "label": "The subject and other header fields, for accounts that leave it to the server",
        "choices": (
            ("none", "Readable", ""),
            ("baseline", "Hide the subject", ""),
            ("shy", "Hide the subject, names and the time zone", ""),
        ),
    },
    {
        "name": "recipient_delimiter",
        "label": "Addresses with a detail",
        "choices": (),
        "text": "Recipient delimiter",
        "hint": "Mail for bob-lists is bob's if - is one. Write each character that your mail "
        "server takes, as +-; none if it takes none.",
    },
)
"""The switches in the form: each has choices, or else a text."""


def sentence(error: object) -> str:
    """An error's text, or a problem's, as a sentence that stands alone."""
    text = str(error).strip()
    closed = text if text.endswith((".", "!", "?")) else f"{text}."
    return closed[:1].upper() + closed[1:]


OTHER_NAME = (
    "The account is there, without an owner. Give its owner another name by the API"
    " (POST /api/v1/people), or remove that person."
)
CHANGED_MEANWHILE = (
    "It was changed meanwhile, by somebody else or in another window. This is how it is now:"
    " change it again if it still needs that."
)
PASSWORD_NEEDED = "Give your password again to change this."  # noqa: S105


def wrong_password(error: AccessDenied) -> str:
    """What to say where the password alone was asked for."""
    if error.code == "sign-in-failed":
        return "That isn't your password."
    return sentence(error)


def as_server_says(fields: str) -> str:
    """What leaving the header fields to the server means now. ``fields``: what it seals of them."""
    one = SETTINGS["header_protection"]
    return f"{one.say('as-server-says')}: {one.say(fields)}"


def options(one: Setting) -> Sequence[Cipher | Option]:
    """What a form offers for a setting."""
    return CIPHERS if one.name == "cipher" else one.options


def parted(one: Setting, chosen: Sequence[str]) -> tuple[Sequence[Any], Sequence[Any]]:
    """What a form offers for a setting at once, and what it offers when asked for more. Nothing is
    hidden if one of the latter is chosen."""
    offered = options(one)
    if one.name != "cipher" or set(chosen) - set(USUAL):
        return offered, ()
    usual = [option for option in offered if option.value in USUAL]
    return usual, [option for option in offered if option.value not in USUAL]


def cipher(name: str) -> str:
    """A cipher's name for people."""
    return BY_NAME[name].label if name in BY_NAME else name


def who(recipient: Recipient) -> str:
    """The name that stands above a certificate."""
    return recipient.emails[0] if recipient.emails else recipient.subject or "Without a name"


def problem(found: Problem) -> str:
    """A certificate's problem, and what it means where that isn't said."""
    more = _MEANS.get(found.code, "")
    return f"{sentence(found)} {more}".strip()


_MEANS = {
    "expired": "Mail is sealed to it only while you have no other. Add the new one soon.",
    "no-email-protection": "Some mail programs won't open mail with it.",
    "weak-key": "Ask for a new certificate with a longer key.",
    "no-email": "Make sure that it is yours.",
    "ca-certificate": "Make sure that it is a person's. One that you made needs CA:FALSE.",
}


def day(at: datetime) -> str:
    """Such as 24 November 2026."""
    return f"{at.day} {at:%B %Y}"


def moment(at: datetime) -> str:
    """Such as 24 Nov 2026, 19:53 UTC."""
    return f"{at.day} {at:%b %Y, %H:%M} UTC"


_DAYS_TO_COUNT = 2 * 365


def until(at: datetime) -> str:
    """How long it is to a moment."""
    days = (at - datetime.now(timezone.utc)).days
    if days < 0:
        return "expired"
    if days == 0:
        return "ends today"
    if days > _DAYS_TO_COUNT:
        return f"{days // 365} years left"
    return "1 day left" if days == 1 else f"{days} days left"


_MINUTES_TO_COUNT = 120


def within(at: datetime) -> str:
    """How long it is to a moment that is near, rounded up."""
    minutes = max(1, math.ceil((at - datetime.now(timezone.utc)).total_seconds() / 60))
    if minutes < _MINUTES_TO_COUNT:
        return "1 minute left" if minutes == 1 else f"{minutes} minutes left"
    return f"{round(minutes / 60)} hours left"


def grouped(fingerprint: str) -> str:
    """A fingerprint in groups that can be compared by eye."""
    return " ".join(fingerprint[i : i + 4] for i in range(0, len(fingerprint), 4))


FILTERS = {
    "day": day,
    "moment": moment,
    "until": until,
    "within": within,
    "grouped": grouped,
    "change": change,
    "problem": problem,
    "who": who,
}
