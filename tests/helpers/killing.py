"""Child processes that are killed."""

from __future__ import annotations

import os
import signal
import time


def started(work) -> int:
    """Does it in a child; gives its number."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child) -> int:
    """Waits for its end: its exit code, or the number of what killed it, below 0."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(work, seconds: float) -> bool:
    """Does it in a child that is killed after so long. False if it had ended before."""
    child = started(work)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = ended(child)
    assert status in (0, -signal.SIGKILL)
    return status != 0
