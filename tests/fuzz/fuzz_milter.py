"""The milter protocol. Any packets, however cut, are understood as a plain reader understands them,
up to the first that isn't allowed; each that wants an answer gets one, and no other comes. What the
mail server makes of the changes that it is told is the sealed message, octet for octet, and opens
to what it had.

An input is three octets of choices and what the server sends.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any
from unittest import mock

import cmstream
from cmstream.errors import CmstreamError
from cmstream.gateway import milter_connection, milter_message
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
REFUSED, TOLD = Reply.of(451, "4.3.0", "100% busy"), b"451 4.3.0 100%% busy\0"
# At most, so that short inputs reach them.
MEMORY, LONGEST, HEADER, FIELD = 500, 1500, 2000, 128
PACKET, ENVELOPE, PIECE = 1200, 60, 700
_NEEDED = 0x13
_SILENT = {b"L": 0x80, b"M": 0x4000, b"B": 0x80000}
_SPACE = 0x100000
# Commands that may follow each other, without macros; the last message needs no end.
_MESSAGE = rb"M[MRHU]*(?:[TL][LU]*)?(?:[NB]B*)?"
_ORDER = re.compile(rb"(?:O(?:[CHUAK]|%b[EAK])*(?:%b)?)?Q?" % (_MESSAGE, _MESSAGE))


def check(data: bytes) -> None:
    if len(data) < 3:
        return
    limits = {"PACKET_LIMIT": PACKET, "ENVELOPE_LIMIT": ENVELOPE, "PIECE": PIECE}
    with (
        mock.patch.multiple(milter, **limits),
        mock.patch.object(milter_message, "HEADER_LIMIT", HEADER),
    ):
        check_played(data[0], data[1] + 1, data[3:])


def check_played(choice: int, size: int, wire: bytes) -> None:
    whole = Server(choice).played([wire])
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    events, sent, _ = whole
    again, sent_again, _ = in_pieces = Server(choice).played(pieces)
    assert (again, in_pieces[2]) == (events, whole[2])
    assert [code for code, _ in packets(sent_again)] == [code for code, _ in packets(sent)]
    every, error = in_order(wire)
    assert error == whole[2]
    allowed = [one for one in every if one[0] != b"D"]
    check_events(Plain(every, refuses=bool(choice & 1)).events, events)
    check_answers(allowed, packets(sent), refuses=bool(choice & 1))


def in_order(wire: bytes) -> tuple[list[Packet], bool]:
    """The packets up to the first that mustn't come, and whether there was such a one."""
    found = []
    bad = False
    while len(wire) >= 4:
        (length,) = struct.unpack_from(">I", wire)
        bad = not 1 <= length <= PACKET
        if bad or len(wire) < 4 + length:
            break
        found.append((wire[4:5], wire[5 : 4 + length]))
        wire = wire[4 + length :]
    letters = b""
    for place, one in enumerate(found):
        if one[0] == b"D" and letters and letters[-1:] != b"Q":
            if is_long_macro(one[1]):
                return found[:place], True
            continue
        letters += one[0]
        if not _ORDER.fullmatch(letters) or not is_valid(*one):
            return found[:place], True
    return found, bad


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


# --- a plain reader ----------------------------------------------------------------------------

_MACROS = {b"client_addr", b"client_port", b"i", b"rcpt_addr"}


