"""Checks, hashes (argon2id) and verifies people's passwords."""

from __future__ import annotations

import base64
import re
import secrets
import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ..errors import Invalid

SHORTEST, LONGEST = 12, 1024
"""Characters of a password. NIST SP 800-63B asks for a length and for no mixture of characters."""

HASHES_AT_ONCE = 4
"""Each hash takes 64 MiB (RFC 9106, section 4, the second choice), so that a flood of sign-ins
could take a machine's memory; more of them wait."""

_FEWEST_DIFFERENT = 5
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
)
_COMMON = frozenset(
    [
        "administrator",
        "changeme",
        "correcthorsebatterystaple",
        "cmstream",
        "iloveyou",
        "letmein",
        "passphrase",
        "passw0rd",
        "passwort",
        "password",
        "qwertyuiop",
        "smime",
        "trustno1",
        "welcome",
    ]
)
_LEAST_BESIDE = 6
"""How many characters a password must have beside what is easily guessed."""

_hasher = PasswordHasher()
_turns = threading.BoundedSemaphore(HASHES_AT_ONCE)


def hashed(password: str) -> str:
    """The password as it is stored, with a salt of its own, in argon2's encoded form."""
    with _turns:
        return _hasher.hash(_encoded(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one. Without a stored one the work is the same, so that
    the time doesn't tell which names there are."""
    if len(password) > LONGEST:
        password = ""
    with _turns:
        try:
            return _hasher.verify(stored or _NOBODYS, _encoded(password)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def outdated(stored: str) -> bool:
    """Whether it was hashed with other parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def check(password: str, *about: str) -> None:
    """Raises Invalid ``invalid-password`` for one that is too short, too long, or among the first
    to be guessed.

    ``about``: what whoever guesses knows, such as the person's name and address.
    """
    if len(password) > LONGEST:  # before it is normalised, which takes time by the square
        raise _weak(f"the password is longer than {LONGEST} characters: take a shorter one")
    text = _normal(password)
    if len(text) < SHORTEST:
        raise _weak(f"the password is shorter than {SHORTEST} characters: take a longer one")
    low = text.casefold()
    if len(set(low)) < _FEWEST_DIFFERENT or _is_run(low):
        raise _weak("the password repeats itself or follows the keyboard: take another one")
    if _beside(low, about) < _LEAST_BESIDE:
        raise _weak(
            "the password is hardly more than your name or a common password: take another one"
        )


def _weak(why: str) -> Invalid:
    return Invalid("invalid-password", why)


def _normal(password: str) -> str:
    """One form of what keyboards write differently (NIST SP 800-63B, section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _encoded(password: str) -> bytes:
    return _normal(password).encode("utf-8", "surrogatepass")


def _is_run(low: str) -> bool:
    """Whether it is a piece of a row of keys, once or several times, there or back."""
    for length in range(1, len(low) // 2 + 1):
        if (low[:length] * (len(low) // length + 1)).startswith(low):
            low = low[:length]
            break
    rows = [*_ROWS, *(row[::-1] for row in _ROWS)]
    return len(low) < _LEAST_BESIDE or any(low in row for row in rows)


def _beside(low: str, about: tuple[str, ...]) -> int:
    """How many characters stay when all is taken away that is easily guessed."""
    names = [part for name in about for part in (name, *re.split(r"[@._-]", name))]
    for known in sorted({*_COMMON, *map(str.casefold, names)}, key=len, reverse=True):
        if len(known) > 2:  # noqa: PLR2004 - shorter ones stand in too many words
            low = low.replace(known, "")
    return len(low)


def _nobodys() -> str:
    """A hash that no password has, by today's parameters."""
    random = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_hasher.salt_len, _hasher.hash_len)
    )
    work = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    return "$".join(["", "argon2id", "v=19", work, *random])


_NOBODYS = _nobodys()
