"""Which keys an address is looked up by, and when two addresses are the same.

A miss stores a message in the clear, and a false hit seals it for somebody else. So what isn't
plainly one address is an error here, and never an address that nobody knows.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Literal, NamedTuple

import idna

from .errors import Invalid

LONGEST = 998
"""The most bytes of an address in UTF-8: those of a line (RFC 6532 section 3.4). Local parts of
more than 64 bytes (RFC 5321 section 4.5.3.1.1) are in use, such as those of lists and bounces; what
is longer than this, PostgreSQL can't index (2704 bytes)."""
DELIMITERS = "+"
"""What the detail of an address begins with, unless the server says otherwise."""
MAY_DELIMIT = "-+_=.#!$%&'*/?^`{|}~"
"""What it may begin with."""

_DOMAIN_BYTES, _LABEL_BYTES = 253, 63  # RFC 1035 section 2.3.4, without the root's byte

_ROUTE = re.compile(r"@[^@,:\s]+(?:,@[^@,:\s]+)*:")  # RFC 5321 section 4.1.2, A-d-l
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_SPECIALS = frozenset('()<>[]:;@\\,"')  # RFC 5322 section 3.2.3, but for the dot
_JOINERS = "\u200c\u200d"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_BLANK_LETTERS = re.compile(  # Default_Ignorable_Code_Point that none of the categories above holds
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_ASCII_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_ACE = "xn--"
_SHOWN = 80


class Key(NamedTuple):
    """Where to look, and for what: a canonical address, or a canonical domain."""

    kind: Literal["account", "alias", "domain"]
    value: str


def keys(address: str, delimiters: str = DELIMITERS) -> tuple[Key, ...]:
    """The keys that an address is looked up by, in the order in which they count.

    First the address itself (*exact*: an account's, then an *alias*); then the address without
    its *detail*, ``alice`` for ``alice+news`` (RFC 5233), again as an account's and as an alias;
    at last the *domain*, for accounts that take what nobody else in it takes. The first one that
    is in the store decides, whatever it decides.

    The detail begins at the first of ``delimiters`` (:func:`delimiters_of`); an address with
    nothing before it has none. Subdomains are domains of their own. Addresses are compared as
    :func:`canonical` writes them. Raises Invalid, code ``invalid-address``.
    """
    local, domain = _parts(address)
    exact = _written(local, domain)
    found = [Key("account", exact), Key("alias", exact)]
    base = next((local[:at] for at, one in enumerate(local) if one in delimiters), "")
    if base:
        without = _written(base, domain)
        found += [Key("account", without), Key("alias", without)]
    return (*found, Key("domain", domain))


def delimiters_of(text: str) -> str:
    """The characters of which any one begins an address's detail, each once, as Postfix has them
    in ``recipient_delimiter``; none if no address has a detail.

    Raises Invalid, code ``invalid-setting``, for what an unquoted local part can't hold (RFC 5322
    section 3.2.3), and for letters and digits, by which every address would have a detail.
    """
    if len(text) > len(MAY_DELIMIT):
        raise Invalid("invalid-setting", f"give {len(MAY_DELIMIT)} delimiters at most, each once")
    found = "".join(dict.fromkeys(text))
    if wrong := [one for one in found if one not in MAY_DELIMIT]:
        raise Invalid(
            "invalid-setting",
            f"{wrong[0]!r} can't begin the detail of an address: choose among {MAY_DELIMIT}",
        )
    return found


def canonical(address: str) -> str:
    """The one way in which an address is written here; two addresses are the same if it is.

    - White space around it goes, a pair of angle brackets, and a source route (RFC 5321 section
      4.1.2), which has no meaning any more.
    - The local part has no case: RFC 5321 section 2.4 leaves that to the receiving server, and
      servers that tell ``Alice`` from ``alice`` have practically died out, while people write
      both. Unicode's case folding and composition (NFC) do it, as Postfix folds its tables.
    - Quotes go where they aren't needed: ``"a.b"@example.org`` is ``a.b@example.org``. Dots may
      stand anywhere, since there are mailboxes like ``a..b`` and ``a.``.
    - The domain is that of :func:`canonical_domain`.

    Raises Invalid, code ``invalid-address``, for everything else: display names, lists, comments,
    an unquoted blank, characters that can't be seen, the empty path ``<>``, an address without a
    domain.
    """
    return _written(*_parts(address))


def canonical_domain(domain: str) -> str:
    """The one way in which a domain is written here: A-labels in lower case, no dot at the end.

    ``Bücher.example.``, ``bücher.example`` and ``xn--bcher-kva.example`` are the same by UTS 46,
    with the letters of IDNA 2008 kept (``straße`` isn't ``strasse``). Underscores are allowed,
    since hosts have them; so is an IP address in brackets (RFC 5321 section 4.1.3), compressed as
    RFC 5952 has it. Raises Invalid, code ``invalid-domain``.
    """
    text = domain.strip()
    if len(text) > LONGEST:  # to compose characters takes time by the square of their number
        raise _no_domain(domain, f"it is longer than {_DOMAIN_BYTES} bytes")
    if text.startswith("["):
        return _literal(text)
    try:
        labels = idna.uts46_remap(text, std3_rules=False).removesuffix(".").split(".")
        name = ".".join(map(_label, labels))
    except (UnicodeError, ValueError) as error:  # idna's own are UnicodeErrors
        raise _no_domain(domain, _reason(error)) from None
    if len(name) > _DOMAIN_BYTES:
        raise _no_domain(domain, f"it is longer than {_DOMAIN_BYTES} bytes")
    return name


# --- the local part --------------------------------------------------------------------------


def _parts(address: str) -> tuple[str, str]:
    """Local part, unquoted and folded, and domain, both canonical."""
    if not isinstance(address, str):
        raise TypeError(f"address: give text, not {type(address).__name__}")
    if len(address) > LONGEST:  # before anything else takes time
        raise _too_long(address)
    path = _path(address)
    local, at, domain = path.rpartition("@")
    if not at:
        raise _no_address(address, "it has no @ and no domain")
    try:
        parts = _folded(_unquoted(address, local)), canonical_domain(_unspaced(domain))
    except Invalid as error:
        if error.code == "invalid-domain":
            raise _no_address(address, str(error)) from None
        raise
    if len(_written(*parts).encode()) > LONGEST:
        raise _too_long(address)
    return parts


def _path(address: str) -> str:
    """Without white space, brackets and route."""
    text = address.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip()
    if not text:
        raise _no_address(address, "it is empty")
    route = _ROUTE.match(text)
    return text[route.end() :] if route else text


def _unspaced(domain: str) -> str:
    """As it is: white space at the @ is none of an address's."""
    if domain != domain.strip():
        raise _no_domain(domain, "there is white space before it")
    return domain


def _unquoted(address: str, local: str) -> str:
    quoted = _QUOTED.fullmatch(local)
    if quoted:
        local = _PAIR.sub(r"\1", quoted[1])
    elif not local:
        raise _no_address(address, "nothing stands before the @")
    elif wrong := [c for c in local if c in _SPECIALS or c.isspace()]:
        raise _no_address(address, f"{wrong[0]!r} may stand before the @ in quotes alone")
    if unseen := [c for c in local if _is_unseen(c)]:
        raise _no_address(address, f"there is a U+{ord(unseen[0]):04X}, which can't be seen")
    return local


def _is_unseen(character: str) -> bool:
    if (character.isascii() and character.isprintable()) or character in _JOINERS:
        return False
    return unicodedata.category(character) in _UNSEEN or bool(_BLANK_LETTERS.match(character))


def _folded(local: str) -> str:
    """As Unicode's canonical caseless matching has it (chapter 3.13, D145)."""
    if local.isascii():
        return local.lower()
    decomposed = unicodedata.normalize("NFD", local)
    return unicodedata.normalize("NFC", decomposed.casefold())


def _written(local: str, domain: str) -> str:
    if local and not any(c in _SPECIALS or c.isspace() for c in local):
        return f"{local}@{domain}"
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"@{domain}'


# --- the domain ------------------------------------------------------------------------------


def _literal(text: str) -> str:
    inner = text[1:-1] if text.endswith("]") else ""
    version6 = (
        inner[:5].lower() == "ipv6:" and "%" not in inner
    )  # a zone means something here alone
    try:
        if version6:
            return f"[ipv6:{ipaddress.IPv6Address(inner[5:]).compressed}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError:
        raise _no_domain(text, "there is no IP address in the brackets") from None


def _label(label: str) -> str:
    """An A-label, or one that is ASCII by nature. ``label`` is mapped by UTS 46 section 4 already;
    the rest of its validity is checked here (section 4.1), as for names that are looked up."""
    written = label
    if label.startswith(_ACE):
        written = label[len(_ACE) :].encode("ascii").decode("punycode")
        if written.isascii() or idna.uts46_remap(written, std3_rules=False) != written:
            raise ValueError(f"{label!r} is no proper A-label")
    if written.isascii():
        result = written
    else:
        _check(written)
        result = _ACE + written.encode("punycode").decode("ascii")
    if len(result) > _LABEL_BYTES:
        raise ValueError(f"{label!r} is longer than {_LABEL_BYTES} bytes")
    if not _ASCII_LABEL.fullmatch(result):
        raise ValueError(f"{label!r} is no label of a domain" if label else "a label is empty")
    return result


def _check(label: str) -> None:
    if "." in label:
        raise ValueError(f"{label!r} has a dot inside of a label")
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for at, character in enumerate(label):
        if character in _JOINERS and not idna.valid_contextj(label, at):
            raise ValueError(f"{label!r} has a joiner where none may be")


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it is no A-label"
    return str(error)[:_SHOWN] or "it is no domain"


def _too_long(address: str) -> Invalid:
    return _no_address(address, f"it is longer than {LONGEST} bytes")


def _no_address(address: str, why: str) -> Invalid:
    return Invalid("invalid-address", f"{_short(address)} is no mail address: {why}")


def _no_domain(domain: str, why: str) -> Invalid:
    return Invalid("invalid-domain", f"{_short(domain)} is no mail domain: {why}")


def _short(text: str) -> str:
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
