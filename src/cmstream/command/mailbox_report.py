"""What ``cmstream mailbox`` tells: a bar while it works, and the report at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..mailboxes.report import sized, timed
from .progress import StatusLine

if TYPE_CHECKING:
    from ..mailboxes.mailbox import Mailbox
    from ..mailboxes.report import Report

_WIDTH = 24


class Bar:
    """A line on a terminal: messages, bytes, rate and time left."""

    def __init__(self) -> None:
        self._line = StatusLine()
        self._total, self._begun = 0, time.monotonic()

    def expect(self, mailbox: Mailbox) -> None:
        """A mailbox comes, whose messages are counted."""
        if self._line.shows:
            self._total += sum(1 for folder in mailbox.folders() for _ in folder.messages())

    def show(self, report: Report) -> None:
        """After each batch."""
        if not self._line.due:
            return
        seconds = max(time.monotonic() - self._begun, 1e-6)
        total = max(self._total, report.messages)
        part = report.messages / total if total else 1.0
        left = timed(seconds / part - seconds) if part else "?"
        bar = "#" * round(_WIDTH * part)
        self._line.show(
            f"[{bar:.<{_WIDTH}}] {report.messages}/{total} messages  {sized(report.octets)}  "
            f"{report.messages / seconds:.0f}/s  {left} left"
        )

    def end(self) -> None:
        """Takes the line away."""
        self._line.end()


DONE = {"seal": "sealed", "open": "opened"}


def as_text(facts: dict[str, Any]) -> str:
    """The report for people."""
    done = DONE[facts["task"]]
    before, after = sized(facts["bytes_before"]), sized(facts["bytes_after"])
    size = f" ({before} before, {after} after)" if facts["replaced"] else ""
    lines = []
    if facts["dry_run"]:
        changed = counted(facts["replaced"])
        lines.append(f"Nothing was changed. {changed} would be {done}{size}.")
        if facts["replaced"]:
            # Reading and sealing were done; handing it over to be written takes as long again.
            needed = timed(2 * facts["seconds"])
            lines.append(
                f"It takes {needed}, and the time that the disk or the server takes to write."
            )
    else:
        stopped = ", before the run was stopped" if facts["stopped"] else ""
        were = "was" if facts["replaced"] == 1 else "were"
        lines.append(f"{counted(facts['replaced'])} {were} {done}{size}{stopped}.")
    for code, count in facts["left"].items():
        why = facts["reasons"].get(code, "they stay as they are")
        lines.append(f"{count} left: {why} [{code}]")
        named = facts["places"].get(code, [])
        lines += [f"  {one}" for one in named]
        if named and count > len(named):
            lines.append(f"  and {count - len(named)} more")
    if facts["gone"]:
        lines.append(f"{facts['gone']} were removed or moved by their owner meanwhile.")
    lines += facts["failures"]
    lines += [f"{address} left: {why}" for address, why in facts["accounts_left"].items()]
    looked = counted(facts["messages"])
    number = facts["mailboxes"]
    boxes = "1 mailbox" if number == 1 else f"{number} mailboxes"
    lines.append(f"{looked} looked at in {boxes}, in {timed(facts['seconds'])}.")
    return "\n".join(lines)


def counted(messages: int) -> str:
    """So many messages, in words."""
    return f"{messages} message" if messages == 1 else f"{messages} messages"
