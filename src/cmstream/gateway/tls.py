"""TLS on both sides of the gateway: contexts of :mod:`ssl`, from files that may be read again."""

from __future__ import annotations

import ssl
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from .settings import Settings, Tls


class TlsError(ValueError):
    """A file for TLS can't be used; the sentence names it and the remedy."""


def server_context(tls: Tls) -> ssl.SSLContext:
    """For clients that connect: TLS 1.2 or later. With ``ca`` each must show a certificate of one
    of its authorities. Raises TlsError."""
    if not tls.certificate:
        raise TlsError("TLS needs a certificate: give the file of the gateway's own")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED if tls.ca else ssl.CERT_NONE
    return _loaded(context, tls)


def client_context(tls: Tls) -> ssl.SSLContext:
    """For the next hop, which must show a certificate for the name that it is reached by, of an
    authority in ``ca``; without ``ca``, of one that this system trusts. Raises TlsError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which asks for a certificate and its name
    if not tls.ca:
        context.load_default_certs()
    return _loaded(context, tls)


class Renewed(ssl.SSLContext):
    """A context for a server that runs for months: :meth:`reload` reads its files again, for
    connections that come later. Each time it makes a new one, since a context forgets nothing: no
    authority, and no certificate for another kind of key. An event loop asks for nothing but
    ``wrap_bio``. Raises TlsError."""

    _make: Callable[[], ssl.SSLContext]
    _now: ssl.SSLContext

    def __new__(cls, make: Callable[[Tls], ssl.SSLContext], tls: Tls) -> Self:
        """``make``: :func:`server_context` or :func:`client_context`."""
        now = make(tls)
        self = super().__new__(cls, now.protocol)
        self._make, self._now = partial(make, tls), now
        return self

    def reload(self) -> None:
        """Raises TlsError; what was read before stays then."""
        self._now = self._make()

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """A connection by the files as they are now."""
        return self._now.wrap_bio(*args, **kwargs)


def for_next_hop(settings: Settings) -> Renewed | None:
    """The context for the next hop; None where nothing asks for TLS there. Raises TlsError."""
    hop = settings.next_hop
    if hop is None or (not hop.tls and settings.next_starttls == "never"):
        return None
    return Renewed(client_context, settings.next_tls)


def check(settings: Settings) -> None:
    """Reads the files of both sides. Raises TlsError."""
    if settings.tls.certificate:
        server_context(settings.tls)
    client_context(settings.next_tls)


def _loaded(context: ssl.SSLContext, tls: Tls) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.certificate:
            context.load_cert_chain(tls.certificate, tls.key or None, _no_password)
    except (OSError, ValueError) as error:
        files = " and ".join(filter(None, (tls.certificate, tls.key)))
        what = "give a certificate in PEM, with those of its authorities behind it, and its key"
        raise TlsError(f"{files}: {_why(error)}: {what}") from None
    try:
        if tls.ca:
            context.load_verify_locations(tls.ca)
    except (OSError, ValueError) as error:
        what = "give the authorities' certificates in PEM"
        raise TlsError(f"{tls.ca}: {_why(error)}: {what}") from None
    return context


def _no_password() -> NoReturn:
    """Without it, OpenSSL would ask on the terminal."""
    raise ValueError("the key is protected by a password, which a server has nobody to ask for")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):  # its errno is OpenSSL's own
        return (error.reason or "it can't be read").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or "it can't be read"
    return str(error)
