"""A private Dovecot that people also read by IMAP: in the clear, with STARTTLS, and over TLS."""

from __future__ import annotations

from pathlib import Path

import imapclient
import trustme

from helpers.peers.program import missing
from helpers.servers.dovecot import Dovecot
from helpers.servers.place import free, wait

PASSWORD = "x"
MASTER = "admin"
SETTINGS = """\
protocols = lmtp imap
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
disable_plaintext_auth = no
mail_max_userip_connections = 1000
auth_master_user_separator = *
auth_cache_size = 0
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = {folder}/masters
  master = yes
}}
# Who signs in with a wrong password doesn't wait longer each time.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = {imap.host}
    port = {imap.port}
  }}
  inet_listener imaps {{
    address = {imaps.host}
    port = {imaps.port}
    ssl = yes
  }}
}}
namespace inbox {{
  inbox = yes
  mailbox Drafts {{
    special_use = \\Drafts
  }}
  mailbox Sent {{
    special_use = \\Sent
  }}
}}
"""


class ImapDovecot(Dovecot):
    """Everybody's password is "x", as is that of the master user, "admin". ``authority`` is the
    file of who signs its certificate, which is for its address and for ``localhost``."""

    def __init__(self, folder, users, *, settings: str = ""):
        if not Path("/usr/lib/dovecot/imap-login").exists():
            missing("Dovecot's IMAP server")
        self.imap, self.imaps = free(), free()
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        made = authority.issue_cert(self.imap.host, "localhost")
        made.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
        made.private_key_pem.write_to_path(str(folder / "server.key"))
        (folder / "masters").write_text(f"{MASTER}:{{plain}}{PASSWORD}\n")
        own = SETTINGS.format(folder=folder, imap=self.imap, imaps=self.imaps)
        super().__init__(folder, users, settings=own + settings)

    def start(self) -> None:
        super().start()
        wait(lambda: self.imap.answers() and self.imaps.answers(), tell=self.log)

    def client(self, user: str) -> imapclient.IMAPClient:
        """A mail program that has signed in."""
        made = imapclient.IMAPClient(*self.imap, ssl=False, use_uid=True)
        made.login(user, PASSWORD)
        return made
