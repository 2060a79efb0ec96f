"""The keys that the options of ``cmstream decrypt`` give: all of all files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..certificates.key_files import is_pkcs12
from ..recipients.identity import Identity, load_identities, pair
from .endings import Failure
from .shared import add_password, archive_password, read, unlocked

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ..certificates.archive_keys import Password


def add_keys(parser: Any) -> None:
    """Adds the options that give keys."""
    add = parser.add_argument
    add("-k", "--key", action="append", default=[], metavar="KEY",
        help="private key, PEM or DER; may be given several times")  # fmt: skip
    add("-c", "--certificate", action="append", default=[], metavar="CERT",
        help="certificates of the keys; without any, a key is tried on each recipient")  # fmt: skip
    add("--pfx", action="append", default=[], metavar="PFX",
        help="keys and certificates in one PKCS #12 file; may be given several times")  # fmt: skip
    add_password(parser, "the PFX or the key; without these, of what is sealed with a password")


def identities(options: argparse.Namespace) -> Sequence[Identity | Password]:
    """At least one. Raises Failure."""
    if options.certificate and not options.key:
        raise Failure(os.EX_USAGE, "--certificate needs the private key: give it by --key")
    if options.pfx or options.key:
        return [one for name in options.pfx for one in _of_pfx(name, options)] + [
            one for name in options.key for one in _of_key(name, options)
        ]
    archive = archive_password(options)
    if archive is None:
        text = "--pfx, or --key with --certificate, or only the password of an archive"
        raise Failure(os.EX_USAGE, f"give {text}")
    return [archive]


def _of_pfx(name: str, options: argparse.Namespace) -> list[Identity]:
    data = read(name)
    if not is_pkcs12(data):
        remedy = ": give PEM with -k and -c" if b"-----BEGIN " in data else ""
        what = f"this isn't a PKCS #12 file{remedy} [not-a-certificate]"
        raise Failure(os.EX_DATAERR, f"{name}: {what}")
    return unlocked(name, options, lambda secret: load_identities(data, password=secret))


def _of_key(name: str, options: argparse.Namespace) -> list[Identity]:
    key = read(name)
    if is_pkcs12(key):
        what = "this is PKCS #12: give it with --pfx, without -k and -c [not-a-certificate]"
        raise Failure(os.EX_DATAERR, f"{name}: {what}")
    if not options.certificate:
        return unlocked(name, options, lambda secret: load_identities(key, password=secret))
    return unlocked(
        name,
        options,
        lambda secret: pair(key, [read(one) for one in options.certificate], secret),
        {"key": name, "certificate": " and ".join(options.certificate)},
    )
