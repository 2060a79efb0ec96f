"""A private Cyrus IMAP server, Debian's."""

from __future__ import annotations

import os
import pwd
import shutil

import imapclient

from helpers.peers.program import missing, run
from helpers.servers.namespace import unpacked
from helpers.servers.saslauthd import Saslauthd
from helpers.servers.server import Server

PASSWORD = "x"
MASTER = "admin"
SETTINGS = """\
configdirectory: {folder}/state
defaultpartition: default
partition-default: {folder}/mail
proc_path: {folder}/run/proc
mboxname_lockpath: {folder}/run/lock
idlesocket: {folder}/run/idle
lmtpsocket: {folder}/run/lmtp
notifysocket: {folder}/run/notify
cyrus_user: {user}
admins: {master}
sasl_pwcheck_method: saslauthd
sasl_saslauthd_path: {folder}/mux
sasl_mech_list: PLAIN LOGIN
allowplaintext: yes
virtdomains: userid
unixhierarchysep: yes
altnamespace: yes
autocreate_quota: 0
imapidlepoll: 1
failedloginpause: 0
umask: 077
"""
SERVICES = """\
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {folder}/imapd.conf -r"
  idled cmd="{programs}/idled -C {folder}/imapd.conf"
}}
SERVICES {{
  imap cmd="{programs}/imapd -C {folder}/imapd.conf" listen="{place.host}:{place.port}" prefork=1
}}
EVENTS {{
}}
"""


class Cyrus(Server):
    """Everybody's password is "x", as is that of the master user, "admin". ``settings`` are lines
    of imapd.conf."""

    def __init__(self, folder, users, *, settings: str = ""):
        super().__init__(folder)
        self.imap, self.users = self.place, users
        unpackaged = unpacked("cyrus")
        self.root = folder / "cyrus"  # where every user reaches it
        shutil.copytree(unpackaged / "usr/lib", self.root / "usr/lib", symlinks=True)
        shutil.copytree(unpackaged / "lib", self.root / "lib", symlinks=True)
        self.programs = self.root / "usr/lib/cyrus/bin"
        self.libraries = ":".join(
            str(one) for name in ("usr/lib", "lib") for one in self.root.glob(f"{name}/*-linux-gnu")
        )
        environment = {**os.environ, "LD_LIBRARY_PATH": self.libraries}
        if b"not found" in run("ldd", self.programs / "imapd", env=environment).stdout:
            missing("a library of Cyrus")
        user = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")
        for name in ("state", "state/socket", "mail", "run", "run/proc", "run/lock"):
            (folder / name).mkdir()
            shutil.chown(folder / name, user.pw_uid, user.pw_gid)
        text = SETTINGS.format(folder=folder, user=user.pw_name, master=MASTER)
        (folder / "imapd.conf").write_text(text + settings)
        text = SERVICES.format(folder=folder, programs=self.programs, place=self.place)
        (folder / "cyrus.conf").write_text(text)

    def command(self) -> list[str]:
        files = ["-C", f"{self.folder}/imapd.conf", "-M", f"{self.folder}/cyrus.conf"]
        program = [f"{self.programs}/master", *files, "-p", f"{self.folder}/run/pid", "-D"]
        # When it ends, it ends all of its process group.
        return ["setsid", "env", f"LD_LIBRARY_PATH={self.libraries}", *program]

    def start(self) -> None:
        self.authority = Saslauthd(self.folder / "mux", PASSWORD)
        super().start()
        with self.client(MASTER) as admin:
            for user in self.users:
                if not admin.list_folders("", f"user/{user}"):
                    admin.create_folder(f"user/{user}")

    def stop(self) -> None:
        super().stop()
        self.authority.stop()
        (self.folder / "mux").unlink()

    def client(self, user: str) -> imapclient.IMAPClient:
        """A mail program that has signed in."""
        made = imapclient.IMAPClient(*self.imap, ssl=False, use_uid=True)
        made.login(user, PASSWORD)
        return made
