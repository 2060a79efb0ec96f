"""A child process that is killed at some instant."""

from __future__ import annotations

import os
import signal
import time


def killed(work, seconds: float) -> bool:
    """Does it in a child that is killed after so long. False if it had ended before."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0
