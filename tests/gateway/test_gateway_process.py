"""The gateway as a process: its sockets, systemd, workers, signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from helpers.command import run_process
from helpers.peers.program import need
from helpers.servers.client import Client
from helpers.servers.conversation import HANG
from helpers.servers.gateway import READY
from helpers.servers.mail import ALICE, BOB, populated
from helpers.servers.next_hop import NextHop
from helpers.servers.place import Place, folder, free, wait
from helpers.servers.relay import opened, relay, text

LAUNCHER = (
    "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


class Process:
    """The command with any options; ``with`` ends it."""

    def __init__(self, own, hop, *options, launcher=(), **popen):
        self.hop = hop
        command = [sys.executable, "-m", "cmstream", "gateway", *options,
                   "--database", populated(own)]  # fmt: skip
        self.file = own / "log"
        with self.file.open("wb") as log:
            self.process = subprocess.Popen([*launcher, *command], stderr=log, **popen)
        wait(lambda: READY in self.log() or self.process.poll() is not None, tell=self.log)
        assert self.process.poll() is None, self.log()

    def log(self) -> str:
        return self.file.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(40) == 0


@contextmanager
def running(*options, hop_place=None, **popen):
    with folder("process") as own, NextHop("lmtp", place=hop_place and own / hop_place) as hop:
        words = [one.format(own=own) for one in options]
        with Process(own, hop, "--next", f"lmtp:{hop}", *words, **popen) as made:
            yield own, hop, made


def sent(place, hop, protocol="lmtp"):
    with Client(place, protocol) as client:
        assert client.send([ALICE], text())[ALICE].startswith("250")
    opened(hop.wait()[-1])


def test_unix_sockets_on_both_sides_and_several_places():
    places = ["lmtp:unix:{own}/in", f"lmtp:{free()}", "lmtp:inet6:[::1]:0"]
    listen = [word for one in places for word in ("--listen", one)]
    with running(*listen, hop_place="out") as (own, hop, _):
        sent(f"unix:{own}/in", hop)
        assert Path(f"{own}/in").stat().st_mode & 0o777 == 0o660
        host, _, port = places[1].removeprefix("lmtp:").rpartition(":")
        sent(Place(host, int(port)), hop)
    assert not Path(f"{own}/in").exists()


def test_a_socket_that_is_left_from_a_crash_is_taken_and_one_in_use_is_not():
    with folder("process") as own, NextHop("lmtp") as hop:
        options = ["--listen", f"lmtp:unix:{own}/in", "--next", f"lmtp:{hop}"]
        first = Process(own, hop, *options)
        first.process.kill()
        first.process.wait()
        (own / "accounts.sqlite3").unlink()
        with Process(own, hop, *options):
            sent(f"unix:{own}/in", hop)
            second = subprocess.run(
                [sys.executable, "-m", "cmstream", "gateway", *options,
                 "--database", f"sqlite:///{own}/accounts.sqlite3"],
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert second.returncode == 69
            assert "can't listen at" in second.stderr
            sent(f"unix:{own}/in", hop)


@pytest.mark.parametrize("family", ["inet", "unix"])
def test_systemd_opens_the_sockets_and_is_told(family, tmp_path):
    with folder("systemd") as told:
        listener = socket.socket(socket.AF_UNIX if family == "unix" else socket.AF_INET)
        place = Place(*free()) if family == "inet" else f"unix:{told}/in"
        listener.bind(place if family == "inet" else f"{told}/in")
        listener.listen()
        notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notified.bind(f"{told}/notify")
        environment = os.environ | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "other:mail",
                                    "NOTIFY_SOCKET": f"{told}/notify"}  # fmt: skip
        with (
            listener, notified,
            running("--listen", "lmtp:systemd:mail", env=environment, pass_fds=(3, 4),
                    launcher=[sys.executable, "-c", LAUNCHER],
                    preexec_fn=lambda: _passed(listener, notified)) as (_, hop, made),
        ):  # fmt: skip
            assert notified.recv(100) == b"READY=1"
            sent(place, hop)
            made.process.terminate()


def test_it_ends_with_0_however_many_signals_come_while_it_ends():
    for place in (free(), "unix:{own}/in"):
        with running("--listen", f"lmtp:{place}") as (_, _, made):
            until = time.monotonic() + 40
            while made.process.poll() is None and time.monotonic() < until:
                made.process.terminate()


def _passed(listener, other):
    """As systemd passes them: from descriptor 3 on."""
    first, second = os.dup(other.fileno()), os.dup(listener.fileno())
    high = os.dup2(first, 20), os.dup2(second, 21)
    os.dup2(high[0], 3)
    os.dup2(high[1], 4)


def children(pid) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_that_dies_is_replaced_and_the_others_go_on():
    place = free()
    with running("--listen", f"lmtp:{place}", "--workers", "2") as (_, hop, made):
        before = children(made.process.pid)
        assert len(before) == 2
        sent(place, hop)
        os.kill(before[0], signal.SIGKILL)
        for _ in range(10):
            sent(place, hop)
        wait(lambda: len(children(made.process.pid)) == 2)
        assert before[1] in children(made.process.pid)
        made.process.send_signal(signal.SIGHUP)
        sent(place, hop)


def test_workers_end_with_the_process_that_started_them():
    """Else they would keep its sockets, and it could never start again."""
    with folder("process") as own, NextHop("lmtp") as hop:
        place = free()
        options = ["--listen", f"lmtp:{place}", "--next", f"lmtp:{hop}", "--workers", "2"]
        made = Process(own, hop, *options)
        workers = children(made.process.pid)
        made.process.kill()
        made.process.wait()
        wait(lambda: not any(Path(f"/proc/{one}/stat").exists() for one in workers), 30)
        assert not place.answers()


def test_sigterm_while_workers_start_ends_all_of_them():
    with folder("process") as own:
        command = [sys.executable, "-m", "cmstream", "gateway", "--listen", f"seal:unix:{own}/in",
                   "--workers", "16", "--database", populated(own)]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not children(process.pid):
                pass  # the others follow within milliseconds
            process.terminate()
            try:
                assert process.wait(40) == 0
            finally:
                process.kill()


@pytest.mark.parametrize("place", ["lmtp:127.0.0.1:10024", "lmtp:unix:/run/cmstream/lmtp"])
def test_a_gateway_is_not_its_own_next_server(place):
    done = run_process("gateway", "--listen", place, "--next", place, code=os.EX_USAGE)
    assert f"--next {place}: the gateway listens there itself" in done.stderr.decode()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_ends_it_while_the_next_hop_does_not_answer(workers):
    with folder("process") as own, socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(60)
        hop = f"lmtp:127.0.0.1:{deaf.getsockname()[1]}"
        command = [sys.executable, "-m", "cmstream", "gateway", "--listen", f"lmtp:unix:{own}/in",
                   "--next", hop, "--workers", workers, "--database", populated(own)]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            with deaf.accept()[0]:
                process.send_signal(signal.SIGHUP)
                process.terminate()
                try:
                    assert process.wait(20) == 0
                finally:
                    process.kill()
            assert not (own / "in").exists()


def test_sigterm_lets_a_message_come_to_its_end():
    with relay() as made:
        with made.client() as idle, made.client() as busy:
            for line in ("MAIL FROM:<bob@example.net>", f"RCPT TO:<{ALICE}>", "DATA"):
                busy.command(line)
            busy.socket.sendall(text()[:100])
            made.gateway.process.terminate()
            assert idle.reply().startswith("421 4.3.2")
            busy.socket.sendall(text()[100:] + b".\r\n")
            assert busy.reply().startswith("250")
            assert busy.reply().startswith("421 4.3.2")
        assert made.gateway.process.wait(20) == 0
        opened(made.wait()[0])


def test_sigterm_waits_for_the_next_hop_and_not_for_ever():
    with relay("--drain-timeout", "2") as made:
        made.hop.answers["dot"] = lambda *_: time.sleep(1)
        replies = []
        sender = threading.Thread(target=lambda: replies.extend(made.send([ALICE])))
        sender.start()
        wait(lambda: made.hop.begun and made.hop.begun[0].whole)
        made.gateway.process.terminate()
        sender.join()
        assert replies[0].startswith("250")
        assert made.gateway.process.wait(20) == 0
        made.begin()
        made.gateway.start()
        made.hop.answers["dot"] = HANG
        with made.client() as client:
            for line in ("MAIL FROM:<bob@example.net>", f"RCPT TO:<{BOB}>", "DATA"):
                client.command(line)
            client.socket.sendall(text() + b".\r\n")
            wait(lambda: made.hop.begun and made.hop.begun[0].whole)
            made.gateway.process.terminate()
            with pytest.raises(ConnectionResetError):
                client.reply()
        assert made.gateway.process.wait(20) == 0


def test_limits_of_connections_and_commands():
    options = ["--connection-limit", "3", "--client-limit", "2", "--command-limit", "5"]
    with relay(*options) as made:
        with made.client(), made.client(), made.client(hello=False) as third:
            assert third.greeting.startswith("421 4.7.0 too many connections from your")
        with wait(lambda: _served(made)) as client:
            assert [client.command("NOOP")[:3] for _ in range(5)] == ["250"] * 4 + ["421"]


def _served(made) -> Client | None:
    """A client, once those before it are gone."""
    with suppress(OSError):
        return made.client()
    return None


@pytest.mark.slow
def test_too_few_descriptors_is_a_matter_of_time():
    need("prlimit")
    with relay("--client-limit", "500", prefix=["prlimit", "--nofile=60"]) as made:
        sockets = []
        for _ in range(80):
            sockets.append(socket.socket())
            sockets[-1].connect(made.gateway.place)
        for one in sockets:
            one.close()
        wait(lambda: _served(made), 30).__exit__()
        assert [one[:3] for one in made.send([ALICE, BOB])] == ["250", "250"]
