"""Bouncy Castle: a Java program, compiled for each run and warmed up."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import peer_process
from engines import Absent

if TYPE_CHECKING:
    from engines import Engine, Lab

SOURCE = Path(__file__).parent / "Encrypt.java"
POM = Path(__file__).parent.parent / "tests" / "interop" / "pom.xml"
WARMING = peer_process.Warming(first=2, column=0.5)  # Java compiles what runs often


def engines(lab: Lab) -> list[Engine]:
    """One row."""
    if not (shutil.which("javac") and shutil.which("mvn")):
        raise Absent("no Java compiler, or no Maven to fetch Bouncy Castle with")
    path = f"{_jars(lab.folder / 'jars')}:{lab.folder}"
    done = subprocess.run(["javac", "-cp", path, "-d", lab.folder, SOURCE], capture_output=True,
                          check=False, text=True)  # fmt: skip
    if done.returncode:
        raise Absent(f"it doesn't compile: {done.stderr.strip()}")
    command = ["java", "-cp", path, "Encrypt"]
    return [peer_process.engine(lab, "Bouncy Castle", command, WARMING)]


def _jars(listing: Path) -> str:
    """Those that the tests use; Maven fetches them once."""
    done = subprocess.run(["mvn", "-B", "-q", "-f", POM, "dependency:build-classpath",
                           f"-Dmdep.outputFile={listing}"], capture_output=True,
                          check=False, text=True)  # fmt: skip
    if done.returncode:
        raise Absent(f"Maven doesn't fetch Bouncy Castle: {done.stdout.strip()}")
    return listing.read_text("utf-8").strip()
