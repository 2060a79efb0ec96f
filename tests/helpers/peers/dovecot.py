"""Dovecot's parser of messages, by ``doveadm`` on a mailbox of its own; no server runs."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path

from helpers.peers.program import need, run

_PARTS = [f"binary.{one}{inner}" for one in (1, 2, 3, 4) for inner in ("", ".1", ".2")]
FIELDS = ["body", "text.utf8", "body.preview", "imap.bodystructure", *_PARTS]
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
        done = self._fetch(FIELDS)
        if done.returncode == 0:
            return done.stdout
        # It stops where it can't decode one of them.
        if len(messages) > 1:
            half = len(messages) // 2
            return self.sees(messages[:half]) + self.sees(messages[half:])
        seen = b"".join(self._fetch([field]).stdout for field in FIELDS)
        assert b"body:\n" in seen, done.stderr
        return seen

    def _fetch(self, fields):
        environment = {**os.environ, "HOME": str(self.folder), "USER": self.user.pw_name}
        return run("doveadm", "-c", self.folder / "dovecot.conf", "fetch", " ".join(fields), "all",
                   env=environment)  # fmt: skip

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
