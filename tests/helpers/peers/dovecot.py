"""Dovecot's parser of messages, by ``doveadm`` on a mailbox of its own; no server runs."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import tempfile
from pathlib import Path

from helpers.peers.program import need, run

PARTS = [f"binary.{one}{inner}" for one in (1, 2, 3, 4) for inner in ("", ".1", ".2")]
SETTINGS = """\
mail_location = maildir:{folder}/mail
base_dir = {folder}/run
log_path = /dev/stderr
ssl = no
default_internal_user = {user.pw_name}
default_login_user = {user.pw_name}
mail_uid = {user.pw_uid}
mail_gid = {user.pw_gid}
first_valid_uid = 0
first_valid_gid = 0
"""


class Dovecot:
    def __init__(self):
        need("doveadm")
        # It opens no mail for root.
        self.user = pwd.getpwuid(os.getuid()) if os.getuid() else pwd.getpwnam("nobody")
        self.folder = folder = Path(tempfile.mkdtemp(prefix="cmstream-dovecot-"))
        (folder / "dovecot.conf").write_text(SETTINGS.format(folder=folder, user=self.user))

    def sees(self, messages):
        """What it makes of all of them: their texts, the contents of their first parts decoded,
        the parts of a part too, and what their parts say of themselves."""
        self._fill(messages)
        fields = " ".join(["body", "text.utf8", "body.preview", "imap.bodystructure", *PARTS])
        environment = {**os.environ, "HOME": str(self.folder), "USER": self.user.pw_name}
        done = run("doveadm", "-c", self.folder / "dovecot.conf", "fetch", fields, "all",
                   env=environment)  # fmt: skip
        # It fails where it can't decode one of them, and goes on with the next.
        asked = len(re.findall(rb"(?<![\w.])body:\n", done.stdout))
        assert asked >= len(messages), done.stderr
        return done.stdout

    def _fill(self, messages):
        mail = self.folder / "mail"
        shutil.rmtree(mail, ignore_errors=True)
        for name in ("cur", "new", "tmp"):
            (mail / name).mkdir(parents=True)
        for number, message in enumerate(messages):
            (mail / "cur" / f"{number}.x:2,S").write_bytes(message)
        if not os.getuid():
            for path in (self.folder, mail, *mail.rglob("*")):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def close(self):
        shutil.rmtree(self.folder)
