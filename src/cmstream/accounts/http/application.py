"""What a request of the application has at hand: the store, the people, and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

    from ..people.people import People
    from ..store import Store
    from .settings import Settings


@dataclass
class ApplicationRequest:
    """A request, with what the application has for all of them."""

    request: Request

    @property
    def store(self) -> Store:
        """The store of accounts."""
        found: Store = self.request.app.state.store
        return found

    @property
    def people(self) -> People:
        """The people who may sign in."""
        found: People = self.request.app.state.people
        return found

    @property
    def settings(self) -> Settings:
        """The server's settings."""
        found: Settings = self.request.app.state.settings
        return found
