"""The way into CMS through C: content in, EnvelopedData out, as DER or BER and in base64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ..ciphers import BY_NAME
from ..errors import SizeMismatchError, already_finalized, buffer_too_small
from .gate import OCTETS, allocate, ffi, lib, no_random
from .prepared_recipients import MODES

if TYPE_CHECKING:
    from .batch import Form
    from .gate import Buffer
    from .prepared_recipients import PreparedRecipients

LineEnds = Literal["as-is", "canonical", "strict"]

_LINE_ENDS: dict[LineEnds, int] = {
    "as-is": 0,
    "canonical": lib.SEAL_CANON,
    "strict": lib.SEAL_STRICT,
}

_from_buffer = ffi.from_buffer
_STREAM = ffi.typeof("struct seal *")
_PLAN = ffi.typeof("struct seal_plan *")


def source_of(data: Buffer) -> tuple[Any, int]:
    """What C takes for bytes that it reads. Only its call may hold that: then they are let go of
    as soon as it has ended."""
    return _from_buffer(OCTETS, data), len(data)


def room_in(out: Buffer) -> tuple[Any, int]:
    """As :func:`source_of`, for bytes that C writes."""
    return _from_buffer(OCTETS, out, True), len(out)  # by name it takes twice as long


def message_flags(size: int | None, line_feeds: int | None) -> int:
    """How C treats a message of ``size`` bytes whose body has so many bare line feeds, or an
    unknown number: for :func:`message_bound`, :meth:`NativeEncoder.begin_message_into`."""
    if size is None:
        return int(lib.SEAL_OPEN | lib.SEAL_CANON)
    if line_feeds is None:
        return int(lib.SEAL_STRICT)
    return int(lib.SEAL_CANON) if line_feeds else 0


def message_bound(to: PreparedRecipients, form: Form, flags: int, count: int) -> int:
    """The most that a message gives whose first ``count`` bytes are all, before it has begun."""
    return int(lib.seal_message_bound(to.struct, form.struct, flags, count))


class NativeEncoder:
    """One message on its way through C: canonicalisation, AES-CBC, frame, base64.

    The content-encryption key and the IV are made in C by the operating system's generator and
    wiped there. With another cipher it takes ciphertext, whose frame and base64 it makes. Not for
    two threads at once.
    """

    total: int | None = None
    """What the whole message will come to, once that is known."""

    def __init__(self, cipher: str) -> None:
        self._seal = ffi.gc(allocate(_STREAM), lib.seal_abort)
        self._cipher_name = cipher
        if lib.seal_init(self._seal, BY_NAME[cipher].key_len):
            raise no_random()

    @property
    def _key(self) -> Any:
        return lib.seal_key(self._seal)

    def key(self) -> bytes:
        """The content-encryption key, for key transport and for ciphers that aren't C's.
        Short-lived bytes that can't be wiped: what `cryptography` takes."""
        return bytes(ffi.buffer(self._key.key, self._key.key_len))

    def nonce(self) -> bytes:
        """Before the first byte: the nonce of 12 bytes that will stand beside the ciphertext."""
        return bytes(ffi.buffer(self._key.iv, 12))

    def wrap(self, to: PreparedRecipients) -> bytes:
        """The encoded RecipientInfos with the key encrypted to all of them, which C must be able to
        do."""
        infos = bytearray(to.infos_len)
        with _from_buffer(OCTETS, infos, require_writable=True) as room:
            if lib.seal_wrap(self._seal, to.struct, room):
                raise no_random()
        return bytes(infos)

    def plan(
        self,
        *,
        infos: bytes,
        version: int,
        size: int | None,
        before: bytes = b"",
        after: bytes = b"",
        base64: bool = False,
        line_ends: LineEnds = "as-is",
    ) -> None:
        """What is known before the content: the encoded RecipientInfos and the CMSVersion, the
        texts around, and how many bytes of content there will be once its line ends are
        canonical (None: unknown). Then ``total`` is what the whole message will come to, or
        None."""
        flags = (lib.SEAL_BASE64 if base64 else 0) | _LINE_ENDS[line_ends]
        flags |= lib.SEAL_OPEN if size is None else 0
        mode = MODES[BY_NAME[self._cipher_name].mode]
        texts = [_from_buffer(OCTETS, text) for text in (before, after, infos)]
        lengths = [(text, len(text)) for text in texts]
        fields = (*lengths[0], *lengths[1], *lengths[2], size or 0, version, mode, flags)
        self._kept: Any = texts
        total = self._checked(lib.seal_begin(self._seal, ffi.new(_PLAN, fields)))
        self.total = None if size is None else total

    def begin(self, to: PreparedRecipients, form: Form, size: int | None) -> None:
        """As :meth:`plan`, for content by AES-CBC to recipients that C encrypts to, which it does
        here."""
        infos = allocate(OCTETS, to.infos_len)
        self._kept = to, form, infos
        flags = lib.SEAL_OPEN if size is None else 0
        known = to.struct, form.struct, infos, flags, size or 0
        total = self._checked(lib.seal_begin_to(self._seal, *known))
        self.total = None if size is None else total

    def begin_message_into(
        self,
        to: PreparedRecipients,
        form: Form,
        beginning: Buffer,
        out: Buffer,
        *,
        behind: int,
        size: int,
        flags: int,
    ) -> int | None:
        """As :meth:`begin`, for a message, and writes what comes of its beginning; None where the
        header block needs more than C's rules, the message may be encrypted already, or fewer than
        ``behind`` bytes of body are there. ``size``: of the whole message, with its bare line
        feeds."""
        infos = allocate(OCTETS, to.infos_len)
        self._kept = to, form, infos
        known = to.struct, form.struct, infos, flags, size
        count = lib.seal_begin_message(
            self._seal, *known, *source_of(beginning), behind, *room_in(out)
        )
        if count >= 0:
            return int(count)
        return None if count == lib.SEAL_NEEDS_HEAD else self._fail(count)

    def bound(self, count: int) -> int:
        """The most that ``count`` more bytes of content and the end together can give."""
        return int(lib.seal_bound(self._seal, count))

    def _piece_bound(self, count: int) -> int:
        """The most that C gives for ``count`` bytes."""
        return int(lib.seal_update_bound(self._seal, count))

    def update_into(self, data: Buffer, out: Buffer) -> int:
        """Encrypts ``data`` and writes what comes of it to ``out``."""
        return self._checked(lib.seal_update(self._seal, *source_of(data), *room_in(out)))

    def inside_into(self, inside: Buffer, out: Buffer) -> int:
        """As :meth:`update_into`, for what goes in before a message's body: its line ends are
        canonical already, so that it needs no room for more."""
        return self._checked(lib.seal_inside(self._seal, *source_of(inside), *room_in(out)))

    def finish_into(self, out: Buffer) -> int:
        """Writes the end and wipes the keys."""
        return self._checked(lib.seal_finish(self._seal, self._tag(), *room_in(out)))

    def _tag(self) -> bytes:
        """What proves the content unchanged: nothing, of AES-CBC."""
        return b""

    def _demand(self, out: Buffer, need: int) -> None:
        if len(out) < need:
            self._fail(lib.SEAL_NO_ROOM)

    def _refuse_bare_line_feed(self) -> NoReturn:
        self._fail(lib.SEAL_BARE_LF)

    def abort(self) -> None:
        """Wipes the keys; the stream takes nothing more."""
        lib.seal_abort(self._seal)

    def _checked(self, count: int) -> int:
        return count if count >= 0 else self._fail(count)

    def _fail(self, error: int) -> NoReturn:
        if error not in (lib.SEAL_NO_ROOM, lib.SEAL_STATE):
            self.abort()
        raise failure(error)


def failure(error: int) -> Exception:
    """The exception for an error that C gives of a stream."""
    if error == lib.SEAL_NO_ROOM:
        return buffer_too_small()
    if error == lib.SEAL_STATE:
        return already_finalized()
    if error == lib.SEAL_NO_RANDOM:
        return no_random()
    if error == lib.SEAL_TOO_LARGE:
        return ValueError("size: the sealed message would be longer than 2**63 bytes")
    if error == lib.SEAL_NO_CIPHER:
        return ValueError("cipher: no cipher has this mode and a key of this length")
    if error == lib.SEAL_BARE_LF:
        return _bare_line_feed()
    return size_mismatch("more" if error == lib.SEAL_TOO_MUCH else "less")


def _bare_line_feed() -> SizeMismatchError:
    return SizeMismatchError(
        "size-mismatch",
        "a line of the body ends in a bare LF, so that its canonical form is longer than size= "
        "says: leave size out, or count the line feeds first",
    )


def size_mismatch(what: Literal["more", "less"]) -> SizeMismatchError:
    """There was ``what`` than ``size=`` said."""
    return SizeMismatchError(
        "size-mismatch",
        f"there was {what} content than size= promised: give the exact number of bytes, "
        "or leave size out",
    )
