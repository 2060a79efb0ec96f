"""The server's side of SMTP and LMTP: bytes in, events and bytes out (RFC 5321, RFC 2033).

Pipelining (RFC 2920), BDAT (RFC 3030), STARTTLS (RFC 3207), and the parameters of 8BITMIME, SIZE,
SMTPUTF8 and DSN, which are kept for the next hop; XFORWARD and XCLIENT as Postfix has them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar

from . import server_rules as rules
from .data import Unstuffer
from .envelope import EnvelopeError, Mail, Rcpt, parse_attributes, parse_mail, parse_rcpt
from .incoming import Incoming, LineTooLong
from .replies import Reply
from .server_events import (
    DataBegin,
    DataChunk,
    Event,
    MailBegin,
    MessageEnd,
    Quit,
    Recipient,
    Reset,
    StartTls,
    XClient,
    XForward,
)  # fmt: skip
from .server_rules import CHUNKS, MAIL, NEW, PLAIN, RCPT, READY, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WAITS = frozenset({MailBegin, Recipient, DataBegin, MessageEnd})
_GO_ON = 354
_DATA_BEGIN = DataBegin()
_MESSAGE_END = MessageEnd()


class ServerSession:
    """One client's session. It opens nothing and waits for nothing.

    The application gives what comes to ``receive``, takes events from ``next_event`` until there
    is none, and then sends ``data_to_send``. An event that *waits* is answered by ``answer``;
    until then there is no further one, and the application should read no more than it must.

    ``extensions``: what is announced, by name in upper case, with what stands behind each; the
    application may change it at any time, and a client learns it with its next EHLO.
    ``tls_required``: only STARTTLS goes on (530 5.7.0 to the rest) until ``tls``.
    """

    __slots__ = (
        "_announced", "_chunk", "_commands", "_dots", "_eof", "_errors", "_foreign",
        "_handshake", "_incoming", "_last", "_out", "_owed", "_queue", "_reads_content", "_size",
        "_state", "_tls_required", "_told", "accepted", "client", "ended", "esmtp", "extensions",
        "hostname", "limits", "lmtp", "mail", "tls", "waits",
    )  # fmt: skip

    mail: Mail | None
    """The message that has begun: its sender."""
    accepted: list[Rcpt]
    """Its recipients that were accepted. A new list for each message."""
    client: str | None
    """What the client calls itself in HELO, EHLO or LHLO."""
    esmtp: bool
    """Whether it said so by EHLO or LHLO."""
    tls: bool
    """Whether the connection is encrypted."""
    waits: Event | None
    """The event that waits for its answer."""
    ended: bool
    """Whether the session is over. Nothing that comes counts any more, nor does an answer."""

    def __init__(
        self,
        *,
        lmtp: bool,
        hostname: str,
        extensions: Mapping[bytes, bytes],
        limits: Limits | None = None,
        tls: bool = False,
        tls_required: bool = False,
    ) -> None:
        self.lmtp = lmtp
        self.hostname = hostname
        self.extensions = extensions
        self.limits = limits or Limits()
        self.tls = tls
        self._tls_required = tls_required
        self._foreign = (b"HELO", b"EHLO") if lmtp else (b"LHLO",)
        self._begin_anew()
        self.mail = self.waits = None
        self.accepted = []
        # Whether XFORWARD told of the next message's client.
        self._told = False
        self.ended = self._eof = self._handshake = self._reads_content = False
        self._commands = self._errors = 0
        self._incoming = Incoming()
        self._queue: deque[Event] = deque()
        self._out: list[bytes] = []
        self._dots = Unstuffer()
        self._size = 0
        # The bytes that BDAT announced and that haven't come; None for DATA.
        self._chunk: int | None = None
        self._last = True
        # The refusals that are given once the content that they are for has been swallowed.
        self._owed: tuple[Reply, ...] = ()

    def greet(self) -> None:
        """Sends the greeting (220)."""
        kind = "LMTP" if self.lmtp else "ESMTP"
        self._say(Reply.of(220, "", f"{self.hostname} {kind}"))

    def refuse(self, reply: Reply) -> None:
        """Ends the session with a reply: instead of the greeting, or when time or patience runs
        out. The next events are Reset, if there is anything to forget, and Quit."""
        if not self.ended:
            resets = [event for event in self._queue if isinstance(event, Reset)]
            self._queue.clear()
            self._queue.extend(resets)
            self.waits = None
            self._say(reply)
            self._end(reply.text)

    def receive(self, data: bytes) -> None:
        """Takes what has come; ``b""`` is the end of the connection."""
        if self.ended:
            return
        if self._handshake and data:
            self.refuse(rules.EARLY)
        elif data:
            self._incoming.feed(data)
        else:
            self._eof = True

    def next_event(self) -> Event | None:
        """The next event; None when more must come first, or the answer to the event that
        ``waits``."""
        queue = self._queue
        while not queue:
            if self.waits is not None or self.ended:
                return None
            if not (self._read_content() if self._reads_content else self._read_command()):
                if self._incoming.join():
                    continue
                if not self._eof:
                    return None
                self._end("the connection was lost")
        event = queue.popleft()
        if type(event) in _WAITS:
            self.waits = event
        return event

    def answer(self, *replies: Reply) -> None:
        """Answers the event that waits: by one reply, but MessageEnd in LMTP by one for each
        recipient in ``accepted``, in their order."""
        event = self.waits
        if self.ended:
            return
        if event is None:
            raise RuntimeError("no event waits for an answer")
        wanted = self._replies if event is _MESSAGE_END else 1
        if len(replies) != wanted:
            raise ValueError(f"{wanted} replies are wanted, not {len(replies)}")
        self.waits = None
        first = replies[0]
        if event is _DATA_BEGIN:
            self._begin_content(first)
        elif event is _MESSAGE_END:
            self._out += [reply.octets() for reply in replies]
            self._commands = self._errors = 0
            self._clear()
        else:
            self._out.append(first.octets())
            if first.kind == 2:
                self._accept(event)

    def data_to_send(self) -> bytes:
        """What is to be sent now; it is given once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def tls_started(self) -> None:
        """The handshake after StartTls is done. The client must say EHLO again."""
        self.tls, self._handshake = True, False
        self._begin_anew()

    # --- what happens to the session ---------------------------------------------------------

    @property
    def _replies(self) -> int:
        """How many replies the end of the message gets."""
        return len(self.accepted) if self.lmtp else 1

    def _say(self, reply: Reply) -> None:
        self._out.append(reply.octets())

    def _error(self, reply: Reply) -> None:
        self._errors += 1
        if self._errors > self.limits.errors:
            self.refuse(rules.TOO_MANY_ERRORS)
        else:
            self._say(reply)

    def _begin_anew(self) -> None:
        self._state = NEW
        self._announced: Mapping[bytes, bytes] = {}
        self.client, self.esmtp = None, False

    def _clear(self) -> None:
        """No message has begun."""
        self.mail, self.accepted, self._told = None, [], False
        self._state = min(self._state, READY)

    def _forget(self, reason: str) -> None:
        """The same, and the application is told if one had, or if XFORWARD came for it."""
        if self.mail is not None or self._told:
            self._queue.append(Reset(reason))
        self._clear()

    def _end(self, reason: str) -> None:
        self._forget(reason)
        self._queue.append(Quit(reason))
        self.ended = True
        self._incoming.clear()

    # --- commands ----------------------------------------------------------------------------

    def _read_command(self) -> bool:
        try:
            line = self._incoming.line(self.limits.line)
        except LineTooLong:
            self._error(rules.LONG_LINE)
            return True
        if line is None:
            return False
        self._commands += 1
        if self._commands > self.limits.commands:
            self.refuse(rules.TOO_MANY_COMMANDS)
        else:
            self._command(line)
        return True

    def _command(self, line: bytes) -> None:
        verb, _, argument = line.partition(b" ")
        verb = verb.upper()
        row = rules.ORDER.get(verb)
        if row is None or verb in self._foreign:
            self._unknown(verb)
            return
        refusal = row[self._state]
        needed = rules.NEEDS.get(verb)
        if refusal is None and needed is not None and needed not in self._announced:
            refusal = rules.NO_CHUNKING if verb == b"BDAT" else rules.UNKNOWN
        if refusal is None:
            self._handlers[verb](self, argument)
        elif verb == b"BDAT":
            self._refuse_chunk(argument, refusal)
        else:
            self._say(refusal)

    def _unknown(self, verb: bytes) -> None:
        if verb in rules.BROWSERS:
            self.refuse(rules.NOT_HTTP)
        else:
            self._error(rules.UNKNOWN if verb else rules.EMPTY)

    def _helo(self, argument: bytes) -> None:
        if self._hello(argument, {}):
            self._say(Reply.of(250, "", self.hostname))

    def _ehlo(self, argument: bytes) -> None:
        offered = {
            name: value
            for name, value in self.extensions.items()
            if name != b"STARTTLS" or not self.tls
        }
        if self._hello(argument, offered):
            self.esmtp = True
            lines = [b"%b %b" % one if one[1] else one[0] for one in offered.items()]
            self._say(Reply(250, (self.hostname.encode(), *lines)))

    def _hello(self, argument: bytes, announced: Mapping[bytes, bytes]) -> bool:
        name = argument.strip().decode("utf-8", "backslashreplace")
        if not name or not name.isprintable():
            self._error(rules.NO_NAME)
            return False
        self._forget("the client said hello again")
        self._state = PLAIN if self._tls_required and not self.tls else READY
        self._announced = announced
        self.client, self.esmtp = name, False
        return True

    def _mail(self, argument: bytes) -> None:
        try:
            mail = parse_mail(argument)
        except EnvelopeError as error:
            self._error(Reply.of(501, error.enhanced, str(error)))
            return
        wrong = rules.wrong_in_mail(mail.parameters, self._announced, self.limits.size)
        if wrong is None and not argument.isascii() and mail.parameter(b"SMTPUTF8") is None:
            wrong = rules.NOT_ASCII
        if wrong is not None:
            self._say(wrong)
            return
        self._queue.append(MailBegin(mail))

    def _rcpt(self, argument: bytes) -> None:
        if len(self.accepted) >= self.limits.recipients:
            self._say(rules.TOO_MANY_RECIPIENTS)
            return
        try:
            rcpt = parse_rcpt(argument)
        except EnvelopeError as error:
            self._error(Reply.of(501, error.enhanced, str(error)))
            return
        wrong = rules.wrong_in_rcpt(rcpt.parameters, self._announced)
        if wrong is None and not argument.isascii() and not self._has_utf8:
            wrong = rules.NOT_ASCII
        if wrong is not None:
            self._say(wrong)
            return
        self._queue.append(Recipient(rcpt))

    @property
    def _has_utf8(self) -> bool:
        return self.mail is not None and self.mail.parameter(b"SMTPUTF8") is not None

    def _accept(self, event: Event) -> None:
        if isinstance(event, MailBegin):
            self.mail, self._state = event.mail, MAIL
        elif isinstance(event, Recipient):
            self.accepted.append(event.rcpt)
            self._state = RCPT
            self._commands -= 1

    def _rset(self, _: bytes) -> None:
        self._forget("the client said RSET")
        self._say(rules.OK)

    def _noop(self, _: bytes) -> None:
        self._say(rules.OK)

    def _vrfy(self, _: bytes) -> None:
        self._say(rules.VRFY)

    def _help(self, _: bytes) -> None:
        self._say(rules.HELP)

    def _quit(self, _: bytes) -> None:
        self._say(rules.BYE)
        self._end("the client said QUIT")

    def _starttls(self, argument: bytes) -> None:
        if argument.strip():
            self._error(rules.NO_ARGUMENT)
        elif self._incoming:
            self.refuse(rules.EARLY)
        else:
            self._handshake = True
            self._say(rules.TLS)
            self._queue.append(StartTls())

    def _xforward(self, argument: bytes) -> None:
        attributes = self._attributes(argument, b"XFORWARD")
        if attributes is not None:
            self._told = True
            self._say(rules.OK)
            self._queue.append(XForward(attributes, argument))

    def _xclient(self, argument: bytes) -> None:
        attributes = self._attributes(argument, b"XCLIENT")
        if attributes is not None:
            self._forget("the client speaks for another one")
            self._begin_anew()
            self.greet()
            self._queue.append(XClient(attributes, argument))

    def _attributes(self, argument: bytes, command: bytes) -> dict[bytes, bytes | None] | None:
        try:
            attributes = parse_attributes(argument)
        except EnvelopeError as error:
            self._error(Reply.of(501, error.enhanced, str(error)))
            return None
        if not attributes.keys() <= set(self._announced[command].upper().split()):
            self._error(rules.ATTRIBUTES)
            return None
        return attributes

    # --- content -----------------------------------------------------------------------------

    def _data(self, argument: bytes) -> None:
        if argument.strip():
            self._error(rules.NO_ARGUMENT)
        elif self.mail and (self.mail.parameter(b"BODY") or b"").upper() == b"BINARYMIME":
            self._say(rules.BINARY)
        else:
            self._chunk, self._last, self._size = None, True, 0
            self._queue.append(_DATA_BEGIN)

    def _bdat(self, argument: bytes) -> None:
        if not self._begin_chunk(argument):
            return
        if self._state != CHUNKS:
            self._state, self._size = CHUNKS, 0
            self._queue.append(_DATA_BEGIN)
        else:
            self._reads_content = True
        if self._chunk:
            self._commands -= 1

    def _begin_chunk(self, argument: bytes) -> bool:
        """Notes what BDAT says. If it says nothing, nobody knows where the next command begins,
        so the session ends."""
        size, *last = argument.upper().split() or [b""]
        good = size.isdigit() and len(size) <= rules.DIGITS and last in ([], [b"LAST"])
        if good:
            self._chunk, self._last = int(size), bool(last)
        else:
            self.refuse(rules.NO_CHUNK)
        return good

    def _refuse_chunk(self, argument: bytes, refusal: Reply) -> None:
        if self._begin_chunk(argument):
            self._owed, self._reads_content = (refusal,), True

    def _begin_content(self, reply: Reply) -> None:
        """Goes on after the answer to DataBegin."""
        goes_on = reply.code == _GO_ON
        if self._chunk is None:
            self._say(reply)
        elif not goes_on:
            self._owed = (reply,)
        self._reads_content = goes_on or bool(self._owed)
        if not goes_on:
            self._clear()

    def _read_content(self) -> bool:
        if self._chunk is None:
            content, whole = self._incoming.content(self._dots)
        else:
            content = self._incoming.take(self._chunk)
            self._chunk -= len(content)
            whole = not self._chunk
        if content and not self._owed:
            self._keep(content)
        if whole:
            self._end_content()
        return whole or bool(content)

    def _keep(self, content: bytes) -> None:
        self._size += len(content)
        if self.limits.size is None or self._size <= self.limits.size:
            self._queue.append(DataChunk(content))
        else:
            self._owed = (rules.TOO_BIG,) * (self._replies if self._last else 1)
            self._forget("the message is too big")

    def _end_content(self) -> None:
        self._reads_content = False
        if self._owed:
            for reply in self._owed:
                self._say(reply)
            self._owed = ()
        elif self._last:
            self._queue.append(_MESSAGE_END)
        else:
            self._say(rules.OK)

    _handlers: ClassVar[Mapping[bytes, Callable[[ServerSession, bytes], None]]] = {
        b"HELO": _helo,
        b"EHLO": _ehlo,
        b"LHLO": _ehlo,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"BDAT": _bdat,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"HELP": _help,
        b"QUIT": _quit,
        b"STARTTLS": _starttls,
        b"XFORWARD": _xforward,
        b"XCLIENT": _xclient,
    }
