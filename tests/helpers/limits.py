"""What other programs are known not to do, and the table in tests/interop/README.md of what they
do. Tests hold each cell to be true; run as a program, this writes the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from helpers.cases import CASES, CURVES, KEMS
from helpers.peers import BouncyCastle, Gpgsm, NewestOpenSSL, Nss, OpenSSL, Pyca

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.cases import Case

README = Path(__file__).parents[1] / "interop" / "README.md"
START, END = "<!-- peers -->\n", "<!-- end of peers -->\n"

PEERS = {
    "OpenSSL 3.0": OpenSSL,
    "OpenSSL 4.0": NewestOpenSSL,
    "Bouncy Castle 1.87": BouncyCastle,
    "gpgsm 2.2": Gpgsm,
    "NSS 3.87": Nss,
    "cryptography 50": Pyca,
}
"""The versions of which the limits are known."""


class Limit(NamedTuple):
    """``what`` a peer can't do: in which cases it doesn't read ours, and in which it doesn't write
    what they ask for."""

    what: str
    unread: Callable[[Case], bool]
    unwritten: Callable[[Case], bool]


def never(_case):
    return False


def both_ways(what, cases):
    return Limit(what, cases, cases)


def recipients(what, kinds):
    """Nobody opens by such a key, or seals to it."""
    return Limit(
        what, lambda case: case.kind in kinds, lambda case: not kinds.isdisjoint(case.kinds)
    )


def authenticated(case):
    return not case.cipher.endswith("cbc")


def ski(case):
    return case.named == "ski"


NO_CHACHA20 = both_ways(
    "no ChaCha20-Poly1305 in CMS", lambda case: case.cipher == "chacha20-poly1305"
)
NO_AUTHENTICATED = both_ways("no AuthEnvelopedData", authenticated)
NO_OAEP = both_ways("no OAEP", lambda case: case.how.startswith("oaep"))
NO_MONTGOMERY = recipients("no X25519 and X448 in CMS", {"X25519", "X448"})
NO_ECDH = recipients("no ECDH", set(CURVES))
NO_KEK = recipients("no KEK", {"KEK"})
NO_PASSWORD = recipients("no password", {"password"})
NO_KEM = recipients("no ML-KEM", set(KEMS))
NO_NULL = Limit(
    "writes no NULL into the key wrap's parameters", never, lambda case: case.how == "explicit-null"
)
NO_STRANGER = Limit(
    "refuses messages that are for any key but RSA too",
    lambda case: set(case.kinds) > {"RSA"},
    never,
)

LIMITS = {
    "OpenSSL 3.0": [NO_CHACHA20, NO_MONTGOMERY, NO_NULL, NO_KEM],
    "OpenSSL 4.0": [NO_CHACHA20, NO_MONTGOMERY, NO_NULL],
    "Bouncy Castle 1.87": [NO_NULL],
    "gpgsm 2.2": [
        both_ways("fails at the parameters of AuthEnvelopedData's ciphers", authenticated),
        both_ways("finds nobody by a subjectKeyIdentifier", ski),
        NO_OAEP,
        recipients("has no key derivation for ECDH", set(CURVES)),
        NO_KEK,
        Limit("writes for no password", never, lambda case: "password" in case.kinds),
        NO_KEM,
    ],
    "NSS 3.87": [
        Limit("writes AES-128-CBC alone", never, lambda case: case.cipher != "aes128-cbc"),
        Limit("writes no subjectKeyIdentifier", never, ski),
        NO_AUTHENTICATED,
        NO_OAEP,
        NO_ECDH,
        NO_KEK,
        NO_PASSWORD,
        NO_KEM,
        NO_STRANGER,
    ],
    "cryptography 50": [
        both_ways("DER alone", lambda case: case.streamed),
        both_ways("no subjectKeyIdentifier", ski),
        NO_AUTHENTICATED,
        NO_OAEP,
        NO_ECDH,
        NO_KEK,
        NO_PASSWORD,
        NO_KEM,
        NO_STRANGER,
    ],
}
"""Each once, with the reason. Whatever isn't named here has to work."""


def reads(peer: str, case: Case) -> bool:
    return not any(one.unread(case) for one in LIMITS[peer])


def writes(peer: str, case: Case) -> bool:
    return not any(one.unwritten(case) for one in LIMITS[peer])


_CELLS = {(True, True): "both", (True, False): "reads", (False, True): "writes"}


def table() -> str:
    """Rows by peers, and below what each can't do."""
    lines = [f"| | {' | '.join(PEERS)} |", f"| --- |{' --- |' * len(PEERS)}"]
    for case in CASES:
        cells = (_CELLS.get((reads(peer, case), writes(peer, case)), "no") for peer in PEERS)
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    lines.append("")
    for peer, limits in LIMITS.items():
        lines.append(f"- {peer}: {', '.join(dict.fromkeys(one.what for one in limits))}.")
    return "\n".join(lines) + "\n"


def in_readme() -> str:
    """What stands in the README between the two marks."""
    return README.read_text("utf-8").partition(START)[2].partition(END)[0]


if __name__ == "__main__":
    before, _, rest = README.read_text("utf-8").partition(START)
    README.write_text(before + START + table() + END + rest.partition(END)[2], "utf-8")
