"""A private OpenSMTPD, Debian's, that sends all mail to one next hop."""

from __future__ import annotations

import shutil

from helpers.peers.program import must
from helpers.servers.namespace import need_namespaces, program, unpacked, users, within
from helpers.servers.server import Server

NUMBERS = {"opensmtpd": 64102, "opensmtpq": 64103}
# It has these built in.
PATHS = {
    "passwd": "/etc/passwd",
    "group": "/etc/group",
    "spool": "/var/spool",
    "lib": "/var/lib",
    "run": "/run",
    "libexec": "/usr/libexec",
}
SETTINGS = """\
smtp max-message-size 2G
listen on {place.host} port {place.port}
listen on socket
table users {{ "@" = "nobody" }}
action "hop" {action}
match from any for any action "hop"
"""


class OpenSMTPD(Server):
    """``action`` is what it does with mail, as smtpd.conf names it."""

    def __init__(self, folder, action: str):
        need_namespaces()
        super().__init__(folder)
        self.tree = unpacked("opensmtpd") / "usr"
        self.smtpd, self.smtpctl = (
            program(self.tree / "sbin" / name, folder) for name in ("smtpd", "smtpctl")
        )
        users(folder, NUMBERS)
        for name in ("spool/smtpd", "lib/opensmtpd/empty", "run"):
            (folder / name).mkdir(parents=True)
        (folder / "spool/smtpd").chmod(0o711)
        shutil.copytree(self.tree / "libexec", folder / "libexec")
        shutil.chown(self.smtpctl, group=NUMBERS["opensmtpq"])
        self.smtpctl.chmod(0o2755)
        (folder / "conf").write_text(SETTINGS.format(place=self.place, action=action))

    @classmethod
    def relay(cls, folder, next_hop, protocol="lmtp"):
        return cls(folder, f"relay host {protocol}://{next_hop}")

    @classmethod
    def deliver(cls, folder, next_hop):
        """By its own program for LMTP, which runs once for each recipient."""
        return cls(folder, f'lmtp "{next_hop}" rcpt-to virtual <users>')

    def command(self) -> list[str]:
        return within(self.folder, PATHS, [self.smtpd, "-d", "-f", self.folder / "conf"])

    def control(self, *words) -> str:
        return must(*within(self.folder, PATHS, [self.smtpctl, *words])).stdout.decode()

    def flush(self) -> None:
        self.control("schedule", "all")

    def queue(self) -> str:
        return self.control("show", "queue")
