"""Each cell of the table in this folder's README is true: what it says is read is read, and what
it says isn't still isn't."""

from __future__ import annotations

import functools
import os

import pytest

import cmstream
from helpers.cases import CASES
from helpers.limits import LIMITS, PEERS, in_readme, reads, table, writes
from helpers.peers.program import missing

pytestmark = pytest.mark.slow

DATA = bytes(range(256)) * 40


@functools.cache
def ours(case):
    """The case as we seal it."""
    try:
        sealed = case.seal(DATA)
        assert case.describes(cmstream.inspect(sealed))
    except Exception as error:  # noqa: BLE001 - whatever tells that it isn't built
        missing(f"a cmstream that seals it ({error!r})")
    return sealed


@pytest.fixture(scope="module", params=PEERS)
def peer(request, tmp_path_factory):
    """Its name in the table and the peer itself. Of a version that the table doesn't name, CI alone
    asks as much: so we hear of what has changed."""
    made = PEERS[request.param](tmp_path_factory.mktemp("peer"))
    number = request.param.rpartition(" ")[2]
    if f" {number}." not in made.version() + "." and not os.environ.get("CI"):
        pytest.skip(f"{made.version()} isn't {request.param}")
    yield request.param, made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_reads_ours(peer, case):
    name, program = peer
    assert (program.reads(case, ours(case)) == DATA) is reads(name, case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whose_we_read(peer, case):
    assert ours(case)  # else we needn't try
    name, program = peer
    sealed = program.writes(case, DATA)
    is_it = sealed is not None and case.describes(cmstream.inspect(sealed))
    assert is_it is writes(name, case)
    if is_it:
        assert cmstream.decrypt(sealed, case.identity()) == DATA


@pytest.mark.parametrize(
    "case", [case for case in CASES if "gcm" in case.cipher], ids=lambda case: case.name
)
def test_authenticated_attributes(bouncy_castle, case):
    """They stand behind the content, and are part of what the tag is for. Bouncy Castle 1.87 can't
    write them with ChaCha20-Poly1305."""
    assert ours(case)
    sealed = bouncy_castle.seal(DATA, case.person, f"{case.cipher}+attribute", how=case.how)
    assert cmstream.decrypt(sealed, case.identity()) == DATA
    changed = sealed.replace(b"known to be authentic", b"known to be forgeries")
    assert changed != sealed
    with pytest.raises(cmstream.DecryptionError):
        cmstream.decrypt(changed, case.identity())


def test_the_readme_tells_this():
    """That README says how the table is written."""
    assert in_readme() == table()


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_concerns_a_case(name):
    for one in LIMITS[name]:
        assert any(one.unread(case) or one.unwritten(case) for case in CASES), one.what
