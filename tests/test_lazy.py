"""Packages whose names are imported when they are asked for."""

from __future__ import annotations

import pytest

import cmstream
import cmstream.accounts


@pytest.mark.parametrize("package", [cmstream, cmstream.accounts])
def test_a_package_has_its_public_names_and_modules_alone(package, monkeypatch):
    assert package.__all__
    assert {*package.__all__, "public"} <= {*dir(package)}
    assert all(getattr(package, name) is not None for name in package.__all__)
    monkeypatch.setattr(package.public, "imported", "by the module for itself", raising=False)
    for name in ("imported", "nothing", "__nothing__"):
        with pytest.raises(AttributeError, match=f"'{package.__name__}' has no attribute '{name}'"):
            getattr(package, name)
