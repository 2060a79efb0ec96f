"""pytest-benchmark cases of one message at a time: ``pytest bench``. No timing is asserted."""

from __future__ import annotations

import pytest

import cmstream_encrypt
from goals import CHAIN

PEERS = ["OpenSSL binary", "OpenSSL binary stream", "OpenSSL stream", "cryptography SMIME",
         "cryptography DER"]  # fmt: skip
ENGINES = [CHAIN, *(engine.name for engine in cmstream_encrypt.one_message()), *PEERS]
ROUNDS = {"4 KiB": 50, "1 MiB": 20, "25 MiB": 5}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", list(ROUNDS))
def test_encrypt(measure, size, engine):  # noqa: ANN001, ANN201
    measure(engine, size, ROUNDS[size], every=False)
