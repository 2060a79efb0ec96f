"""What systemd says of units that the command prints; nothing is installed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from helpers.peers.program import must, need, run


def units(text, own):
    """The files that its commands write, in a folder of the test."""
    paths = re.findall(r"^cat > (\S+) <<'END'$", text, re.MULTILINE)
    files = {path: own / Path(path).name for path in paths}
    for path, file in files.items():
        text = text.replace(f"cat > {path} ", f"cat > {shlex.quote(str(file))} ")
    must("sh", "-eu", input=text.partition("\nsystemctl ")[0].encode())
    return [*files.values()]


def verify(*files):
    need("systemd-analyze")
    done = run("systemd-analyze", "verify", "--man=no", *files)
    assert (done.returncode, done.stderr) == (0, b"")


def exposure(service, content):
    """How open a service is by systemd's own measure, from 0 to 10."""
    need("systemd-analyze")
    service.write_text(content)
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", service).stdout
    return float(re.search(rb"exposure level for \S+: ([\d.]+)", said)[1])


def started(service):
    """The words of the command that a unit starts."""
    whole = service.read_text().replace("\\\n", "")
    return shlex.split(re.search("^ExecStart=(.*)$", whole, re.MULTILINE)[1])
