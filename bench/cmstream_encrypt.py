"""cmstream's rows of encryption: each way to call it, batches of each width, two threads, each CPU
level."""

from __future__ import annotations

import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cmstream
from cmstream.engine import gate
from engines import Engine, in_turn, one_by_one
from goals import GCM, GCM_PUSHED, ITERATED, READER, UPDATED, WRITER
from samples import recipients

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engines import Lab, Run
    from samples import Column

    Context = Callable[[int], cmstream.Encryptor | cmstream.Decryptor]

CHUNK = 256 << 10
LONG = 1 << 20
WIDTHS = (1, 8, 32, 128)
STRETCH = 0.15  # seconds that a thread works at least, so that its start doesn't count


def engines(lab: Lab) -> list[Engine]:
    """All rows."""
    return one_message() + one_by_gcm() + many() + batches(lab)


def one_message() -> list[Engine]:
    """The ways to encrypt one message at a time."""
    to = recipients()

    def context(size: int) -> cmstream.Encryptor:
        return cmstream.encryptor(to, size=size, form="message")

    def write(data: bytes) -> None:
        with cmstream.EncryptWriter(_Nowhere(), to, form="message", size=len(data)) as out:
            out.write(data)

    def update(data: bytes) -> None:
        stream = context(len(data))
        stream.update(data)
        stream.finalize()

    def iterate(data: bytes) -> None:
        for _ in cmstream.encrypt_iter(io.BytesIO(data), to, form="message"):
            pass

    def read(data: bytes) -> None:
        with cmstream.EncryptReader(io.BytesIO(data), to, form="message") as reader:
            while reader.read(CHUNK):
                pass

    return [
        one_by_one("cmstream encrypt_message", lambda data: cmstream.encrypt_message(data, to)),
        Engine("cmstream update_into, 256 KiB", lambda column: pushed(column, context, CHUNK)),
        Engine("cmstream update_into, whole", lambda column: _pushed_whole(column, context)),
        one_by_one(UPDATED, update),
        one_by_one(WRITER, write),
        one_by_one(ITERATED, iterate),
        one_by_one(READER, read),
    ]


def one_by_gcm() -> list[Engine]:
    """One long message by GCM, where no block waits for the one before."""
    to, policy = recipients(), cmstream.DEFAULT.clone(cipher="aes256-gcm")

    def context(size: int) -> cmstream.Encryptor:
        return cmstream.encryptor(to, size=size, form="message", policy=policy)

    def whole(data: bytes) -> None:
        cmstream.encrypt_message(data, to, policy=policy)

    def run(column: Column) -> Run | None:
        return in_turn(column, column.messages, whole) if long_alone(column) else None

    def push(column: Column) -> Run | None:
        return pushed(column, context, CHUNK) if long_alone(column) else None

    return [Engine(GCM, run), Engine(GCM_PUSHED, push)]


def long_alone(column: Column) -> bool:
    """Whether its messages are so long that the cipher counts, and of one length."""
    return column.longest >= LONG and not column.mixed


def many() -> list[Engine]:
    """All of a column at once, and by each level of the processor's features."""
    rows = [Engine("cmstream encrypt_many", lambda column: _batches(jobs(column)))]
    for level in levels():
        name = f"cmstream encrypt_many, CPU level {level}"
        rows.append(Engine(name, lambda column, level=level: _restricted(jobs(column), level)))
    return rows


def batches(lab: Lab) -> list[Engine]:
    """A column in parts, and in two threads."""
    pool = lab.enter_context(ThreadPoolExecutor(2))
    rows = [
        Engine(f"cmstream encrypt_many, {width} at a time", lambda c, w=width: _parts(c, w))
        for width in WIDTHS
    ]
    return [
        *rows,
        Engine("cmstream encrypt_many, halves, one thread", lambda c: _batches(*_halves(c))),
        Engine("cmstream encrypt_many, halves, two threads", lambda c: _threads(c, pool)),
    ]


# One message


class _Nowhere:
    def write(self, data: memoryview) -> int:
        return len(data)


def _pushed_whole(column: Column, context: Context) -> Run | None:
    # For shorter messages the row of pieces is the same.
    return pushed(column, context, column.longest) if column.longest > CHUNK else None


def pushed(column: Column, context: Context, chunk: int) -> Run:
    """Each message in pieces through a push stream, which ``context`` makes for its length."""
    buffer = bytearray(context(column.longest).bound(min(chunk, column.longest)))

    def push(data: bytes) -> None:
        view = memoryview(data)
        stream = context(len(data))
        for start in range(0, len(data), chunk):
            stream.update_into(view[start : start + chunk], buffer)
        stream.finalize_into(buffer)

    return in_turn(column, column.messages, push)


# Many


def jobs(column: Column) -> list[tuple[bytes, cmstream.Recipients]]:
    """For ``encrypt_many``."""
    to = recipients()
    return [(message, to) for message in column.messages]


def levels() -> list[str]:
    """Every CPU level at which another kernel is used, lowest first."""
    kernels = cmstream.kernels()
    rows = [*kernels["rsa"], *kernels["base64"], *kernels["aes"]]  # the last one names the level
    found = {gate.LEVELS[row]: row for row in rows}
    return [found[level] for level in sorted(found)]


def _batches(*parts: Sequence[tuple[bytes, cmstream.Recipients]]) -> Run:
    """One call for each part; its answers are released before the next call."""

    def run() -> int:
        for part in parts:
            cmstream.encrypt_many(part)
        return sum(map(len, parts))

    return run


def _restricted(part: Sequence[tuple[bytes, cmstream.Recipients]], level: str) -> Run:
    def run() -> int:
        gate.restrict_cpu(level)
        try:
            cmstream.encrypt_many(part)
        finally:
            gate.restrict_cpu(os.environ.get("CMSTREAM_CPU"))
        return len(part)

    return run


def _parts(column: Column, width: int) -> Run | None:
    every = jobs(column)
    if width >= len(every):
        return None
    return _batches(*(every[start : start + width] for start in range(0, len(every), width)))


def _halves(column: Column) -> list[list[tuple[bytes, cmstream.Recipients]]]:
    every = jobs(column)
    middle = len(every) // 2
    return [every[:middle], every[middle:]]


def _threads(column: Column, pool: ThreadPoolExecutor) -> Run:
    halves = _halves(column)
    start = time.perf_counter()
    cmstream.encrypt_many(halves[0])
    passes = max(1, int(STRETCH / (time.perf_counter() - start)))

    def work(half: list[tuple[bytes, cmstream.Recipients]]) -> int:
        for _ in range(passes):
            cmstream.encrypt_many(half)
        return passes * len(half)

    return lambda: sum(pool.map(work, halves))
