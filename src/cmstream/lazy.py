"""Packages that import what is asked for, when it is asked for (PEP 562): whoever needs one module
of a package pays for that alone. Their public names stand in their module ``public``."""

from __future__ import annotations

from importlib import import_module, util
from typing import Any


def attribute(package: dict[str, Any], name: str) -> Any:
    """A module or a public name of a package, whose names are ``package``. Raises
    AttributeError."""
    own = package["__name__"]
    if name != "__all__" and name.startswith("__"):
        raise AttributeError(f"module {own!r} has no attribute {name!r}")
    if util.find_spec(f"{own}.{name}") is not None:
        return import_module(f".{name}", own)
    public = import_module(".public", own)
    if name not in ("__all__", *public.__all__):
        raise AttributeError(f"module {own!r} has no attribute {name!r}")
    package[name] = getattr(public, name)
    return package[name]


def names(package: dict[str, Any], *more: str) -> list[str]:
    """What dir() tells."""
    return sorted({*package, *attribute(package, "__all__"), *more})
