"""The store of accounts: which mailbox's mail is sealed, to whom and how.

>>> from cmstream.accounts import open_store
>>> with open_store("sqlite:////var/lib/cmstream/accounts.sqlite3") as store:  # doctest: +SKIP
...     seal = store.seal_for("alice@example.org")

An optional part: ``pip install 'cmstream[manage]'``.
"""

from __future__ import annotations

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
        from importlib import import_module, util  # noqa: PLC0415

        if name != "__all__" and name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if util.find_spec(f"{__name__}.{name}") is not None:
            return import_module(f".{name}", __name__)
        public = import_module(".public", __name__)
        if name not in ("__all__", *public.__all__):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = getattr(public, name)
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