class Plain:
    """What is told, each event with the macros and the envelope of that moment."""

    def __init__(self, every: list[Packet], *, refuses: bool) -> None:
        self.refuses = refuses
        self.space = True
        self.connection: dict[bytes, bytes] = {}
        self.macros: dict[bytes, bytes] = {}
        self.coming: dict[bytes, bytes] = {}
        self.resolved = b""
        self.sender: tuple[bytes, ...] = ()
        self.accepted: list[bytes] = []
        self.events: list[Any] = []
        for command, data in every:
            self.read(command, data)

    def read(self, command: bytes, data: bytes) -> None:
        words = data.split(b"\0")[:-1]
        match command:
            case b"D":
                self.read_macros(data[:1], data[1:].split(b"\0"))
            case b"O":
                self.space = bool(struct.unpack_from(">III", data)[2] & _SPACE)
            case b"L":
                self.tell("Header", words[0], words[1] if self.space else b" " + words[1])
            case b"B" | b"E":
                self.tell("Body" if command == b"B" else "EndOfMessage", data)
            case b"Q":
                self.tell("Quit")
            case _:
                self.read_envelope(command, words)

    def read_envelope(self, command: bytes, words: list[bytes]) -> None:
        if command == b"M":
            self.sender, self.accepted = tuple(words), []
            self.macros = self.connection | self.coming
            self.coming, self.resolved = {}, b""
            self.tell("Mail", words[0], tuple(words[1:]))
        elif command == b"R":
            self.tell("Recipient", words[0], tuple(words[1:]), self.address(words[0]))
            self.resolved = b""
            if not (self.refuses and b"never" in words[0]):
                self.accepted.append(words[0])
        elif command in (b"A", b"K"):
            self.sender, self.accepted = (), []
            self.coming, self.resolved = {}, b""
            if command == b"K":
                self.macros = self.connection = {}
            self.tell("Abort", command == b"K")

    def read_macros(self, stage: bytes, words: list[bytes]) -> None:
        if stage == b"" or stage not in b"CMRTE":
            return
        pairs = zip(words[::2], words[1::2], strict=False)
        told = {one.strip(b"{}"): value for one, value in pairs}
        told = {name: value for name, value in told.items() if name in _MACROS}
        resolved = told.pop(b"rcpt_addr", b"")
        if stage == b"R":
            self.resolved = resolved
        if stage == b"C":
            self.connection = self.macros = told
        elif stage == b"M":
            self.coming = told
        else:
            self.macros = self.macros | told

    def address(self, path: bytes) -> str:
        """By the macro, where that names a domain."""
        told = self.resolved.decode("utf-8", "replace")
        local, at, domain = told.rpartition("@")
        if not at:
            return path.removeprefix(b"<").removesuffix(b">").decode("utf-8", "replace")
        if local[:1] != '"' and any(one.isspace() or one in '"(),:;<>@[]\\' for one in local):
            escaped = local.replace("\\", "\\\\").replace('"', '\\"')
            local = f'"{escaped}"'
        return f"{local}@{domain}"

    def tell(self, *event: Any) -> None:
        self.events.append((event, self.macros, self.sender, tuple(self.accepted)))


def check_events(expected: list[Any], events: list[Any]) -> None:
    assert len(events) == len(expected)
    for one, plain in zip(events, expected, strict=True):
        event, macros, sender, accepted = one
        assert ((type(event).__name__, *event), macros, sender, accepted) == plain


def check_answers(allowed: list[Packet], sent: list[Packet], *, refuses: bool) -> None:
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
            refused = refuses and b"never" in data.split(b"\0")[0]
            assert next(answers) == ((b"y", TOLD) if refused else (b"c", b""))
        elif command == b"E":
            code = b""
            while code not in (b"c", b"y"):
                code, told = next(answers)
                assert code in (b"m", b"h", b"b", b"c", b"y")
                assert code != b"b" or len(told) <= PIECE or steps & 0x30000000
            assert told == (b"" if code == b"c" else TOLD)
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
        self.has_body = False

    def played(self, pieces: list[bytes]) -> tuple[list[Any], bytes, bool]:
        """What was told, what was sent, and whether it ended in an error."""
        events = []
        try:
            for piece in pieces:
                self.session.receive(piece)
                while (event := self.session.next_event()) is not None:
                    events.append((event, *self.known()))
                    self.on(event)
        except ProtocolError:
            return events, self.all_sent(), True
        return events, self.all_sent(), False

    def known(self) -> tuple[Any, ...]:
        """What the session knows beside."""
        mail = self.session.mail
        accepted = tuple(one.path for one in self.session.accepted)
        return dict(self.session.macros), (mail.path, *mail.parameters) if mail else (), accepted

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
                self.has_body = True
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
        assert refused == self.is_too_big(told[0])
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

    def is_too_big(self, header: bytes) -> bool:
        cost = sum(len(name) + len(value) + FIELD for name, value in self.fields)
        return cost > HEADER or (self.has_body and len(header) + len(self.body) > LONGEST)

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
        made, expected = self.made(packets(told)), sealed
        if any(_ODD_LINES.search(value) for _, value in self.fields):
            made, expected = _without_blanks(made), _without_blanks(sealed)
        assert made == expected
        check_opened(sealed, whole)
        check_any_block(self.fields)

    def made(self, wanted: list[Packet]) -> bytes:
        """What the mail server has then. It puts a blank behind a colon itself, if asked to."""
        if not self.session.leading_space:
            wanted = [(code, _with_blank(code, data)) for code, data in wanted]
        return changed(self.fields, self.body, wanted)


