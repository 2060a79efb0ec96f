"""What other programs are known not to do, and the README's table of what they do. Tests hold each
of its cells to be true; run as a program, this writes the table into the README."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cases import CASES, CURVES, KEMS
from peers import BouncyCastle, Gpgsm, NewestOpenSSL, Nss, OpenSSL, Pyca

if TYPE_CHECKING:
    from collections.abc import Callable

    from cases import Case

README = Path(__file__).parent.parent / "README.md"
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
    """``what`` a peer can't do in the cases that it ``concerns``, in one direction or both."""

    what: str
    concerns: Callable[[Case], bool]
    reading: bool = True
    writing: bool = True


def authenticated(case):
    return not case.cipher.endswith("cbc")


def chacha20(case):
    return case.cipher.startswith("chacha20")


def ski(case):
    return case.named == "ski"


def oaep(case):
    return case.how.startswith("oaep")


def curve(case):
    return case.kind in CURVES


def montgomery(case):
    return case.kind in {"X25519", "X448"}


def kem(case):
    return case.kind in KEMS


def beside(case):
    return case.kinds[1:] != ()


def kek(case):
    return case.kind == "KEK"


def password(case):
    return case.kind == "password"


_CHACHA20 = Limit("no ChaCha20-Poly1305 in CMS", chacha20)
_MONTGOMERY = Limit("no X25519 and X448 in CMS", montgomery)
_NULL = Limit(
    "writes no NULL into the key wrap's parameters",
    lambda case: case.how == "explicit-null",
    reading=False,
)
_AUTHENTICATED = Limit("no AuthEnvelopedData", authenticated)
_OAEP = Limit("no OAEP", oaep)
_CURVES = Limit("no ECDH", curve)
_KEK = Limit("no KEK", kek)
_PASSWORD = Limit("no password", password)
_KEM = [Limit("no ML-KEM", kem), Limit("no ML-KEM", beside, reading=False)]
_STRANGER = Limit(
    "no message that is also for a kind of recipient that it doesn't know", beside, writing=False
)

LIMITS = {
    "OpenSSL 3.0": [_CHACHA20, _MONTGOMERY, _NULL, *_KEM],
    "OpenSSL 4.0": [_CHACHA20, _MONTGOMERY, _NULL],
    "Bouncy Castle 1.87": [_NULL],
    "gpgsm 2.2": [
        Limit("stumbles over the parameters of AuthEnvelopedData's ciphers", authenticated),
        Limit("finds nobody by a subjectKeyIdentifier", ski),
        _OAEP,
        Limit("no key derivation for ECDH", curve),
        _KEK,
        Limit("writes for no password", password, reading=False),
        *_KEM,
    ],
    "NSS 3.87": [
        Limit("writes AES-128-CBC alone", lambda case: case.cipher != "aes128-cbc",
              reading=False),
        _AUTHENTICATED,
        Limit("writes no subjectKeyIdentifier", ski, reading=False),
        _OAEP,
        _CURVES,
        _KEK,
        _PASSWORD,
        *_KEM,
        _STRANGER,
    ],
    "cryptography 50": [
        _AUTHENTICATED,
        Limit("DER alone", lambda case: case.streamed),
        Limit("no subjectKeyIdentifier", ski),
        _OAEP,
        _CURVES,
        _KEK,
        _PASSWORD,
        *_KEM,
        _STRANGER,
    ],
}  # fmt: skip
"""Each once, with the reason. Whatever isn't named here has to work."""


def reads(peer: str, case: Case) -> bool:
    return not any(one.reading and one.concerns(case) for one in LIMITS[peer])


def writes(peer: str, case: Case) -> bool:
    return not any(one.writing and one.concerns(case) for one in LIMITS[peer])


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
