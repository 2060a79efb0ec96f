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
        """Imports what is asked for: the accounts, say, need a database's packages."""
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415

            globals()[name] = version(__name__)
            return globals()[name]
        from .lazy import attribute  # noqa: PLC0415

        return attribute(globals(), name)

    def __dir__() -> list[str]:
        from .lazy import names  # noqa: PLC0415

        return names(globals(), "__version__")
