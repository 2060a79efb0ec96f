"""The sockets that the gateway makes."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from cmstream.gateway.settings import Place
from cmstream.gateway.sockets import NoSocket, listening


def test_a_unix_socket_has_the_mode_and_the_group_that_were_asked_for(tmp_path):
    """A pipe's user must be able to hand mail in, whoever the gateway runs as."""
    group = grp.getgrgid(os.getgid()).gr_name
    place = Place("seal", path=str(tmp_path / "seal"))
    with listening(place, 0o666, group):
        found = Path(place.path).stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o666, os.getgid())
    Path(place.path).unlink()
    with pytest.raises(NoSocket, match="no group"):
        listening(place, 0o660, "nobody-has-this-group")
