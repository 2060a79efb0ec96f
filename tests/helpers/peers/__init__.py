"""Other people's software. A missing peer skips the test, but in CI it fails."""

from __future__ import annotations

from helpers.peers.bouncy import BouncyCastle
from helpers.peers.dovecot import Dovecot
from helpers.peers.gpgsm import Gpgsm
from helpers.peers.mail_parser import MailParser
from helpers.peers.nss import Nss
from helpers.peers.openssl import NewestOpenSSL, OpenSSL
from helpers.peers.program import must, run
from helpers.peers.pyca import Pyca

__all__ = [
    "BouncyCastle",
    "Dovecot",
    "Gpgsm",
    "MailParser",
    "NewestOpenSSL",
    "Nss",
    "OpenSSL",
    "Pyca",
    "must",
    "run",
]
