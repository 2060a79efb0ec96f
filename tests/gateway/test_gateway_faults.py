"""Whatever fails: no plaintext at the next hop for a protected account, and no 250 for what the
next hop hasn't taken."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from helpers.peers.program import need
from helpers.servers.conversation import DROP, HANG
from helpers.servers.mail import ALICE, BOB, DORA, SECRET
from helpers.servers.place import wait
from helpers.servers.relay import NO_CHUNKING, fixtures, forget_lookups, long, opened, relay, text

PROTECTED = {ALICE, DORA}
STATES = ["connect", "LHLO", "MAIL", "RCPT", "DATA", "body", "dot", "between replies"]


def announced(state):
    """DATA is said only where there is no BDAT."""
    return NO_CHUNKING if state in {"LHLO", "DATA"} else (*NO_CHUNKING, "CHUNKING")


def answers(state, failing):
    if state == "between replies":
        return {"dot": {"info@example.org": failing}}
    return {state: failing}


def nothing_leaked(hop):
    for one in hop.begun:
        if PROTECTED & {*one.addresses}:
            assert SECRET not in one.message


_fresh, fresh = fixtures("fresh", "--next-timeout", "2", "--drain-timeout", "1")


@pytest.fixture
def made(fresh):
    yield fresh
    nothing_leaked(fresh.hop)


@pytest.mark.parametrize("failing", [DROP, HANG], ids=["drops", "hangs"])
@pytest.mark.parametrize("state", STATES)
def test_a_next_hop_that_fails_in_any_state_is_a_temporary_failure(state, failing, made):
    with made.announced(*announced(state)):
        made.hop.answers = answers(state, failing)
        first, second, other = made.send([ALICE, "info@example.org", BOB])
        assert second.startswith("451 4.4.")
        if state == "between replies":
            # What was said of the first holds, and the third is in a transaction of its own.
            assert first == other == "250 2.0.0 taken"
        else:
            assert first.startswith("451 4.4.")
            assert other.startswith("451 4.4.")
    assert [one[:3] for one in made.send([ALICE, BOB])] == ["250", "250"]


@pytest.mark.parametrize("state", ["MAIL", "RCPT", "body", "dot"])
def test_a_database_that_goes_when_the_decision_is_made_changes_nothing(state, made):
    kept = made.database.with_suffix(".kept")

    def remove(*_):
        if made.database.exists():
            made.database.rename(kept)

    made.hop.answers[state] = remove
    try:
        assert made.send([ALICE])[0].startswith("250")
    finally:
        kept.rename(made.database)
    opened(made.wait()[0])
    forget_lookups()


def test_a_database_that_goes_in_the_middle_of_the_message_defers_it(made):
    assert made.send([ALICE, BOB])[0].startswith("250")
    kept = made.database.with_suffix(".kept")
    with made.client() as client:
        client.command("MAIL FROM:<bob@example.net>")
        client.command(f"RCPT TO:<{ALICE}>")
        client.command("DATA")
        client.socket.sendall(text())
        made.database.rename(kept)
        forget_lookups()
        client.socket.sendall(b".\r\n")
        reply = client.reply()
        kept.rename(made.database)
    assert reply.startswith("451 4.3.0")
    forget_lookups()


def killed_in(state, made):
    with made.announced(*announced(state)):
        made.hop.answers = answers(state, HANG)
        reached = made.hop.begun if state not in {"connect", "LHLO", "MAIL"} else made.hop.sessions
        with made.client() as client:
            for line in ("MAIL FROM:<bob@example.net>", f"RCPT TO:<{ALICE}>",
                         "RCPT TO:<info@example.org>", f"RCPT TO:<{BOB}>", "DATA"):  # fmt: skip
                client.command(line)
            client.socket.sendall(text() + b".\r\n")
            wait(lambda: reached, 10, made.gateway.log)
            time.sleep(0.2)
            made.gateway.kill()
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                client.reply()
        nothing_leaked(made.hop)
    made.gateway.start()
    assert [one[:3] for one in made.send([ALICE, BOB])] == ["250", "250"]


def test_kill_9_in_the_message(made):
    killed_in("body", made)


@pytest.mark.slow
@pytest.mark.parametrize("state", [one for one in STATES if one != "body"])
def test_kill_9_in_every_state(state, made):
    killed_in(state, made)


@pytest.mark.parametrize("state", ["DATA", "content"])
def test_a_client_that_is_cut_off_has_sent_nothing(state, made):
    with made.client() as client:
        client.command("MAIL FROM:<gone@example.net>")
        client.command(f"RCPT TO:<{BOB}>")
        client.command("DATA")
        if state == "content":
            client.socket.sendall(text() + b".")
    assert made.send([BOB])[0].startswith("250")
    assert [one.mail.split()[0] for one in made.wait()] == [b"<bob@example.net>"]


# --- what the machine lacks


def test_a_full_disk_is_a_temporary_failure(tmp_path):
    """No file may be longer than so much: a write beyond fails as on a full disk."""
    limited = ["prlimit", "--fsize=200000"]
    need("prlimit")
    with relay("--memory", "10000", prefix=limited) as made:
        with made.client() as client:
            client.command("MAIL FROM:<bob@example.net>")
            client.command(f"RCPT TO:<{ALICE}>")
            client.command("DATA")
            sender = threading.Thread(target=_send, args=(client, long(1 << 20)))
            sender.start()
            assert _refused(client)
            sender.join()
        # The message fits, and what it is sealed to doesn't.
        assert (
            made.send([ALICE, BOB], long(150_000))
            == ["452 4.3.1 no room for a mail of this length now: try again"] * 2
        )
        assert not made.hop.transactions
        assert made.send([BOB], long(150_000))[0].startswith("250")
        assert made.send([ALICE], long(100_000))[0].startswith("250")
        nothing_leaked(made.hop)


def _send(client, octets):
    with suppress(OSError):  # it has been told, and perhaps not read
        client.socket.sendall(octets + b".\r\n")


def _refused(client) -> bool:
    try:
        return client.reply().startswith("452 4.3.1")
    except ConnectionResetError:
        return True


@pytest.mark.slow
def test_too_little_memory_is_a_temporary_failure():
    need("prlimit")
    with relay("--memory", str(100 << 20)) as made:
        assert made.send([ALICE])[0].startswith("250")
        pid = made.gateway.process.pid
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
        subprocess.run(
            ["prlimit", f"--pid={pid}", f"--as={(pages << 12) + (20 << 20)}"], check=True
        )
        for to in (ALICE, BOB):
            with made.client() as client:
                try:
                    reply = client.send([to], long(30 << 20))[to]
                except (ConnectionResetError, BrokenPipeError):
                    continue
                assert reply[:1] == "4"
        assert not made.hop.transactions[1:]
        assert made.send([ALICE, BOB])[1].startswith("250")
        nothing_leaked(made.hop)


def test_a_clock_that_jumps_seals_as_before(tmp_path):
    need("cc")
    shim, offset = tmp_path / "clock.so", tmp_path / "offset"
    source = Path(__file__).parents[1] / "helpers" / "servers" / "clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    prefix = ["env", f"LD_PRELOAD={shim}", f"CLOCK_OFFSET={offset}"]
    with relay("--command-timeout", "20", prefix=prefix) as made:
        for years in (0, 30, -30, 5, 0):
            offset.write_text(str(years * 365 * 86400))
            # At the very moment the store may say that time has jumped.
            replies = [made.send([ALICE, BOB]) for _ in range(3)]
            assert all(one[:3] in {"250", "451"} for row in replies for one in row)
            assert [one[:3] for one in replies[-1]] == ["250", "250"]
        with made.client() as client:
            offset.write_text(str(3600))
            assert client.send([ALICE], text())[ALICE][:3] in {"250", "451"}
            assert client.quit().startswith("221")
        assert "2056" in made.gateway.log() or "2055" in made.gateway.log()
        nothing_leaked(made.hop)
