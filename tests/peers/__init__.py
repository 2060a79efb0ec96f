"""Other people's software. A missing peer skips the test, but in CI it fails."""

from __future__ import annotations

from .bouncy import BouncyCastle
from .gpgsm import Gpgsm
from .nss import Nss
from .openssl import NewestOpenSSL, OpenSSL
from .program import must, run
from .pyca import Pyca

__all__ = ["BouncyCastle", "Gpgsm", "NewestOpenSSL", "Nss", "OpenSSL", "Pyca", "must", "run"]
