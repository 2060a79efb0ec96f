"""The milter protocol. Any packets, however cut, are understood alike, up to the first that isn't
allowed; each that wants an answer gets one, and no other comes. What the mail server makes of the
changes that it is told is the sealed message, octet for octet, and opens to what it had.

An input is three octets of choices and what the server sends.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

import cmstream
from cmstream.errors import CmstreamError
from cmstream.gateway import milter_connection
from cmstream.gateway.header_changes import changes
from cmstream.gateway.milter_message import MilterMessage
from cmstream.gateway.protocol import milter
from cmstream.gateway.protocol.milter import MilterSession
from cmstream.gateway.protocol.replies import ProtocolError, Reply
from helpers.milter import changed, field, macros, offer, packet, packets, strings, written
from helpers.people import identity, person

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    Packet = tuple[bytes, bytes]

ALICE = person(1024)
POLICY = cmstream.DEFAULT.clone(refuse=frozenset(), warn=frozenset())
REFUSED = Reply.of(451, "4.3.0", "100% busy")
MEMORY, LONGEST, ENVELOPE = 2000, 20_000, 16 << 10
_NEEDED = 0x13
_SILENT = {b"L": 0x80, b"M": 0x4000, b"B": 0x80000}
_SPACE = 0x100000
# Commands that may follow each other, without macros; the last message needs no end.
_MESSAGE = rb"M[MRHU]*(?:[TL][LU]*)?(?:[NB]B*)?"
_ORDER = re.compile(rb"(?:O(?:[CHUAK]|%b[EAK])*(?:%b)?)?Q?" % (_MESSAGE, _MESSAGE))


def check(data: bytes) -> None:
    if len(data) < 3:
        return
    choice, size = data[0], data[1] + 1
    wire = data[3:]
    whole = Server(choice).played([wire])
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    events, sent, _ = whole
    again, sent_again, _ = in_pieces = Server(choice).played(pieces)
    assert (again, in_pieces[2]) == (events, whole[2])
    assert [code for code, _ in packets(sent_again)] == [code for code, _ in packets(sent)]
    allowed = in_order(wire)
    assert len(events) == sum(command in b"MRLBEAKQ" for command, _ in allowed)
    check_answers(allowed, packets(sent))


def in_order(wire: bytes) -> list[Packet]:
    """The packets up to the first that mustn't come; macros are left out."""
    found = []
    while len(wire) >= 4:
        (length,) = struct.unpack_from(">I", wire)
        if not 1 <= length <= milter.PACKET_LIMIT or len(wire) < 4 + length:
            break
        found.append((wire[4:5], wire[5 : 4 + length]))
        wire = wire[4 + length :]
    letters = b""
    allowed = []
    for one in found:
        if one[0] == b"D" and letters and letters[-1:] != b"Q":
            if is_long_macro(one[1]):
                break
            continue
        letters += one[0]
        if not _ORDER.fullmatch(letters) or not is_valid(*one):
            break
        allowed.append(one)
    return allowed


def is_long_macro(data: bytes) -> bool:
    words = data[1:].split(b"\0")
    read = {b"client_addr", b"client_port", b"i", b"rcpt_addr"}
    told = [value for name, value in zip(words[::2], words[1::2], strict=False)
            if name.strip(b"{}") in read]  # fmt: skip
    # The last of two counts, and of an unknown stage nothing.
    return data[:1] in b"CMRTE" and data[:1] != b"" and any(len(one) > ENVELOPE for one in told)


def is_valid(command: bytes, data: bytes) -> bool:
    if command == b"O":
        if len(data) < 12:
            return False
        version, actions, _ = struct.unpack_from(">III", data)
        return version >= 2 and actions & _NEEDED == _NEEDED
    if command in (b"M", b"R"):
        return data[-1:] == b"\0" and len(data) <= ENVELOPE
    if command == b"L":
        return re.fullmatch(rb"[!-9;-~\x80-\xff]+\0[^\0]*\0", data) is not None
    return True


