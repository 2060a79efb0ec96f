"""What becomes of one message for one or more addresses, once the store has said how mail for each
is sealed: to whom and how it is sealed, what is wrong with it, and the sealed message."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ..certificates.recipient import Recipient
from ..cms import already_encrypted
from ..encryption import encrypt_message
from ..errors import MessageError
from ..mail.mime import HEADER_LIMIT, PEEK_LIMIT, header_end
from ..policy import CIPHER_CHOICES
from ..recipients.recipients import Recipients
from ..scratch import CHUNK, MEMORY, Scratch
from .clients import judge
from .errors import MixedRecipients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..policy import Policy
    from .lookup import Seal


# --- several addresses -----------------------------------------------------------------------


def together(seals: Sequence[Seal]) -> tuple[Recipients, Policy] | None:
    """To whom and how one message for all of them is sealed; None if all of them leave it.

    Of their ciphers it is the one that most programs read, and of their header protection the
    least. Raises MixedRecipients where some
    leave it, RecipientError where their certificates can't be used together.
    """
    sealing = [(one.recipients, one.policy) for one in seals if one.recipients and one.policy]
    if not sealing:
        return None
    left = [one.reason for one in seals if one.action == "leave"]
    if left:
        raise MixedRecipients(
            f"mixed recipients: one requires encryption, and another isn't sealed for "
            f"({left[0]} [{left[0].code}])"
        )
    policy = _most_read([policy for _, policy in sealing])
    if len(sealing) == 1:
        return sealing[0][0], policy
    to = Recipients([one for recipients, _ in sealing for one in recipients])
    to.check(policy)
    return to, policy


def _most_read(policies: Sequence[Policy]) -> Policy:
    policy = min(policies, key=lambda one: CIPHER_CHOICES.index(one.cipher))
    protection = min((one.header_protection for one in policies), key=_PROTECTIONS.index)
    if policy.header_protection == protection:
        return policy
    return policy.clone(header_protection=protection)


_PROTECTIONS = (None, "baseline", "shy")


def mixed_key_warnings(seals: Sequence[Seal], to: Recipients, policy: Policy) -> list[str]:
    """A sentence for each account whose mail programs would open a message for them alone, and not
    this one."""
    keys = _keys(to)
    warnings = []
    for seal in seals:
        if seal.account is None or seal.recipients is None or seal.policy is None:
            continue
        clients = seal.account.clients
        alone = judge(clients, cipher=seal.policy.cipher, keys=_keys(seal.recipients))
        warnings += [
            f"{seal.account.address}: {finding}"
            for finding in judge(clients, cipher=policy.cipher, keys=keys)
            if finding.level == "refuse" and finding not in alone
        ]
    return warnings


def _keys(to: Recipients) -> list[str]:
    return [one.key for one in to if isinstance(one, Recipient)]


# --- the message -----------------------------------------------------------------------------


def is_encrypted(message: Scratch) -> bool:
    """Whether it is sealed already, by all of it, in constant memory."""
    if message.held is not None:
        return already_encrypted.is_encrypted(message.held)
    start = _start(message)
    try:
        end, _ = header_end(start, 0, final=False)
    except MessageError:
        return False  # its header is too long; whoever seals it says so
    if end is None:
        return False
    rest = iter(lambda: message.read(CHUNK) or b"", b"")
    body = itertools.chain([start[end:]], rest)
    return already_encrypted.is_encrypted_body(start[:end], body)


def odd_header(message: Scratch) -> str | None:
    """A sentence about a header block that ends in the middle, or that isn't there: what stands
    behind is sealed as text, and a mail program shows it as such. None for any other message."""
    start = _start(message)
    end, _ = header_end(start, 0, final=True)
    blank = (b"\n" + start[:end]).endswith((b"\n\n", b"\n\r\n"))
    if end is None or end >= len(start) or blank:
        return None
    line = start[:end].count(b"\n") + 1
    return (
        f"line {line} of the message is no header field, or has a carriage return alone in it: "
        "all from there on is sealed as text"
    )


def _start(message: Scratch) -> bytes:
    """As much as a header may take, and some of the body. The next read goes on behind it."""
    message.seek(0)
    return message.read(HEADER_LIMIT + PEEK_LIMIT) or b""


def sealed(message: Scratch, to: Recipients, policy: Policy, memory: int = MEMORY) -> Scratch:
    """The sealed message, complete. What is too long for memory is read and written piece by
    piece; what comes out waits in a file if it is longer than ``memory``. Raises
    MessageError for what can't be sealed as it is, OSError where the disk is full."""
    result = Scratch(memory)
    if message.held is None:
        from ..streams import encrypt_iter  # noqa: PLC0415 - for long messages alone

        message.seek(0)
        for piece in encrypt_iter(message, to, form="message", policy=policy):
            result.write(piece)
    else:
        result.write(encrypt_message(message.held, to, policy=policy))
    return result
