"""Runs the real command ``cmstream`` for shell scripts, in processes that need not import anything
first: a server has imported all of it, and forks for each call.

``python warm_command.py SOCKET`` is that server; ``program`` writes the script that calls it."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager

_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({place!r})
    call = sys.argv[1:], os.getcwd(), dict(os.environ)
    socket.send_fds(server, [json.dumps(call).encode() + b"\\n"], [0, 1, 2])
    sys.exit(int(server.recv(16) or b"70"))
"""


@contextmanager
def program(folder):
    """The folder's own ``cmstream``, as long as the block runs."""
    place = str(folder / "socket")
    script = folder / "cmstream"
    script.write_text(_CLIENT.format(python=sys.executable, place=place))
    script.chmod(0o755)
    with subprocess.Popen([sys.executable, __file__, place], stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            server.kill()


def _serve(place):
    for name in ("cli", "account", "seal", "serve", "token"):
        importlib.import_module(f"cmstream.command.{name}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        print("ready", flush=True)  # noqa: T201 - to whoever started it
        while True:
            caller, _ = listener.accept()
            with caller:
                _answer(caller)


def _answer(caller):
    call, streams, _, _ = socket.recv_fds(caller, 1 << 16, 3)
    while not call.endswith(b"\n"):
        call += caller.recv(1 << 16)
    child = os.fork()
    if child == 0:
        _run(*json.loads(call), streams)
    for stream in streams:
        os.close(stream)
    _, status = os.waitpid(child, 0)
    caller.sendall(b"%d" % os.waitstatus_to_exitcode(status))


def _run(arguments, folder, environment, streams):
    """In the child, which never returns."""
    code = os.EX_SOFTWARE
    with contextlib.suppress(SystemExit):
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        try:
            code = sys.modules["cmstream.command.cli"].main(arguments)
        except SystemExit as end:  # the parser's
            code = int(end.code or 0)
        sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1])
