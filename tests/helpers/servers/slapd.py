"""OpenLDAP's slapd with a directory of its own, in a temporary folder, run by whoever tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote

from helpers.servers.place import free
from helpers.servers.server import Server

PROGRAM = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/local/libexec:/usr/bin")
SCHEMAS = Path("/etc/ldap/schema")

BASE = "dc=example,dc=org"
ADMIN, READER = f"cn=admin,{BASE}", f"cn=reader,{BASE}"
PASSWORD = "open sesame"

_CONFIG = """
include {schemas}/core.schema
include {schemas}/cosine.schema
include {schemas}/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/pid
{tls}
{more}
database mdb
maxsize 16777216
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
directory {folder}/data
dbnosync
access to attrs=userPassword by anonymous auth
access to * by dn.exact="{reader}" read by {others}
"""


class Slapd(Server):
    """A server that answers on a socket, on a port of the loopback, and on another by TLS, with the
    files ``certificate`` and ``key``, which its maker writes. ``others``: what those may do who
    aren't signed in as the administrator or the reader. ``more``: further lines of its
    configuration."""

    def __init__(self, folder):
        super().__init__(folder)
        (folder / "data").mkdir()
        self.certificate, self.key = folder / "server.pem", folder / "key.pem"
        self.secure_place = free()
        self.socket = f"ldapi://{quote(str(folder / 'socket'), safe='')}"
        self.url, self.secure_url = f"ldap://{self.place}", f"ldaps://{self.secure_place}"
        self.configure()

    def configure(self, *, others="* read", more="", tls=True):
        files = f"TLSCertificateFile {self.certificate}\nTLSCertificateKeyFile {self.key}"
        text = _CONFIG.format(
            schemas=SCHEMAS, folder=self.folder, base=BASE, admin=ADMIN, password=PASSWORD,
            reader=READER, others=others, more=more, tls=files if tls else "",
        )  # fmt: skip
        (self.folder / "slapd.conf").write_text(text)

    def command(self):
        urls = f"{self.socket} {self.url} {self.secure_url}"
        return [PROGRAM, "-d", "0", "-f", str(self.folder / "slapd.conf"), "-h", urls]

    def restart(self, **configuration):
        self.stop()
        self.configure(**configuration)
        self.start()

    def _connection(self):
        import ldap

        found = ldap.initialize(self.socket)
        found.simple_bind_s(ADMIN, PASSWORD)
        return found

    def fill(self):
        """The base, and somebody who may read."""
        self._connection().add_s(BASE, [
            ("objectClass", [b"dcObject", b"organization"]), ("o", [b"Example"]),
            ("dc", [b"example"]),
        ])  # fmt: skip
        self._connection().add_s(READER, [
            ("objectClass", [b"organizationalRole", b"simpleSecurityObject"]), ("cn", [b"reader"]),
            ("userPassword", [PASSWORD.encode()]),
        ])  # fmt: skip

    def person(self, name, addresses, certificates=(), smime=()):
        """An entry, and its DN."""
        dn = f"cn={name},{BASE}"
        held = {
            "objectClass": [b"inetOrgPerson"], "cn": [name.encode()], "sn": [b"Somebody"],
            "mail": [one.encode() for one in addresses],
            "userCertificate;binary": list(certificates), "userSMIMECertificate": list(smime),
        }  # fmt: skip
        self._connection().add_s(dn, [(one, values) for one, values in held.items() if values])
        return dn

    def referral(self, name, url):
        """An entry in whose place another server has some, and its DN."""
        dn = f"ou={name},{BASE}"
        held = {"objectClass": [b"referral", b"extensibleObject"], "ref": [url.encode()]}
        self._connection().add_s(dn, [*held.items()])
        return dn

    def change(self, dn, attribute, *values):
        """All values of an attribute; none takes it away."""
        import ldap

        self._connection().modify_s(dn, [(ldap.MOD_REPLACE, attribute, list(values) or None)])

    def delete(self, dn):
        self._connection().delete_s(dn)
