"""What mail programs can open: a table, and :func:`judge`, which warns of choices by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..ciphers import BY_NAME, in_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

CBC, GCM, CHACHA = in_mode("cbc"), in_mode("gcm"), in_mode("chacha20-poly1305")
OAEP = frozenset({"oaep-sha256", "oaep-sha384", "oaep-sha512"})
RSA = frozenset({"RSA", "pkcs1v15"})
NIST, BRAINPOOL = frozenset({"P"}), frozenset({"brainpool"})
MODERN = frozenset({"X", "secp", "ML-KEM"})
ECDH = NIST | BRAINPOOL | MODERN - {"ML-KEM"}


@dataclass(frozen=True)
class Client:
    """A mail program: what it is called, which version was looked at and how (``source``).

    ``opens`` and ``fails`` hold names of ciphers and key transports, as
    :class:`~cmstream.Policy` has them, and the first letters of keys (``"RSA"``, ``"P"`` for NIST's
    curves, ``"brainpool"``, ``"X"`` for X25519 and X448, ...); what is in neither isn't known.
    ``depends``: where it opens something under a condition, that condition.
    """

    id: str
    name: str
    version: str
    source: str
    opens: frozenset[str] = frozenset()
    fails: frozenset[str] = frozenset()
    depends: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What is to be said of a choice and one program. ``level``: ``"refuse"`` where the program
    can't open such mail and another choice would help, else ``"warn"``."""

    level: Literal["refuse", "warn"]
    client: str
    message: str

    def __str__(self) -> str:
        return self.message


def _on(names: Iterable[str], condition: str) -> dict[str, str]:
    return dict.fromkeys(names, condition)


_NSS_OAEP = _on(OAEP, "only with NSS from April 2024 or later")
_NSS_ECDH = _on(NIST, "only with a recent NSS; NSS 3.87 fails")

CLIENTS: dict[str, Client] = {
    one.id: one
    for one in (
        Client(
            "apple-mail",
            "Apple Mail (macOS, iOS)",
            "Security 61901",
            "source of libsecurity_smime, not tried on a device: PKCS #1 v1.5 alone, and for "
            "curves an older key derivation and wrap than RFC 5753's",
            opens=CBC | RSA,
            fails=GCM | CHACHA | OAEP | ECDH | {"ML-KEM"},
        ),
        Client(
            "outlook-classic",
            "Outlook (classic, Windows)",
            "2019 and later",
            "Microsoft's notes on its defaults; NSS's source for the NULL in the key wrap; one "
            "person's report that AES-GCM stays shut",
            opens=CBC | RSA,
            depends=_on(NIST, "only where the key wrap has an explicit NULL, against the standard"),
        ),
        Client(
            "outlook-new",
            "Outlook (new) and on the web",
            "2025",
            "Microsoft's documentation of Outlook on the web names AES-128 to AES-256; nothing "
            "else is proved",
            opens=CBC | RSA,
        ),
        Client(
            "thunderbird",
            "Thunderbird",
            "NSS 3.87 tried, source of May 2026 read",
            "run and source of NSS",
            opens=CBC | RSA,
            fails=GCM | CHACHA | MODERN,
            depends=_NSS_OAEP | _NSS_ECDH,
        ),
        Client(
            "evolution",
            "Evolution",
            "NSS 3.87 tried, source of May 2026 read",
            "evolution-data-server hands S/MIME to NSS",
            opens=CBC | RSA,
            fails=GCM | CHACHA | MODERN,
            depends=_NSS_OAEP | _NSS_ECDH,
        ),
        Client(
            "gpgsm",
            "KMail and others with GnuPG (gpgsm)",
            "2.2.40 tried, 2.5 read",
            "run, and GnuPG's NEWS",
            opens=CBC | RSA,
            fails=CHACHA | OAEP | MODERN,
            depends=_on(GCM, "only with GnuPG 2.3.2 or later")
            | _on(NIST | BRAINPOOL, "only with GnuPG 2.3 or later"),
        ),
        Client(
            "mutt",
            "Mutt with its smime.rc",
            "OpenSSL 3.0 and 4.0 tried",
            "Mutt's file calls openssl cms, which was run",
            opens=CBC | RSA | OAEP | NIST | BRAINPOOL,
            fails=CHACHA | {"X"},
            depends=_on(GCM, "by its OpenSSL, but perhaps not shown by Mutt itself")
            | _on({"ML-KEM"}, "only with a recent OpenSSL; 3.0 fails"),
        ),
        Client(
            "neomutt",
            "NeoMutt with its smime.rc",
            "OpenSSL 3.0 tried",
            "NeoMutt's file calls openssl smime, which was run",
            opens=CBC | RSA,
            fails=GCM | CHACHA | OAEP | ECDH | {"ML-KEM"},
        ),
        Client(
            "thunderbird-android",
            "Thunderbird for Android, K-9 Mail",
            "2026",
            "the project's issue 1003: it has no S/MIME yet",
            fails=CBC | GCM | CHACHA | RSA | OAEP | ECDH | {"ML-KEM"},
        ),
        Client(
            "samsung-email",
            "Samsung Email",
            "any",
            "nothing was found that says",
        ),
        Client(
            "gmail-hosted",
            "Gmail with hosted S/MIME",
            "any",
            "Google's help has rules for certificates, and says nothing of ciphers",
        ),
    )
}
"""By the names that accounts store."""


