"""Makes the sealed test message, by which people see whether their mail program opens it."""

from __future__ import annotations

import subprocess
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from typing import TYPE_CHECKING

from ...encryption import encrypt_message
from .. import owner_mail
from ..errors import Conflict

if TYPE_CHECKING:
    from ..store import Store

SUBJECT = "A sealed test message"
TEXT = """\
If you can read this, your mail program has opened a sealed message: it has the private
key to one of the certificates of {address}, and knows the cipher.

Nothing else is in it. Umlauts and more, to see that they came through: ä ö ü ß é ñ ø ł 漢字 ✓
"""


def sealed(store: Store, address: str) -> bytes:
    """A message to the account, sealed as mail that arrives for it is now.

    Raises Conflict with the reason's code if such mail isn't sealed at all; UnusableAccount,
    NotFound, Invalid, StoreUnavailable as the store does.
    """
    account = store.account(address)
    seal = store.seal_for(account.address)
    if seal.recipients is None or seal.policy is None:
        raise Conflict(seal.reason.code, f"mail to {account.address} isn't sealed: {seal.reason}")
    return bytes(encrypt_message(_message(account.address), seal.recipients, policy=seal.policy))


def send(store: Store, address: str) -> None:
    """Send such a message by the command that the server sends mail with.

    Raises Conflict ``no-mail-command`` where it has none, ``mail-failed``; AccessDenied
    ``too-many-attempts``; and as :func:`sealed` does.
    """
    if not store.notify:
        raise Conflict("no-mail-command", "this server sends no mail: download the message instead")
    message = sealed(store, address)
    store.claim_test(address)
    try:
        owner_mail.send(store.notify, message)
    except (OSError, subprocess.SubprocessError) as error:
        text = "the mail command failed: download the message instead"
        raise Conflict("mail-failed", text) from error


def _message(address: str) -> bytes:
    local, _, domain = address.rpartition("@")
    message = EmailMessage(policy=SMTP.clone(utf8=not address.isascii()))
    message["From"] = Address("cmstream", addr_spec="cmstream@localhost")
    message["To"] = Address(username=local, domain=domain)
    message["Subject"] = SUBJECT
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain="localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(TEXT.format(address=address))
    return message.as_bytes()
