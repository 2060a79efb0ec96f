"""The store of accounts: which mailbox's mail is sealed, to whom and how.

>>> from cmstream.accounts import open_store
>>> with open_store("sqlite:////var/lib/cmstream/accounts.sqlite3") as store:  # doctest: +SKIP
...     seal = store.seal_for("alice@example.org")

An optional part: ``pip install 'cmstream[manage]'``.
"""

from __future__ import annotations

from ..lazy import attribute, names

TYPE_CHECKING = False  # known to type checkers by its name
if TYPE_CHECKING:
    from typing import Any

    from . import public
    from .public import *  # noqa: F403 - its __all__ counts

    __all__: list[str] = []
    __all__ += public.__all__
else:

    def __getattr__(name: str) -> Any:
        """Imports what is asked for: one lookup doesn't need SQLAlchemy, which the store does."""
        return attribute(globals(), name)

    def __dir__() -> list[str]:
        return names(globals())
