"""The sockets at which the gateway listens: its own, or those that systemd opened for it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .settings import Place

BACKLOG = 1024
_FIRST = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""


class NoSocket(Exception):  # noqa: N818 - what is so, not what went wrong
    """The gateway can't listen there."""


def listening(place: Place, mode: int = 0o660, group: str = "") -> socket.socket:
    """A socket that listens. ``mode``, ``group``: those of a Unix socket. Raises NoSocket."""
    try:
        if place.name:
            return _passed(place.name)
        return _unix(place.path, mode, group) if place.path else _inet(place)
    except LookupError:
        raise NoSocket(f"can't listen at {place}: there is no group {group}") from None
    except FileNotFoundError:
        folder = Path(place.path).parent
        raise NoSocket(f"can't listen at {place}: there is no folder {folder}") from None
    except PermissionError as error:
        why = error.strerror
        if error.errno == errno.EPERM and group:
            why = f"this user isn't in the group {group}"
        raise NoSocket(f"can't listen at {place}: {why}") from None
    except OSError as error:
        raise NoSocket(f"can't listen at {place}: {error.strerror or error}") from None


@contextmanager
def own_file(path: str) -> Iterator[None]:
    """Removes the file of a Unix socket in the end, but not that of another gateway, which may have
    put its own there meanwhile."""
    made = _identity(path)
    try:
        yield
    finally:
        with suppress(OSError):
            if _identity(path) == made:
                Path(path).unlink()


def _identity(path: str) -> tuple[int, ...]:
    """The time too: a new file may get the number of one that is gone."""
    found = Path(path).stat()
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _inet(place: Place) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _unix(path: str, mode: int, group: str) -> socket.socket:
    _remove_dead(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
        if group:
            shutil.chown(path, group=group)
        listener.listen(BACKLOG)
    except (OSError, LookupError):
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _remove_dead(path: str) -> None:
    """Removes a socket that nobody listens at any more; one in use stays."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.setblocking(False)  # one that is in use may have no room to connect
            try:
                trial.connect(path)
            except ConnectionRefusedError:
                Path(path).unlink()


def _passed(name: str) -> socket.socket:
    """A socket of systemd's, by its name (FileDescriptorName=); the only one has any name."""
    count = int(os.environ.get("LISTEN_FDS", "0")) if _for_us() else 0
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    for number in range(count):
        if names[number : number + 1] == [name] or count == 1:
            return socket.socket(fileno=os.dup(_FIRST + number))
    raise NoSocket(f"systemd has passed no socket named {name}: set FileDescriptorName={name}")


def _for_us() -> bool:
    return os.environ.get("LISTEN_PID", "") == str(os.getpid())


def notify(state: str) -> None:
    """Tells systemd, if it asked to be told (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + path[1:] if path.startswith("@") else path)
        channel.sendall(state.encode())
