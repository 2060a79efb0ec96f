"""Each way in which mail can come to the gateway and go on from it, as running servers."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager

from helpers.servers import postfix
from helpers.servers.client import Client, refused
from helpers.servers.gateway import Gateway
from helpers.servers.mail import DOMAINS, populated
from helpers.servers.next_hop import NextHop
from helpers.servers.place import folder, free
from helpers.servers.postfix import Postfix

CLIENTS = ("lmtp", "smtp")
POSTFIX = ("postfix lmtp", "before queue", "after queue smtp", "after queue lmtp", "milter")
MAIN = {"virtual_mailbox_domains": DOMAINS}


class Way:
    """``hop`` is where the mail arrives; ``server`` is what mail is handed to."""

    def __init__(self, name, hop, gateway, server=None):
        self.name, self.hop, self.gateway, self.server = name, hop, gateway, server

    def send(self, recipients, message, **options) -> dict[str, str]:
        """Hands a message in; gives the recipients for whom it wasn't taken."""
        if self.server:
            return self.server.send(recipients, message, **options)
        with Client(self.gateway.place, self.name) as client:
            return refused(client.send(recipients, message, **options))

    def arrived(self, number=1):
        """The transactions at the next hop, as soon as there are so many."""
        return self.hop.wait(number, tell=self.tell)

    def clear(self) -> None:
        """Forgets what was sent, and all that waits."""
        self.hop.answers.clear()
        if self.server:
            self.server.run("postsuper", "-d", "ALL")
            self.server.forget()
        self.hop.transactions.clear()

    def tell(self) -> str:
        """All that is known, for whom it fails."""
        logs = [one.log() for one in (self.gateway, self.server) if one]
        queue = [json.dumps(self.server.queue())] if self.server else []
        taken = [f"{one.addresses} {one.replies}" for one in self.hop.transactions]
        return "\n".join(["", *logs, *queue, *taken])


def _postfix(name, gateway, back, hop):
    at = gateway.at
    return {
        "postfix lmtp": lambda: postfix.lmtp(at["lmtp"]),
        "before queue": lambda: postfix.before_queue(at["smtp"], back, hop),
        "after queue smtp": lambda: postfix.after_queue("smtp", at["smtp"], back, hop),
        "after queue lmtp": lambda: postfix.after_queue("lmtp", at["lmtp"], back, hop),
        "milter": lambda: postfix.milter(f"inet:{at['milter']}", hop),
    }[name]()


def _speaks(name) -> str:
    """What the gateway speaks with the one before it."""
    if name in {"lmtp", "postfix lmtp", "after queue lmtp"}:
        return "lmtp"
    return "milter" if name == "milter" else "smtp"


@contextmanager
def way(name, *options, main_cf=None, answers=None):
    """One of CLIENTS, where tests speak with the gateway, or of POSTFIX."""
    with ExitStack() as stack:
        own = stack.enter_context(folder("gateway"))
        speaks, back = _speaks(name), free()
        kind = "smtp" if name == "smtp" else "lmtp"
        hop = stack.enter_context(NextHop(kind, answers=answers))
        given_back = (
            f"smtp:{back}" if name.split(" ")[0] in {"before", "after"} else f"{kind}:{hop}"
        )
        next_hop = None if name == "milter" else given_back
        gateway = Gateway(own, populated(own), next_hop, *options, listen=(speaks,))
        if name in CLIENTS:
            yield Way(name, hop, stack.enter_context(gateway))
            return
        place = stack.enter_context(folder("postfix"))
        server = Postfix(place, _postfix(name, gateway, back, hop), main_cf=MAIN | (main_cf or {}))
        # What the gateway asks at its start must be there, and Postfix waits for nobody.
        stack.enter_context(server)
        yield Way(name, hop, stack.enter_context(gateway), server)
