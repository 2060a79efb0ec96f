"""Folders in which calls to the disk are noted, or fail."""

from __future__ import annotations

import shutil
import sys

import pytest

from helpers.disk import record


@pytest.fixture(scope="session")
def disk_faults(tmp_path_factory):
    """The library that does it."""
    if sys.platform != "linux" or not shutil.which("cc"):
        pytest.skip("wants Linux and a C compiler")
    return record.built(tmp_path_factory.mktemp("disk-faults"))


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "root"
    made.mkdir()
    return made
