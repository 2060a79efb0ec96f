"""The table in README.md names tests that are there, and all that are in this folder."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
NAMED = re.compile(r"`((?:[a-z_]+/)*test_[a-z_]+\.py)(?:::(test_[a-z0-9_]+))?`")


def test_every_test_is_there():
    table = (TESTS / "faults" / "README.md").read_text("utf-8")
    named = NAMED.findall(table)
    assert len(named) > 40
    for path, name in named:
        text = (TESTS / path).read_text("utf-8")
        assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE), f"{path}::{name}"
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    told = {path.rpartition("/")[2] for path, _ in named if path.startswith("faults/")}
    assert files - told == {Path(__file__).name}


def test_security_md_leads_there():
    assert "tests/faults/README.md" in (TESTS.parent / "SECURITY.md").read_text("utf-8")
