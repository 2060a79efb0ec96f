"""OpenSSL's ``cms`` command: the system's, and the newest."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from helpers.cases import KEK, KEK_ID, PASSWORD
from helpers.peers.program import Peer, missing, must, run

CIPHERS = {
    "aes128-cbc": "-aes-128-cbc",
    "aes256-cbc": "-aes-256-cbc",
    "aes128-gcm": "-aes-128-gcm",
    "aes256-gcm": "-aes-256-gcm",
    "chacha20-poly1305": "-chacha20-poly1305",
}
OAEP = "rsa_padding_mode:oaep"
SECRETS = {
    "KEK": ("-secretkey", KEK.hex(), "-secretkeyid", KEK_ID.hex()),
    "password": ("-pwri_password", PASSWORD),
}
KEY_OPTIONS = {
    "oaep-sha256": (OAEP, "rsa_oaep_md:sha256"),
    "oaep-sha384": (OAEP, "rsa_oaep_md:sha384"),
    "oaep-sha512": (OAEP, "rsa_oaep_md:sha512"),
}


def key_options(case, key):
    """Without any, it derives keys of elliptic curves with SHA-1."""
    if isinstance(key, EllipticCurvePrivateKey):
        return () if case.how == "sha1-kdf" else ("ecdh_kdf_md:sha256",)
    return KEY_OPTIONS.get(case.how, ())


class OpenSSL(Peer):
    programs = ("openssl",)
    forms = frozenset({"der", "pem", "smime", "message"})
    program = "openssl"

    def version(self):
        return must(self.program, "version").stdout.decode().split(" (")[0].strip()

    def open(self, sealed, person, form="der", command="cms"):
        who = ("-inkey", self.key(person), "-recip", self.certificate(person))
        return self._decrypt(sealed, who, form, command)

    def _decrypt(self, sealed, who, form="der", command="cms"):
        source, out = self.file("sealed", sealed), self.folder / "out"
        out.unlink(missing_ok=True)
        kind = form.upper() if form in {"der", "pem"} else "SMIME"
        done = run(self.program, command, "-decrypt", "-inform", kind, "-in", source, *who,
                   "-out", out)  # fmt: skip
        return out.read_bytes() if done.returncode == 0 else None

    def seal(self, data, people, form="der", options=("-aes256",), each=()):
        """``options`` of the command, and those for each recipient."""
        to = [word for one in people for word in ("-recip", self.certificate(one), *each)]
        sealed = self._encrypt(data, [*options, *to], form)
        assert sealed is not None
        return sealed

    def _encrypt(self, data, words, form="der"):
        source, out = self.file("in", data), self.folder / "sealed"
        done = run(self.program, "cms", "-encrypt", "-binary", "-outform", form.upper(),
                   "-in", source, "-out", out, *words)  # fmt: skip
        return out.read_bytes() if done.returncode == 0 else None

    def reads(self, case, sealed):
        return super().reads(case, sealed) or self._decrypt(sealed, SECRETS.get(case.kind, ()))

    def writes(self, case, data):
        if case.how == "explicit-null":
            return None
        options = [CIPHERS[case.cipher]]
        if case.named == "ski":
            options.append("-keyid")
        if case.streamed:
            options.append("-stream")
        options += [word for kind in case.secrets for word in SECRETS[kind]]
        for one in case.people:
            options += ["-recip", self.certificate(one)]
            options += [word for what in key_options(case, one.key) for word in ("-keyopt", what)]
        return self._encrypt(data, options)


class NewestOpenSSL(OpenSSL):
    """.ci/openssl builds it; NEWEST_OPENSSL says where it is."""

    programs = ()

    def __init__(self, folder):
        super().__init__(folder)
        self.program = os.environ.get("NEWEST_OPENSSL")
        if not self.program:
            missing("the newest OpenSSL (.ci/openssl builds it, NEWEST_OPENSSL names it)")
