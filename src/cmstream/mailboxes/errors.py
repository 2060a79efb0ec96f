"""The exceptions of mailboxes: each has a type, a code and a sentence."""

from __future__ import annotations

from ..errors import CmstreamError


class MailboxError(CmstreamError):
    """A mailbox that can't be used, or not now; what was begun is finished by the next run.

    Codes: ``busy`` (another run works on it), ``invalid-place``, ``no-such-mailbox``,
    ``permission-denied``, ``key-not-proved``, ``journal-unavailable``, ``newer-journal``,
    ``needs-package``; of a server ``sign-in-failed``, ``untrusted-certificate``, ``no-such-host``,
    ``no-uidplus``, ``unsupported-server``, ``unavailable`` (out of reach, or it says so).
    """


class LeftAlone(CmstreamError):
    """A message that stays as it is, since its stored form can't be read here, or mustn't be.

    Codes: ``compressed``, ``encrypted-by-server``, ``not-a-file``, ``shared-name``, ``unreadable``.
    """
