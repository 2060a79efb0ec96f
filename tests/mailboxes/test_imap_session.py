"""Signing in to real IMAP servers, and what their refusals become."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
import trustme

from cmstream.mailboxes.errors import MailboxError
from cmstream.mailboxes.imap_session import Server
from helpers import imap_mail as mail
from helpers.servers.imap import running
from helpers.servers.place import free

ALICE = "user39@example.org"


@pytest.fixture(scope="module")
def dovecot():
    with running("dovecot") as made:
        yield made


@pytest.fixture(scope="module")
def cyrus():
    with running("cyrus") as made:
        yield made


def folders(place, notes, user=ALICE, **access):
    with mail.mailbox(place, user, notes, **access) as box:
        return [one.name for one in box.folders()]


def refusal(place, notes, user=ALICE, **access):
    with pytest.raises(MailboxError) as caught:
        folders(place, notes, user, **access)
    assert "Traceback" not in str(caught.value)
    assert "secret" not in str(caught.value)
    return caught.value.code, str(caught.value)


def test_over_tls(dovecot, notes):
    place = f"imaps://{dovecot.imaps}/"
    assert folders(place, notes, certificates=str(dovecot.authority)) == ["INBOX"]
    named = f"imaps://localhost:{dovecot.imaps.port}/"
    assert refusal(named, notes, certificates=str(dovecot.authority))[0] == "unavailable"


def test_an_authority_that_nobody_knows(dovecot, notes, tmp_path):
    place = f"imaps://{dovecot.imaps}/"
    code, text = refusal(place, notes)
    assert code == "untrusted-certificate"
    assert "--ca-file" in text
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    assert refusal(place, notes, certificates=str(other))[0] == "untrusted-certificate"
    assert refusal(place, notes, certificates="/nowhere")[0] == "untrusted-certificate"


def test_a_certificate_for_another_name(notes, tmp_path):
    """The loopback's other address isn't in it."""
    with running("dovecot") as server:
        made = trustme.CA()
        made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        other = made.issue_cert("mail.example.net")
        other.cert_chain_pems[0].write_to_path(str(server.folder / "server.pem"))
        other.private_key_pem.write_to_path(str(server.folder / "server.key"))
        server.doveadm("reload")
        place = f"imaps://{server.imaps}/"
        code, text = refusal(place, notes, certificates=str(tmp_path / "ca.pem"))
        assert code == "untrusted-certificate"
        assert "not valid for" in text


def test_a_master_user_signs_in_for_others(dovecot, cyrus, notes):
    for server in (dovecot, cyrus):
        with server.client(ALICE) as client:
            mail.put(client, "INBOX", mail.message())
        with mail.mailbox(server.url, ALICE, notes, master="admin") as box:
            assert mail.results(mail.sweep(box)) == ["replaced"]
        with server.client(ALICE) as client:
            assert [mail.is_sealed(one.content) for one in mail.filed(client)] == [True]
    with mail.mailbox(dovecot.url, ALICE, notes, master="admin", separator="*") as box:
        assert mail.sweep(box) == []


def test_wrong_passwords(dovecot, cyrus, notes):
    for server in (dovecot, cyrus):
        for access in ({}, {"master": "admin"}, {"master": "nobody"}):
            code, text = refusal(server.url, notes, password="secret", **access)
            assert code == "sign-in-failed", text
            assert ALICE in text
    assert refusal(dovecot.url, notes, "nobody@example.org")[0] == "sign-in-failed"
    assert refusal(dovecot.url, notes, password=None)[0] == "sign-in-failed"
    assert refusal(dovecot.url, notes, master="admin", separator="/")[0] == "sign-in-failed"


def test_another_name_may_stand_in_the_place(dovecot, notes):
    place = f"imap://user1%40example.org@{dovecot.imap}/"
    assert folders(place, notes, "alice@example.net") == ["INBOX"]


def test_nobody_there(notes):
    assert refusal(f"imap://{free()}/", notes)[0] == "unavailable"
    assert refusal("imaps://nowhere.invalid/", notes)[0] == "no-such-host"


@pytest.mark.parametrize(
    "place",
    ["imaps://", "imaps:///", "imap://host/folder", "imaps://host:port/", "imaps://me:secret@host/",
     "imaps://host/?x", "imaps://[::1/"],
)  # fmt: skip
def test_places_that_name_no_mailbox(notes, place):
    assert refusal(place, notes)[0] == "invalid-place"


def test_what_a_place_says():
    assert Server.of("imaps://host/") == Server("host", 993, True, None)
    assert Server.of("imap://a@b.c@[::1]") == Server("::1", 143, False, "a@b.c")
    assert str(Server.of("imap://[::1]:1/")) == "[::1]:1"
    here = ["imap://[::1]", "imap://127.3.2.1", "imap://localhost"]
    assert [Server.of(one).is_here for one in [*here, "imap://10.0.0.1"]] == [True] * 3 + [False]


# Servers that lack something


def scripted(greeting, capabilities="IMAP4rev1"):
    """A server that tells what it can, and signs nobody in."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as client, client.makefile("rwb", 0) as words:
            words.write(greeting + b"\r\n")
            while line := words.readline().decode():
                tag, name, *_ = line.split()
                if name == "CAPABILITY":
                    words.write(f"* CAPABILITY {capabilities}\r\n{tag} OK done\r\n".encode())
                else:
                    words.write(f"{tag} NO [UNAVAILABLE] not now\r\n".encode())

    def quietly():
        with contextlib.suppress(OSError):
            serve()

    threading.Thread(target=quietly, daemon=True).start()
    return f"imap://127.0.0.1:{listener.getsockname()[1]}/"


