"""A private Postfix: its configuration, queue and log stand in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import NamedTuple

from helpers.peers.program import missing, run
from helpers.servers.place import Place, wait
from helpers.servers.server import Server

MAIN = {
    "compatibility_level": "3.6",
    "queue_directory": "{folder}/queue",
    "data_directory": "{folder}/data",
    "command_directory": "/usr/sbin",
    "daemon_directory": "/usr/lib/postfix/sbin",
    "meta_directory": "/etc/postfix",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "maillog_file": "{folder}/log",
    "maillog_file_prefixes": "{folder}",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "myhostname": "mail.example.net",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "alias_maps": "",
    "local_recipient_maps": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "virtual_mailbox_domains": "example.org",
    "message_size_limit": "0",
    "mailbox_size_limit": "0",
    "virtual_mailbox_limit": "0",
    # Nothing leaves the machine: bounces to other domains end here.
    "default_transport": "discard:",
    # What waits is tried again at once when it is flushed, and soon otherwise.
    "minimal_backoff_time": "2s",
    "maximal_backoff_time": "4s",
    "queue_run_delay": "2s",
}

MASTER = """\
{place} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
showq unix n - n - - showq
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Way(NamedTuple):
    """One of the ways to put a program into the path of mail: lines of main.cf, and services that
    master.cf has beside the usual ones. ``first`` are options of the smtpd that is there already,
    ``pickup`` those of the service that takes mail from sendmail(1)."""

    main_cf: dict[str, str]
    master: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    pickup: tuple[str, ...] = ()


# Without them Postfix folds long lines before anybody sees them.
LINES = {"lmtp_line_length_limit": "0", "smtp_line_length_limit": "0"}
# A refusal of a further recipient is an error of the client in Postfix's eyes, and a message that
# comes in pieces can't be handed to a proxy as it comes.
IN_FRONT = {"smtpd_hard_error_limit": "1000", "smtpd_discard_ehlo_keywords": "chunking"}


def lmtp(place) -> Way:
    """All mail goes to a server that speaks LMTP, at a Place or at "unix:/path"."""
    return Way(LINES | {"virtual_transport": f"lmtp:{_named(place)}"})


def before_queue(proxy: Place, back: Place, place) -> Way:
    """What is received goes through a proxy, which gives it back to another smtpd. What comes from
    sendmail(1) has no smtpd to go through, and goes the other way, after the queue."""
    return Way(
        LINES | IN_FRONT | {"virtual_transport": f"lmtp:{_named(place)}"},
        (_back(back),),
        (f"smtpd_proxy_filter=inet:{proxy}", "smtpd_client_connection_count_limit=0"),
        (f"content_filter=smtp:[{proxy.host}]:{proxy.port}",),
    )


def after_queue(protocol: str, proxy: Place, back: Place, place) -> Way:
    """What is in the queue goes through a filter, which gives it back to another smtpd."""
    target = f"inet:{proxy}" if protocol == "lmtp" else f"[{proxy.host}]:{proxy.port}"
    return Way(
        LINES
        | {
            "content_filter": f"{protocol}:{target}",
            "virtual_transport": f"other-lmtp:{_named(place)}",
        },
        (_back(back), "other-lmtp unix - - n - - lmtp"),
    )


def milter(at: str, place) -> Way:
    """A milter sees what comes by SMTP and what comes from sendmail(1)."""
    return Way(
        LINES
        | {
            "smtpd_milters": at,
            "non_smtpd_milters": at,
            "milter_default_action": "tempfail",
            "milter_connect_timeout": "5s",
            "virtual_transport": f"lmtp:{_named(place)}",
        }
    )


def _named(place) -> str:
    return str(place) if str(place).startswith("unix:") else f"inet:{place}"


def _back(place: Place) -> str:
    """The smtpd that takes mail back from a filter; it has no filter of its own."""
    options = {
        "content_filter": "",
        "smtpd_proxy_filter": "",
        "smtpd_milters": "",
        "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
        "smtpd_hard_error_limit": "1000",
        "receive_override_options": "no_unknown_recipient_checks",
    }
    return f"{place} inet n - n - - smtpd " + " ".join(f"-o {k}={v}" for k, v in options.items())


def need_postfix() -> None:
    """Skips the test where no private one can run."""
    if os.geteuid() != 0:
        missing("Postfix's master, which root must start,")
    if "/usr/sbin" not in os.environ["PATH"]:
        os.environ["PATH"] += ":/usr/sbin"
    if not shutil.which("postfix"):
        missing("Postfix")


class Postfix(Server):
    """``way`` is what is done with mail; ``main_cf`` and ``master`` come on top of it."""

    def __init__(self, folder, way: Way, *, main_cf=None, master=(), place=None):
        need_postfix()
        super().__init__(folder, place)
        for name in ("etc", "queue", "data"):
            (folder / name).mkdir(exist_ok=True)
        shutil.chown(folder / "data", "postfix")
        settings = MAIN | way.main_cf | (main_cf or {})
        main = "\n".join(f"{name} = {value}" for name, value in settings.items())
        (folder / "etc/main.cf").write_text(main.replace("{folder}", str(folder)) + "\n")
        smtpd, pickup, *rest = MASTER.format(place=self.place).splitlines()
        smtpd += "".join(f" -o {option}" for option in way.first)
        pickup += "".join(f" -o {option}" for option in way.pickup)
        services = "\n".join([smtpd, pickup, *rest, *way.master, *master])
        (folder / "etc/master.cf").write_text(services + "\n")

    def run(self, name: str, *words: str) -> str:
        """One of Postfix's own commands on this instance."""
        done = run(name, "-c", f"{self.folder}/etc", *words, timeout=60)
        assert done.returncode == 0, done.stderr.decode() + self.log()
        return done.stdout.decode()

    def start(self) -> None:
        self.run("postfix", "start")
        wait(self.place.answers, tell=self.log)

    def stop(self) -> None:
        self.run("postfix", "abort")

    def submit(self, recipients, message: bytes, *, sender="bob@example.net") -> None:
        """The same by sendmail(1), which no smtpd sees."""
        environment = {**os.environ, "MAIL_CONFIG": f"{self.folder}/etc"}
        subprocess.run(
            ["sendmail", "-i", "-f", sender, *recipients],
            input=message, check=True, timeout=60, env=environment,
        )  # fmt: skip

    def statuses(self, recipient: str) -> list[str]:
        """What became of the tries to deliver, by the log."""
        lines = self.log().splitlines()
        return [line for line in lines if f"to=<{recipient}>" in line and "status=" in line]

    def status(self, recipient: str, number: int = 1) -> str:
        """The next one, waited for."""
        wait(lambda: len(self.statuses(recipient)) >= number, tell=self.log)
        return self.statuses(recipient)[number - 1]

    def queue(self) -> list[dict]:
        return [json.loads(line) for line in self.run("postqueue", "-j").splitlines()]

    def flush(self) -> None:
        self.run("postqueue", "-f")
