"""The goals for speed, as ratios of two rows of one column, so that they hold on any machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from measure import Figure

    Row = dict[str, Figure]
    Figures = dict[str, Row]

OPENSSL = "OpenSSL, best mode"
PYCA = "cryptography SMIME"
CHAIN = "bare CBC chain"
WIDE = "bare wide kernel"
MANY = "cmstream encrypt_many"

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
    disturb less; ``noisy`` if one of the two rows is."""

    goal: Goal
    median: float
    best: float
    noisy: bool

    @property
    def verdict(self) -> str:
        """By the median."""
        goal, sign = self.goal, -1 if self.goal.at_most else 1
        if sign * self.median < sign * goal.least:
            return "missed"
        if sign * self.median >= sign * goal.aim:
            return "aim"
        return "at most" if goal.at_most else "at least"


GOALS = (
    Goal("one message, share of the bare chain", "25 MiB", "cmstream update_into, 256 KiB", CHAIN,
         0.90, 0.97),
    Goal("one message against OpenSSL", "25 MiB", "cmstream encrypt_message", OPENSSL, 1.5, 2),
    Goal("one message against cryptography", "25 MiB", "cmstream encrypt_message", PYCA, 20, 20),
    Goal("one message against OpenSSL", "4 KiB", "cmstream encrypt_message", OPENSSL, 1, 1),
    Goal("many against OpenSSL", "75 KiB", MANY, OPENSSL, 6, 12),
    Goal("many against cryptography", "75 KiB", MANY, PYCA, 50, 110),
    Goal("many against OpenSSL", "4 KiB", MANY, OPENSSL, 4, 8),
    Goal("many against OpenSSL", "mix", MANY, OPENSSL, 6, 12),
    Goal("many, share of the bare wide kernel", "1 MiB", MANY, WIDE, 0.6, 0.85),
    Goal("many in two threads against one", "75 KiB", f"{MANY}, halves, two threads",
         f"{MANY}, halves, one thread", 1.8, 1.95),
    Goal("many by AES-NI alone against OpenSSL", "75 KiB", f"{MANY}, CPU level aesni", OPENSSL,
         3, 3),
    Goal("one message by GCM, against the bar", "25 MiB", GCM, GCM_BAR, 1, 1.5),
    Goal("one stream by GCM, against the bar", "25 MiB", GCM_PUSHED, GCM_BAR, 1, 1.5),
)  # fmt: skip


OPENING_GOALS = (
    Goal("opening one message against OpenSSL", "25 MiB", MESSAGE_BACK, OPENSSL_BACK, 6, 25),
    Goal("opening many, share of the bare RSA", "75 KiB", MANY_BACK, RSA_BACK, 1 / 1.15, 1),
)


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


def reached(figures: Figures, goals: Iterable[Goal] = GOALS) -> Iterator[Reached]:
    """What could be measured here."""
    for goal in goals:
        row = figures.get(goal.column, {})
        if goal.row in row and goal.peer in row:
            above, below = row[goal.peer], row[goal.row]
            if goal.at_most:
                above, below = below, above
            noisy = above.noisy or below.noisy
            yield Reached(goal, above.median / below.median, above.best / below.best, noisy)
