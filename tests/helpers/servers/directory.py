"""A directory in an LDAP server of its own, and ``cmstream account sync ldap`` with it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from helpers.authorities import rsa_identity
from helpers.command import run
from helpers.servers import slapd
from helpers.servers.slapd import BASE

pytest.importorskip("ldap", reason="python-ldap isn't there")
trustme = pytest.importorskip("trustme")
if not slapd.PROGRAM or not slapd.SCHEMAS.is_dir():
    pytest.skip("slapd isn't there", allow_module_level=True)

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"


def fixtures():
    """Two fixtures: ``server`` is the directory, ``sync`` runs the command."""

    @pytest.fixture(name="server")
    def directory(tmp_path):
        folder = tmp_path / "slapd"
        folder.mkdir()
        made = slapd.Slapd(folder)
        made.authority, made.ca_file = trustme.CA(), folder / "ca.pem"
        made.authority.cert_pem.write_to_path(str(made.ca_file))
        certify(made, made.place.host)
        with made:
            made.fill()
            yield made

    @pytest.fixture(name="sync")
    def command(server, sqlite_url):
        """Runs the command, by the socket if no URL is given; gives what it says."""

        def sync(*words, code=0, url=None):
            words = ("--base", BASE, *words) if "--base" not in words else words
            command = ["account", "sync", "ldap", "--database", sqlite_url, *words]
            done = run(*command, url or server.socket, code=code)
            assert b"Traceback" not in done.stderr
            done.lines = done.stdout.decode().splitlines()
            done.said = done.stderr.decode()
            return done

        return sync

    return directory, command


def certify(server, name):
    own = server.authority.issue_cert(name)
    own.cert_chain_pems[0].write_to_path(str(server.certificate))
    own.private_key_pem.write_to_path(str(server.key))


def der(number=0, address=ALICE, **options):
    return certificate(number, address, **options).public_bytes(Encoding.DER)


def certificate(number=0, address=ALICE, **options):
    return rsa_identity(number=number, emails=(address,), **options)[1]


def signed(number, address):
    """A PKCS #7 SignedData as RFC 2798 section 2.8 wants it: signed by whose certificate it has."""
    key, own = rsa_identity(number=number, emails=(address,))
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"").add_signer(own, key, hashes.SHA256())
    return builder.sign(Encoding.DER, [])


def fingerprint(data):
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize().hex()
