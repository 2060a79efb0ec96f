"""A Ray cluster of two nodes on this machine, one of which is killed in the middle."""

from __future__ import annotations

import threading
import time

import pytest

from cmstream.archive.opening import open_archive
from cmstream.archive.sealing import seal
from cmstream.archive.verifying import verify
from helpers.archives import BARE, check_nothing_is_left, mbox, numbered, sealed, tree, write

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_node_that_is_killed(cluster, tmp_path, alice, me):
    second = cluster.add_node(num_cpus=1)
    numbered(tmp_path / "source", 6000)
    write(tmp_path / "source/inbox", mbox(*[BARE] * 300))
    write(tmp_path / "source/long", b"SECRET" * (2 << 20))
    killed = []

    def tell(report):
        if report.done > 500 and not killed:
            killed.append(report.done)
            threading.Thread(target=cluster.remove_node, args=(second, False)).start()
            time.sleep(0.2)

    source, target = tmp_path / "source", tmp_path / "sealed"
    report = seal(
        [str(source)], str(target), [alice.recipient], ray=cluster.address, tell=tell
    )  # fmt: skip
    print(f"a node was killed after {killed[0]} files")  # noqa: T201
    assert report.clean, report.as_document()
    assert report.done == 6301
    assert len(sealed(target)) == 6301
    assert verify(str(target), processes=1).done == 6301
    check_nothing_is_left(target)
    out = tmp_path / "out"
    assert open_archive(str(target), str(out), me).clean
    found = tree(out / "source")
    same = {name: data for name, data in tree(source).items() if name != b"inbox"}
    assert same.items() <= found.items()
    assert seal([str(source)], str(target), [alice.recipient], ray=cluster.address).known == 6301


def test_no_cluster(tmp_path, alice):
    from cmstream.archive.errors import ArchiveError

    numbered(tmp_path / "source", 2)
    with pytest.raises(ArchiveError) as caught:
        seal([str(tmp_path / "source")], str(tmp_path / "sealed"), [alice.recipient],
             ray="127.0.0.1:1")  # fmt: skip
    assert caught.value.code == "unreachable"
