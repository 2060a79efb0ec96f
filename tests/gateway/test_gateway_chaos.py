"""A thousand messages while the gateway and the next hop are killed again and again, from a sender
that keeps a queue as mail servers do: none is lost, none arrives in the clear, and each duplicate
has an answer that was lost."""

from __future__ import annotations

import random
import re
import sys
import threading
import time
from collections import Counter
from queue import Empty, Queue

import pytest

from helpers.servers.mail import ALICE, BOB, CAROL, DORA, SECRET, TEXT, Cell
from helpers.servers.relay import long, relay

MESSAGES, SENDERS, KILLS = 1000, 4, 30
GROUPS = [[ALICE], [BOB], [ALICE, BOB], [DORA, CAROL, ALICE, BOB], [ALICE, "info@example.org"]]
PROTECTED = {ALICE, DORA, "info@example.org"}
LOST = "451 4.4.2"


class Sender:
    """Tries each recipient again until it has a 250 for them."""

    def __init__(self, made, number):
        self.made = made
        self.waiting: Queue = Queue()
        self.left = number
        self.uncertain = Counter()
        """Attempts whose answer was lost, here or at the next hop: the mail may have arrived."""
        self.attempts = self.refused = 0
        self.permanent: list[str] = []
        for one in range(number):
            self.waiting.put((one, GROUPS[one % len(GROUPS)]))
        self._lock = threading.Lock()

    def run(self):
        while self.left:
            try:
                number, recipients = self.waiting.get(timeout=0.2)
            except Empty:
                continue
            replies = self._try(number, recipients)
            again = [one for one in recipients if not replies[one].startswith("250")]
            with self._lock:
                self.attempts += 1
                self.permanent += [one for one in replies.values() if one.startswith("5")]
                self.refused += len(again)
                self.uncertain.update(
                    (number, one) for one in again if replies[one].startswith(("lost", LOST))
                )
                self.left -= not again
            if again:
                time.sleep(random.uniform(0.05, 0.3))
                self.waiting.put((number, again))

    def _try(self, number, recipients):
        sent = False
        try:
            with self.made.client(timeout=20) as client:
                client.command(f"MAIL FROM:<{number}@example.net>")
                for one in recipients:
                    assert client.command(f"RCPT TO:<{one}>").startswith("250")
                assert client.command("DATA").startswith("354")
                sent = True
                replies = dict.fromkeys(recipients, "lost")
                client._content(message(number))
                for one in recipients:
                    replies[one] = client.reply()
        except (OSError, AssertionError):
            if not sent:
                replies = dict.fromkeys(recipients, "not sent")
        return replies


def message(number):
    if number % 50 == 7:
        return b"X-Number: %d\r\n" % number + long(2 << 20)
    body = TEXT + SECRET + b" %d\r\n" % number + b".dots\r\n" * (number % 300)
    return b"X-Number: %d\r\n" % number + Cell(ALICE, "chaos").message(body)


def kill(made, sender, counts):
    """Now the one and now the other, at random moments."""
    while sender.left and counts.total() < KILLS:
        time.sleep(random.uniform(0.05, 0.8))
        if counts.total() % 3 == 1:
            made.gateway.kill()
            made.gateway.start()
            counts["gateway"] += 1
        else:
            made.hop.stop()
            time.sleep(random.choice([0, 0.2]))
            made.hop.start()
            counts["next hop"] += 1


@pytest.mark.slow
def test_a_thousand_messages_among_kills():
    random.seed(14)
    with relay("--next-timeout", "5") as made:
        sender, kills = Sender(made, MESSAGES), Counter()
        # The next hop answers some messages late, so that kills meet answers.
        made.hop.answers["dot"] = lambda *_: time.sleep(random.choice([0, 0, 0.03]))
        threads = [threading.Thread(target=sender.run) for _ in range(SENDERS)]
        threads.append(threading.Thread(target=kill, args=(made, sender, kills)))
        for one in threads:
            one.start()
        for one in threads:
            one.join(230)
        assert not sender.left, made.gateway.log()
        time.sleep(0.2)
        report(made, sender, kills)


def report(made, sender, kills):
    taken = Counter()
    for one in [*made.hop.transactions]:
        number = int(re.match(rb"<(\d+)@", one.mail)[1])
        taken.update((number, address) for address in one.taken)
    clear = [one for one in [*made.hop.begun]
             if PROTECTED & {*one.addresses} and SECRET in one.message]  # fmt: skip
    wanted = {(number, one) for number in range(MESSAGES) for one in GROUPS[number % len(GROUPS)]}
    more = {one: count - 1 for one, count in taken.items() if count > 1}
    sys.stderr.write(
        f"\n{MESSAGES} messages, {len(wanted)} recipients, {sender.attempts} attempts, "
        f"{kills['gateway']} kills of the gateway and {kills['next hop']} of the next hop: "
        f"{len(wanted - taken.keys())} lost, {len(clear)} in the clear, {sum(more.values())} "
        f"duplicates; {sum(sender.uncertain.values())} answers were lost\n"
    )
    assert wanted == taken.keys()
    assert not clear
    assert not sender.permanent
    assert min(kills.values()) >= 3
    assert {one: count for one, count in more.items() if count > sender.uncertain[one]} == {}
