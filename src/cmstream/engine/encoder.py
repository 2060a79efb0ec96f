"""The way into CMS through C: content in, EnvelopedData out, as DER or BER and in base64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NoReturn

from ..ciphers import BY_NAME
from ..errors import SizeMismatchError, already_finalized, buffer_too_small
from .gate import OCTETS, allocate, ffi, lib, no_random
from .prepared_recipients import MODES
from .stream_context import OVER, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from .gate import Buffer
    from .prepared_recipients import PreparedRecipients

LineEnds = Literal["as-is", "canonical", "strict"]

_LINE_ENDS: dict[LineEnds, int] = {
    "as-is": 0,
    "canonical": lib.SEAL_CANON,
    "strict": lib.SEAL_STRICT,
}


class NativeEncoder:
    """One message on its way through C: canonicalisation, AES-CBC, frame, base64.

    The content-encryption key and the IV are made in C by the operating system's generator and
    wiped there. With another cipher it takes ciphertext, whose frame and base64 it makes. Not for
    two threads at once.
    """

    def __init__(self, cipher: str) -> None:
        seal = allocate("struct seal *")
        failed = lib.seal_init(seal, BY_NAME[cipher].key_len)
        self._seal = ffi.gc(seal, lib.seal_abort)
        self._key = lib.seal_key(seal)
        self._mode = MODES[BY_NAME[cipher].mode]
        self._state = State.HEAD
        self.total: int | None = None
        if failed:
            raise no_random()

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
        with ffi.from_buffer(OCTETS, infos, require_writable=True) as room:
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
        flags = lib.SEAL_BASE64 if base64 else 0
        flags |= lib.SEAL_OPEN if size is None else 0
        self._texts = ffi.from_buffer(OCTETS, before), ffi.from_buffer(OCTETS, infos)
        self._after = after
        self._plan = ffi.new(
            "struct seal_plan *",
            (
                self._texts[0],
                len(before),
                self._texts[1],
                len(infos),
                len(after),
                size or 0,
                version,
                self._mode,
                flags | _LINE_ENDS[line_ends],
            ),
        )
        total = self._checked(lib.seal_total(self._plan))
        self.total = None if size is None else total
        self._fixed_room = len(before) + 2 * len(infos) + len(after) + (64 << 10)

    def bound(self, count: int) -> int:
        """The most that ``count`` more bytes of content and the end together can give."""
        if self._state is not State.HEAD:
            return self._piece_bound(count) + self._end_bound()
        # Generous, since nothing is known in C yet: every byte a bare LF, all of it in base64.
        worst = self._fixed_room + 4 * count
        return worst if self.total is None else min(worst, self.total)

    def _piece_bound(self, count: int) -> int:
        """The most that C gives for ``count`` bytes, once the head is written."""
        return int(lib.seal_update_bound(self._seal, count))

    def _end_bound(self) -> int:
        return int(lib.seal_finish_bound(self._seal)) + len(self._after)

    def _begin_into(self, out: Buffer, start: int, more: int) -> int:
        """Writes what stands in front of the content, if it wasn't written yet and ``more``
        bytes will find room behind it."""
        if self._state is not State.HEAD:
            return 0
        self._demand(out, start, self.bound(more))
        count = self._call(lib.seal_begin, out, start, self._plan)
        self._state = State.BODY
        return count

    def update_into(self, data: Buffer, out: Buffer, start: int = 0) -> int:
        """Encrypts ``data`` and writes what comes of it to ``out`` from ``start``."""
        head = self._begin_into(out, start, len(data))
        return head + self._encode(data, len(data), out, start + head)

    def _encode(self, data: Buffer, count: int, out: Buffer, start: int) -> int:
        """Gives the first ``count`` bytes of ``data`` to C."""
        with ffi.from_buffer(OCTETS, data) as source:
            return self._call(lib.seal_update, out, start, source, count)

    def finish_into(self, out: Buffer, start: int = 0) -> int:
        """Writes the end and wipes the keys."""
        head = self._begin_into(out, start, 0)
        self._demand(out, start + head, self._end_bound())
        end = self._tag(), self._after, len(self._after)
        count = head + self._call(lib.seal_finish, out, start + head, *end)
        self._state = State.ENDED
        return count

    def _tag(self) -> bytes:
        """What proves the content unchanged: nothing, of AES-CBC."""
        return b""

    def _demand(self, out: Buffer, start: int, need: int) -> None:
        if len(out) - start < need and self._state not in OVER:
            self._fail(lib.SEAL_NO_ROOM)

    def _call(self, function: Callable[..., int], out: Buffer, start: int, *arguments: Any) -> int:
        """Calls C with what is left of ``out``, which is let go at once, also after an error."""
        if self._state in OVER:
            raise already_finalized()
        with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
            count = function(self._seal, *arguments, room + start, len(room) - start)
        return self._checked(count)

    def _refuse_bare_line_feed(self) -> NoReturn:
        self._fail(lib.SEAL_BARE_LF)

    def abort(self) -> None:
        """Wipes the keys; the stream takes nothing more."""
        lib.seal_abort(self._seal)
        self._state = State.FAILED

    def _checked(self, count: int) -> int:
        if count < 0:
            self._fail(count)
        return count

    def _fail(self, error: int) -> NoReturn:
        if error == lib.SEAL_NO_ROOM:
            raise buffer_too_small()
        self.abort()
        if error == lib.SEAL_TOO_LARGE:
            raise ValueError("size: the sealed message would be longer than 2**63 bytes")
        if error == lib.SEAL_NO_CIPHER:
            raise ValueError("cipher: no cipher has this mode and a key of this length")
        if error == lib.SEAL_BARE_LF:
            raise _bare_line_feed()
        raise size_mismatch("more" if error == lib.SEAL_TOO_MUCH else "less")


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
