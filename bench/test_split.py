"""Tests of the split of ``encrypt_many``: it sees the calls to C, and refuses parts that don't add
up to the whole."""

from __future__ import annotations

import pytest

import samples
import split
from goals import MANY
from measure import Figure


def _figure(seconds: float) -> Figure:
    return Figure(seconds, seconds, seconds, seconds, 5, cpu=seconds)


def _row(inside: float, outside: float) -> dict[str, Figure]:
    parts = {split.RSA: 4.0, split.AES: 1.0, split.BASE64: 1.0}
    every = parts | {split.INSIDE: inside, split.OUTSIDE: outside, MANY: 10.0}
    return {name: _figure(seconds) for name, seconds in every.items()}


def test_parts_that_add_up() -> None:
    found = split.of(_row(7, 3), rsa_in_c=True)
    assert found.adds_up
    assert found.parts == {
        "RSA": 4, "AES": 1, "base64": 1, split.PYTHON: 3, split.REST: 1,
    }  # fmt: skip


def test_rsa_outside_c_is_no_part_of_python() -> None:
    found = split.of(_row(3, 7), rsa_in_c=False)
    assert found.adds_up
    assert found.parts[split.PYTHON] == 3


def test_parts_that_leave_out_c_are_refused() -> None:
    """As when the clock sees no call to C: then all the time seems to be Python's."""
    found = split.of(_row(0, 10), rsa_in_c=True)
    assert not found.adds_up
    assert "4 KiB: the parts of encrypt_many add up to 16000000.00" in found.complaint("4 KiB")


def test_the_clocks_see_every_call_to_c() -> None:
    rows = {row.name: row.prepare(samples.column("4 KiB", 32)) for row in split.engines()}
    inside, outside = rows[split.INSIDE], rows[split.OUTSIDE]
    before = inside.clocks()
    assert inside() == outside() == 8
    after = inside.clocks()
    assert after.wall > before.wall


def test_calls_that_the_clocks_do_not_see_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "_importers", lambda: iter(()))
    (row,) = (one for one in split.engines() if one.name == split.OUTSIDE)
    with pytest.raises(split.SplitError):
        row.prepare(samples.column("4 KiB", 32))()
