"""A private Dovecot that takes mail by LMTP and keeps it in Maildirs below its folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from helpers.peers.program import missing, must
from helpers.servers.place import wait
from helpers.servers.server import Server

SETTINGS = """\
protocols = lmtp
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
ssl = no
default_internal_user = {user.pw_name}
default_internal_group = {group}
default_login_user = {user.pw_name}
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:~/Maildir
# What is stored is what came, octet for octet.
mail_save_crlf = yes
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
service lmtp {{
  chroot =
  user = {user.pw_name}
  inet_listener lmtp {{
    address = {place.host}
    port = {place.port}
  }}
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def need_dovecot() -> None:
    if not Path("/usr/lib/dovecot/lmtp").exists():
        missing("Dovecot's LMTP server")


class Dovecot(Server):
    """``settings`` are lines of dovecot.conf that come last."""

    def __init__(self, folder, users, *, settings: str = ""):
        need_dovecot()
        super().__init__(folder)
        self.unix = f"unix:{folder}/lmtp"
        # It delivers nothing as root.
        user = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")
        group = subprocess.check_output(["id", "-gn", user.pw_name], text=True).strip()
        (folder / "mail").mkdir()
        shutil.chown(folder / "mail", user.pw_uid, user.pw_gid)
        text = SETTINGS.format(folder=folder, user=user, group=group, place=self.place)
        self.configuration = folder / "dovecot.conf"
        self.configuration.write_text(text + settings)
        homes = [
            f"{one}:{{plain}}x:{user.pw_uid}:{user.pw_gid}::{folder}/mail/{one}::" for one in users
        ]
        (folder / "users").write_text("\n".join([*homes, ""]))

    def command(self) -> list[str]:
        return ["dovecot", "-F", "-c", str(self.configuration)]

    def messages(self, user: str) -> list[bytes]:
        """What is in somebody's INBOX, as it was stored, the oldest first."""
        inbox = self.folder / "mail" / user / "Maildir"
        found = [path for name in ("new", "cur") for path in inbox.glob(f"{name}/*")]
        return [path.read_bytes() for path in sorted(found, key=_order)]

    def wait(self, user: str, number: int = 1) -> list[bytes]:
        """The same as soon as there are so many."""
        return wait(
            lambda: (found := self.messages(user)) and len(found) >= number and found,
            tell=self.log,
        )

    def doveadm(self, *words: str) -> bytes:
        return must("doveadm", "-c", self.configuration, *words).stdout


def _order(path: Path):
    return path.stat().st_mtime_ns, path.name
