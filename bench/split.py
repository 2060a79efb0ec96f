"""Where the time of ``encrypt_many`` goes: its parts, each measured for itself, and the check that
they add up to the whole.

All figures are processor time, since other programs on the machine disturb it least.
"""

from __future__ import annotations

import functools
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import padding

import cmstream
from cmstream._native import ffi, lib
from cmstream.engine import gate
from cmstream.engine.prepared_recipients import RsaKey
from cmstream_encrypt import jobs
from engines import Engine
from goals import MANY
from limits import KEY_OCTETS, LANES, content_key, pointer
from measure import Clocks, clocks
from samples import below_modulus, public_numbers, recipients

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engines import Run
    from goals import Row
    from samples import Column

STRETCH = 32 << 10  # bytes of each message at a time, so that all stay in the cache
LINES = 1024  # of base64 at a time, for the same reason
KEYS = 64  # encrypted in one call
TOLERANCE = 0.10
"""By how much the sum of the parts may differ from the whole."""

PIECE = "piece "
RSA, AES, BASE64 = f"{PIECE}RSA", f"{PIECE}AES", f"{PIECE}base64"
INSIDE, OUTSIDE = f"{PIECE}all of C", f"{PIECE}all outside C"
PYTHON, REST = "Python", "rest of C"  # which is memory, headers and random bytes


class SplitError(Exception):
    """The parts of ``encrypt_many`` don't add up to the whole, so the split can't be true."""


class Split(NamedTuple):
    """Seconds of processor time a message: ``encrypt_many`` as a whole, and its parts."""

    whole: float
    parts: dict[str, float]

    @property
    def sum(self) -> float:
        """What the parts come to."""
        return sum(self.parts.values())

    @property
    def adds_up(self) -> bool:
        """Whether that is within 10 % of the whole."""
        return abs(self.sum / self.whole - 1) <= TOLERANCE

    def complaint(self, column: str) -> str:
        """Says that it isn't."""
        parts = ", ".join(f"{name} {seconds * 1e6:.2f}" for name, seconds in self.parts.items())
        return (
            f"{column}: the parts of encrypt_many add up to {self.sum * 1e6:.2f} µs a message, but "
            f"the whole takes {self.whole * 1e6:.2f} µs ({parts}). They may differ by "
            f"{TOLERANCE:.0%}. Measure on a quieter machine; if that doesn't help, bench/split.py "
            "doesn't measure what it says"
        )


def engines() -> list[Engine]:
    """The rows from which the split is made. RSA, AES and base64 work in the cache, so that what
    the memory costs shows in the rest."""
    return [
        Engine(RSA, _rsa),
        Engine(AES, _aes),
        Engine(BASE64, _base64),
        Engine(INSIDE, lambda column: _Watched(column, inside=True)),
        Engine(OUTSIDE, lambda column: _Watched(column, inside=False)),
    ]


def of(row: Row, *, rsa_in_c: bool) -> Split:
    """The parts, from the rows of :func:`engines`. Without RSA in C (``rsa_in_c``) that is done
    by `cryptography`, outside C."""
    rsa, aes, base64, inside, outside, whole = (
        row[name].cpu or 0.0 for name in (RSA, AES, BASE64, INSIDE, OUTSIDE, MANY)
    )
    in_c = aes + base64 + (rsa if rsa_in_c else 0)
    python = outside - (0 if rsa_in_c else rsa)
    parts = {"RSA": rsa, "AES": aes, "base64": base64, PYTHON: python, REST: inside - in_c}
    # No part takes less than nothing: where it seems so, the sum comes out too large.
    return Split(whole, {name: max(0.0, seconds) for name, seconds in parts.items()})


# The parts


def _rsa(column: Column) -> Run:
    """One key for each message; by `cryptography` where C has no RSA for this processor."""
    (recipient,) = recipients()
    public: Any = recipient.public_key
    count = min(KEYS, len(column.messages))

    def wrap() -> int:
        for _ in range(count):
            public.encrypt(bytes(KEY_OCTETS), padding.PKCS1v15())
        return count

    if not gate.rsa_radixes:
        return wrap
    numbers = public_numbers()
    key = RsaKey(numbers.n, numbers.e)
    keys = ffi.new("struct rsa_key *[]", [key.struct] * count)
    ins = [ffi.new("uint8_t[]", below_modulus()) for _ in range(count)]
    outs = [ffi.new("uint8_t[]", key.size) for _ in range(count)]
    pointers = ffi.new("uint8_t *[]", ins), ffi.new("uint8_t *[]", outs)

    def run(_held: object = (key, ins, outs)) -> int:
        lib.rsa_raw(0, keys, *pointers, count)
        return count

    return run


def _aes(column: Column) -> Run:
    lanes = min(LANES, len(column.messages))
    size = min(STRETCH, column.longest)
    key, buffer = content_key(), pointer(bytearray(lanes * size))
    times, rest = divmod(column.octets, lanes * size)

    def run() -> int:
        for _ in range(times):
            lib.cbc_bare_wide(key, buffer, size // 16, lanes, buffer)
        lib.cbc_bare_wide(key, buffer, rest // lanes // 16, lanes, buffer)
        return len(column.messages)

    return run


def _base64(column: Column) -> Run:
    lines = column.octets // 48
    source, out = pointer(bytes(LINES * 48)), pointer(bytearray(LINES * 66))

    def run() -> int:
        for start in range(0, lines, LINES):
            lib.base64_bare(source, min(LINES, lines - start), out)
        return len(column.messages)

    return run


class _Watched:
    """``encrypt_many`` by clocks that run only inside C, or only outside."""

    def __init__(self, column: Column, *, inside: bool) -> None:
        self._jobs, self._watch, self._inside = jobs(column), _Watch(), inside
        cmstream.encrypt_many(self._jobs)  # now all modules that it needs are there
        self._modules = list(_importers())

    def __call__(self) -> int:
        before = self._watch.calls
        for module in self._modules:
            module.lib = self._watch
        try:
            cmstream.encrypt_many(self._jobs)
        finally:
            for module in self._modules:
                module.lib = lib
        if self._watch.calls == before:
            raise SplitError("encrypt_many called C, but bench/split.py didn't see it")
        return len(self._jobs)

    def clocks(self) -> Clocks:
        inside = Clocks(self._watch.wall, self._watch.cpu)
        if self._inside:
            return inside
        now = clocks()
        return Clocks(now.wall - inside.wall, (now.cpu or 0.0) - inside.cpu)


def _importers() -> Iterator[Any]:
    """Every module of cmstream that calls C by a name of its own."""
    for name, module in list(sys.modules.items()):
        if name.startswith("cmstream.") and getattr(module, "lib", None) is lib:
            yield module


class _Watch:
    """Stands in for the C library and adds up the time that its functions take."""

    def __init__(self) -> None:
        self.calls, self.wall, self.cpu = 0, 0.0, 0.0

    def __getattr__(self, name: str) -> Any:
        thing = getattr(lib, name)
        return functools.partial(self._timed, thing) if callable(thing) else thing

    def _timed(self, function: Any, *arguments: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return function(*arguments)
        finally:
            self.cpu += time.process_time() - cpu
            self.wall += time.perf_counter() - wall
            self.calls += 1
