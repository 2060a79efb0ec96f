"""The peak memory of a process that encrypts one message, by the message's size."""

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
    """As a stream, which keeps no message in memory."""
    return memory.stream(mib * MIB // len(memory.LINE_BLOCK), sized=True).peak


def openssl(_mib: int, file: Path) -> int:
    """CMS_encrypt without CMS_STREAM."""
    libcrypto.load(libcrypto.build(file.parent)).encrypt(file.read_bytes(), "binary")
    return memory.peak()


def cryptography(_mib: int, file: Path) -> int:
    """PKCS7EnvelopeBuilder, which has no streams."""
    pyca.smime(file.read_bytes())
    return memory.peak()


WAYS: dict[str, tuple[Callable[[int, Path], int], int]] = {
    "cmstream EncryptWriter": (cmstream_stream, 1024),
    "OpenSSL binary, in memory": (openssl, 256),
    "cryptography SMIME, in memory": (cryptography, 64),
}
"""Each with the largest message it gets, in MiB: less for the slower ones."""


def peaks(lab: Lab, sizes: list[int], tell: Callable[[str], object]) -> dict[str, dict[int, int]]:
    """Bytes by MiB of message, for each way that this machine has."""
    here = {n: w for n, w in WAYS.items() if w[0] is not openssl or "OpenSSL" in lab.versions}
    found: dict[str, dict[int, int]] = {name: {} for name in here}
    for mib in sizes:
        tell(f"memory, {mib} MiB")
        file = lab.folder / "large.eml"
        file.write_bytes(message(mib * MIB))
        for name, (way, most) in here.items():
            if mib <= most:
                # A process for each, since a peak never falls.
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found[name][mib] = pool.apply(way, (mib, file))
    return found
