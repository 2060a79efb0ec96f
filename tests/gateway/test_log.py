"""The log's lines say what became of a message, never what it says, and are never more than one."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.errors import MessageError
from cmstream.gateway.log import Log
from cmstream.gateway.log_lines import Head, Json, Text
from cmstream.gateway.outcome import Outcome
from cmstream.gateway.protocol.envelope import parse_mail, parse_rcpt
from cmstream.gateway.protocol.replies import Reply
from cmstream.gateway.settings import Settings

ALICE, BOB = parse_rcpt(b"TO:<Alice+x@example.org>"), parse_rcpt(b"TO:<bob@example.org>")
SENDER = parse_mail(b"FROM:<carol@example.net>").path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def opened(path, form="text"):
    return Log(Settings((), "", log_file=path, log_format=form))


def outcome():
    told = Outcome(2, 4096)
    told.seconds, told.seal_seconds, told.next_seconds = 0.25, 0.125, 0.0625
    told.tell(0, "sealed", "enabled")
    told.answered(0, Reply.of(250, "2.0.0", 'saved as "7"'))
    told.tell(1, "deferred", "no-usable-certificate", "bob@example.org has no certificate")
    return told


def write(log, told, recipients=(ALICE, BOB)):
    log.message(
        told, protocol="lmtp", client="192.0.2.1", queue_id="4XyZ", sender=SENDER,
        recipients=recipients,
    )  # fmt: skip


def test_a_message_is_one_line_of_text(path):
    write(opened(path), outcome())
    moment, process, rest = path.read_text().split(" ", 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", moment)
    assert int(process) == os.getpid()
    assert rest == (
        "warning message protocol=lmtp bytes=4096 seconds=0.250000 from=<carol@example.net>"
        " queue_id=4XyZ client=192.0.2.1 to=Alice+x@example.org action=sealed reason=enabled"
        r' reply="250 2.0.0 saved as \"7\"" to=bob@example.org action=deferred'
        ' reason=no-usable-certificate detail="bob@example.org has no certificate"\n'
    )


def test_a_message_is_one_object_of_json(path):
    told = outcome()
    told.failed = "OSError: No space left on device"
    write(opened(path, "json"), told)
    line = json.loads(path.read_text())
    assert line.pop("time").endswith("Z")
    assert line.pop("process") == os.getpid()
    assert line == {
        "level": "warning", "event": "message", "protocol": "lmtp", "from": "<carol@example.net>",
        "bytes": 4096, "seconds": 0.25, "queue_id": "4XyZ", "client": "192.0.2.1",
        "failed": "OSError: No space left on device",
        "recipients": [
            {"to": "Alice+x@example.org", "action": "sealed", "reason": "enabled",
             "reply": '250 2.0.0 saved as "7"'},
            {"to": "bob@example.org", "action": "deferred", "reason": "no-usable-certificate",
             "detail": "bob@example.org has no certificate"},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("code", [250, 452, 550])
def test_what_the_next_hop_refuses_is_a_warning(path, code):
    told = Outcome(1, 4096)
    told.tell(0, "sealed", "enabled")
    told.answered(0, Reply.of(code, f"{code // 100}.0.0", "it says so"))
    write(opened(path), told, [ALICE])
    assert (" warning message " in path.read_text()) == (code != 250)


def test_what_goes_well_is_no_warning(path):
    told = outcome()
    told.tell(1, "left", "unknown-address")
    write(opened(path), told)
    assert " info message " in path.read_text()


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reply_of_a_book_s_length_is_cut(path, form):
    told = outcome()
    told.answered(0, Reply(250, (b"x" * 8000,) * 200))
    write(opened(path, form), told)
    assert len(path.read_text()) < 4000


anything = st.text(st.characters(codec="utf-8"))


@given(sender=st.binary(), client=anything, queue_id=anything, address=anything, said=st.binary())
def test_whatever_a_client_sends_the_line_stays_one(sender, client, queue_id, address, said):
    told = Outcome(1, 1)
    told.tell(0, "deferred", "odd", address)
    told.answered(0, Reply(451, (said,)))
    rcpt = ALICE._replace(address=address)
    fields = {"sender": sender, "protocol": "lmtp", "client": client, "queue_id": queue_id}
    text = Text.message(Head(1.5, 1, "info"), told, [rcpt], **fields)
    assert text.isascii()
    assert text.isprintable()
    found = json.loads(Json.message(Head(1.5, 1, "info"), told, [rcpt], **fields))
    assert found["time"] == "1970-01-01T00:00:01.500Z"
    assert found.get("client", "") == client
    assert found.get("queue_id", "") == queue_id
    assert found["recipients"][0]["to"] == address


@pytest.mark.parametrize("form", ["text", "json"])
def test_events_have_fields(path, form):
    log = opened(path, form)
    log.info("ready", place="lmtp:127.0.0.1:10024", nothing=None)
    log.warning("odd\nthing", why="a b")
    first, second = path.read_text().splitlines()
    if form == "text":
        assert first.endswith(" info ready place=lmtp:127.0.0.1:10024")
        assert second.endswith(r' warning "odd\nthing" why="a b"')
    else:
        assert json.loads(first)["place"] == "lmtp:127.0.0.1:10024"
        assert json.loads(second)["event"] == "odd\nthing"


def failed(error):
    try:
        raise error  # noqa: TRY301
    except Exception as raised:  # noqa: BLE001
        return raised


def test_an_error_has_a_type_a_place_and_a_sentence_if_it_is_for_people(path):
    log = opened(path)
    log.error(failed(OSError(28, "No space left on device", "/tmp/x")))
    log.error(failed(MessageError("malformed", "it can't be sealed")))
    log.error(failed(ValueError("Dear Alice, the key is under the pot")), "relay")
    first, second, third = path.read_text().splitlines()
    assert re.search(
        r' error OSError why="/tmp/x: No space left on device" at=test_log.py:\d+$', first
    )
    assert 'why="it can\'t be sealed [malformed]"' in second
    assert " error relay: ValueError at=test_log.py:" in third
    assert "pot" not in third


def test_what_libraries_log_comes_too(path, monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    opened(path).adopt()
    logging.getLogger("asyncio").error("lost\nsecret", exc_info=failed(KeyError("secret")))
    logging.getLogger("asyncio").warning("%s is slow", "it")
    first, second = path.read_text().splitlines()
    assert " error asyncio: lost: KeyError at=" in first
    assert second.endswith(" warning asyncio: it is slow")
    assert "secret" not in first + second


def test_the_file_is_opened_again(path):
    log = opened(path)
    log.info("one")
    moved = path.rename(path.with_name("log.1"))
    log.info("two")
    log.reopen()
    log.info("three")
    assert [line.split()[-1] for line in moved.read_text().splitlines()] == ["one", "two"]
    assert path.read_text().endswith(" three\n")
    log.close()


def test_a_file_that_was_moved_away_is_noticed(path, monkeypatch):
    monkeypatch.setattr("cmstream.gateway.log._LOOK", 0)
    log = opened(path)
    log.info("one")
    path.rename(path.with_name("log.1"))
    log.info("two")
    assert path.read_text().endswith(" two\n")


def test_a_file_that_cannot_be_opened_again_stays(path):
    log = opened(path)
    moved = path.rename(path.with_name("log.1"))
    path.mkdir()
    log.reopen()
    log.info("two")
    first, second = moved.read_text().splitlines()
    assert "can't open the log again" in first
    assert second.endswith(" two")


def test_a_full_disk_stops_no_mail():
    log = opened(Path("/dev/full"))
    write(log, outcome())
    log.info("ready")


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(OSError):
        opened(tmp_path)


def test_without_a_file_it_goes_to_standard_error(capfd):
    Log(Settings((), "")).info("ready")
    assert capfd.readouterr().err.endswith(" info ready\n")
