"""TLS on both sides: who is believed, what a bad file says, and files that are read again."""

from __future__ import annotations

import shutil
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as s

from cmstream.gateway.settings import Tls
from cmstream.gateway.tls import Renewed, TlsError, client_context, server_context


class Files:
    """An authority, and what it certified: as files."""

    def __init__(self, folder, names):
        self.folder, authority = folder, trustme.CA()
        folder.mkdir()
        self.ca = self.write("ca.pem", authority.cert_pem)
        self.own = {name: self.own_of(name, authority.issue_cert(name)) for name in names}

    def write(self, name, blob):
        blob.write_to_path(str(self.folder / name))
        return str(self.folder / name)

    def own_of(self, name, made):
        chain = self.folder / f"{name}.pem"
        chain.write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
        return Tls(str(chain), self.write(f"{name}.key", made.private_key_pem))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("tls") / "one", ("mail.test", "client.test"))


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("tls") / "two", ("mail.test", "client.test"))


def handshake(server, client, name="mail.test"):
    """Both sides over memory; gives the version."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(to_server, to_client, server_side=True)
    here = client.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for side in (here, there):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    there.do_handshake()
    here.do_handshake()
    return here.version()


def with_ca(files, name="", ca=None):
    own = files.own.get(name, Tls())
    return Tls(own.certificate, own.key, (ca or files).ca)


def test_the_next_hop_is_believed_by_its_authority(files):
    server = server_context(files.own["mail.test"])
    assert handshake(server, client_context(with_ca(files))) == "TLSv1.3"


def test_old_versions_are_refused(files):
    client = client_context(with_ca(files))
    assert client.minimum_version == ssl.TLSVersion.TLSv1_2
    assert server_context(files.own["mail.test"]).minimum_version == ssl.TLSVersion.TLSv1_2


def test_another_authority_is_not_believed(files, others):
    server = server_context(files.own["mail.test"])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client_context(with_ca(others)))


def test_without_a_file_the_systems_authorities_count(files):
    server = server_context(files.own["mail.test"])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client_context(Tls()))


def test_another_name_is_not_believed(files):
    server = server_context(files.own["mail.test"])
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(server, client_context(with_ca(files)), "other.test")


def test_clients_must_show_a_certificate_where_it_is_asked_for(files, others):
    server = server_context(with_ca(files, "mail.test"))
    assert handshake(server, client_context(with_ca(files, "client.test"))) == "TLSv1.3"
    for stranger in (with_ca(files), with_ca(others, "client.test", files)):
        with pytest.raises(ssl.SSLError):
            handshake(server, client_context(stranger))


def test_files_are_read_again(tmp_path, files, others):
    own = Tls(str(tmp_path / "mail.pem"), str(tmp_path / "mail.key"))

    def put(source):
        for name in ("certificate", "key"):
            shutil.copyfile(getattr(source, name), getattr(own, name))

    put(files.own["mail.test"])
    server = Renewed(server_context, own)
    put(others.own["mail.test"])
    client = client_context(with_ca(others))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client)
    server.reload()
    handshake(server, client)


def test_an_authority_that_is_taken_away_is_believed_no_more(tmp_path, files, others):
    ca = tmp_path / "ca.pem"
    client = client_context(with_ca(files, "client.test"))
    own, theirs = files.own["mail.test"], Tls(ca=str(ca))
    shutil.copyfile(files.ca, ca)
    server = Renewed(server_context, Tls(own.certificate, own.key, str(ca)))
    to_next_hop = Renewed(client_context, theirs)
    for here, there in ((server, client), (server_context(own), to_next_hop)):
        handshake(here, there)
    shutil.copyfile(others.ca, ca)
    server.reload()
    to_next_hop.reload()
    for here, there in ((server, client), (server_context(own), to_next_hop)):
        with pytest.raises(ssl.SSLError):
            handshake(here, there)


def test_a_certificate_for_another_kind_of_key_takes_the_place_of_the_old_one(tmp_path):
    authority, chain = trustme.CA(), tmp_path / "mail.pem"
    client = ssl.create_default_context()
    authority.configure_trust(client)
    client.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        made = authority.issue_cert("mail.test", key_type=kind)
        made.private_key_and_cert_chain_pem.write_to_path(str(chain))
        if kind is trustme.KeyType.RSA:
            server = Renewed(server_context, Tls(str(chain)))
            handshake(server, client)
    server.reload()
    with pytest.raises(ssl.SSLError):
        handshake(server, client)


def test_what_cannot_be_read_again_changes_nothing(tmp_path, files):
    own = Tls(str(tmp_path / "mail.pem"), files.own["mail.test"].key)
    chain = tmp_path / "mail.pem"
    shutil.copyfile(files.own["mail.test"].certificate, chain)
    server = Renewed(server_context, own)
    chain.write_bytes(b"nothing")
    with pytest.raises(TlsError):
        server.reload()
    handshake(server, client_context(with_ca(files)))


def test_what_is_wrong_with_a_file_is_said(tmp_path, files, others):
    own = files.own["mail.test"]
    odd = tmp_path / "odd.pem"
    odd.write_bytes(b"odd")
    for wrong, said in (
        (Tls(), "give the file of the gateway's own"),
        (Tls("/nowhere.pem", own.key), "/nowhere.pem and .*: No such file"),
        (Tls(str(odd), own.key), "odd.pem and .*can't be read: .* PEM"),
        (Tls(own.certificate, others.own["mail.test"].key), "key values mismatch"),
        (Tls(own.certificate, own.key, "/nowhere.pem"), "^/nowhere.pem: No such file"),
        (Tls(own.certificate, own.key, str(odd)), "odd.pem: .*authorities"),
    ):
        with pytest.raises(TlsError, match=said):
            server_context(wrong)


def test_nobody_is_asked_for_the_password_of_a_key(tmp_path, files):
    own = files.own["mail.test"]
    key = s.load_pem_private_key(Path(own.key).read_bytes(), None)
    secret = s.BestAvailableEncryption(b"secret")
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, secret))
    with pytest.raises(TlsError, match="protected by a password"):
        server_context(Tls(own.certificate, str(path)))
