"""A run over IMAP that is killed at random instants: every message is there at each moment, and the
next run finishes what was begun. ``CMSTREAM_KILL_MESSAGES``, ``CMSTREAM_KILLS`` and
``CMSTREAM_KILL_SECONDS`` make it larger."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections import Counter

import pytest

from cmstream.mailboxes.journal import Journal
from helpers import imap_mail as mail
from helpers.killing import killed
from helpers.people import person

MESSAGES = int(os.environ.get("CMSTREAM_KILL_MESSAGES", "150"))
KILLS = int(os.environ.get("CMSTREAM_KILLS", "20"))
LONGEST = float(os.environ.get("CMSTREAM_KILL_SECONDS", "0.6"))


def run(server, user, notes, task):
    make = mail.seal if task == "seal" else mail.opened_content
    with mail.mailbox(server.url, user, notes, task=task) as box:
        return mail.results(mail.sweep(box, batch=16, make=make))


def digests(found):
    """Each message with its marks and date, its content by its hash."""
    return Counter(
        one._replace(content=hashlib.sha256(one.content).digest()) for one in mail.opened(found)
    )


def look(server, user):
    with server.client(user) as client:
        return mail.filed(client)


def is_finished(server, user, notes, task):
    sealed = {mail.is_sealed(one.content) for one in look(server, user)}
    with Journal(notes) as journal:
        part = journal.mailbox(user, server.url, task)
        left = part.unfinished("INBOX")
        part.close()
    return not left and sealed == {task == "seal"}


@pytest.mark.slow
def test_killed_at_random(server, tmp_path):
    """Seals and opens in turn, as often as a run ends by itself, until it was killed so often."""
    chosen = random.Random(os.environ.get("CMSTREAM_KILL_SEED", str(time.time_ns())))
    user, notes, task = server.free_user(), tmp_path / "journal", "seal"
    with server.client(user) as client:
        mail.fill(client, "INBOX", MESSAGES, body=b"A line of text.\r\n" * 200)
    before = digests(look(server, user))
    contents = {one.content for one in before}
    assert person().recipient  # made before a child needs it
    counts = Counter(messages=before.total())
    while counts["kills"] < KILLS:
        if killed(lambda task=task: run(server, user, notes, task), chosen.uniform(0, LONGEST)):
            counts["kills"] += 1
            after = digests(look(server, user))
            assert {one.content for one in after} == contents
            counts["messages there twice then"] += after.total() - before.total()
        if is_finished(server, user, notes, task):
            assert digests(look(server, user)) == before
            counts[f"whole runs: {task}"] += 1
            task = "open" if task == "seal" else "seal"
    run(server, user, notes, task)
    assert digests(look(server, user)) == before
    assert is_finished(server, user, notes, task)
    assert run(server, user, notes, task) == []
    print(dict(counts))  # noqa: T201 - for whoever runs it by hand with -s
