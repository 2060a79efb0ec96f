"""mail-parser, which mail servers and archives in Rust use, as interop/mail_parser pins it: one
process that is given message after message."""

from __future__ import annotations

import subprocess
from pathlib import Path

from helpers.peers.program import must, need

BUILD = Path(__file__).parents[3] / ".ci" / "mail_parser"


class MailParser:
    def __init__(self):
        need("cargo")
        program = must(BUILD).stdout.decode().strip()
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def sees(self, message):
        """The texts of all header fields, and all parts as they stand and decoded."""
        self.process.stdin.write(len(message).to_bytes(4, "big") + message)
        self.process.stdin.flush()
        length = self.process.stdout.read(4)
        assert len(length) == 4, "mail-parser's program has ended"
        return self.process.stdout.read(int.from_bytes(length, "big"))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
