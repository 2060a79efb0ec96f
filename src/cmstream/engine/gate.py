"""The gate to C: the only importer of ``_native``. Buffers in, return codes out as exceptions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from .._native import ffi as _ffi
from .._native import lib as _lib
from ..ciphers import BY_NAME, Mode
from ..errors import AlreadyFinalized, SizeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Buffer = bytes | bytearray | memoryview

ffi: Any = _ffi
lib: Any = _lib

LineEnds = Literal["as-is", "canonical", "strict"]

_MODES: dict[Mode, int] = {
    "cbc": lib.MODE_CBC,
    "gcm": lib.MODE_GCM,
    "chacha20-poly1305": lib.MODE_CHACHA20_POLY1305,
}

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
    "aesni8": lib.CPU_AESNI,
    "avx2": lib.CPU_AVX2,
    "vaes256": lib.CPU_VAES256,
    "avx512vbmi": lib.CPU_AVX512,
    "vaes512": lib.CPU_VAES512,
    "ifma1": lib.CPU_IFMA,
    "ifma8": lib.CPU_IFMA,
    "neon": lib.CPU_NEON,
    "armaes": lib.CPU_ARMAES,
    "armaes4": lib.CPU_ARMAES,
}


OCTETS = ffi.typeof("uint8_t[]")

_TABLES = {"aes": lib.KERNELS_AES, "base64": lib.KERNELS_BASE64, "rsa": lib.KERNELS_RSA}

wraps_rsa = False
"""Whether C has a row for RSA on this machine."""


def restrict_cpu(level: str | None) -> None:
    """Lowers the CPU feature mask to what the named kernel and all below it need; None gives
    everything back. For tests and for ``CMSTREAM_CPU``. Raises ValueError for another name."""
    global wraps_rsa  # noqa: PLW0603 - as long as the mask itself is one
    if level is not None and level not in LEVELS:
        raise ValueError(f"CMSTREAM_CPU={level!r}: choose one of {', '.join(LEVELS)}")
    lib.cpu_restrict(0xFFFFFFFF if level is None else max(2 * LEVELS[level] - 1, 0))
    wraps_rsa = bool(lib.kernel_name(lib.KERNELS_RSA, 0))


def check_environment() -> None:
    """Raises ValueError if ``CMSTREAM_CPU`` names no level: then nothing is sealed or opened. An
    import that fails could give the command no better ending than a traceback."""
    if misnamed:
        raise ValueError(misnamed)


def kernels() -> dict[str, list[str]]:
    """The kernels that this machine can run, by what they do, the fastest for many messages first;
    narrower ones take what is left over, and a message alone."""
    return {what: list(_names(table)) for what, table in _TABLES.items()}


def _names(table: int) -> Iterator[str]:
    index = 0
    while name := lib.kernel_name(table, index):
        yield ffi.string(name).decode()
        index += 1


def check_kernels() -> None:
    """Runs every kernel of this machine on its known answer. Raises ImportError when one fails:
    nothing that it would encrypt could ever be read."""
    for what, table in _TABLES.items():
        for index, name in enumerate(kernels()[what]):
            if not lib.kernel_check(table, index):
                raise ImportError(
                    f"cmstream's {name} kernel fails its known answer on this processor; "
                    "CMSTREAM_CPU=portable avoids it"
                )


def count_bare_line_feeds(data: Buffer, last: int = 0) -> tuple[int, int]:
    """How many line feeds in ``data`` have no carriage return before them, and its last octet;
    ``last`` is the octet that stood before it."""
    octet = ffi.new("uint8_t *", last)
    source = ffi.from_buffer(OCTETS, data)
    return lib.canon_count(source, len(source), octet), octet[0]


def outer_fields(head: bytes) -> bytes | None:
    """A header block's fields that stay outside, as C cuts it; None where it leaves that to
    :func:`cmstream.mail.mime.frame`."""
    header = ffi.new("struct header *")
    source = ffi.from_buffer(OCTETS, head)
    if not lib.header_cut(source, len(source), header) or header.special:
        return None
    out = bytearray(header.outside_len)
    with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
        lib.header_outside(source, header, room)
    return bytes(out)


def address(octets: Buffer) -> int:
    """Where they lie, for as long as the caller keeps them as they are."""
    return int(ffi.cast("uintptr_t", ffi.from_buffer(OCTETS, octets, require_writable=True)))


def expect_large(fresh: memoryview) -> None:
    """Asks for large pages for memory that will be written to from end to end."""
    with ffi.from_buffer(OCTETS, fresh, require_writable=True) as room:
        lib.expect_large(room, len(room))


# A stream's state is mostly buffers, and clearing them costs more than filling a small message.
allocate = ffi.new_allocator(should_clear_after_alloc=False)


NO_RANDOM_TEXT = "the operating system's random generator gave nothing"


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
        self._mode = _MODES[BY_NAME[cipher].mode]
        self._begun = self._closed = False
        self.total: int | None = None
        if failed:
            raise OSError(NO_RANDOM_TEXT)

    def key(self) -> bytes:
        """The content-encryption key, for key transport and for ciphers that aren't C's.
        Short-lived bytes that can't be wiped: what `cryptography` takes."""
        return bytes(ffi.buffer(self._key.key, self._key.key_len))

    def nonce(self) -> bytes:
        """Before the first octet: the nonce of 12 octets that will stand beside the ciphertext."""
        return bytes(ffi.buffer(self._key.iv, 12))

    def wrap(self, to: PreparedRecipients) -> bytes:
        """The encoded RecipientInfos with the key encrypted to all of them, which C can do."""
        infos = bytearray(to.room)
        with ffi.from_buffer(OCTETS, infos, require_writable=True) as room:
            if lib.seal_wrap(self._seal, to.struct, room):
                raise OSError(NO_RANDOM_TEXT)
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
        texts around, and how many octets of content there will be once its line ends are
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
        self._demand(out, start, self.bound(more))
        count = self._call(lib.seal_begin, out, start, self._plan)
        self._begun = True
        return count

    def update_into(self, data: Buffer, out: Buffer, start: int = 0) -> int:
        """Encrypts ``data`` and writes what comes of it to ``out`` from ``start``."""
        head = self._begin_into(out, start, len(data))
        with ffi.from_buffer(OCTETS, data) as source:
            return head + self._call(lib.seal_update, out, start + head, source, len(source))

    def finish_into(self, out: Buffer, start: int = 0) -> int:
        """Writes the end and wipes the keys."""
        head = self._begin_into(out, start, 0)
        self._demand(out, start + head, lib.seal_finish_bound(self._seal) + len(self._after))
        end = self._tag(), self._after, len(self._after)
        count = head + self._call(lib.seal_finish, out, start + head, *end)
        self._closed = True
        return count

    def _tag(self) -> bytes:
        """What proves the content unchanged: nothing, of AES-CBC."""
        return b""

    def _demand(self, out: Buffer, start: int, need: int) -> None:
        if len(out) - start < need and not self._closed:
            self._fail(lib.SEAL_NO_ROOM)

    def _call(self, function: Callable[..., int], out: Buffer, start: int, *arguments: Any) -> int:
        """Calls C with what is left of ``out``, which is let go at once, also after an error."""
        if self._closed:
            raise AlreadyFinalized("this stream was finalized, aborted, or failed before")
        with ffi.from_buffer(OCTETS, out, require_writable=True) as room:
            count = function(self._seal, *arguments, room + start, len(room) - start)
        return self._checked(count)

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
        if error == lib.SEAL_NO_CIPHER:
            raise ValueError("cipher: no cipher has this mode and a key of this length")
        if error == lib.SEAL_BARE_LF:
            raise SizeMismatchError(
                "size-mismatch",
                "a line of the body ends in a bare LF, so that its canonical form is longer than "
                "size= says: leave size out, or count the line feeds first",
            )
        raise size_mismatch("more" if error == lib.SEAL_TOO_MUCH else "less")


