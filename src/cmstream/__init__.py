"""Encrypts and decrypts S/MIME mail and CMS content at the speed of the processor.

>>> import cmstream
>>> to = cmstream.load_recipients(open("alice.pem", "rb").read())     # doctest: +SKIP
>>> sealed = cmstream.encrypt_message(message, to)                    # doctest: +SKIP

A *message* is mail (RFC 5322) and becomes an S/MIME message; *content* is any bytes and becomes
CMS. Each verb comes in four shapes: one shot (:func:`encrypt_message`, :func:`encrypt`), push
(:func:`encryptor`, :class:`EncryptWriter`), pull (:class:`EncryptReader`) and chunks
(:func:`encrypt_iter`). Many messages at once are faster: :func:`encrypt_many`, or
:class:`Gatherer` for tasks and threads that each have one.

What takes jobs, pairs of data and recipients, makes messages unless ``form`` says otherwise
(:func:`encrypt_many` and its like, :meth:`Gatherer.submit`); everything else makes DER.

The store of accounts is :mod:`cmstream.accounts`, an optional part.
"""

from __future__ import annotations

TYPE_CHECKING = False  # known to type checkers by its name; typing takes as long as Python's start
if TYPE_CHECKING:
    from typing import Any

    from . import accounts as accounts
    from . import public
    from .public import *  # noqa: F403 - its __all__ counts

    __all__: list[str] = []
    __all__ += public.__all__
    __version__: str
else:

    def __getattr__(name: str) -> Any:
        """Imports what is asked for: a program that needs one module of the package pays for that
        alone, and the accounts need a database's packages."""
        from importlib import import_module, util  # noqa: PLC0415

        if name == "__version__":
            globals()[name] = import_module("importlib.metadata").version(__name__)
        elif name != "__all__" and name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        elif util.find_spec(f"{__name__}.{name}") is not None:
            return import_module(f".{name}", __name__)
        else:
            public = import_module(".public", __name__)
            if name not in ("__all__", *public.__all__):
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
            globals()[name] = getattr(public, name)
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__"), "__version__"})
