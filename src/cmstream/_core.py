"""The gate to C: the only importer of ``_native``. Buffers in, return codes out as exceptions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from cmstream._native import ffi, lib

from .errors import AlreadyFinalized, SizeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Buffer = bytes | bytearray | memoryview

LineEnds = Literal["as-is", "canonical", "strict"]

_LINE_ENDS: dict[LineEnds, int] = {
    "as-is": 0,
    "canonical": lib.SEAL_CANON,
    "strict": lib.SEAL_STRICT,
}

# What CMSTREAM_CPU may name: every row that some build has, by the highest feature it needs.
LEVELS: dict[str, int] = {
    "portable": 0,
    "ssse3": lib.CPU_AESNI,
    "aesni": lib.CPU_AESNI,
    "avx2": lib.CPU_AVX2,
    "vaes256": lib.CPU_VAES256,
    "avx512vbmi": lib.CPU_AVX512,
    "vaes512": lib.CPU_VAES512,
    "neon": lib.CPU_NEON,
    "armaes": lib.CPU_ARMAES,
}


def restrict_cpu(level: str | None) -> None:
    """Lowers the CPU feature mask to what the named kernel and all below it need; None gives
    everything back. For tests and for ``CMSTREAM_CPU``. Raises ValueError for another name."""
    if level is None:
        lib.cpu_restrict(0xFFFFFFFF)
        return
    if level not in LEVELS:
        raise ValueError(f"CMSTREAM_CPU={level!r}: choose one of {', '.join(LEVELS)}")
    lib.cpu_restrict(max(2 * LEVELS[level] - 1, 0))


def kernels() -> dict[str, list[str]]:
    """The kernels that this machine can run, best first, by what they do; the first of each list
    is the one in use."""
    return {"aes": list(_names(lib.aes_name)), "base64": list(_names(lib.base64_name))}


def _names(name_of: Callable[[int], Any]) -> Iterator[str]:
    index = 0
    while name := name_of(index):
        yield ffi.string(name).decode()
        index += 1


def check_kernels() -> None:
    """Runs every kernel of this machine on its known answer. Raises ImportError when one fails:
    nothing that it would encrypt could ever be read."""
    for what, check in (("aes", lib.aes_check), ("base64", lib.base64_check)):
        for index, name in enumerate(kernels()[what]):
            if not check(index):
                raise ImportError(
                    f"cmstream's {name} kernel fails its known answer on this processor; "
                    "CMSTREAM_CPU=portable avoids it"
                )


def count_bare_line_feeds(data: Buffer, last: int = 0) -> tuple[int, int]:
    """How many line feeds in ``data`` have no carriage return before them, and its last octet;
    ``last`` is the octet that stood before it."""
    octet = ffi.new("uint8_t *", last)
    source = ffi.from_buffer("uint8_t[]", data)
    return lib.canon_count(source, len(source), octet), octet[0]


def expect_large(fresh: memoryview) -> None:
    """Asks for large pages for memory that will be written to from end to end."""
    with ffi.from_buffer("uint8_t[]", fresh, require_writable=True) as room:
        lib.expect_large(room, len(room))


# A stream's state is mostly buffers, and clearing them costs more than filling a small message.
_allocate = ffi.new_allocator(should_clear_after_alloc=False)


class Seal:
    """One message on its way through C: canonicalisation, AES-CBC, frame, base64.

    The content-encryption key and the IV are made in C by the operating system's generator and
    wiped there. Not for two threads at once.
    """

    def __init__(self, key_len: int) -> None:
        seal = _allocate("struct seal *")
        failed = lib.seal_init(seal, key_len)
        self._seal = ffi.gc(seal, lib.seal_abort)
        self._key = lib.seal_key(seal)
        self._begun = self._closed = False
        self.total: int | None = None
        if failed:
            raise OSError("the operating system's random generator gave nothing")

    def key(self) -> bytes:
        """The content-encryption key, for key transport alone. Short-lived bytes that can't be
        wiped: what `cryptography`'s RSA takes."""
        return bytes(ffi.buffer(self._key.key, self._key.key_len))

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
        texts around, and how many octets of content there will be once its line ends are
        canonical (None: unknown). Then ``total`` is what the whole message will come to, or
        None."""
        flags = lib.SEAL_BASE64 if base64 else 0
        flags |= lib.SEAL_OPEN if size is None else 0
        self._texts = ffi.from_buffer("uint8_t[]", before), ffi.from_buffer("uint8_t[]", infos)
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
                flags | _LINE_ENDS[line_ends],
            ),
        )
        total = self._checked(lib.seal_total(self._plan))
        self.total = None if size is None else total
        self._fixed_room = len(before) + 2 * len(infos) + len(after) + (64 << 10)

    def bound(self, count: int) -> int:
        """The most that ``count`` more octets of content and the end together can give."""
        if self._begun:
            rest = lib.seal_update_bound(self._seal, count) + lib.seal_finish_bound(self._seal)
            return int(rest) + len(self._after)
        # Generous, since nothing is known in C yet: every octet a bare LF, all of it in base64.
        worst = self._fixed_room + 4 * count
        return worst if self.total is None else min(worst, self.total)

    def _begin_into(self, out: Buffer, start: int, more: int) -> int:
        """Writes what stands in front of the content, if it wasn't written yet and ``more``
        octets will find room behind it."""
        if self._begun:
            return 0
        if len(out) - start < self.bound(more):
            self._fail(lib.SEAL_NO_ROOM)
        count = self._call(lib.seal_begin, out, start, self._plan)
        self._begun = True
        return count

    def update_into(self, data: Buffer, out: Buffer, start: int = 0) -> int:
        """Encrypts ``data`` and writes what comes of it to ``out`` from ``start``."""
        head = self._begin_into(out, start, len(data))
        with ffi.from_buffer("uint8_t[]", data) as source:
            return head + self._call(lib.seal_update, out, start + head, source, len(source))

    def finish_into(self, out: Buffer, start: int = 0) -> int:
        """Writes the end and wipes the keys."""
        head = self._begin_into(out, start, 0)
        after = ffi.from_buffer("uint8_t[]", self._after)
        count = head + self._call(lib.seal_finish, out, start + head, after, len(after))
        self._closed = True
        return count

    def _call(self, function: Callable[..., int], out: Buffer, start: int, *arguments: Any) -> int:
        """Calls C with what is left of ``out``, which is let go at once, also after an error."""
        if self._closed:
            raise AlreadyFinalized("this stream was finalized, aborted, or failed before")
        with ffi.from_buffer("uint8_t[]", out, require_writable=True) as room:
            count = function(self._seal, *arguments, room + start, len(room) - start)
        return self._checked(count)

    def whole_into(self, head: bytes, body: Buffer, out: Buffer) -> int:
        """All of a message of known size, whose content is ``head`` and then ``body``."""
        source = ffi.from_buffer("uint8_t[]", body)
        parts = head, len(head), source, len(source), self._after
        count = self._call(lib.seal_whole, out, 0, self._plan, *parts)
        self._closed = True
        return count

    def abort(self) -> None:
        """Wipes the keys; the stream takes nothing more."""
        lib.seal_abort(self._seal)
        self._closed = True

    def _checked(self, count: int) -> int:
        if count < 0:
            self._fail(count)
        return count

    def _fail(self, error: int) -> NoReturn:
        if error == lib.SEAL_NO_ROOM:
            raise ValueError("the buffer is too small: bound(len(data)) octets always suffice")
        self.abort()
        if error == lib.SEAL_TOO_LARGE:
            raise ValueError("size: the sealed message would be longer than 2**63 octets")
        if error == lib.SEAL_BARE_LF:
            raise SizeMismatchError(
                "size-mismatch",
                "a line of the body ends in a bare LF, so that its canonical form is longer than "
                "size= says: leave size out, or count the line feeds first",
            )
        raise size_mismatch("more" if error == lib.SEAL_TOO_MUCH else "less")


def size_mismatch(what: Literal["more", "less"]) -> SizeMismatchError:
    """There was ``what`` than ``size=`` said."""
    return SizeMismatchError(
        "size-mismatch",
        f"there was {what} content than size= promised: give the exact number of octets, "
        "or leave size out",
    )


restrict_cpu(os.environ.get("CMSTREAM_CPU"))
check_kernels()