def test_a_server_that_is_not_one(notes):
    assert refusal(scripted(b"220 mail.example.org ESMTP"), notes)[0] == "unavailable"
    assert refusal(scripted(b"* BYE too busy"), notes)[0] == "unavailable"


@pytest.mark.parametrize("capabilities", ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"])
def test_a_server_that_cannot_tell_who_may_sign_in(notes, capabilities):
    code, text = refusal(scripted(b"* OK ready", capabilities), notes, password="secret")
    assert code == "unavailable"
    assert "not now" in text


def test_no_encryption_with_a_server_that_is_far_away(notes, monkeypatch):
    """This machine counts as far away."""
    monkeypatch.setattr(Server, "is_here", False)
    code, text = refusal(scripted(b"* OK ready"), notes, password="secret")
    assert code == "untrusted-certificate"
    assert "offers no encryption" in text


def test_starttls(dovecot, notes, monkeypatch):
    monkeypatch.setattr(Server, "is_here", False)
    assert folders(dovecot.url, notes, certificates=str(dovecot.authority)) == ["INBOX"]
    assert refusal(dovecot.url, notes)[0] == "untrusted-certificate"


def test_a_server_without_uidplus(notes):
    settings = "imap_capability = IMAP4rev1 SASL-IR LITERAL+ IDLE NAMESPACE\n"
    with running("dovecot", settings=f"protocol imap {{\n{settings}}}\n") as server:
        code, text = refusal(server.url, notes)
    assert code == "no-uidplus"
    assert "maildir:" in text


@pytest.mark.parametrize("kept", [b"", b" LITERAL+", b" MULTIAPPEND", b" SPECIAL-USE IDLE"])
def test_servers_with_little(notes, kept):
    """Without literals that need no leave, without several messages in one command."""
    line = f"imap_capability = IMAP4rev1 UIDPLUS{kept.decode()}\n"
    settings = f"protocol imap {{\n{line}}}\n"
    with running("dovecot", settings=settings) as server, server.client(ALICE) as client:
        mail.fill(client, "INBOX", 4)
        before = mail.filed(client)
        with mail.mailbox(server.url, ALICE, notes) as box:
            assert mail.results(mail.sweep(box)) == ["replaced"] * 4
            assert box.wait(0.2) == ["INBOX"]
            mail.sweep(box)
            assert box.wait(0.2) == []
        assert mail.opened(mail.filed(client)) == before


# Quota


def test_a_full_quota_leaves_the_message_and_says_so(cyrus, notes):
    user = cyrus.free_user()
    with cyrus.client(user) as client, cyrus.client("admin") as admin:
        mail.put(client, "INBOX", mail.message(1))
        mail.put(client, "INBOX", mail.message(2, b"x\r\n" * 20_000))
        before = mail.filed(client)
        admin._imap.setquota(f"user/{user}", "(STORAGE 62)")
        with mail.mailbox(cyrus.url, user, notes) as box:
            outcomes = mail.sweep(box)
            assert sorted(mail.results(outcomes)) == ["failed", "replaced"]
            (why,) = (one.why for one in outcomes if one.why)
            assert "Over quota" in why
            assert sorted(mail.opened(mail.filed(client))) == sorted(before)
            admin._imap.setquota(f"user/{user}", "(STORAGE 600)")
            assert mail.results(mail.sweep(box)) == ["replaced"]
        assert sorted(mail.opened(mail.filed(client))) == sorted(before)


QUOTA = """
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=200K
  quota_grace = 0
}
"""


def test_a_full_quota_of_dovecot(notes):
    with running("dovecot", settings=QUOTA) as server, server.client(ALICE) as client:
        mail.put(client, "INBOX", mail.message(1, b"x\r\n" * 30_000))
        mail.put(client, "INBOX", mail.message(2))
        before = mail.filed(client)
        with mail.mailbox(server.url, ALICE, notes) as box:
            outcomes = mail.sweep(box)
        assert sorted(mail.results(outcomes)) == ["failed", "replaced"]
        assert [
            ("Quota exceeded" in one.why, "OVERQUOTA" in one.why) for one in outcomes if one.why
        ]
        assert sorted(mail.opened(mail.filed(client))) == sorted(before)