class Lines:
    """Line ends of a text that comes in pieces, for ciphers that aren't C's."""

    def __init__(self) -> None:
        self._last = ffi.new("uint8_t *")

    def count_bare(self, piece: Buffer) -> int:
        """How many of the next piece's line feeds have no carriage return before them."""
        with ffi.from_buffer(OCTETS, piece) as source:
            return int(lib.canon_count(source, len(source), self._last))

    def canonical(self, piece: memoryview, room: bytearray) -> memoryview:
        """The next piece with a carriage return before each of those, a copy in ``room`` for twice
        as many octets; the piece itself where there are none."""
        before = self._last[0]
        if not self.count_bare(piece):
            return piece
        self._last[0] = before
        with (
            ffi.from_buffer(OCTETS, piece) as source,
            ffi.from_buffer(OCTETS, room, require_writable=True) as copy,
        ):
            count = lib.canon_copy(source, len(source), self._last, copy)
        return memoryview(room)[:count]


def size_mismatch(what: Literal["more", "less"]) -> SizeMismatchError:
    """There was ``what`` than ``size=`` said."""
    return SizeMismatchError(
        "size-mismatch",
        f"there was {what} content than size= promised: give the exact number of octets, "
        "or leave size out",
    )


_PADDINGS = {"pkcs1v15": lib.RSA_PKCS1V15, "oaep-sha256": lib.RSA_OAEP_SHA256}
_LEAST_BITS = 1024
_MOST_EXPONENT = 1 << 64


