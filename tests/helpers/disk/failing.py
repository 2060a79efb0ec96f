"""Runs the command in processes one of whose calls to the disk fails. A server has imported all of
it, with tests/native/disk_faults.c before all other libraries, and forks for each run."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from helpers.disk import record


class Done(NamedTuple):
    """How a run ended, what it wrote, and how many calls there were that change something."""

    code: int
    out: bytes
    err: bytes
    calls: int


class FailingDisk:
    """See :func:`failing`."""

    def __init__(self, server, streams) -> None:
        self._server, self._streams = server, streams

    def run(self, *words, number=-1, error=0, lasts=False, given=os.devnull, tmp="/tmp") -> Done:
        """The command with these words. The call of that ``number``, from 0, fails with ``error``;
        if it ``lasts``, all further ones that need room do too. ``given``: the file of standard
        input."""
        call = [*map(str, words)], str(given), str(self._streams), str(tmp), number, error, lasts
        self._server.stdin.write(json.dumps(call).encode() + b"\n")
        self._server.stdin.flush()
        code, calls = json.loads(self._server.stdout.readline())
        out, err = ((self._streams / name).read_bytes() for name in ("out", "err"))
        return Done(code, out, err, calls)


@contextmanager
def failing(library, root, streams):
    """A disk on which calls below ``root`` can fail; ``streams``: a folder elsewhere."""
    streams.mkdir()
    command = [sys.executable, "-m", "helpers.disk.failing"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = record.environment(library, root)
    with subprocess.Popen(command, env=environment, **pipes) as server:
        yield FailingDisk(server, streams)
        server.stdin.close()


def _serve():
    from cmstream.command import account, archive, cli, mailbox, seal  # noqa: F401 - for the forks
    from helpers.disk import works

    works.small_batches()
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    for line in sys.stdin.buffer:
        words, given, streams, tmp, *fault = json.loads(line)
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.environ["TMPDIR"] = tmp
            code = _run(cli.main, shim, words, [given, f"{streams}/out", f"{streams}/err"], fault)
            os.write(write, b"%d" % shim.disk_faults_calls())
            os._exit(code)
        os.close(write)
        with open(read, "rb") as told:  # noqa: PTH123
            calls = int(told.read() or b"-1")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([code, calls]), flush=True)  # noqa: T201 - the answer


def _run(main, shim, words, streams, fault):
    """In the child."""
    for number, name in enumerate(streams):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
        os.dup2(os.open(name, flags, 0o600), number)
    code = 1
    shim.disk_faults_arm(ctypes.c_long(fault[0]), *map(int, fault[1:]))
    try:
        code = main(words)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - shown as Python does
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    return code


if __name__ == "__main__":
    Path(os.environ["DISK_FAULTS_ROOT"]).mkdir(exist_ok=True)
    _serve()
