"""The gate to C, and the only importer of ``_native``: kernels for this processor, and memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .._native import ffi as _ffi
from .._native import lib as _lib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer as _Buffer  # of the type checker: it needs no package

    AnyBuffer = _Buffer
    """What callers give: whatever has the buffer protocol."""
    Buffer = bytes | bytearray | memoryview
    """What the package's own functions give one another."""

ffi: Any = _ffi
lib: Any = _lib

# What CMSTREAM_CPU may name: each kernel of any build, with the highest feature that it needs.
LEVELS: dict[str, int] = {
    "portable": 0,
    "ssse3": lib.CPU_AESNI,
    "aesni": lib.CPU_AESNI,
    "aesni8": lib.CPU_AESNI,
    "adx": lib.CPU_ADX,
    "avx2": lib.CPU_AVX2,
    "avx2x4": lib.CPU_AVX2,
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

rsa_radixes = 0
"""How C's kernels for RSA on this machine cut numbers into digits, a bit for each enum rsa_radix; 0
where there are none."""


def restrict_cpu(level: str | None) -> None:
    """Lowers the CPU feature mask to what the named kernel and all below it need; None gives
    everything back. For tests and for ``CMSTREAM_CPU``. Raises ValueError for another name."""
    global rsa_radixes  # noqa: PLW0603 - as long as the mask itself is one
    if level is not None and level not in LEVELS:
        raise ValueError(f"CMSTREAM_CPU={level!r}: choose one of {', '.join(LEVELS)}")
    lib.cpu_restrict(0xFFFFFFFF if level is None else max(2 * LEVELS[level] - 1, 0))
    rsa_radixes = lib.rsa_radixes()


def check_environment() -> None:
    """Raises ValueError if ``CMSTREAM_CPU`` names no kernel: then nothing is encrypted or
    decrypted. It isn't raised on import, which would end the command with a traceback."""
    if misnamed:
        raise ValueError(misnamed)


def kernels() -> dict[str, list[str]]:
    """The kernels that this machine can run, by what they do. The fastest for many messages is
    first; the narrower ones after it take the messages that are left over, and one that comes
    alone."""
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


def address(octets: Buffer) -> int:
    """The address of writable bytes, valid as long as the caller keeps the buffer as it is."""
    return int(ffi.cast("uintptr_t", ffi.from_buffer(OCTETS, octets, require_writable=True)))


def expect_large(fresh: memoryview) -> None:
    """Asks for large pages for memory that will be written to from end to end."""
    with ffi.from_buffer(OCTETS, fresh, require_writable=True) as room:
        lib.expect_large(room, len(room))


# A stream's state is mostly buffers. Clearing them takes longer than filling a small message.
allocate = ffi.new_allocator(should_clear_after_alloc=False)


def take_memory(pool: list[Any], kind: str) -> Any:
    """Working memory that no thread uses now; the caller appends it to the pool again."""
    try:
        return pool.pop()
    except IndexError:
        return allocate(kind)


def no_random() -> OSError:
    """The error where the operating system has no random bytes."""
    return OSError("the operating system's random generator gave nothing")


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