class RsaKey:
    """An RSA public key prepared for C. Raises ValueError for one that C doesn't take: of less than
    1024 bits or more than 4096, or with an exponent of more than 64."""

    def __init__(self, modulus: int, exponent: int) -> None:
        bits = modulus.bit_length()
        vectors = -(-(bits + 2) // (lib.RSA_DIGIT_BITS * lib.RSA_VECTOR))
        digits = vectors * lib.RSA_VECTOR
        odd = modulus % 2 == exponent % 2 == 1
        fits = _LEAST_BITS <= bits <= 8 * lib.RSA_MOST_OCTETS
        if not odd or not fits or not 1 < exponent < _MOST_EXPONENT:
            raise ValueError("C doesn't take such a key")
        r = 1 << (lib.RSA_DIGIT_BITS * digits)
        inverse = -pow(modulus, -1, 1 << lib.RSA_DIGIT_BITS) % (1 << lib.RSA_DIGIT_BITS)
        self.size = (bits + 7) // 8
        fields = _digits(modulus), _digits(r * r % modulus), inverse, exponent, digits, self.size
        self.struct = ffi.new("struct rsa_key *", fields)

    def raw(self, row: int, numbers: list[int]) -> list[int]:
        """Each number to the power of the exponent, by one row. For tests."""
        ins = [ffi.new("uint8_t[]", n.to_bytes(self.size, "big")) for n in numbers]
        outs = [ffi.new("uint8_t[]", self.size) for _ in numbers]
        keys = ffi.new("struct rsa_key *[]", [self.struct] * len(numbers))
        lib.rsa_raw(row, keys, ffi.new("uint8_t *[]", ins), ffi.new("uint8_t *[]", outs),
                    len(numbers))  # fmt: skip
        return [int.from_bytes(ffi.buffer(out), "big") for out in outs]


def _digits(number: int) -> list[int]:
    mask, bits = (1 << lib.RSA_DIGIT_BITS) - 1, lib.RSA_DIGIT_BITS
    return [number >> bits * i & mask for i in range(lib.RSA_MOST_DIGITS)]


class PreparedRecipients:
    """What C needs of the recipients, prepared once: their encoded RecipientInfos and, as far as
    C can encrypt to all of them, for each the offset of its encrypted key, the key and how it is
    padded."""

    def __init__(
        self,
        infos: bytes,
        version: int,
        cipher: str,
        slots: list[tuple[int, RsaKey, str]] | None,
        *,
        alone: bool = False,
    ) -> None:
        """``cipher`` as a Policy names it; ``alone``: messages to them can't be among many."""
        check_environment()
        self.wraps, self.version, self.cipher = slots is not None, version, cipher
        self._keys = [key for _, key, _ in slots or []]
        self._infos = ffi.from_buffer(OCTETS, infos)
        self._slots = ffi.new("struct key_slot[]", len(slots or []))
        for slot, (at, key, padding) in zip(self._slots, slots or [], strict=True):
            slot.at, slot.key, slot.padding = at, key.struct, _PADDINGS[padding]
        key_len, alone = BY_NAME[cipher].key_len, alone or BY_NAME[cipher].authenticated
        fields = (self._infos, len(infos), self._slots, len(self._slots), version, key_len, alone)
        self.struct = ffi.new("struct seal_to *", fields)
        self.room = len(infos) if self.wraps else 0


def _heed_environment() -> str:
    """Restricts the CPU as ``CMSTREAM_CPU`` says, or tells what is wrong with that."""
    try:
        restrict_cpu(os.environ.get("CMSTREAM_CPU"))
    except ValueError as error:
        restrict_cpu("portable")
        return str(error)
    return ""


misnamed = _heed_environment()
check_kernels()
