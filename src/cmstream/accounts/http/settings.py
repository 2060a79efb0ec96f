"""The settings of the web server, given or read from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_PREFIX = "CMSTREAM_"


@dataclass(frozen=True)
class Settings:
    """The settings of one server, the same in all its workers.

    ``database``: the store's URL. ``public_url``: where people reach the pages, with scheme and
    host; its host is answered to, and the loopback's names, and nobody else's. ``hosts``: further
    host names to answer to, ``"*"`` for all. ``trusted_proxies``: addresses or networks whose
    ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed; nobody's by default. ``notify``: the
    command that takes a mail on its standard input and sends it (``/usr/sbin/sendmail -t -i``);
    empty sends none. ``threads``: how many calls of the store run at the same time.

    Raises ValueError where ``public_url`` is no address of a web server's root, or ``threads`` is
    no positive number.
    """

    database: str = ""
    public_url: str = "http://localhost:8000"
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    notify: str = ""
    threads: int = 16

    def __post_init__(self) -> None:
        parts = urlsplit(self.public_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"public URL {self.public_url!r}: give scheme and host, no path")
        if self.threads < 1:
            raise ValueError(f"threads={self.threads}: at least one is needed")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings in ``CMSTREAM_DATABASE``, ``CMSTREAM_PUBLIC_URL`` and so on; lists are
        separated by commas. Raises ValueError as the constructor does."""
        found = {one.name: environment.get(_PREFIX + one.name.upper()) for one in fields(cls)}
        values = {name: _value(name, text) for name, text in found.items() if text}
        return cls(**values)  # type: ignore[arg-type]

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for workers to start with."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {_PREFIX + name.upper(): _text(value) for name, value in values.items()}

    @property
    def secure(self) -> bool:
        """Whether people come by TLS: cookies are then for TLS alone."""
        return self._public.scheme == "https"

    @property
    def local(self) -> bool:
        """Whether the server is for its own machine alone, so that no proxy passes others on."""
        return _bracketed(self._public) in LOOPBACK and not self.trusted_proxies

    @property
    def origin(self) -> str:
        """The public URL as browsers write an Origin (RFC 6454 section 6.1)."""
        parts = self._public
        default = {"http": 80, "https": 443}[parts.scheme]
        port = "" if parts.port in {None, default} else f":{parts.port}"
        return f"{parts.scheme}://{_bracketed(parts)}{port}"

    @property
    def allowed_hosts(self) -> list[str]:
        """The host names to answer to."""
        return [_bracketed(self._public), *LOOPBACK, *self.hosts]

    @property
    def _public(self) -> SplitResult:
        return urlsplit(self.public_url)


def _bracketed(parts: SplitResult) -> str:
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host


def _value(name: str, text: str) -> str | int | tuple[str, ...]:
    if name == "threads":
        return int(text)
    if name in {"hosts", "trusted_proxies"}:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _text(value: str | int | tuple[str, ...]) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
