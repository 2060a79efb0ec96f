"""Several workers are one server: what is counted is counted over all of them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

import httpx
import pytest

from helpers.accounts.served import copy, peopled

pytestmark = pytest.mark.slow

WORKERS = 2


@pytest.fixture
def base(tmp_path):
    """A server with several workers, run by uvicorn's own command."""
    listener = socket.create_server(("127.0.0.1", 0))
    port, number = listener.getsockname()[1], listener.fileno()
    (tmp_path / "figures").mkdir()
    (tmp_path / "made").mkdir()
    environment = {
        **os.environ,
        "CMSTREAM_DATABASE": copy(peopled(tmp_path / "made" / "accounts.sqlite3"), tmp_path),
        "CMSTREAM_PUBLIC_URL": f"http://localhost:{port}",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "figures"),
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "cmstream.accounts.web.app:create_app",
               "--fd", str(number), "--workers", str(WORKERS), "--log-level", "error"]  # fmt: skip
    with listener, subprocess.Popen(command, env=environment, pass_fds=[number]) as server:
        try:
            yield f"http://localhost:{port}"
        finally:
            server.terminate()
    assert server.returncode in {0, -15}


def get(base, path):
    """A request on a connection of its own, so that any worker may take it."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=120) as client:
        return client.get(base + path)


def test_figures_and_attempts_are_those_of_all_workers(base):
    for number in range(30):
        assert get(base, f"/api/v1/nothing-{number}").status_code == 404
    text = get(base, "/metrics").text
    (counted,) = re.findall(r'requests_total{method="GET",route="",status="404"} (\S+)', text)
    assert float(counted) == 30
    assert 'cmstream_accounts{state="unprotected"} 2.0' in text

    body = {"name": "root", "password": "wrong"}
    codes = [httpx.post(f"{base}/api/v1/session", json=body, timeout=120).status_code
             for _ in range(11)]  # fmt: skip
    assert codes == [401] * 10 + [429]
