"""``--watch`` on real IMAP servers: what mail programs file is sealed soon after."""

from __future__ import annotations

import threading

from helpers import imap_mail as mail
from helpers.servers.place import wait


def watch(server, user, notes, ended):
    with mail.mailbox(server.url, user, notes) as box:
        names = None
        while not ended.is_set():
            mail.sweep(box, names=names)
            names = box.wait(1)


def sealed(client, folder):
    """What is in a folder, in a list, once all of it is sealed."""
    found = mail.filed(client, folder)
    return [found] if found and all(mail.is_sealed(one.content) for one in found) else None


def test_what_is_filed_is_sealed(server, tmp_path):
    user, ended = server.free_user(), threading.Event()
    with server.client(user) as client:
        client.create_folder("Sent")
        watching = threading.Thread(target=watch, args=(server, user, tmp_path / "j", ended))
        watching.start()
        try:
            for i, folder in enumerate(["Sent", "INBOX", "Later", "Sent"]):
                if folder == "Later":
                    client.create_folder(folder)
                mail.put(client, folder, mail.message(i), [b"\\Seen"])

                (found,) = wait(lambda name=folder: sealed(client, name))
                (last,) = (one for one in found if b"number %d\r\n" % i in one.content)
                assert mail.opened([last]) == [
                    mail.Filed(frozenset({b"\\Seen"}), last.date, mail.message(i))
                ]
        finally:
            ended.set()
            watching.join(60)


def test_the_server_tells_of_sent_mail_at_once(server, tmp_path):
    """Not when the time for a look has come."""
    user = server.free_user()
    with server.client(user) as client:
        if server.kind == "cyrus":
            client._imap._simple_command("CREATE", "Sent", "(USE (\\Sent))")
        else:
            client.create_folder("Sent")
        with mail.mailbox(server.url, user, tmp_path / "j") as box:
            mail.sweep(box)
            assert box._told() == b"Sent"
            told = []
            waiting = threading.Thread(target=lambda: told.append(box.wait(3600)))
            waiting.start()
            mail.put(client, "Sent", mail.message())
            waiting.join(60)
            assert told == [["Sent"]]
