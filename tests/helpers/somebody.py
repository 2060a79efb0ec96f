"""Runs the command as another user, with the modules that root has loaded: that user may not be
able to read the project's files."""

from __future__ import annotations

import json
import os
import sys
from typing import NamedTuple

import pytest

from helpers.peers.program import must

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
NOBODY = 65534
"""The number of the user nobody and of its group."""

_PROGRAM = """
import encodings.idna, json, os, sys
from cmstream.command.cli import main

def run(words):
    try:
        return main(words)
    except SystemExit as ending:
        return ending.code

warm, jobs = json.loads(sys.argv[1])
report = os.dup(1)  # a command closes its standard output when it ends
for words in warm:
    run(words)
os.setgroups([]), os.setegid(65534), os.seteuid(65534)
done = []
for words in jobs:
    out, err = os.memfd_create("out"), os.memfd_create("err")
    if not (child := os.fork()):
        os.dup2(out, 1), os.dup2(err, 2)
        code = run(words)
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code or 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done.append((code, *(os.pread(one, 1 << 20, 0).decode() for one in (out, err))))
os.write(report, b"DONE " + json.dumps(done).encode())
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


def as_nobody(*jobs, warm=()):
    """What became of each command. ``warm``: commands that root runs before, to load what these
    need. Standard input is empty."""
    words = json.dumps([[[str(one) for one in words] for words in part] for part in (warm, jobs)])
    said = must(sys.executable, "-c", _PROGRAM, words).stdout.decode()
    done = [Done(*one) for one in json.loads(said.rpartition("DONE ")[2])]
    assert not any("Traceback" in one.err for one in done), done
    return done
