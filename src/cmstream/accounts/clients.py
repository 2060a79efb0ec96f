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
KEYS = frozenset({"RSA", "ML-KEM", "KEK", "password"}) | ECDH
"""The kinds of recipients that a message can have."""


@dataclass(frozen=True)
class Client:
    """A mail program: what it is called, which version was looked at and how (``source``).

    ``opens`` and ``fails`` hold names of ciphers and key transports, as
    :class:`~cmstream.Policy` has them, and kinds of keys: the first letters of what
    ``Recipient.key`` says (``"RSA"``, ``"P"`` for NIST's curves, ``"brainpool"``, ``"X"`` for
    X25519 and X448, ...). ``depends``: where it opens something under a condition, that condition.

    A message often has other recipients beside the one that the program has the key of.
    ``opens_beside``: kinds of recipients that are of no matter then; ``fails_beside``: those for
    which it refuses the whole message. ``"KEK"`` and ``"password"`` are such kinds too.

    ``ski``: whether it finds its recipient by the subjectKeyIdentifier (RFC 5652 section 6.2.1).
    ``header_protection``: whether it shows the sealed Subject (RFC 9788) and not the outer one.

    What is in neither set, and what is None, isn't known.

    ``help``: the name of the help page for its readers, "" where there is none.
    """

    id: str
    name: str
    version: str
    source: str
    opens: frozenset[str] = frozenset()
    fails: frozenset[str] = frozenset()
    depends: Mapping[str, str] = field(default_factory=dict)
    opens_beside: frozenset[str] = frozenset()
    fails_beside: frozenset[str] = frozenset()
    ski: bool | None = None
    header_protection: bool | None = None
    help: str = ""


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


def _by_gpgsm(short: str, name: str, version: str) -> Client:
    """A program that leaves S/MIME to GnuPG."""
    return Client(
        short,
        name,
        f"{version}, with gpgsm 2.2.40",
        "tried, and GnuPG's NEWS; mail that is sealed twice opens",
        opens=CBC | RSA,
        fails=CHACHA | OAEP | MODERN,
        depends=_on(GCM, "only with GnuPG 2.3.2 or later")
        | _on(NIST | BRAINPOOL, "only with GnuPG 2.3 or later"),
        opens_beside=frozenset({"ML-KEM"}),
        ski=False,
        header_protection=False,
        help="kmail",
    )


def _by_openssl(short: str, name: str, version: str, more: str = "") -> Client:
    """A program whose smime.rc calls ``openssl cms``."""
    return Client(
        short,
        name,
        f"{version}, with OpenSSL 3.0",
        f"tried with Debian's smime.rc, which calls openssl cms{more}; the pager shows the sealed"
        " Subject",
        opens=CBC | RSA | OAEP | NIST | BRAINPOOL,
        fails=GCM | CHACHA | {"X"},
        depends=_on({"ML-KEM"}, "only with a recent OpenSSL; 3.0 fails"),
        opens_beside=KEYS,
        ski=True,
        header_protection=True,
    )


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
            help="apple-mail",
        ),
        Client(
            "outlook-classic",
            "Outlook (classic, Windows)",
            "2019 and later",
            "Microsoft's notes on its defaults; NSS's source for the NULL in the key wrap; one "
            "person's report that AES-GCM stays shut",
            opens=CBC | RSA,
            depends=_on(NIST, "only where the key wrap has an explicit NULL, against the standard"),
            help="outlook",
        ),
        Client(
            "outlook-new",
            "Outlook (new) and on the web",
            "2025",
            "Microsoft's documentation of Outlook on the web names AES-128 to AES-256; nothing "
            "else is proved",
            opens=CBC | RSA,
            help="outlook",
        ),
        Client(
            "thunderbird",
            "Thunderbird",
            "153.8 ESR, with NSS 3.125.1",
            "tried, also with 34 MB; mail with AES-GCM or ChaCha20 has a blank body and no error, "
            "mail that is sealed twice stays shut, an X25519 certificate can't be imported",
            opens=CBC | RSA | NIST | {"oaep-sha256", "oaep-sha384"},
            fails=GCM | CHACHA | MODERN,
            opens_beside=NIST | {"RSA", "X", "KEK"},
            fails_beside=frozenset({"ML-KEM", "password"}),
            ski=True,
            header_protection=False,
            help="thunderbird",
        ),
        Client(
            "evolution",
            "Evolution",
            "3.46, with NSS 3.87",
            "tried, also with 34 MB; mail that is sealed twice opens",
            opens=CBC | RSA,
            fails=GCM | CHACHA | OAEP | ECDH | {"ML-KEM"},
            opens_beside=frozenset({"RSA"}),
            fails_beside=KEYS - {"RSA"},
            ski=True,
            header_protection=False,
            help="evolution",
        ),
        _by_gpgsm("gpgsm", "KMail and others with GnuPG (gpgsm)", "KMail 22.12"),
        _by_gpgsm("claws-mail", "Claws Mail", "4.1"),
        _by_openssl("mutt", "Mutt with its smime.rc", "2.2.12"),
        _by_openssl(
            "neomutt",
            "NeoMutt with Debian's smime.rc",
            "20220429",
            " (that of NeoMutt's own source calls openssl smime: PKCS #1 v1.5 alone)",
        ),
        Client(
            "pkijs",
            "Webmail with PKI.js",
            "4.0.0",
            "tried: the Web Cryptography API has no PKCS #1 v1.5, and curves need a ukm, which "
            "cmstream writes none of",
            opens=CBC | OAEP | {"RSA"},
            fails=GCM | NIST | {"pkcs1v15", "X", "ML-KEM"},
            ski=True,
        ),
        Client(
            "node-forge",
            "Webmail with node-forge",
            "1.4.3",
            "tried: PKCS #1 v1.5 with a CBC cipher alone",
            opens=CBC | RSA,
            fails=GCM | CHACHA | OAEP | ECDH | {"ML-KEM"},
            opens_beside=frozenset({"RSA"}),
            fails_beside=KEYS - {"RSA"},
            ski=False,
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
    header_protection: str | None = None,
) -> tuple[Finding, ...]:
    """What speaks against a choice for somebody who reads mail with these programs.

    ``clients``: names of :data:`CLIENTS`; one that isn't there gets a warning. ``cipher``,
    ``key_transport`` and ``header_protection`` as :class:`~cmstream.Policy` has them; ``keys``:
    those of all the recipients that one message has, as ``Recipient.key`` has them, such as
    ``"RSA-2048"``; an RSA key if none is given. The program must be able to use one of them, and
    mustn't refuse the message for one of the others. Nothing is said of what is known to work.
    """
    kinds = _kinds(keys) or {"RSA": "RSA"}
    return tuple(
        finding
        for name in dict.fromkeys(clients)
        for finding in (
            *_findings(name, cipher, key_transport, kinds),
            *(_of_subject(name) if header_protection else ()),
        )
    )


