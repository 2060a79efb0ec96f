"""The one exception of all that looks for a proof that a message is encrypted."""

from __future__ import annotations


class UnprovedError(Exception):
    """What was looked at isn't encrypted, or nobody can tell that it is."""
