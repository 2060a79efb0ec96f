"""What Prometheus reads: the figures of one process, and of several together."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from cmstream.gateway import metrics
from cmstream.gateway.metrics import Metrics
from cmstream.gateway.outcome import Outcome, Told
from cmstream.gateway.protocol.replies import Reply


def outcome():
    told = Outcome(3, 4096)
    told.seconds, told.seal_seconds, told.next_seconds = 0.25, 0.0002, 0.2
    told.tell(0, "sealed", "enabled")
    told.answered(0, Reply.of(250, "2.0.0", "saved"))
    told.tell(1, "left", "unknown-address")
    told.answered(1, Reply.of(452, "4.2.2", "full"))
    told.tell(2, "deferred", "no-usable-certificate")
    return told


def figures(text):
    # Not above: the library looks at the environment when it is imported.
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def shown(made):
    body, kind = made.render()
    assert kind.startswith("text/plain; version=0.0.4")
    return figures(body.decode())


async def _count(made, number):
    for _ in range(number):
        made.message("lmtp", outcome())


def test_who_is_refused_before_the_message():
    made = Metrics()
    made.refused("smtp", Told("refused", "next-server", reply=Reply.of(550, "5.1.1", "gone")))
    made.refused("smtp", Told("deferred", "another-copy"))
    away = Told("deferred", "next-server", reply=Reply.of(451, "4.4.1", "away"))
    made.refused("smtp", away, sender=True)
    found = shown(made)
    name = "cmstream_gateway"
    assert found[f"{name}_recipients_total", "next-server", "refused", "smtp"] == 1
    assert found[f"{name}_recipients_total", "another-copy", "deferred", "smtp"] == 1
    assert found[f"{name}_next_hop_replies_total", "5xx"] == 1
    assert found[f"{name}_next_hop_replies_total", "4xx"] == 1
    assert (f"{name}_recipients_total", "deferred", "next-server", "smtp") not in found
    assert (f"{name}_messages_total", "smtp") not in found


def check(found, number):
    name = "cmstream_gateway"
    assert found[f"{name}_messages_total", "lmtp"] == number
    assert found[f"{name}_bytes_total", "lmtp"] == 4096 * number
    recipients = f"{name}_recipients_total"
    assert found[recipients, "enabled", "lmtp", "sealed"] == number
    assert found[recipients, "left", "lmtp", "unknown-address"] == number
    assert found[recipients, "deferred", "lmtp", "no-usable-certificate"] == number
    assert found[f"{name}_next_hop_replies_total", "2xx"] == number
    assert found[f"{name}_next_hop_replies_total", "4xx"] == number
    assert found[f"{name}_stage_seconds_count", "seal"] == number
    assert found[f"{name}_stage_seconds_bucket", "0.0001", "seal"] == 0
    assert found[f"{name}_stage_seconds_bucket", "0.0005", "seal"] == number
    assert found[f"{name}_stage_seconds_sum", "whole"] == 0.25 * number


def test_messages_are_counted():
    made = Metrics()
    asyncio.run(_count(made, 1))
    check(shown(made), 1)


def test_many_are_counted_together():
    made = Metrics()
    asyncio.run(_count(made, 2 * metrics.ROOM + 3))
    check(shown(made), 2 * metrics.ROOM + 3)


def test_few_are_counted_after_a_while(monkeypatch):
    monkeypatch.setattr(metrics, "DELAY", 0.001)
    made = Metrics()

    async def wait():
        await _count(made, 2)
        while made._waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    asyncio.run(wait())
    monkeypatch.setattr(made, "flush", lambda: None)
    check(shown(made), 2)


def test_a_stage_that_a_message_had_no_need_of_is_not_counted():
    made = Metrics()

    async def left():
        made.message("milter", Outcome(0, 10))

    asyncio.run(left())
    found = shown(made)
    assert found["cmstream_gateway_stage_seconds_count", "whole"] == 1
    assert found["cmstream_gateway_stage_seconds_count", "seal"] == 0


def test_connections_go_up_and_down():
    made = Metrics()
    for change in (1, 1, -1):
        made.connected("smtp", change)
    assert shown(made)["cmstream_gateway_connections", "smtp"] == 1


WORKERS = """
import asyncio, os, sys
from gateway.test_metrics import _count, check, shown
from cmstream.gateway import metrics

os.environ[metrics.FOLDER] = sys.argv[1]

def work(ready, go):
    made = metrics.Metrics()
    made.connected("lmtp", 1)
    asyncio.run(_count(made, 3))
    made.flush()
    os.write(ready, b"r")
    os.read(go, 1)

ready, told = os.pipe()
wait, go = os.pipe()
children = []
for _ in range(2):
    child = os.fork()
    if not child:
        os.close(go)
        try:
            work(told, wait)
        finally:
            os._exit(0)
    children.append(child)
os.close(told)
assert os.read(ready, 1) + os.read(ready, 1) == b"rr"
made = metrics.Metrics()
found = shown(made)
check(found, 6)
assert found["cmstream_gateway_connections", "lmtp"] == 2
os.write(go, b"gg")
for child in children:
    os.waitpid(child, 0)
    metrics.forget_process(child)
found = shown(made)
check(found, 6)
assert found.get(("cmstream_gateway_connections", "lmtp"), 0) == 0
"""


def test_several_processes_tell_their_sum(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, tmp_path], cwd="tests", capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
