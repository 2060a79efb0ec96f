"""What owners do on their pages: files at hand, uploads, the password again."""

from __future__ import annotations

import subprocess

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from helpers.accounts.support import pem
from helpers.accounts.visitor import ALICES_PASSWORD
from helpers.authorities import authority, rsa_identity


def pem_file(folder, name="alice.pem", **options):
    path = folder / name
    path.write_bytes(pem(**options))
    return path


def key_file(folder, number=0):
    key, _ = rsa_identity(number=number)
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def pfx_file(folder, password=b"horses", number=0):
    key, certificate = rsa_identity(number=number)
    _, ca = authority()
    data = pkcs12.serialize_key_and_certificates(
        b"alice", key, certificate, [ca], BestAvailableEncryption(password)
    )
    path = folder / "alice.pfx"
    path.write_bytes(data)
    return path


def upload(person, *paths, password=""):
    person.open("/account/upload")
    person.page.get_by_label("Files with certificates").set_input_files(paths)
    if password:
        person.page.get_by_label("Password of a .pfx").fill(password)
    person.press("Look into the files")


def again(person, button):
    """Press a button that wants the password again."""
    person.page.get_by_label("Your password for this page").fill(ALICES_PASSWORD)
    person.press(button)


def save(person):
    """With the password again, where it is asked for."""
    field = person.page.get_by_label("Your password for this page")
    if field.count():
        field.fill(ALICES_PASSWORD)
    person.press("Save")


def opened(path, key):
    command = ["openssl", "cms", "-decrypt", "-in", path, "-inkey", key]
    return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout.decode()
