"""The most memory that a process has resident while it seals one message, by the message's size."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

import libcrypto
import memory
import pyca
from samples import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engines import Lab

MIB = 1 << 20


def cmstream_stream(mib: int, _file: Path) -> int:
    """A stream, which needs no message in memory."""
    return memory.stream(mib * MIB // len(memory.LINE_BLOCK), sized=True).peak


def openssl(_mib: int, file: Path) -> int:
    """CMS_encrypt without CMS_STREAM."""
    libcrypto.load(libcrypto.build(file.parent)).encrypt(file.read_bytes(), "binary")
    return memory.peak()


def cryptography(_mib: int, file: Path) -> int:
    """PKCS7EnvelopeBuilder, which knows no other way."""
    pyca.smime(file.read_bytes())
    return memory.peak()


WAYS: dict[str, tuple[Callable[[int, Path], int], int]] = {
    "cmstream EncryptWriter": (cmstream_stream, 1024),
    "OpenSSL binary, in memory": (openssl, 256),
    "cryptography SMIME, in memory": (cryptography, 64),
}
"""Each with the most MiB that it is given: the slower, the less."""


def footprint(
    lab: Lab, sizes: list[int], tell: Callable[[str], object]
) -> dict[str, dict[int, int]]:
    """Octets by MiB of message, of each way that there is on this machine."""
    here = {n: w for n, w in WAYS.items() if w[0] is not openssl or "OpenSSL" in lab.versions}
    found: dict[str, dict[int, int]] = {name: {} for name in here}
    for mib in sizes:
        tell(f"memory, {mib} MiB")
        file = lab.folder / "large.eml"
        file.write_bytes(message(mib * MIB))
        for name, (way, most) in here.items():
            if mib <= most:
                # A process for each: a peak never falls.
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found[name][mib] = pool.apply(way, (mib, file))
    return found
