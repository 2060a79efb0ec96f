"""What lies on Postfix's disk in each way, as the gateway's guide says it."""

from __future__ import annotations

import pytest

from helpers.servers.mail import ALICE, SECRET, Cell
from helpers.servers.place import wait
from helpers.servers.ways import way

TEXT = Cell(ALICE, "text").message()


def on_the_disk(server) -> bool:
    """Whether the message can be read in any file below the queue's folder."""
    files = [path for path in (server.folder / "queue").rglob("*") if path.is_file()]
    return any(SECRET in path.read_bytes() for path in files)


def waiting(running):
    """A message whose recipient's server is away, and that has come as far as it can."""
    running.hop.stop()
    assert running.send([ALICE], TEXT) == {}
    running.server.logged(f"to=<{ALICE}>", "status=deferred")
    wait(running.server.queue, tell=running.tell)


def test_before_the_queue_no_plaintext_ever_is_on_the_disk():
    with way("before queue") as running:
        waiting(running)
        assert not on_the_disk(running.server)
        assert not any(SECRET in path.read_bytes() for path in running.gateway.folder.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["postfix lmtp"])
def test_after_the_queue_it_waits_in_plaintext(name):
    with way(name) as running:
        waiting(running)
        assert on_the_disk(running.server)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["after queue smtp", "after queue lmtp"])
def test_a_filter_leaves_it_in_plaintext_while_the_gateway_is_away(name):
    with way(name) as running:
        waiting(running)
        assert not on_the_disk(running.server)  # what waits has been sealed
        running.server.run("postsuper", "-d", "ALL")
        running.gateway.stop()
        assert running.send([ALICE], TEXT) == {}
        running.server.logged(f"to=<{ALICE}>", "status=deferred", number=2)
        assert on_the_disk(running.server)


@pytest.mark.slow
def test_a_milter_leaves_what_was_overwritten_in_the_queue_file():
    """Postfix's own tool doesn't show it, and the file holds it."""
    with way("milter") as running:
        waiting(running)
        (held,) = running.server.queue()
        shown = running.server.run("postcat", "-q", held["queue_id"])
        assert SECRET.decode() not in shown
        assert on_the_disk(running.server)
        assert not any(SECRET in one.message for one in running.hop.transactions)
