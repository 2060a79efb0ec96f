"""Replies of the next hop, cut anywhere. More of this is in ``tests/fuzz/fuzz_replies.py``."""

from __future__ import annotations

import pytest

from cmstream.gateway.protocol.replies import LINE_LIMIT, ProtocolError, Reply, ReplyReader

LONGEST = b"x" * (LINE_LIMIT - len(b"250 \r"))


def test_a_reply_at_every_split():
    reply = Reply(250, (b"one", b"", b"three"))
    octets = reply.octets()
    for size in range(1, len(octets) + 1):
        reader, found = ReplyReader(), []
        for at in range(0, len(octets), size):
            reader.feed(octets[at : at + size])
            found.append(reader.next())
        assert found[-1] == reply
        assert not any(found[:-1])
        assert reader.empty


@pytest.mark.parametrize("rest", [0, 1, 2, 3])
def test_the_longest_line_at_each_split_near_its_end(rest):
    reply = Reply(250, (LONGEST,))
    octets = reply.octets()
    reader = ReplyReader()
    reader.feed(octets[: len(octets) - rest])
    early = reader.next()
    reader.feed(octets[len(octets) - rest :])
    assert (early or reader.next()) == reply


@pytest.mark.parametrize("rest", [0, 1, 2, 3])
def test_a_longer_line_at_each_split_near_its_end(rest):
    octets = Reply(250, (LONGEST + b"x",)).octets()
    reader = ReplyReader()
    reader.feed(octets[: len(octets) - rest])
    with pytest.raises(ProtocolError, match="longer than 8192"):
        assert reader.next() is None
        reader.feed(octets[len(octets) - rest :])
        reader.next()
