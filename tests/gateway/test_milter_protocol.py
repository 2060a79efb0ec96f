"""The milter protocol without any I/O: what a session understands, however it is cut, and what it
answers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.gateway.protocol.milter import (
    PACKET_LIMIT,
    Abort,
    Body,
    EndOfMessage,
    Header,
    Mail,
    MilterSession,
    Quit,
    Recipient,
)
from cmstream.gateway.protocol.replies import ProtocolError, Reply
from helpers.milter import field, macros, offer, packet, packets, strings

AGAIN = Reply.of(451, "4.3.0", "100% busy")
ENVELOPE = [
    macros(b"C", b"{client_addr}", b"192.0.2.1", b"{client_port}", b"4711"),
    macros(b"M", b"i", b"4QX"),
    packet(b"M", strings(b"<bob@example.net>", b"SIZE=40")),
    macros(b"R", b"i", b"4QX", b"{rcpt_addr}", b"alice@example.org"),
    packet(b"R", strings(b"<@relay:Alice>", b"NOTIFY=NEVER")),
]
MESSAGE = [
    macros(b"T", b"i", b"4QX"),
    packet(b"T"),
    macros(b"L", b"i", b"4QX"),
    field(b"Subject", b" a\n\tb"),
    field(b"X-Empty", b""),
    macros(b"N", b"i", b"4QX"),
    packet(b"B", b"one\r\n"),
    packet(b"B", b""),
    packet(b"B", b"two\0\r\n"),
    macros(b"E", b"i", b"4QX"),
    packet(b"E", b"three"),
]
EVENTS = [
    Mail(b"<bob@example.net>", (b"SIZE=40",)),
    Recipient(b"<@relay:Alice>", (b"NOTIFY=NEVER",), "alice@example.org"),
    Header(b"Subject", b" a\n\tb"),
    Header(b"X-Empty", b""),
    Body(b"one\r\n"),
    Body(b""),
    Body(b"two\0\r\n"),
    EndOfMessage(b"three"),
]


def session(**offered):
    made = MilterSession()
    made.receive(offer(**offered))
    assert made.next_event() is None
    made.data_to_send()
    return made


def events(one, *pieces, answer=True):
    """What a session says of them; whatever wants an answer is answered at once."""
    found = []
    for piece in pieces:
        one.receive(piece)
        while (event := one.next_event()) is not None:
            found.append(event)
            if answer and isinstance(event, Recipient | EndOfMessage):
                one.proceed()
    return found


def replies(one):
    return packets(bytes(one.data_to_send()))


# --- negotiation -----------------------------------------------------------------------------


def agreed(**offered):
    one = MilterSession()
    one.receive(offer(**offered))
    assert one.next_event() is None
    ((code, data),) = replies(one)
    assert code == b"O"
    return one, *struct.unpack_from(">III", data), data[12:]


def test_postfix_offers_what_is_needed():
    one, version, actions, steps, asked = agreed()
    assert version == 6
    assert actions == 0x01 | 0x02 | 0x10 | 0x100
    # Neither recipients that the server refuses itself, nor a reply to each field and piece; DATA
    # is answered, since its macros travel alone otherwise, and what follows waits for their ACK.
    assert steps == 0x01 | 0x02 | 0x40 | 0x80 | 0x100 | 0x4000 | 0x80000 | 0x100000
    assert asked == (b"\0\0\0\0{client_addr} {client_port}\0\0\0\0\2i\0\0\0\0\3i {rcpt_addr}\0")
    assert one.leading_space


def test_nothing_is_asked_for_that_isnt_offered():
    one, version, actions, steps, asked = agreed(version=2, actions=0x13, steps=0)
    assert (version, actions, steps, asked) == (2, 0x13, 0, b"")
    assert not one.leading_space


def test_a_later_version_is_answered_with_ours():
    assert agreed(version=7)[1] == 6


@pytest.mark.parametrize(
    ("steps", "piece", "chosen"),
    [
        (0x1FFFFF, 65535, 0),
        (0x101FFFFF, (256 << 10) - 1, 0x10000000),
        (0x301FFFFF, (1 << 20) - 1, 0x20000000),
    ],
)
def test_larger_pieces_where_they_are_offered(steps, piece, chosen):
    one, _, _, answered, _ = agreed(steps=steps)
    assert one.piece == piece
    assert answered & 0x70000000 == chosen
    events(one, *ENVELOPE, *MESSAGE[:-1])
    events(one, packet(b"E"), answer=False)
    one.data_to_send()
    one.replace_body(b"x" * (piece + 1))
    assert [(code, len(data)) for code, data in replies(one)] == [(b"b", piece), (b"b", 1)]


@pytest.mark.parametrize(
    "offered", [{"version": 1}, {"actions": 0x11}, {"actions": 0x03}, {"actions": 0x12}]
)
def test_a_server_that_lets_nothing_be_changed(offered):
    one = MilterSession()
    one.receive(offer(**offered))
    with pytest.raises(ProtocolError):
        one.next_event()


# --- messages --------------------------------------------------------------------------------


def test_a_message():
    one = session()
    assert events(one, *ENVELOPE, *MESSAGE) == EVENTS
    assert replies(one) == [(b"c", b"")] * 3
    assert one.macros[b"client_addr"] == b"192.0.2.1"
    assert one.macros[b"i"] == b"4QX"
    assert (one.mail, one.accepted) == (EVENTS[0], [EVENTS[1]])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_pieces_of_one_size(size):
    whole = b"".join([*ENVELOPE, *MESSAGE])
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert events(session(), *pieces) == EVENTS


def test_every_split():
    whole = offer() + b"".join([*ENVELOPE, *MESSAGE])
    for at in range(len(whole) + 1):
        assert events(MilterSession(), whole[:at], whole[at:]) == EVENTS


def test_several_messages_on_one_connection():
    one = session()
    without_macros = [each for each in (*ENVELOPE, *MESSAGE) if each[4:5] != b"D"]
    for name in (b"1", b"2"):
        found = events(one, macros(b"M", b"i", name), *without_macros)
        assert [type(each) for each in found] == [type(each) for each in EVENTS]
        assert one.between_messages
        assert one.macros == {b"i": name}
    assert events(one, packet(b"A")) == [Abort()]
    assert (one.mail, one.accepted) == (None, [])
    assert events(one, *ENVELOPE, MESSAGE[3], packet(b"A"), *ENVELOPE[1:], *MESSAGE) == [
        *EVENTS[:3], Abort(), *EVENTS,
    ]  # fmt: skip
    assert events(one, packet(b"Q")) == [Quit()]
    with pytest.raises(ProtocolError):
        events(one, *ENVELOPE)


def test_what_is_kept_of_an_envelope_has_an_end():
    one = session()
    events(one, *ENVELOPE, *(macros(b"R", b"{x%d}" % number, b"y") for number in range(1000)))
    assert one.macros.keys() == {b"client_addr", b"client_port", b"i"}
    long = b"a" * (16 << 10)
    for kept in (packet(b"R", strings(long)), macros(b"R", b"{rcpt_addr}", long + b"a")):
        with pytest.raises(ProtocolError):
            events(session(), *ENVELOPE, kept)


def test_another_client_on_the_same_connection():
    one = session()
    events(one, *ENVELOPE, *MESSAGE)
    again = [packet(b"K"), macros(b"C", b"{client_addr}", b"192.0.2.2"), *ENVELOPE[1:], *MESSAGE]
    assert events(one, *again) == [Abort(next_client=True), *EVENTS]
    assert one.macros[b"client_addr"] == b"192.0.2.2"
    assert b"client_port" not in one.macros


def test_macros_of_a_message_end_with_it_where_the_connection_has_none():
    one = session()
    events(one, *ENVELOPE, *MESSAGE, packet(b"K"))
    message = [packet(b"M", strings(b"<c@d>")), macros(b"R", b"i", b"1"), packet(b"R", b"<a@b>\0")]
    events(one, *message, packet(b"E"))
    assert one.macros == {b"i": b"1"}
    events(one, macros(b"M", b"client_port", b"2"), *message[:1])
    assert one.macros == {b"client_port": b"2"}


@pytest.mark.parametrize("end", [packet(b"E"), packet(b"A")])
def test_macros_end_with_their_message_where_the_next_has_none(end):
    one = session()
    events(one, *ENVELOPE, end)
    events(one, packet(b"M", strings(b"<c@d>")))
    assert one.macros == {b"client_addr": b"192.0.2.1", b"client_port": b"4711"}
    events(one, packet(b"A"), ENVELOPE[1], packet(b"A"), packet(b"M", strings(b"<c@d>")))
    assert b"i" not in one.macros


def test_an_address_ends_with_its_recipient_where_the_next_has_none():
    one = session()
    bob = packet(b"R", strings(b"<bob@x>"))
    assert [each.address for each in events(one, *ENVELOPE, bob)[1:]] == [
        "alice@example.org", "bob@x",
    ]  # fmt: skip
    for told, end in ((ENVELOPE[3], packet(b"A")), (macros(b"T", b"{rcpt_addr}", b"a@b"), b"")):
        found = events(one, *ENVELOPE[1:3], told, end, ENVELOPE[2], bob)
        assert found[-1].address == "bob@x"


def test_nothing_comes_while_an_answer_is_owed():
    one = session()
    assert events(one, b"".join([*ENVELOPE, *MESSAGE]), answer=False) == EVENTS[:2]
    assert one.waiting == len(b"".join(MESSAGE))
    one.refuse(AGAIN)
    assert one.accepted == []
    assert events(one, b"") == EVENTS[2:]


def test_an_old_server_wants_more_replies():
    one = session(version=2, actions=0x3F, steps=0x7F)
    found = events(
        one, packet(b"C", b"x\x00U"), packet(b"H", strings(b"x")), *ENVELOPE, MESSAGE[3],
        packet(b"N"), *MESSAGE[6:],
    )  # fmt: skip
    # The space behind the colon was eaten.
    assert [one for one in found if isinstance(one, Header)] == [Header(b"Subject", b"  a\n\tb")]
    # MAIL, RCPT, a field, three pieces and the end; connect, HELO and the header's end it was told
    # to leave out, and answers come all the same where it doesn't.
    assert replies(one) == [(b"c", b"")] * 10


def test_the_address_is_that_of_which_the_server_is_sure():
    def address(path, *words):
        one = session()
        found = events(one, *ENVELOPE[:3], macros(b"R", *words), packet(b"R", strings(path)))
        return found[-1].address

    assert address(b"<Alice>", b"{rcpt_addr}", b"alice@example.org") == "alice@example.org"
    assert address(b"<alice@example.org>", b"{rcpt_addr}", b"alice") == "alice@example.org"
    assert address(b"alice@example.org") == "alice@example.org"
    assert address(b"x", b"{rcpt_addr}", b'a "b\\@example.org') == '"a \\"b\\\\"@example.org'
    assert address(b"x", b"{rcpt_addr}", b'"a b"@example.org') == '"a b"@example.org'
    assert address(b"<\xc3\xa4@example.org>") == "ä@example.org"
    assert address(b"<\xff@example.org>") == "\ufffd@example.org"


def test_an_address_isnt_taken_for_the_next_recipients():
    one = session()
    found = events(one, *ENVELOPE, macros(b"R", b"i", b"4QX"), packet(b"R", strings(b"<bob@x>")))
    assert [each.address for each in found[1:]] == ["alice@example.org", "bob@x"]


def test_whether_a_message_came_by_smtp():
    for port, submitted in ((b"0", True), (b"4711", False)):
        one = session()
        events(one, macros(b"C", b"{client_port}", port), *ENVELOPE[1:])
        assert one.submitted == submitted


# --- what is answered ------------------------------------------------------------------------


@pytest.fixture
def at_end():
    one = session()
    events(one, *ENVELOPE, *MESSAGE[:-1])
    assert events(one, packet(b"E"), answer=False) == [EndOfMessage(b"")]
    one.data_to_send()
    return one


def test_changes(at_end):
    at_end.progress()
    at_end.change_header(b"Content-Type", 2, b"")
    at_end.change_header(b"Subject", 1, b" [...]")
    at_end.add_header(b"MIME-Version", b" 1.0")
    assert at_end.deciding
    at_end.replace_body(b"x" * 65536)
    assert not at_end.deciding
    at_end.proceed()
    assert replies(at_end) == [
        (b"p", b""),
        (b"m", b"\0\0\0\2Content-Type\0\0"),
        (b"m", b"\0\0\0\1Subject\0 [...]\0"),
        (b"h", b"MIME-Version\0 1.0\0"),
        (b"b", b"x" * 65535),
        (b"b", b"x"),
        (b"c", b""),
    ]


def test_the_space_behind_the_colon_goes_where_the_server_adds_it():
    one = session(steps=0xFFFFF)
    events(one, *ENVELOPE, *MESSAGE[:-1])
    events(one, packet(b"E"), answer=False)
    one.data_to_send()
    one.add_header(b"A", b" b")
    one.change_header(b"C", 1, b"\td")
    assert replies(one) == [(b"h", b"A\0b\0"), (b"m", b"\0\0\0\1C\0\td\0")]


def test_a_refusal(at_end):
    at_end.replace_body(b"x")
    at_end.refuse(Reply(451, (b"4.3.0 100% busy", b"4.3.0 try again")))
    assert replies(at_end)[1:] == [(b"y", b"451-4.3.0 100%% busy\r\n451 4.3.0 try again\0")]
    assert at_end.between_messages


def test_what_may_not_be_answered(at_end):
    with pytest.raises(ValueError, match="250"):
        at_end.refuse(Reply.of(250, "2.0.0", "OK"))
    at_end.replace_body(b"x")
    for change in (
        at_end.progress,
        lambda: at_end.add_header(b"a", b"b"),
        lambda: at_end.change_header(b"a", 1, b"b"),
    ):
        with pytest.raises(RuntimeError):
            change()
    at_end.proceed()
    for answer in (at_end.proceed, lambda: at_end.refuse(AGAIN), lambda: at_end.replace_body(b"")):
        with pytest.raises(RuntimeError):
            answer()


# --- garbage ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        packet(b"M"),
        packet(b"M", b"<a>"),
        packet(b"R", strings(b"<a>")),
        packet(b"L", strings(b"a", b"b")),
        packet(b"B", b"x"),
        packet(b"E"),
        packet(b"O", b""),
        offer(),
        packet(b"Z"),
        struct.pack(">I", 0) + b"x",
        struct.pack(">I", PACKET_LIMIT + 1) + b"x",
    ],
)
def test_what_isnt_allowed_between_messages(octets):
    with pytest.raises(ProtocolError):
        events(session(), octets)


@pytest.mark.parametrize(
    "data",
    [b"", b"a", b"a\0", b"a\0b", b"a\0b\0c\0", b"\0b\0", b"a:\0b\0", b"a b\0c\0", b"a\nb\0c\0"],
)
def test_what_is_no_field(data):
    with pytest.raises(ProtocolError):
        events(session(), *ENVELOPE, packet(b"L", data))


def test_commands_before_the_offer():
    for octets in (packet(b"M", strings(b"<a>")), macros(b"C"), packet(b"A")):
        with pytest.raises(ProtocolError):
            events(MilterSession(), octets)
    with pytest.raises(ProtocolError):
        events(MilterSession(), packet(b"O", b"\0" * 11))


def test_no_more_is_held_than_a_packet():
    one = session()
    one.receive(struct.pack(">I", PACKET_LIMIT) + b"D")
    assert one.next_event() is None


PACKETS = st.builds(packet, st.sampled_from([bytes([c]) for c in b"OCDHMRTULNBEAKQZ"]),
                    st.binary(max_size=40))  # fmt: skip
PARTS = st.lists(
    st.one_of(
        PACKETS, st.binary(max_size=12), st.sampled_from([*ENVELOPE, *MESSAGE, packet(b"A")])
    ),
    max_size=30,
)


@given(PARTS, st.booleans(), st.randoms(use_true_random=False))
def test_garbage(parts, begun, random):
    """It is refused by ProtocolError alone; else every piece is answered or waits."""
    one = MilterSession()
    whole = (offer() if begun else b"") + b"".join(parts)
    try:
        while whole:
            at = random.randint(1, len(whole))
            events(one, whole[:at])
            whole = whole[at:]
    except ProtocolError:
        pass
    packets(bytes(one.data_to_send()))