def warn_of_others(clients: Iterable[str], keys: Iterable[str]) -> tuple[Finding, ...]:
    """A warning for each program that isn't among ``clients``, could use one of the keys, and is
    known to refuse the whole message for another of them. People read with more than they name."""
    named, kinds = set(clients), _kinds(keys)
    found = []
    for one in CLIENTS.values():
        own = [key for kind, key in kinds.items() if kind in one.opens]
        shut = [key for kind, key in kinds.items() if kind in one.fails_beside]
        if one.id not in named and own and shut:
            remedy = "keep one kind of keys if the mail is read with it"
            found.append(Finding("warn", one.id, f"{_refuses(one, shut, own)}: {remedy}."))
    return tuple(found)


def _kinds(keys: Iterable[str]) -> dict[str, str]:
    """The kinds of these keys, each with one of them."""
    return {_kind(key): key for key in sorted(keys, reverse=True)}


def _kind(key: str) -> str:
    return next((kind for kind in _PREFIXES if key.startswith(kind)), "P")


_PREFIXES = ("RSA", "brainpool", "secp", "ML-KEM", "X", "KEK", "password")


def _findings(
    name: str, cipher: str, transport: str, kinds: Mapping[str, str]
) -> Iterator[Finding]:
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
        yield from _of_recipients(client, transport, kinds)


def _of_subject(name: str) -> Iterator[Finding]:
    client = CLIENTS.get(name)
    if client is None or client.header_protection or not client.opens:
        return
    if client.header_protection is None:
        text = f"It isn't known whether {client.name} shows a sealed subject: try it first."
    else:
        text = f"{client.name} shows [...] instead of the sealed subject."
    yield Finding("warn", client.id, text)


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


def _of_recipients(client: Client, transport: str, kinds: Mapping[str, str]) -> Iterator[Finding]:
    """Of the key that the program opens the message with, as far as is known, and of the recipients
    beside it."""
    found = {kind: _of_own(client, transport, kind, key) for kind, key in kinds.items()}
    known = [kind for kind, finding in found.items() if finding is None]
    possible = [kind for kind, finding in found.items() if finding and finding.level == "warn"]
    own = known or possible or list(kinds)
    yield from (finding for kind in own if (finding := found[kind]))
    yield from _of_others(client, {kind: kinds[kind] for kind in own}, kinds)


def _of_own(client: Client, transport: str, kind: str, key: str) -> Finding | None:
    if kind != "RSA":
        remedy = "use a certificate with an RSA key"
        return _of_one(client, kind, f"mail for a key of the kind {key}", remedy)
    other = "read the mail with another program, or seal it with RSA-OAEP"
    remedy = "choose PKCS #1 v1.5" if "pkcs1v15" in client.opens else other
    return _of_one(client, transport, _title(transport), remedy)


def _of_others(
    client: Client, own: Mapping[str, str], kinds: Mapping[str, str]
) -> Iterator[Finding]:
    others = {kind: key for kind, key in kinds.items() if kind not in own}
    shut = [key for kind, key in others.items() if kind in client.fails_beside]
    if shut:
        text = _refuses(client, shut, own.values())
        yield Finding("refuse", client.id, f"{text}: keep one kind of keys.")
    known = client.opens_beside | client.fails_beside
    if unknown := [key for kind, key in others.items() if kind not in known]:
        text = (
            f"It isn't known whether {client.name} opens mail for {' and '.join(unknown)} beside "
            f"{' and '.join(own.values())}: keep one kind of keys, or try it first."
        )
        yield Finding("warn", client.id, text)


def _refuses(client: Client, shut: Iterable[str], own: Iterable[str]) -> str:
    return (
        f"{client.name} refuses the whole message if it is for {' or '.join(shut)} beside "
        f"{' or '.join(own)}"
    )


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
