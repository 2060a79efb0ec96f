"""Chooses the cipher of a message and each recipient's key transport where a policy leaves them
open, and refuses what the policy forbids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..certificates import keys, x509
from ..certificates.archive_keys import Kek
from ..certificates.recipient import Recipient
from ..ciphers import BY_STRENGTH, KEY_LEN
from ..errors import RecipientError
from .recipient_info import unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..certificates.archive_keys import ArchiveKey
    from ..policy import Policy

    Anyone = Recipient | ArchiveKey

EVERY_CLIENT = frozenset({"aes256-cbc", "aes128-cbc"})
"""What every client reads, also one that doesn't say: S/MIME 3.2 (RFC 5751 section 2.7) has
both."""

_NAMED = 5


def resolve_policies(recipients: Sequence[Anyone], policy: Policy) -> list[Policy]:
    """For each recipient the policy that leaves nothing open: the cipher of all, and its own key
    transport. Raises RecipientError ``unusable-recipient``."""
    cipher = content_cipher(recipients, policy)
    transports = [key_transport(one, policy) for one in recipients]
    concrete = {name: _with(policy, cipher, name) for name in dict.fromkeys(transports)}
    return [concrete[name] for name in transports]


def _with(policy: Policy, cipher: str, transport: str) -> Policy:
    if (policy.cipher, policy.key_transport) == (cipher, transport):
        return policy
    return policy.clone(cipher=cipher, key_transport=transport)


def content_cipher(recipients: Sequence[Anyone], policy: Policy) -> str:
    """The policy's cipher; where that is ``"auto"``, the strongest that it doesn't forbid and that
    all recipients read, and if there is none that all read, the strongest of what every client
    reads. Raises RecipientError ``unusable-recipient`` where the policy forbids all those."""
    if policy.cipher != "auto":
        return policy.cipher
    common = frozenset.intersection(*map(_reads, recipients)) or EVERY_CLIENT
    for cipher in BY_STRENGTH:
        if cipher in common - policy.forbid:
            return cipher
    raise _nothing_left(recipients, policy)


def key_transport(recipient: Anyone, policy: Policy) -> str:
    """The key transport for one recipient; it only matters for an RSA key.

    It is the policy's key transport, or with ``cipher="auto"`` the OAEP that the certificate
    names first, the hashes being equally good; a key marked for OAEP gets one in any case, the one
    that its own parameters name, else with SHA-256 unless another is asked for. Raises
    RecipientError ``unusable-recipient`` where the policy forbids it."""
    if not isinstance(recipient, Recipient) or not keys.rsa_bits(recipient.public_key):
        return policy.key_transport
    usable = _transports(recipient, policy)
    for transport in usable:
        if transport not in policy.forbid:
            return transport
    raise unusable(
        recipient,
        f"it needs the key transport {' or '.join(usable)}, which the policy forbids: allow it, "
        "choose another key transport, or ask for another certificate",
    )


def _transports(recipient: Recipient, policy: Policy) -> list[str]:
    """The key transports that would do, the best first."""
    wished = (recipient.capabilities or ()) if policy.cipher == "auto" else ()
    every = [*filter(_is_oaep, wished), policy.key_transport]
    if not recipient.oaep_only:
        return every
    own = x509.own_oaep(x509.parse(recipient.der).public_key)
    return [own] if own else [*filter(_is_oaep, every)] or ["oaep-sha256"]


def _is_oaep(name: str) -> bool:
    return name.startswith("oaep-")


def _reads(recipient: Anyone) -> frozenset[str]:
    if not isinstance(recipient, Recipient):  # an archive is opened by the program that made it
        most = len(recipient.octets) if isinstance(recipient, Kek) else max(KEY_LEN.values())
        return frozenset(name for name in BY_STRENGTH if KEY_LEN[name] <= most)
    # Many certificates name only ciphers of the nineties, though their owners read AES.
    return frozenset(recipient.capabilities or ()) & frozenset(BY_STRENGTH) or EVERY_CLIENT


def _nothing_left(recipients: Sequence[Anyone], policy: Policy) -> RecipientError:
    remedy = "forbid less, or choose the cipher in the policy"
    people = [one for one in recipients if isinstance(one, Recipient)]
    for recipient in people:
        if not (reads := _reads(recipient)) - policy.forbid:
            names = ", ".join(cipher for cipher in BY_STRENGTH if cipher in reads)
            how = "as far as its certificate tells, it reads"
            return unusable(recipient, f"{how} {names}, which the policy forbids: {remedy}")
    names = "; ".join(recipient.subject for recipient in people[:_NAMED]) or "an archive"
    more = "; …" if people[_NAMED:] else ""
    return RecipientError(
        "unusable-recipient",
        f"there is no cipher that all of them read and the policy allows ({names}{more}): {remedy}"
        ", or encrypt to each by itself",
    )
