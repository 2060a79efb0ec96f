"""How ``cmstream seal`` starts: by a gateway where one is named or at hand, else by the store."""

from __future__ import annotations

# The module around it takes as long to import as Python takes to start.
import _signal  # type: ignore[import-not-found]
import os

from . import seal_client, seal_options
from .endings import Failure, Stopped, heeded
from .standard_streams import hold_standard_streams, tell


def main(words: list[str]) -> int | None:
    """Runs the subcommand and gives its exit code; None where the whole command must do it: the
    options are unusual, or the store's packages are missing."""
    hold_standard_streams()
    for number in heeded((_signal.SIGTERM, _signal.SIGHUP)):
        _signal.signal(number, _stop)
    try:
        options = seal_options.read(words)
        if options is None:
            return None
        if not seal_client.by_gateway(options):
            try:
                from .seal import seal  # noqa: PLC0415 - the store, and cryptography
            except ImportError:
                return None
            seal(options)
    except Failure as failure:
        tell(str(failure))
        return failure.code
    except Stopped:
        tell("stopped")
        return os.EX_TEMPFAIL
    return os.EX_OK


def _stop(number: int, _: object) -> None:
    raise Stopped(number)
