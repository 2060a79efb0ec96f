"""Tests of the goals: which ones a processor has, and how a ratio is told."""

from __future__ import annotations

import goals
import report
from measure import Figure

NEW = {"aes": ["vaes512"], "base64": ["avx512vbmi"], "rsa": ["ifma8", "ifma1", "adx", "portable"]}
OLDER = {"aes": ["vaes256"], "base64": ["avx2"], "rsa": ["avx2x4", "adx", "portable"]}


def _figure(wall: float, cpu: float | None) -> Figure:
    return Figure(wall, wall, wall, wall, 5, cpu)


def test_each_kind_of_processor_has_its_goals() -> None:
    new, older = goals.goals_for(NEW), goals.goals_for(OLDER)
    assert new.processor != older.processor
    many = [
        goal.least
        for found in (new, older)
        for goal in found.encrypting
        if (goal.column, goal.row, goal.peer) == ("75 KiB", goals.MANY, goals.OPENSSL)
    ]
    assert many == [9, 4.2]


def test_a_goal_is_told_by_the_wall_and_by_processor_time() -> None:
    (goal,) = (one for one in goals.goals_for(OLDER).encrypting if one.peer == goals.STALWART)
    row = {goals.MANY: _figure(2, 1), goals.STALWART: _figure(22, 12)}
    (found,) = goals.reached({"75 KiB": row}, [goal])
    assert (found.median, found.cpu, found.verdict) == (11, 12, "at least")
    assert report.goals_table([found]).endswith(
        "| 75 KiB | 10.5 | 14 | ≈11.00 | 12.00 | at least |"
    )
    row[goals.STALWART] = _figure(16, None)
    (found,) = goals.reached({"75 KiB": row}, [goal])
    assert (found.cpu, found.verdict) == (None, "missed")
    assert report.goals_table([found]).endswith("| ≈8.00 |  | **missed** |")
