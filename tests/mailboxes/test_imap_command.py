"""The command on a real IMAP server: seal, seal again, open, with the store and the owner's key."""

from __future__ import annotations

import json

from cmstream.command.cli import main
from helpers import imap_mail as mail
from helpers import mailboxes
from helpers.people import person
from helpers.servers.imap import USERS


def test_sealed_and_opened_again(server, sqlite_url, tmp_path, capsys):
    user = USERS[0]
    mailboxes.protected(sqlite_url, person().recipient).close()
    password, key = tmp_path / "password", tmp_path / "key.pem"
    password.write_text("x\n")
    key.write_bytes(mail.private_key())
    journal = ["--journal", str(tmp_path / "journal"), "--json"]
    master = ["--master", "admin", server.url.replace("//", f"//{user}@")]

    def run(*words):
        code = main(["mailbox", *words, *journal, *master])
        return code, json.loads(capsys.readouterr().out)

    seal = ["seal", "--for", mailboxes.ALICE, "--database", sqlite_url, "--password-file",
            str(password), "--yes-the-owner-has-the-key"]  # fmt: skip
    with server.client(user) as client:
        client.create_folder("Drafts")
        mail.put(client, "Drafts", mail.message(99))
        mail.fill(client, "INBOX", 6)
        mail.put(client, "INBOX", mail.message(7, b"0123456789" * 7 + b"\r\n" + b"x" * (17 << 20)))
        before = mail.filed(client)
        code, report = run(*seal)
        assert code == 0, report
        after = mail.filed(client)
        assert all(mail.is_sealed(one.content) for one in after)
        assert mail.opened(after) == before
        assert not mail.is_sealed(mail.filed(client, "Drafts")[0].content)
        assert run(*seal)[0] == 0
        assert mail.filed(client) == after
        code, report = run("open", "--for", mailboxes.ALICE, "-k", str(key), "--imap-password-file",
                           str(password))  # fmt: skip
        assert code == 0, report
        assert mail.filed(client) == before
