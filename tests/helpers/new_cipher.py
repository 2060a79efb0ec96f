"""Uses AES-192-GCM in every place that knows ciphers, as a program of its own: test_ciphers.py runs
it with a package whose table says that this cipher is written."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import cmstream
from cmstream import accounts
from cmstream.accounts.api import schemas
from cmstream.accounts.clients import judge
from cmstream.accounts.pages import words
from cmstream.command import cli
from cmstream.policy import CIPHER_CHOICES

NAME = "aes192-gcm"
TEXT = b"third flower pot"
BY = accounts.Actor("root", "administrator")


def sealed(alice):
    policy = cmstream.Policy(cipher=NAME)
    yield cmstream.encrypt(TEXT, alice, policy=policy)
    yield b"".join(cmstream.encrypt_iter([TEXT], alice, policy=policy))
    (one,) = cmstream.encrypt_many([(TEXT, alice)], policy=policy, form="der")
    yield bytes(one)
    out = Path("out.der")
    Path("text").write_bytes(TEXT)
    options = ["--binary", "--cipher", NAME, "-r", "alice.der", "-o", str(out)]
    assert cli.main(["encrypt", *options, "text"]) == 0
    yield out.read_bytes()


DATABASE = "sqlite:///accounts.sqlite3"
ALICE, BOB = "alice@example.org", "bob@example.org"


def account(address, cipher, data):
    with accounts.create_store(DATABASE) as store:
        store.add_account(address, by=BY)
        store.import_certificates(address, data, by=BY, confirm_mismatch=True)
        return store.change_account(address, cipher=cipher, by=BY).cipher


def sealed_for_both():
    """The cipher of a mail for two accounts: the one that more programs read."""
    words = ["seal", "--database", DATABASE, "--for", ALICE, "--for", BOB]
    mail = b"Subject: pots\r\n\r\n" + TEXT
    done = subprocess.run([sys.executable, "-m", "cmstream", *words], input=mail, check=True,
                          stdout=subprocess.PIPE)  # fmt: skip
    return cmstream.inspect(io.BytesIO(done.stdout)).cipher


def main():
    data = Path("alice.der").read_bytes()
    (alice,) = cmstream.load_recipients(data)
    (reader,) = cmstream.load_recipients(Path("reader.der").read_bytes())
    auto = cmstream.Policy(cipher="auto")
    (finding,) = judge(["apple-mail"], cipher=NAME)
    found = {
        "package": str(Path(cmstream.__file__).parent),
        "sealed": [one.hex() for one in sealed(alice)],
        "auto": cmstream.Recipients([reader]).cipher(auto),
        "order": CIPHER_CHOICES,
        "page": {one.value: one.label for one in words.CIPHERS},
        "account": account(ALICE, NAME, data),
        "other": account(BOB, "aes128-gcm", data),
        "both": sealed_for_both(),
        "forbidden": cmstream.Recipients([reader]).cipher(auto.clone(forbid={NAME})),
        "finding": finding.message,
        "schema": schemas.SETTINGS["cipher"]["enum"],
    }
    json.dump(found, sys.stdout)


main()
