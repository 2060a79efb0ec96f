"""Where sources are sealed from, and where to."""

from __future__ import annotations

import pytest


@pytest.fixture
def source(tmp_path):
    return tmp_path / "source"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "sealed"
