"""The frames of the protocol ``seal:``, at every split of what comes."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.gateway.protocol import seal
from cmstream.gateway.protocol.seal import END, Answer, ProtocolError, Reader, Request, chunk

ADDRESSES = ("alice@example.org", "Jürgen@bücher.example", "\udcff@example.org", "")


def events(header, octets, size):
    """What a reader makes of pieces of one size; messages joined."""
    reader, found = Reader(header), []
    for start in range(0, len(octets), size):
        reader.receive(octets[start : start + size])
        while (event := reader.next_event()) is not None:
            if isinstance(event, bytes) and event and isinstance(found[-1], bytearray):
                found[-1] += event
            else:
                found.append(bytearray(event) if isinstance(event, bytes) and event else event)
    return found, reader.between


MESSAGE = bytes(range(256)) + b"\n0\n\nseal/1\n\n"


def test_requests_one_after_the_other_at_every_split():
    first = Request(ADDRESSES, append=True, require=False)
    second = Request(ADDRESSES[:1], append=False, require=True)
    octets = first.octets() + chunk(MESSAGE) + chunk(b"x") + END + second.octets() + END
    for size in range(1, len(octets) + 1):
        (one, message, end, two, last), between = events(Request.read, octets, size)
        assert (one.addresses, one.append, one.require) == (ADDRESSES, True, False)
        assert (two.addresses, two.append, two.require) == (ADDRESSES[:1], False, True)
        assert message == MESSAGE + b"x"
        assert end == last == b""
        assert between


def test_answers_at_every_split():
    sentences = ["warning: a\nb", "  ", "unchanged: 'é' \udcff"]
    octets = Answer(0, sentences).octets() + chunk(MESSAGE) + END + Answer(75, ["x"]).octets() + END
    for size in range(1, len(octets) + 1):
        (one, message, _, two, _), between = events(Answer.read, octets, size)
        assert (one.code, one.sentences) == (0, ("warning: a b", "unchanged: 'é' \udcff"))
        assert (two.code, two.sentences) == (75, ("x",))
        assert message == MESSAGE
        assert between


def test_what_is_cut_off_is_never_complete():
    octets = Request(ADDRESSES[:1], append=False, require=False).octets() + chunk(MESSAGE) + END
    for length in range(len(octets)):
        found, between = events(Request.read, octets[:length], length or 1)
        assert b"" not in found
        assert between == (length == 0)


@pytest.mark.parametrize(
    "octets",
    [
        b"seal/2\nfor a@b.example\n\n",
        b"seal/1\n\n",
        b"seal/1\nfor a@b.example\nfrom c@d.example\n\n",
        b"seal/1\r\nfor a@b.example\r\n\r\n\n\n",
        b"\n\n",
        b"GET / HTTP/1.1\r\nHost: x\n\n",
        b"seal/1\nfor a@b.example\n\n-1\n",
        b"seal/1\nfor a@b.example\n\n\n",
        b"seal/1\nfor a@b.example\n\n 5\n",
        b"seal/1\nfor a@b.example\n\n0x5\n",
        b"seal/1\nfor a@b.example\n\n5\r\n",
        b"seal/1\nfor a@b.example\n\n" + b"1" * 13,
        b"seal/1\nfor a@b.example\n\n3\nabcx",
        b"x" * (seal.HEADER_LIMIT + 1),
        b"seal/1\n" + b"for a@b.example\n" * 5000 + b"\n",
    ],
)
def test_what_the_protocol_does_not_allow(octets):
    for size in (1, 7, len(octets)) if len(octets) < 100 else (1000, len(octets)):
        with pytest.raises(ProtocolError):
            events(Request.read, octets, size)


@pytest.mark.parametrize(
    "octets", [b"seal/1\n\n", b"seal/1 7\n\n", b"seal/2 0\n\n", b"seal/1 075\n\n"]
)
def test_what_is_no_answer(octets):
    with pytest.raises(ProtocolError):
        events(Answer.read, octets, 3)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.integers(1, 40))
def test_any_message_comes_through(pieces, size):
    octets = Request(["a@b.example"], append=False, require=False).octets()
    octets += b"".join(map(chunk, pieces)) + END
    found, _ = events(Request.read, octets, size)
    assert b"".join(one for one in found[1:] if one) == b"".join(pieces)


@pytest.mark.parametrize("more", [0, 1])
def test_a_header_of_the_longest_length_at_each_split_near_its_end(more):
    address = "a" * (seal.HEADER_LIMIT - len("seal/1\nfor ") + more)
    octets = Request([address], append=False, require=False).octets()
    for last in range(4):
        reader = Reader(Request.read)
        reader.receive(octets[: len(octets) - last])
        with pytest.raises(ProtocolError) if more else contextlib.nullcontext():
            event = reader.next_event()
            reader.receive(octets[len(octets) - last :])
            event = event or reader.next_event()
            assert event.addresses == (address,)


def test_an_address_of_two_lines_is_no_request():
    with pytest.raises(ValueError, match="line feed"):
        Request(["a@b.example\nrequire"], append=False, require=False).octets()


def test_the_example_in_the_documentation_is_one():
    lines = re.findall(r"^    (\S.*?)(?: {3,}.*)?$", seal.__doc__, re.MULTILINE)
    assert lines[:4] == ["seal/1", "for alice@example.org", "append", "require"]
    request = events(Request.read, b"\n".join(one.encode() for one in lines[:4]) + b"\n\n", 5)[0][0]
    assert request.octets().decode() == "seal/1\nfor alice@example.org\nappend\nrequire\n\n"
