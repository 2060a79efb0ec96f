"""``python -m cmstream``."""

from __future__ import annotations

import sys

from .command.entry import program

if __name__ == "__main__":
    sys.exit(program())