def check_any_block(fields: list[tuple[bytes, bytes]]) -> None:
    """The changes make one header block of another, whatever the two are."""
    if any(_ODD_LINES.search(value) for _, value in fields):
        return
    folded = [(name, value + b"\n b") for name, value in fields]
    for others in (fields[::-1], fields[1:], folded, folded[1:] + fields):
        block = written(others)
        altered, added = changes(fields, block)
        told = [(b"m", struct.pack(">I", one.number) + strings(one.name, one.value))
                for one in altered]  # fmt: skip
        told += [(b"h", strings(*one)) for one in added]
        assert changed(fields, b"", told) == block + b"\r\n"


_ODD_LINES = re.compile(rb"\n(?![ \t])|\r(?!\n)")


_BLANK = re.compile(rb"^([!-9;-~\x80-\xff]+)[ \t]+:", re.MULTILINE)


def _without_blanks(mail: bytes) -> bytes:
    """What stands behind an odd line end is a field, which is added with its name alone; a blank in
    front of the colon (RFC 5322 section 4.5) doesn't come along."""
    header, end, body = mail.partition(b"\r\n\r\n")
    return _BLANK.sub(rb"\1:", header) + end + body


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
          b"Content-Transfer-Encoding", b"\xe4", b"a b", b"a:b", b"")  # fmt: skip
_FOLDED = b" application/pkcs7-mime; smime-type=enveloped-data;"
_VALUES = (_FOLDED, b"", b" a", b" a\n\tb", b"a\r\n b", b" text/plain; charset=utf-8", b" 1.0",
           b" base64", b" \n c", b"d\ne: f", b"\xff", b" application/pkcs7-mime",
           b"\r", b"\n", b" ")  # fmt: skip
_BODIES = (b"", b"one\r\n", b"two\n", b"\0", b".\r\n", b"x" * (PACKET - 1), b"x" * PACKET, b"\r\n",
           b"--\r", b"x" * 400)  # fmt: skip
_MACRO_NAMES = (b"i", b"{rcpt_addr}", b"{client_addr}", b"client_port", b"{j}")
_MACRO_VALUES = (b"v@w", b"a b@w", b"v", b"", b"0", b"x" * ENVELOPE, b"x" * (ENVELOPE + 1))


def one_packet(source: random.Random) -> bytes:
    kind = source.randrange(9)
    if kind < 3:
        return field(source.choice(_NAMES), source.choice(_VALUES))
    if kind < 5:
        return packet(source.choice((b"B", b"B", b"E")), source.choice(_BODIES))
    if kind == 5:
        stage = source.choice((b"C", b"M", b"R", b"T", b"E", b"L"))
        return macros(stage, source.choice(_MACRO_NAMES), source.choice(_MACRO_VALUES))
    if kind == 6:
        path = source.choice((b"<a@b>", b"<never@b>", b"", b"x" * 46, b"x" * 47))
        return packet(source.choice((b"R", b"R", b"M")), strings(path, b"NOTIFY=NEVER"))
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
        kept = field(b"Content-Type", _FOLDED)
        yield bytes([1, 7, 0]) + begin + envelope + kept + end
        yield bytes([1, 5, 0]) + offer(version=7, actions=0xFF, steps=steps) + envelope * 2 + end
        yield bytes([1, 5, 0]) + begin + every_macro()
        yield bytes([1, 5, 0]) + begin + envelope + bytes(4) + b"A"
        long = packet(b"B", b"x" * (PACKET - 1)) + packet(b"B", b"x" * 400) + packet(b"E")
        yield bytes([1, 200, 0]) + begin + envelope + kept + long
        yield bytes([1, 9, 0]) + begin + envelope + field(b"X", b"") * (HEADER // FIELD + 1) + end
        yield bytes([0, 99, 0]) + begin + (envelope + b"".join(fields[:2]) + end) * 2 + packet(b"Q")


def every_macro() -> bytes:
    """Clients, senders and recipients whose macros differ."""
    found = b""
    for name in (b"<a@b>", b"<never@b>", b"<e@f>"):
        port = macros(b"C", b"{client_port}", b"0") if name == b"<e@f>" else b""
        found += port + macros(b"M", b"i", name) + packet(b"M", strings(name, b"SIZE=9"))
        found += macros(b"R", b"{rcpt_addr}", b"v@w") + packet(b"R", strings(name, b"NOTIFY=NEVER"))
        found += packet(b"R", strings(name)) + packet(b"A" if port else b"E", b"" if port else b"x")
    last = macros(b"M", b"i", b"z") + packet(b"M", strings(b"<c@d>")) + packet(b"E")
    return found + packet(b"K") + last


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
