"""The sockets that the gateway makes."""

from __future__ import annotations

import grp
import os
import socket
from pathlib import Path

import pytest

from cmstream.gateway.settings import Place
from cmstream.gateway.sockets import NoSocket, listening, own_file


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


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(NoSocket, match=f"there is no folder {tmp_path}/run"):
        listening(Place("seal", path=str(tmp_path / "run" / "seal")))


def test_only_the_gateway_s_own_file_is_removed(tmp_path):
    """One that starts while another one ends has its socket at the same place."""
    place = Place("seal", path=str(tmp_path / "seal"))
    old = listening(place)
    with own_file(place.path):
        old.close()
        with listening(place), own_file(place.path):
            pass
        assert not Path(place.path).exists()
        new = listening(place)
    with new:
        assert Path(place.path).exists()


def test_a_socket_that_is_full_is_in_use(tmp_path):
    place = Place("seal", path=str(tmp_path / "seal"))
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as waiting:
        full.bind(place.path)
        full.listen(0)
        waiting.connect(place.path)
        with pytest.raises(NoSocket, match="can't listen"):
            listening(place)
