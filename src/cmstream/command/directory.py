"""Reads people's certificates from an LDAP directory (RFC 4511), page by page."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ..accounts.values import shown
from .endings import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

FILTER, MAIL = "(|(userCertificate;binary=*)(userSMIMECertificate=*))", "mail"

# RFC 4523 wants ";binary"; slapd finds userSMIMECertificate (RFC 2798) only without it.
_CERTIFICATES = ("userCertificate;binary", "userSMIMECertificate")
_HERE = re.compile(r"ldap://(localhost|127\.[\d.]+|\[::1\])(:\d+)?")
# Active Directory refers to these whenever the base is a whole domain.
_NOBODY_THERE = re.compile(r"/(DC=(Domain|Forest)DnsZones|CN=Configuration),", re.IGNORECASE)
_PAGE = 500
_TO_CONNECT, _TO_ANSWER = 10, 60  # seconds


class Directory(NamedTuple):
    """Where certificates are. ``starttls``: None where the URL decides."""

    url: str
    base: str
    filter: str = FILTER
    address_attribute: str = MAIL
    starttls: bool | None = None
    ca_file: str | None = None

    @property
    def source(self) -> str:
        """Its name for the log: the URL of RFC 4516, without a search that is the default."""
        usual = (self.address_attribute, self.filter) == (MAIL, FILTER)
        search = "" if usual else f"?{self.address_attribute}?sub?{self.filter}"
        return shown(f"ldap {self.url}/{self.base}{search}")

    @property
    def by_starttls(self) -> bool:
        """Whether StartTLS makes the connection secure: on this machine nobody reads along."""
        usual = not _HERE.fullmatch(self.url) if self.starttls is None else self.starttls
        return usual and self.url.startswith("ldap:")


class Entry(NamedTuple):
    """A person. ``certificates``: attribute, and a certificate in DER or a PKCS #7 SignedData."""

    dn: str
    addresses: list[str]
    certificates: list[tuple[str, bytes]]


def entries(where: Directory, bind: tuple[str, bytes], elsewhere: list[str]) -> Iterator[Entry]:
    """All that the filter finds, as they come. ``bind``: a DN and its password, or two empty ones.
    ``elsewhere`` gets the URLs of other servers that have some of the entries, which nobody asks.
    Raises Failure, also behind some of them."""
    try:
        import ldap  # noqa: PLC0415 - an extra
    except ImportError as error:
        needed = f"LDAP needs more packages ({error}): pip install 'cmstream[ldap]'"
        raise Failure(os.EX_USAGE, needed) from None
    try:
        yield from _search(ldap, _connected(ldap, where, bind), where, elsewhere)
    except ldap.LDAPError as error:
        raise _failure(error, where, bind[0]) from None


def _connected(ldap: Any, where: Directory, bind: tuple[str, bytes]) -> Any:
    """The directory's certificate must be good, whatever ldap.conf(5) says."""
    connection = ldap.initialize(where.url)
    connection.set_option(ldap.OPT_REFERRALS, 0)  # other servers would get the password
    connection.set_option(ldap.OPT_NETWORK_TIMEOUT, _TO_CONNECT)
    connection.set_option(ldap.OPT_TIMEOUT, _TO_ANSWER)
    connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
    try:
        if where.ca_file:
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, where.ca_file)
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    except ValueError:
        message = f"{where.ca_file}: can't be read as certificates in PEM"
        raise Failure(os.EX_NOINPUT, message) from None
    if where.by_starttls:
        connection.start_tls_s()
    try:
        connection.simple_bind_s(*bind)
    except ldap.SERVER_DOWN as error:  # or its TLS is bad, which is no reason of the system's
        found = error.args[0]
        reason = os.strerror(found.get("errno", 0))
        if where.url.startswith("ldaps:") and found.get("info") != reason:
            raise ldap.CONNECT_ERROR(found) from None
        raise
    return connection


def _search(ldap: Any, connection: Any, where: Directory, elsewhere: list[str]) -> Iterator[Entry]:
    """In pages (RFC 2696): many servers give only so many entries at once."""
    from ldap.controls import SimplePagedResultsControl  # noqa: PLC0415

    address = where.address_attribute
    page = SimplePagedResultsControl(criticality=False, size=_PAGE, cookie="")
    what = where.base, ldap.SCOPE_SUBTREE, where.filter, [*_CERTIFICATES, address]
    while True:
        number, kind = connection.search_ext(*what, serverctrls=[page]), None
        while kind != ldap.RES_SEARCH_RESULT:
            kind, found, _, controls = connection.result3(number, all=0, timeout=_TO_ANSWER)
            for dn, attributes in found if kind == ldap.RES_SEARCH_ENTRY else ():
                texts = (value.decode("utf-8", "replace") for value in _values(attributes, address))
                values = [
                    (one, value) for one in _CERTIFICATES for value in _values(attributes, one)
                ]
                yield Entry(shown(dn), [*map(shown, texts)], values)
            if kind == ldap.RES_SEARCH_REFERENCE:
                urls = [shown(url) for _, urls in found for url in urls]
                elsewhere += [url for url in urls if not _NOBODY_THERE.search(url)]
        cookies = [one.cookie for one in controls if one.controlType == page.controlType]
        if not any(cookies):
            return
        page.cookie = cookies[0]


def _values(attributes: dict[str, list[bytes]], name: str) -> Iterator[bytes]:
    """Whatever options it has besides, such as a language (RFC 4512 section 2.5)."""
    wanted = name.lower()
    for found, values in attributes.items():
        if f"{found.lower()};".startswith(f"{wanted};"):
            yield from values


_ENDINGS = {
    "FILTER_ERROR INVALID_DN_SYNTAX": (os.EX_USAGE, "a malformed DN or filter"),
    "NO_SUCH_OBJECT": (os.EX_NOINPUT, "no such base, or this DN may not see it"),
    "REFERRAL": (
        os.EX_NOINPUT, "another server has this base: give that one's URL"),
    "SIZELIMIT_EXCEEDED TIMELIMIT_EXCEEDED ADMINLIMIT_EXCEEDED": (
        os.EX_UNAVAILABLE, "it gives only some of the entries: raise its limit for this DN"),
    "CONNECT_ERROR PROTOCOL_ERROR": (
        os.EX_PROTOCOL, "no TLS that can be verified for this name (see --ca-file)"),
    "INVALID_CREDENTIALS INAPPROPRIATE_AUTH INSUFFICIENT_ACCESS STRONG_AUTH_REQUIRED "
    "CONFIDENTIALITY_REQUIRED UNWILLING_TO_PERFORM OPERATIONS_ERROR": (
        os.EX_NOPERM, "it refuses this DN or its password"),
}  # fmt: skip


def _failure(error: Exception, where: Directory, dn: str) -> Failure:
    found: dict[str, Any] = error.args[0] if error.args else {}
    kind = type(error).__name__
    endings = (ending for kinds, ending in _ENDINGS.items() if kind in kinds.split())
    code, text = next(endings, (os.EX_TEMPFAIL, "it doesn't answer now"))
    told = ": ".join(filter(None, [found.get("desc"), found.get("info")]))
    why = shown(" ".join(told.split()))
    place = f"{where.url}, base {where.base}, DN {dn or 'anonymous'}"
    return Failure(code, f"{place}: {text}: {why}")