def judge(
    clients: Iterable[str],
    *,
    cipher: str,
    key_transport: str = "pkcs1v15",
    keys: Iterable[str] = (),
) -> tuple[Finding, ...]:
    """What speaks against a choice for somebody who reads mail with these programs.

    ``clients``: names of :data:`CLIENTS`; one that isn't there gets a warning. ``cipher`` and
    ``key_transport`` as :class:`~cmstream.Policy` has them; ``keys`` as ``Recipient.key`` has them,
    such as ``"RSA-2048"``, of all certificates: a message is for all of them, and one that the
    program can use is enough. Nothing is said of what is known to work.
    """
    return tuple(
        finding
        for name in dict.fromkeys(clients)
        for finding in _findings(name, cipher, key_transport, tuple(dict.fromkeys(keys)))
    )


def _findings(name: str, cipher: str, transport: str, keys: tuple[str, ...]) -> Iterator[Finding]:
    client = CLIENTS.get(name)
    if client is None:
        yield Finding("warn", name, f"Nothing is known of what {name} can open: try it first.")
    elif client.fails >= CBC | RSA:
        text = f"{client.name} opens no S/MIME at all: read encrypted mail with another program."
        yield Finding("warn", name, text)
    elif not client.opens:
        text = f"It isn't known what {client.name} opens: send yourself a test message first."
        yield Finding("warn", name, text)
    else:
        yield from _of_cipher(client, cipher)
        yield from _of_keys(client, transport, keys)


def _of_cipher(client: Client, cipher: str) -> Iterator[Finding]:
    if cipher == "auto":
        never = [name for name in BY_NAME if name in client.fails]
        if never:
            text = (
                f"If all certificates name {_listed(never)}, that is used, and {client.name} can't "
                f"open it: choose AES-256-CBC."
            )
            yield Finding("warn", client.id, text)
    elif finding := _of_one(client, cipher, _title(cipher), "choose AES-256-CBC"):
        yield finding


def _of_keys(client: Client, transport: str, keys: tuple[str, ...]) -> Iterator[Finding]:
    """Nothing, if there is a key that the program is known to use."""
    found = []
    for key in keys or ("RSA",):
        kind = next(
            (k for k in ("RSA", "brainpool", "secp", "ML-KEM", "X") if key.startswith(k)), "P"
        )
        if kind == "RSA":
            found.append(_of_one(client, transport, _title(transport), "choose PKCS #1 v1.5"))
        else:
            remedy = "import a certificate with an RSA key too"
            found.append(_of_one(client, kind, f"mail for a key of the kind {key}", remedy))
    if all(found):
        yield from (finding for finding in found if finding)


def _of_one(client: Client, feature: str, what: str, remedy: str) -> Finding | None:
    if feature in client.opens:
        return None
    if feature in client.fails:
        return Finding("refuse", client.id, f"{client.name} can't open {what}: {remedy}.")
    if condition := client.depends.get(feature):
        text = f"{client.name} opens {what} {condition}: {remedy} to be sure."
        return Finding("warn", client.id, text)
    text = f"It isn't known whether {client.name} opens {what}: {remedy}, or try it first."
    return Finding("warn", client.id, text)


_TITLES = {
    **{one.name: one.title for one in BY_NAME.values()},
    "pkcs1v15": "RSA PKCS #1 v1.5",
    "oaep-sha256": "RSA-OAEP",
    "oaep-sha384": "RSA-OAEP",
    "oaep-sha512": "RSA-OAEP",
}


def _title(name: str) -> str:
    return _TITLES.get(name, name)


def _listed(names: Iterable[str]) -> str:
    return " or ".join(map(_title, names))