def check_answers(allowed: list[Packet], sent: list[Packet]) -> None:
    """One for each packet that wants one, in their order."""
    answers = iter(sent)
    steps = 0
    for command, data in allowed:
        if command == b"O":
            code, agreed = next(answers)
            assert code == b"O"
            version, actions, steps = struct.unpack_from(">III", agreed)
            offered = struct.unpack_from(">III", data)
            assert 2 <= version <= min(offered[0], 6)
            assert actions | offered[1] == offered[1]
            assert steps | offered[2] == offered[2]
        elif command == b"R":
            assert next(answers)[0] in (b"c", b"y")
        elif command == b"E":
            code = b""
            while code not in (b"c", b"y"):
                code, _ = next(answers)
                assert code in (b"m", b"h", b"b", b"c", b"y")
        elif command in b"CHUTNMLB" and not _SILENT.get(command, 0) & steps:
            assert next(answers) == (b"c", b"")
    assert next(answers, None) is None


# --- the mail server, and what the gateway does ------------------------------------------------


class Server:
    """Has the message as it told it, and takes the changes."""

    def __init__(self, choice: int) -> None:
        self.session = MilterSession()
        self.refuses = bool(choice & 1)
        self.sent: list[bytes] = []
        self.forget()

    def forget(self) -> None:
        self.message = MilterMessage(MEMORY, LONGEST)
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""

    def played(self, pieces: list[bytes]) -> tuple[list[Any], bytes, bool]:
        """What was told, what was sent, and whether it ended in an error."""
        events = []
        try:
            for piece in pieces:
                self.session.receive(piece)
                while (event := self.session.next_event()) is not None:
                    events.append(event)
                    self.on(event)
        except ProtocolError:
            return events, self.all_sent(), True
        return events, self.all_sent(), False

    def all_sent(self) -> bytes:
        return b"".join([*self.sent, bytes(self.session.data_to_send())])

    def on(self, event: Any) -> None:
        if isinstance(event, milter.Mail | milter.Abort):
            self.forget()
        elif isinstance(event, milter.Header):
            self.fields.append(event)
            self.message.add_field(event)
        elif isinstance(event, milter.Recipient):
            self.answer(refused=self.refuses and b"never" in event.path)
        elif isinstance(event, milter.Body | milter.EndOfMessage):
            self.body += event.data
            if event.data or isinstance(event, milter.Body):
                self.message.add_body(event.data)
            if isinstance(event, milter.EndOfMessage):
                self.end()

    def answer(self, *, refused: bool) -> None:
        if refused:
            self.session.refuse(REFUSED)
        else:
            self.session.proceed()

    def end(self) -> None:
        """The message is sealed, as the gateway does it, and compared with what it should be."""
        self.sent.append(bytes(self.session.data_to_send()))
        message, told = self.message, [written(self.fields) + b"\r\n", self.body]
        refused = message.refusal is not None
        if not refused:
            try:
                sealed = cmstream.encrypt_message(
                    b"".join(message.whole().chunks()), [ALICE.recipient], policy=POLICY
                )
            except CmstreamError:
                refused = True
            else:
                self.change(bytes(sealed), b"".join(told))
        message.close()
        self.answer(refused=refused)
        self.forget()

    def change(self, sealed: bytes, whole: bytes) -> None:
        block, body = milter_connection._cut(iter((sealed,)))
        altered, added = changes(self.fields, block)
        for name, number, value in altered:
            self.session.change_header(name, number, value)
        for name, value in added:
            self.session.add_header(name, value)
        self.session.replace_body(body)
        told = bytes(self.session.data_to_send())
        self.sent.append(told)
        assert self.made(packets(told)) == sealed
        check_opened(sealed, whole)

    def made(self, wanted: list[Packet]) -> bytes:
        """What the mail server has then. It puts a blank behind a colon itself, if asked to."""
        if not self.session.leading_space:
            wanted = [(code, _with_blank(code, data)) for code, data in wanted]
        return changed(self.fields, self.body, wanted)


