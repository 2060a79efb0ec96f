"""A private Haraka, from npm, that sends all mail to one next hop."""

from __future__ import annotations

from helpers.peers.program import need
from helpers.servers.namespace import unpacked
from helpers.servers.server import Server

FILES = {
    "plugins": "hop",
    "me": "haraka.example.net",
    "smtp.ini": "listen={place}\nnodes=0\n",
    "log.ini": "level=info\n",
    # The shortest that it takes.
    "outbound.ini": "received_header=Haraka\nlocal_mx_ok=true\ntemp_fail_intervals=5s,5s,5s,5s\n",
    # It takes no default for what isn't there.
    "connection.ini": """\
[main]
[haproxy]
[headers]
max_lines=1000
max_received=100
[max]
bytes=0
mime_parts=1000
line_length=512
data_line_length={line}
[message]
helo=hello
close=bye
[uuid]
banner_chars=0
deny_chars=0
""",
}
PLUGIN = """\
exports.hook_rcpt = function (next, connection) {{
    connection.relaying = true
    next(OK)
}}
exports.hook_get_mx = function (next) {{
    next(OK, {{priority: 0, exchange: '{next.host}', port: {next.port}, using_lmtp: {lmtp}}})
}}
"""


class Haraka(Server):
    def __init__(self, folder, next_hop, protocol="lmtp", *, line=100_000_000):
        need("node")
        super().__init__(folder)
        self.program = unpacked("haraka") / "node_modules/Haraka/bin/haraka"
        for name in ("config", "plugins", "queue"):
            (folder / name).mkdir()
        for name, text in FILES.items():
            (folder / "config" / name).write_text(text.format(place=self.place, line=line))
        lmtp = "true" if protocol == "lmtp" else "false"
        (folder / "plugins/hop.js").write_text(PLUGIN.format(next=next_hop, lmtp=lmtp))

    def command(self) -> list[str]:
        return ["node", str(self.program), "-c", str(self.folder)]
