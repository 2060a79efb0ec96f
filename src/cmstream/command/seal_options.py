"""The options of ``cmstream seal``, read without argparse, which takes as long as Python's start.
What is unusual, help and wrong usage among it, is left to the whole command's parser."""

from __future__ import annotations

import os


class SealOptions:
    """By the names that the whole command's parser gives them."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.append = self.require = self.defer_malformed = False
        self.socket: str | None = None
        self.database: str | None = None
        self.input = "-"


def ending(code: int, options: SealOptions) -> int:
    """The exit code as the options want it: a message that can't be sealed may have to wait."""
    return os.EX_TEMPFAIL if code == os.EX_DATAERR and options.defer_malformed else code


FLAGS = {"--append": "append", "--require": "require", "--defer-malformed": "defer_malformed"}
VALUES = {"--socket": "socket", "--database": "database"}


def read(words: list[str]) -> SealOptions | None:
    """None for what the whole command's parser must read."""
    options, inputs, left = SealOptions(), [], iter(words)
    for word in left:
        name, equals, value = word.partition("=")
        if word == "-" or not word.startswith("-"):
            inputs.append(word)
        elif word in FLAGS:
            setattr(options, FLAGS[word], True)
        elif name == "--for" or name in VALUES:
            value = value if equals else next(left, "-")
            if not equals and value.startswith("-"):
                return None
            _set(options, name, value)
        else:
            return None
    if not options.addresses or len(inputs) > 1:
        return None
    options.input = inputs[0] if inputs else "-"
    return options


def _set(options: SealOptions, name: str, value: str) -> None:
    if name == "--for":
        options.addresses.append(value)
    else:
        setattr(options, VALUES[name], value)
