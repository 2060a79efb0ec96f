"""A real Postfix with all that is printed for it: what it writes itself, which is sealed too, and
mail that is longer once it is sealed."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

import pytest

from cmstream.command import doctor_postfix
from cmstream.gateway.printed import printed
from cmstream.gateway.settings import Place, Settings
from helpers.opening import open_message
from helpers.peers.program import must
from helpers.servers.gateway import Gateway
from helpers.servers.mail import ALICE, BOB, DOMAINS, SECRET, Cell, person_of, populated
from helpers.servers.next_hop import NextHop
from helpers.servers.place import folder, free, wait
from helpers.servers.postfix import Postfix, Way

GONE = "gone@example.com"


class Running:
    def __init__(self, hop, gateway, server, settings):
        self.hop, self.gateway, self.server, self.settings = hop, gateway, server, settings

    def bounced(self, to=ALICE):
        """The bounce of a mail that somebody has sent to one who is gone."""
        assert self.server.send([GONE], Cell(to, "text").message(), sender=to) == {}
        (one,) = self.hop.wait(1, tell=self.tell)
        assert (one.mail.split()[0], one.addresses) == (b"<>", [to])
        return one.message

    def findings(self):
        """What doctor says of bounces."""
        read = doctor_postfix.read(f"{self.server.folder}/etc")
        found = doctor_postfix.look(read, self.settings, "+")
        return [one.status for one in found if "bounces that" in one.text]

    def tell(self):
        return f"{self.gateway.log()}\n{self.server.log()}\n{self.server.queue()}"


@contextmanager
def configured(*listen, **main_cf):
    """A Postfix with all that is printed for a gateway that listens for these protocols."""
    with ExitStack() as stack:
        own, place = (stack.enter_context(folder(name)) for name in ("gateway", "postfix"))
        hop = stack.enter_context(NextHop("lmtp"))
        hop.answers["RCPT"] = {GONE: "550 5.1.1 gone"}
        next_hop = None if listen == ("milter",) else f"smtp:{free()}"
        gateway = Gateway(own, populated(own), next_hop, listen=listen)
        main = {f"{one}_transport": f"lmtp:inet:{hop}" for one in ("virtual", "default")}
        server = Postfix(place, Way(main | {"virtual_mailbox_domains": DOMAINS} | main_cf))
        places = tuple(Place.parse(f"{name}:{at}") for name, at in gateway.at.items())
        settings = Settings(places, "", next_hop and Place.parse(next_hop))
        text = printed("postfix", settings).encode()
        must("sh", "-eu", input=text, env=os.environ | {"MAIL_CONFIG": f"{place}/etc"})
        stack.enter_context(server)
        yield Running(hop, stack.enter_context(gateway), server, settings)


@pytest.mark.parametrize(
    "listen",
    [
        ("milter",),
        ("smtp", "milter"),
        pytest.param(("lmtp", "milter"), marks=pytest.mark.slow),
    ],
)
def test_a_bounce_is_sealed(listen):
    with configured(*listen) as running:
        assert running.findings() == ["ok"]
        sealed = running.bounced()
        assert SECRET not in sealed
        assert SECRET in open_message(sealed, person_of(0).key)[1]
        # Mail from sendmail(1) takes one way, not two: who needs another copy gets it.
        running.hop.transactions.clear()
        if listen != ("milter",):
            text = Cell(BOB, "text").message().replace(b"\r\n", b"\n")
            running.server.submit([ALICE, BOB], text)
            wait(lambda: len(running.hop.transactions) == 2, tell=running.tell)
            clear = {to: SECRET in one.message for one in running.hop.transactions
                     for to in one.addresses}  # fmt: skip
            assert clear == {ALICE: False, BOB: True}


def test_a_bounce_waits_while_the_gateway_is_away():
    with configured("milter") as running:
        running.hop.stop()
        assert running.server.send([GONE], Cell(ALICE, "text").message(), sender=ALICE) == {}
        running.server.logged(f"to=<{GONE}>", "status=deferred")
        running.gateway.stop()
        running.hop.start()
        running.server.flush()
        running.server.logged("status=deferred (bounce failed)")
        assert running.hop.transactions == []
        running.gateway.start()
        wait(lambda: running.server.flush() or running.hop.transactions, tell=running.tell)
        (one,) = running.hop.transactions
        assert one.addresses == [ALICE]
        assert SECRET not in one.message


def test_a_filter_alone_leaves_bounces_and_doctor_says_so():
    with configured("smtp") as running:
        assert running.findings() == ["warning"]
        assert SECRET in running.bounced()


def test_a_filter_by_lmtp_does_not_go_round_in_circles():
    """What comes back to Postfix isn't handed to the gateway again."""
    with configured("lmtp") as running:
        assert running.server.send([ALICE, BOB], Cell(ALICE, "text").message()) == {}
        wait(lambda: len(running.hop.transactions) == 2, tell=running.tell)
        clear = {to: SECRET in one.message for one in running.hop.transactions
                 for to in one.addresses}  # fmt: skip
        assert clear == {ALICE: False, BOB: True}
        wait(lambda: not running.server.queue(), tell=running.tell)
        for one in running.hop.transactions:
            assert one.message.count(b"(Postfix) with ") == 2


@pytest.mark.parametrize(
    "listen", [("milter",), ("smtp",), pytest.param(("lmtp",), marks=pytest.mark.slow)]
)
def test_mail_of_the_greatest_length_is_taken(listen):
    """It is longer once it is sealed, and Postfix's limit goes by the mail as it came."""
    with configured(*listen, message_size_limit="200000") as running:
        for size, taken in ((190_000, True), (210_000, False)):
            sent = Cell(ALICE, "text").message() + (b"x" * 74 + b"\r\n") * (size // 76)
            refused = running.server.send([ALICE], sent)
            assert [reply[:9] for reply in refused.values()] == ([] if taken else ["552 5.3.4"])
        (one,) = running.hop.wait(1, tell=running.tell)
        assert SECRET not in one.message
        assert len(one.message) > 200_000
        wait(lambda: not running.server.queue(), tell=running.tell)
