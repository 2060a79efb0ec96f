"""The goals for speed, as ratios of two rows of one column; which ones, depends on whether the
processor has AVX-512 and IFMA."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from measure import Figure

    Row = dict[str, Figure]
    Figures = dict[str, Row]

OPENSSL = "OpenSSL, best mode"
PYCA = "cryptography SMIME"
CHAIN = "bare CBC chain"
WIDE = "bare wide kernel"
MESSAGE = "cmstream encrypt_message"
PUSHED = "cmstream update_into, 256 KiB"
WRITER = "cmstream EncryptWriter"
UPDATED = "cmstream update, whole"
ITERATED = "cmstream encrypt_iter"
READER = "cmstream EncryptReader"
MANY = "cmstream encrypt_many"
STALWART, STALWART_ENCODIFY = "Stalwart's crates", "Stalwart's crates, with encodify"
SMALLSTEP = "Go's smallstep/pkcs7"
RSA = "bare RSA public operation"
LIBCRYPTO_RSA = "libcrypto's RSA public operation"

GCM = "cmstream encrypt_message, AES-256-GCM"
GCM_PUSHED = "cmstream update_into, 256 KiB, AES-256-GCM"
BARE_GCM = "bare GCM of cryptography"
GCM_BAR = "2 GB/s, or 0.7 of bare GCM"

OPENSSL_BACK = "OpenSSL CMS_decrypt"
PYCA_BACK = "cryptography pkcs7_decrypt_smime"
RSA_BACK = "bare RSA private operation"
MESSAGE_BACK = "cmstream decrypt_message"
MANY_BACK = "cmstream decrypt_many"


class Goal(NamedTuple):
    """How many times as fast as ``peer`` the row is to be; with ``at_most``, how many times as long
    as ``peer`` it may take."""

    text: str
    column: str
    row: str
    peer: str
    least: float
    aim: float
    at_most: bool = False


class Reached(NamedTuple):
    """The ratio by medians, and by each row's fastest sample, which other programs on the machine
    disturb less; ``noisy`` if one of the two rows is. ``cpu``: by processor time, where it is known
    of both."""

    goal: Goal
    median: float
    best: float
    noisy: bool
    cpu: float | None = None

    @property
    def verdict(self) -> str:
        """By the median."""
        goal, sign = self.goal, -1 if self.goal.at_most else 1
        if sign * self.median < sign * goal.least:
            return "missed"
        if sign * self.median >= sign * goal.aim:
            return "aim"
        return "at most" if goal.at_most else "at least"


class Goals(NamedTuple):
    """Those for one kind of processor; ``processor`` says which."""

    processor: str
    encrypting: tuple[Goal, ...]
    opening: tuple[Goal, ...]


_SHAPES = {
    PUSHED: "in pieces",
    UPDATED: "by update",
    WRITER: "by a writer",
    ITERATED: "by an iterator",
    READER: "by a reader",
}

_ANYWHERE = (
    Goal("one message, share of the bare chain", "25 MiB", PUSHED, CHAIN, 0.90, 0.97),
    Goal("one message against OpenSSL", "25 MiB", MESSAGE, OPENSSL, 1.5, 2),
    Goal("one message against cryptography", "25 MiB", MESSAGE, PYCA, 20, 20),
    Goal("one message against OpenSSL", "4 KiB", MESSAGE, OPENSSL, 1.3, 1.6),
    Goal("one message against OpenSSL", "1 KiB", MESSAGE, OPENSSL, 1.3, 1.3),
    *(Goal(f"one message {how} against OpenSSL", column, row, OPENSSL, 1.3, 1.3)
      for column in ("4 KiB", "1 KiB") for row, how in _SHAPES.items()),
    Goal("many, share of the bare wide kernel", "1 MiB", MANY, WIDE, 0.6, 0.85),
    Goal("many in two threads against one", "4 KiB", f"{MANY}, halves, two threads",
         f"{MANY}, halves, one thread", 1.8, 1.95),
    Goal("many in two threads against one", "75 KiB", f"{MANY}, halves, two threads",
         f"{MANY}, halves, one thread", 1.8, 1.95),
    Goal("one message by GCM, against the bar", "25 MiB", GCM, GCM_BAR, 1, 1.5),
    Goal("one stream by GCM, against the bar", "25 MiB", GCM_PUSHED, GCM_BAR, 1, 1.5),
)  # fmt: skip

_WITHOUT_AVX512 = (
    Goal("many against OpenSSL", "4 KiB", MANY, OPENSSL, 1.9, 2.6),
    Goal("many against OpenSSL", "75 KiB", MANY, OPENSSL, 4.2, 5.5),
    Goal("many against Stalwart's crates", "75 KiB", MANY, STALWART, 10.5, 14),
    Goal("many by AES-NI alone against OpenSSL", "75 KiB", f"{MANY}, CPU level aesni", OPENSSL,
         4, 5),
    Goal("RSA-2048 public operation against libcrypto", "4 KiB", RSA, LIBCRYPTO_RSA, 1, 1.5),
)  # fmt: skip

_WITH_AVX512 = (
    Goal("many against OpenSSL", "4 KiB", MANY, OPENSSL, 6, 8),
    Goal("many against OpenSSL", "75 KiB", MANY, OPENSSL, 9, 12),
    Goal("many against OpenSSL", "25 MiB", MANY, OPENSSL, 7, 10),
    Goal("many against OpenSSL", "mix", MANY, OPENSSL, 8, 12),
    Goal("many against cryptography", "75 KiB", MANY, PYCA, 50, 110),
    Goal("many by AES-NI alone against OpenSSL", "75 KiB", f"{MANY}, CPU level aesni", OPENSSL,
         3, 3),
)  # fmt: skip


def _opening(least: float) -> tuple[Goal, ...]:
    one = "opening one message against OpenSSL"
    many = "opening many, share of the bare RSA"
    return (
        Goal(one, "25 MiB", MESSAGE_BACK, OPENSSL_BACK, least, 25),
        Goal(many, "75 KiB", MANY_BACK, RSA_BACK, 1 / 1.08, 1),
    )


def goals_for(kernels: Mapping[str, Sequence[str]]) -> Goals:
    """Those for a machine with such kernels, as :func:`cmstream.kernels` names them."""
    if any(name.startswith("ifma") for name in kernels["rsa"]):
        found = "a processor with AVX-512 and IFMA", _ANYWHERE + _WITH_AVX512, _opening(20)
    else:
        found = "a processor without AVX-512 and IFMA", _ANYWHERE + _WITHOUT_AVX512, _opening(6)
    return Goals(*found)


def with_best_mode(row: Row) -> Row:
    """The same with OpenSSL's fastest mode, if there is one, under a name of its own."""
    modes = [row[name] for name in row if name.startswith("OpenSSL ") and name != OPENSSL_BACK]
    return row | ({OPENSSL: min(modes)} if modes else {})


def with_gcm_bar(row: Row, octets: int) -> Row:
    """The same with the goal for GCM of messages of so many bytes: the lower of two rates."""
    if BARE_GCM not in row:
        return row
    bare, least = row[BARE_GCM], octets / 2e9
    walls = ("median", "best", "low", "high")
    bar = {name: max(getattr(bare, name) / 0.7, least) for name in walls}
    return row | {GCM_BAR: bare._replace(**bar, cpu=None)}


def reached(figures: Figures, goals: Iterable[Goal]) -> Iterator[Reached]:
    """What could be measured here."""
    for goal in goals:
        row = figures.get(goal.column, {})
        if goal.row in row and goal.peer in row:
            above, below = row[goal.peer], row[goal.row]
            if goal.at_most:
                above, below = below, above
            cpu = above.cpu / below.cpu if above.cpu and below.cpu else None
            noisy = above.noisy or below.noisy
            yield Reached(goal, above.median / below.median, above.best / below.best, noisy, cpu)
