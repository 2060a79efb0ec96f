"""A private Exim, Debian's, that sends all mail to one next hop."""

from __future__ import annotations

import shutil

from helpers.peers.program import must
from helpers.servers.namespace import need_namespaces, program, unpacked, users, within
from helpers.servers.server import Server

NUMBER = 64101
SETTINGS = """\
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/spool/%s
pid_file_path = {folder}/spool/pid
primary_hostname = exim.example.net
local_interfaces = {place.host}
daemon_smtp_ports = {place.port}
tls_advertise_hosts =
acl_smtp_rcpt = accept
acl_smtp_data = accept
deliver_drop_privilege = true
keep_environment =
message_size_limit = 0
begin routers
all:
  driver = manualroute
  route_list = * {next.host}
  transport = hop
  self = send
begin transports
hop:
  driver = smtp
  protocol = {protocol}
  port = {next.port}
  allow_localhost
  message_linelength_limit = 1G
{options}
begin retry
* * F,1h,1s
"""


class Exim(Server):
    """``options`` are lines of its transport."""

    def __init__(self, folder, next_hop, protocol="lmtp", *, options=""):
        need_namespaces()
        super().__init__(folder)
        self.program = program(unpacked("exim") / "usr/sbin/exim4", folder)
        users(folder, {"Debian-exim": NUMBER})
        (folder / "spool").mkdir()
        shutil.chown(folder / "spool", NUMBER, NUMBER)
        text = SETTINGS.format(
            folder=folder, place=self.place, program=self.program, next=next_hop,
            protocol=protocol, options=options,
        )  # fmt: skip
        (folder / "conf").write_text(text)

    def run(self, *words) -> list[str]:
        """A command line of it that sees this instance's files."""
        names = {"passwd": "/etc/passwd", "group": "/etc/group"}
        return within(self.folder, names, [self.program, "-C", self.folder / "conf", *words])

    def command(self) -> list[str]:
        return self.run("-bdf", "-q2s")

    def log(self) -> str:
        logs = [self.folder / "log", self.folder / "spool/main", self.folder / "spool/panic"]
        return "".join(log.read_text(errors="replace") for log in logs if log.exists())

    def flush(self) -> None:
        """Tries all that waits, whatever its time."""
        must(*self.run("-qff"), timeout=120)

    def queue(self) -> str:
        return must(*self.run("-bp")).stdout.decode()
