"""Mail from the store to the owner of an account, through the mail command."""

from __future__ import annotations

import subprocess
from email import policy
from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT = 20
"""Seconds that the mail command may take."""
_FORM = policy.SMTPUTF8.clone(linesep="\n")


def message(address: str, subject: str, lines: Sequence[str]) -> bytes:
    """A message of plain text. Raises ValueError for an address that can't stand in it."""
    made = EmailMessage(_FORM)
    made["To"] = address
    made["Subject"] = subject
    made["Auto-Submitted"] = "auto-generated"
    made.set_content("\n".join(lines))
    return made.as_bytes()


def send(command: Sequence[str], text: bytes) -> None:
    """Give it to the command on its standard input; the command finds the address in the To field,
    as ``sendmail -t -i`` does. Raises OSError, SubprocessError."""
    subprocess.run(list(command), input=text, timeout=TIMEOUT, check=True, capture_output=True)


def why(error: Exception) -> str:
    """What went wrong with it."""
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stderr or b"").decode("utf-8", "replace").strip().partition("\n")[0]
        return f"the mail command ended with {error.returncode}: {said}"
    return str(error)
