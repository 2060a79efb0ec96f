"""What a run was measured on and under: the machine, the build, the date, the load."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cmstream
from goals import Goals, goals_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).parent.parent


class Conditions:
    """Of one run. Made at its start; :meth:`end` notes what is known only then."""

    def __init__(self) -> None:
        self.versions = [f"cmstream {cmstream.__version__}"]
        self._start = time.monotonic()
        self._found: dict[str, Any] = {
            "machine": machine(),
            "commit": commit(),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "load before": load(),
        }

    def end(self, versions: Iterable[str] = ()) -> None:
        """Notes the peers' versions, the load and the time that the run took."""
        self.versions += dict.fromkeys(versions)  # a peer may have two rows
        minutes = round((time.monotonic() - self._start) / 60, 1)
        self._found |= {"load after": load(), "minutes": minutes, "versions": self.versions}

    def as_document(self) -> dict[str, Any]:
        """For programs."""
        return dict(self._found)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield from lines(self._found)

    @property
    def goals(self) -> Goals:
        """Those for this processor, as far as CMSTREAM_CPU lets it be used."""
        return goals_of(self._found)


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The same from the document."""
    about = found["machine"]
    yield "; ".join(found["versions"]) + "."
    yield (f"{about['processor']}, cores: {about['cores']}, {about['system']}, "
           f"Python {about['python']}.")  # fmt: skip
    kernels = about["kernels"].items()
    rows = "; ".join(f"{what} {', '.join(names) or 'none'}" for what, names in kernels)
    yield f"Kernels: {rows}."
    before, after = _loads(found["load before"]), _loads(found["load after"])
    yield (f"Commit {found['commit']}, {found['date']}, took {found['minutes']:g} minutes; "
           f"load average {before} before, {after} after.")  # fmt: skip


def goals_of(found: dict[str, Any]) -> Goals:
    """Those for the processor that the document names."""
    return goals_for(found["machine"]["kernels"])


def _loads(averages: Sequence[float]) -> str:
    return " ".join(f"{one:.2f}" for one in averages) or "unknown"


def load() -> list[float]:
    """The load average of the last 1, 5 and 15 minutes; empty where the system has none."""
    try:
        return [round(one, 2) for one in os.getloadavg()]
    except OSError:
        return []


def commit() -> str:
    """The checkout's commit, and whether what is measured differs from it."""
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    notes = []
    if _git("status", "--porcelain", "--", "src", "native", "build.py", "bench/*.py"):
        notes.append("with changes")
    if ROOT not in Path(cmstream.__file__).parents:
        notes.append("cmstream installed separately")
    return f"{head} ({', '.join(notes)})" if notes else head


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", ROOT, *arguments], capture_output=True, check=False, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip()


def machine() -> dict[str, Any]:
    """The processor, the system, Python, and the kernels that cmstream uses here."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "kernels": cmstream.kernels(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    return platform.processor()