def _with_blank(code: bytes, data: bytes) -> bytes:
    if code not in (b"m", b"h"):
        return data
    number, rest = (data[:4], data[4:]) if code == b"m" else (b"", data)
    name, value, _ = rest.split(b"\0")
    return number + name + b"\0" + (b" " + value if value or code == b"h" else b"") + b"\0"


def check_opened(sealed: bytes, whole: bytes) -> None:
    """The owner sees what she would have got unsealed."""
    if cmstream.is_encrypted(whole):
        assert sealed == whole
        return
    again = cmstream.encrypt_message(whole, [ALICE.recipient], policy=POLICY)
    me = identity(ALICE)
    assert cmstream.decrypt_message(sealed, me) == cmstream.decrypt_message(again, me)


# --- inputs ------------------------------------------------------------------------------------

_NAMES = (b"Subject", b"X", b"x", b"Content-Type", b"MIME-Version", b"Received", b"To",
          b"Content-Transfer-Encoding", b"\xe4")  # fmt: skip
_VALUES = (b"", b" a", b" a\n\tb", b"a\r\n b", b" text/plain; charset=utf-8", b" 1.0", b" base64",
           b" \n c", b"d\ne: f", b"\xff", b" application/pkcs7-mime",
           b"\r", b"\n", b" ")  # fmt: skip
_BODIES = (b"", b"one\r\n", b"two\n", b"\0", b".\r\n", b"x" * 3000, b"\r\n", b"--\r")


def one_packet(source: random.Random) -> bytes:
    kind = source.randrange(9)
    if kind < 3:
        return field(source.choice(_NAMES), source.choice(_VALUES))
    if kind < 5:
        return packet(source.choice((b"B", b"B", b"E")), source.choice(_BODIES))
    if kind == 5:
        stage = source.choice((b"C", b"M", b"R", b"T", b"E", b"L"))
        return macros(stage, source.choice((b"i", b"{rcpt_addr}", b"{client_addr}")), b"v@w")
    if kind == 6:
        return packet(b"R", strings(source.choice((b"<a@b>", b"<never@b>", b"")), b"NOTIFY=NEVER"))
    if kind == 7:
        return packet(b"M", strings(b"<c@d>")) + packet(b"R", strings(b"<a@b>")) + packet(b"T")
    return packet(source.choice((b"A", b"K", b"C", b"H", b"U", b"T", b"N", b"Q", b"E", b"z")))


def seeds() -> Iterator[bytes]:
    for steps in (0x1FFFFF, 0, 0x0FFFFF, 0x301FFFFF):
        begin = offer(steps=steps) + macros(b"C", b"{client_addr}", b"192.0.2.1")
        envelope = packet(b"M", strings(b"<c@d>")) + packet(b"R", strings(b"<a@b>")) + packet(b"T")
        fields = [
            field(name, b" a" if name != b"Content-Type" else b" text/plain") for name in _NAMES
        ]
        end = packet(b"B", b"one\r\n") + packet(b"E", b"two")
        yield bytes([1, 9, 0]) + begin + envelope + b"".join(fields) + packet(b"N") + end
        yield bytes([0, 99, 0]) + begin + (envelope + b"".join(fields[:2]) + end) * 2 + packet(b"Q")


def mutate(data: bytes, source: random.Random) -> bytes:
    """A packet comes in or goes."""
    wire = data[3:]
    places = [0]
    while len(wire) - places[-1] >= 4:
        (length,) = struct.unpack_from(">I", wire, places[-1])
        if places[-1] + 4 + length > len(wire):
            break
        places.append(places[-1] + 4 + length)
    begin, end = sorted(source.choices(places, k=2))
    new = b"".join(one_packet(source) for _ in range(source.choice((0, 1, 1, 2))))
    return data[:3] + wire[:begin] + new + wire[source.choice((begin, end)) :]
