"""``cmstream account`` and ``cmstream token``: what they print, what they change, how they end."""

from __future__ import annotations

import io
import json
import os
import sys
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs7
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificate

from cmstream import load_recipients
from cmstream.accounts import open_store
from cmstream.accounts.people.people import People
from cmstream.command.cli import main
from helpers.accounts.support import pem
from helpers.authorities import rsa_identity

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"


@pytest.fixture
def command(url, capsys, monkeypatch):
    """Runs a command on the store and gives its exit code, output and errors."""
    monkeypatch.setenv("CMSTREAM_DATABASE", url)

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as ending:
            code = ending.code
        found = capsys.readouterr()
        assert "Traceback" not in found.err
        return SimpleNamespace(code=code, out=found.out, err=found.err)

    return run


@pytest.fixture
def good(command):
    """The same for what must end well, with notes at most: gives the output."""

    def run(*words):
        done = command(*words)
        said = [one for one in done.err.splitlines() if not one.startswith("cmstream: note: ")]
        assert (done.code, said) == (0, [])
        return done.out

    return run


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "certificates"
    place.mkdir()
    (place / f"{ALICE}.pem").write_bytes(pem())
    (place / f"{BOB}.crt").write_bytes(pem(1, emails=(BOB,)))
    return place


def fingerprint(data):
    return load_recipients(data)[0].fingerprint


# --- accounts --------------------------------------------------------------------------------


def test_an_account_from_nothing_to_removed(good, command, folder):
    assert good("account", "list") == ""
    words = ("--cipher", "aes256-cbc", "--without-certificate")
    added = good("account", "add", "Alice@Example.ORG", *words)
    assert added.split("\t")[:3] == [ALICE, "aes256-cbc", "no certificate: mail waits"]
    taken = good("account", "import", ALICE, folder / f"{ALICE}.pem")
    assert taken.startswith(f"{ALICE}\t")
    assert fingerprint(pem()) in taken
    assert good("account", "list").startswith(f"{ALICE}\taes256-cbc\t-\t1 active\tuntil ")
    shown = good("account", "show", ALICE)
    assert f"SHA-256:     {fingerprint(pem())}" in shown
    assert good("account", "disable", ALICE).startswith(f"{ALICE}\toff\t")
    assert good("account", "remove", ALICE) == ""
    gone = command("account", "show", ALICE)
    assert (gone.code, gone.out) == (os.EX_NOUSER, "")
    assert gone.err == f"cmstream: there is no account {ALICE} [no-such-account]\n"


def test_settings_are_set_and_shown_to_programs(good):
    good("account", "add", ALICE)
    good("account", "set", ALICE, "--cipher", "aes128-cbc", "--without-certificate",
         "--encrypt-on-append", "yes",
         "--when-unusable", "clear", "--aliases", "b@example.org, a@example.org",
         "--domains", "example.net")  # fmt: skip
    found = json.loads(good("account", "show", "--json", ALICE))
    assert found["cipher"] == "aes128-cbc"
    assert found["encrypt_on_append"] is True
    assert found["when_unusable"] == "clear"
    assert found["aliases"] == ["a@example.org", "b@example.org"]
    assert found["domains"] == ["example.net"]
    assert found["protected"] is False
    good("account", "set", ALICE, "--aliases", "", "--encrypt-on-append", "no")
    (found,) = json.loads(good("account", "list", "--json"))
    assert (found["aliases"], found["encrypt_on_append"]) == ([], False)
    assert found["cipher"] == "aes128-cbc"


def test_certificates_are_retired_activated_and_deleted(good, command):
    first, second = pem(), pem(1)
    good("account", "add", ALICE, "--cipher", "aes256-cbc", "--without-certificate")
    for data in (first, second):
        assert run_on_input(good, data, "account", "import", ALICE, "-")
    good("account", "set", ALICE, "--retire", fingerprint(first).upper())
    states = {c["sha256"]: c["state"] for c in certificates(good)}
    assert states == {fingerprint(first): "retired", fingerprint(second): "active"}
    last = command("account", "set", ALICE, "--retire", fingerprint(second))
    assert last.code == os.EX_DATAERR
    assert "[last-certificate]" in last.err
    good("account", "set", ALICE, "--activate", fingerprint(first), "--retire", fingerprint(second))
    good("account", "set", ALICE, "--delete", fingerprint(second))
    assert [c["sha256"] for c in certificates(good)] == [fingerprint(first)]


def run_on_input(run, data, *words):
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    try:
        return run(*words)
    finally:
        sys.stdin = before


def certificates(good):
    return json.loads(good("account", "show", "--json", ALICE))["certificates"]


def test_the_list_is_searched(good, folder):
    good("account", "import", "--add", "--cipher", "aes256-cbc", folder)
    good("account", "add", CAROL)
    assert addresses(good("account", "list")) == [ALICE, BOB, CAROL]
    assert addresses(good("account", "list", "--search", "bob")) == [BOB]
    assert addresses(good("account", "list", "--unprotected")) == [CAROL]
    assert addresses(good("account", "list", "--expiring", "30")) == []
    assert addresses(good("account", "list", "--expiring", "36500")) == [ALICE, BOB]


def addresses(output):
    return [line.split("\t")[0] for line in output.splitlines()]


# --- import ----------------------------------------------------------------------------------


def test_a_folder_is_imported_and_each_file_is_told_of(command, good, folder):
    (folder / "dan@example.org.pem").write_bytes(b"nothing")
    (folder / "whoever.der").write_bytes(load_recipients(pem(2, emails=(CAROL,)))[0].der)
    (folder / "readme.txt").write_text("no certificate")
    done = command("account", "import", "--add", "--cipher", "aes128-cbc", folder)
    assert done.code == os.EX_DATAERR
    assert sorted(addresses(done.out)) == [ALICE, BOB, CAROL]
    assert "dan@example.org.pem: not imported: " in done.err
    assert "[not-a-certificate]" in done.err
    assert done.err.endswith("cmstream: 1 of 4 files weren't imported\n")
    listed = good("account", "list")
    assert addresses(listed) == [ALICE, BOB, CAROL]
    assert listed.count("aes128-cbc") == 3


def test_a_csv_is_imported_and_told_of_to_programs(command, folder, tmp_path):
    table = tmp_path / "list.CSV"
    table.write_text(
        f"address,file\n{ALICE},certificates/{ALICE}.pem\n\n"
        f"{BOB},certificates/{ALICE}.pem\n{CAROL},none.pem\n",
        "utf-8-sig",
    )
    done = command("account", "import", "--add", "--json", table)
    assert done.code == os.EX_NOINPUT
    taken, other, missing = json.loads(done.out)
    assert (taken["account"], taken["saved"]) == (ALICE, True)
    assert taken["certificates"][0]["sha256"] == fingerprint(pem())
    assert other["error"]["code"] == "address-mismatch"
    assert missing["error"]["code"] == "no-such-file"
    assert addresses(command("account", "list").out) == [ALICE]


TABLES = {
    "semicolons": "address;file\n{0};{1}\n",
    "semicolons of Excel": "sep=;\r\naddress;file\r\n{0};{1}\r\n",
    "tabs": "{0}\t{1}\n",
    "the other order": "file,address\n{1},{0}\n",
    "the other order, with more": "Name;FILE;Address\nAlice;{1};{0}\n",
    "no heading": "{0},{1}\n",
    "a heading in German": "Adresse;Datei\n{0};{1}\n",
    "a semicolon in a cell": "address,file,note\n{0},{1},x;y\n",
    "a semicolon in the heading": 'address,"file",x;y\n{0},{1},z\n',
    "an empty line before": "\n{0};{1}\n",
    "quotation marks": '"address";"file"\n"{0}";"{1}"\n',
}


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_spreadsheets_write_it(command, folder, tmp_path, table, charset):
    path = tmp_path / "list.csv"
    (folder / f"{ALICE}.pem").rename(folder / "Jürgen.pem")
    path.write_bytes(table.format(ALICE, "certificates/Jürgen.pem").encode(charset))
    done = command("account", "import", "--add", path)
    assert done.code == os.EX_OK, done.err
    assert addresses(command("account", "list").out) == [ALICE]


def test_a_folder_gives_signatures_too(command, tmp_path):
    folder = tmp_path / "signatures"
    folder.mkdir()
    one = load_pem_x509_certificate(pem())
    bundle = pkcs7.serialize_certificates([one], Encoding.DER)
    (folder / f"{ALICE}.p7s").write_bytes(bundle)
    assert command("account", "import", "--add", folder).code == os.EX_OK
    assert addresses(command("account", "list").out) == [ALICE]


@pytest.mark.parametrize("text", ["a@example.org\n", "a@example.org,x,y\n", '"', ",x@y\n"])
def test_a_csv_that_cannot_be_read_changes_nothing(command, tmp_path, text):
    table = tmp_path / "list.csv"
    table.write_text(text)
    done = command("account", "import", "--add", table)
    assert (done.code, done.out) == (os.EX_DATAERR, "")
    assert command("account", "list").out == ""


@pytest.mark.parametrize("text", ["", "\n", "address,file\n"])
def test_a_csv_that_lists_nothing_says_so(command, tmp_path, text):
    table = tmp_path / "list.csv"
    table.write_text(text)
    done = command("account", "import", "--add", table)
    assert (done.code, done.out) == (os.EX_NOINPUT, "")
    assert "lists no files" in done.err


def test_a_dry_run_changes_nothing(good, command, folder):
    out = good("account", "import", "--add", "--dry-run", folder)
    assert addresses(out) == [ALICE, BOB]
    assert "can be imported" in out
    assert good("account", "list") == ""
    unknown = command("account", "import", "--dry-run", folder)
    assert unknown.code == os.EX_NOUSER


def test_another_address_needs_to_be_confirmed(command, good, folder):
    refused = command("account", "import", "--add", BOB, folder / f"{ALICE}.pem")
    assert refused.code == os.EX_DATAERR
    assert f"The certificate is for {ALICE}, not for {BOB}." in refused.err
    assert good("account", "list") == ""  # nor is there an account now
    words = ("--add", "--confirm-mismatch", "--retire-others", BOB, folder / f"{ALICE}.pem")
    taken = command("account", "import", *words)
    assert taken.code == 0
    assert "[address-mismatch]" in taken.err


def test_others_are_retired_in_the_same_step(good, command):
    good("account", "add", ALICE, "--cipher", "aes256-cbc", "--without-certificate")
    run_on_input(good, pem(), "account", "import", ALICE, "-")
    done = run_on_input(command, pem(1), "account", "import", "--retire-others", ALICE, "-")
    assert done.code == 0
    assert f"retired {fingerprint(pem())}" in done.err
    assert [c["state"] for c in certificates(good)] == ["active", "retired"]


def test_a_pfx_needs_its_password_and_its_key_is_forgotten(command, tmp_path, monkeypatch):
    key, certificate = rsa_identity()
    sealed = BestAvailableEncryption(b"sesame")
    pfx = tmp_path / "alice.pfx"
    pfx.write_bytes(serialize_key_and_certificates(b"alice", key, certificate, None, sealed))
    locked = command("account", "import", "--add", ALICE, pfx)
    assert locked.code == os.EX_DATAERR
    assert "[password-needed]" in locked.err
    monkeypatch.setenv("PFX", "wrong")
    wrong = command("account", "import", "--add", "--password-env", "PFX", ALICE, pfx)
    assert "[wrong-password]" in wrong.err
    (tmp_path / "pw").write_text("sesame\n")
    words = ("--add", "--password-file", tmp_path / "pw", ALICE, pfx)
    taken = command("account", "import", *words)
    assert taken.code == 0
    assert "private key in it was ignored" in taken.err
    assert "sesame" not in taken.out + taken.err


# --- people ----------------------------------------------------------------------------------


def test_a_link_lets_the_owner_in(good, command, url):
    good("account", "add", ALICE)
    link = good("account", "link", ALICE, "--public-url", "https://keys.example.org/").strip()
    start, _, secret = link.rpartition("/")
    assert start == "https://keys.example.org/link"
    with open_store(url) as store:
        session = People(store).use_link(secret, "a horse that staples")
    assert (session.person.role, session.person.account) == ("owner", ALICE)
    assert json.loads(good("account", "show", "--json", ALICE))["owners"] == [ALICE]
    good("account", "link", ALICE, "--public-url", "https://keys.example.org", "--minutes", "60")
    stranger = command("account", "link", BOB, "--public-url", "https://keys.example.org")
    assert stranger.code == os.EX_NOUSER
    boss = good("account", "link", "boss", "--administrator", "--public-url", "https://k.example")
    with open_store(url) as store:
        assert People(store).link(boss.strip().rpartition("/")[2]).person.role == "administrator"


def test_a_link_says_how_long_it_works(command, good, url):
    good("account", "add", ALICE)
    done = command("account", "link", ALICE, "--public-url", "https://k.example", "--minutes", "60")
    with open_store(url) as store:
        until = People(store).link(done.out.strip().rpartition("/")[2]).expires_at
    assert f"until {until:%Y-%m-%d %H:%M} UTC" in done.err


def test_commands_mail_the_owner_what_they_change(command, good, tmp_path, monkeypatch):
    """An import, which is several changes together, is mailed like any other, and so is one of a
    certificate for somebody else."""
    good("account", "add", ALICE)
    file, box = tmp_path / "bob.pem", tmp_path / "box"
    file.write_bytes(pem(emails=(BOB,)))
    monkeypatch.setenv("CMSTREAM_NOTIFY", f"sh -c 'cat >> {box}'")
    assert command("account", "import", "--confirm-mismatch", ALICE, file).code == 0
    text = box.read_text()
    assert f"To: {ALICE}" in text
    assert text.count("added a certificate") == 1
    good("account", "set", ALICE, "--cipher", "aes256-cbc")
    assert box.read_text().removeprefix(text).count("changed the settings") == 1


def test_the_audit_log_names_who_ran_the_command(good, url, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "carol")
    good("account", "add", ALICE)
    with open_store(url) as store:
        (entry,) = store.audit()
    assert (entry.actor, entry.role) == ("carol (command)", "administrator")


def test_owners_are_mailed_what_the_command_changed(good, monkeypatch, tmp_path):
    script = tmp_path / "sendmail"
    script.write_text(f"#!/bin/sh\ncat > {tmp_path}/mail\n")
    script.chmod(0o700)
    monkeypatch.setenv("CMSTREAM_NOTIFY", f"{script} -t -i")
    good("account", "add", ALICE)
    assert not (tmp_path / "mail").exists()
    good("account", "set", ALICE, "--clients", "mutt")
    assert f"To: {ALICE}" in (tmp_path / "mail").read_text()


# --- the whole server ------------------------------------------------------------------------


def test_the_server_s_switches_are_shown_set_and_logged(good, command, url, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "carol")
    shown = good("account", "server")
    assert shown.splitlines() == [
        "encryption\tas-accounts-say",
        "encrypt-on-append\tas-accounts-say",
        "when-unusable\tas-accounts-say",
        "header-protection\tas-accounts-say",
        "default-header-protection\tnone",
        "recipient-delimiter\t+",
        "append-sealed-by\tnone",
    ]
    assert "recipient-delimiter\t-+\n" in good("account", "server", "--recipient-delimiter=-+")
    good("account", "server", "--when-unusable", "clear", "--encrypt-on-append", "yes")
    wrong = command("account", "server", "--encryption", "off", "--recipient-delimiter", "a")
    assert (wrong.code, wrong.out) == (os.EX_DATAERR, "")
    assert wrong.err.endswith("[invalid-setting]\n")
    assert json.loads(good("account", "server", "--json")) == {
        "encryption": "as-accounts-say",
        "encrypt_on_append": "yes",
        "when_unusable": "clear",
        "header_protection": "",
        "default_header_protection": "none",
        "recipient_delimiter": "-+",
        "append_sealed_by": "none",
    }
    good("account", "server", "--when-unusable", "as-accounts-say", "--recipient-delimiter", "")
    assert "recipient-delimiter\tnone\n" in good("account", "server")
    with open_store(url) as store:
        assert store.switches()["when_unusable"] == ""
        entries = store.audit()
    first = {"switch": "recipient_delimiter", "old": "+", "new": "-+"}
    assert (entries[-1].action, entries[-1].detail) == ("set-switch", first)
    assert {(one.actor, one.role) for one in entries} == {("carol (command)", "administrator")}
    assert len(entries) == 5  # what only looks, and what was refused, leaves no entry


def test_an_account_is_shown_with_the_switches_that_override_it(good):
    good("account", "add", ALICE, "--cipher", "aes256-cbc", "--without-certificate")
    assert "(but" not in good("account", "show", ALICE)
    good("account", "server", "--encrypt-on-append", "yes", "--encryption", "off")
    shown = {" ".join(one.split()) for one in good("account", "show", ALICE).splitlines()}
    assert "encrypt-on-append: no (but the server's switch says yes, for all)" in shown
    assert "cipher: aes256-cbc (but encryption is switched off for the whole server)" in shown


# --- tokens ----------------------------------------------------------------------------------


def test_a_token_is_made_used_listed_and_revoked(good, command, url):
    words = ("--scope", "metrics", "--scope", "accounts:read", "--days", "30")
    secret = good("token", "add", "gate", *words).strip()
    with open_store(url) as store:
        found = People(store).token(secret)
    assert found.scopes == ("accounts:read", "metrics")
    assert found.account is None
    (listed,) = json.loads(good("token", "list", "--json"))
    assert (listed["id"], listed["name"], listed["works"]) == (found.id, "gate", True)
    assert listed["used_at"]
    assert secret not in good("token", "list")
    good("token", "revoke", found.id)
    with open_store(url) as store:
        assert People(store).token(secret) is None
    assert "revoked" in good("token", "list")
    assert command("token", "revoke", found.id + 1).code == os.EX_NOUSER


def test_a_token_may_be_for_one_account(good, command):
    unknown = command("token", "add", "x", "--scope", "accounts:read", "--account", ALICE)
    assert unknown.code == os.EX_NOUSER
    good("account", "add", ALICE)
    good("token", "add", "script", "--scope", "accounts:read", "--account", ALICE)
    (listed,) = json.loads(good("token", "list", "--json", "--account", ALICE))
    assert (listed["role"], listed["account"]) == ("owner", ALICE)
    beyond = command("token", "add", "x", "--scope", "metrics", "--account", ALICE)
    assert beyond.code == os.EX_DATAERR


# --- endings ---------------------------------------------------------------------------------


def test_only_accounts_and_the_server_create_a_database(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CMSTREAM_DATABASE", f"sqlite:///{tmp_path}/new.sqlite3")
    assert main(["token", "list"]) == os.EX_NOINPUT
    assert "[no-database]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["account", "list"]) == 0
    assert (tmp_path / "new.sqlite3").stat().st_mode & 0o777 == 0o600
    assert main(["token", "list"]) == 0


def test_the_default_database_gets_its_folder_and_a_named_one_does_not(
    tmp_path, monkeypatch, capsys
):
    from cmstream.command import database

    monkeypatch.delenv("CMSTREAM_DATABASE", raising=False)
    place = tmp_path / "a b" / "accounts.sqlite3"
    monkeypatch.setattr(database, "PLACE", place)
    assert main(["account", "list"]) == 0
    assert place.is_file()
    assert place.parent.stat().st_mode & 0o777 == 0o700
    named = f"sqlite:///{tmp_path}/none/accounts.sqlite3"
    assert main(["account", "list", "--database", named]) == os.EX_NOINPUT
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "words, code",
    [(["account"], 64), (["account", "fly"], 64), (["account", "add"], 64), (["token"], 64),
     (["account", "add", "nobody"], 65), (["account", "set", ALICE], 64),
     (["account", "set", ALICE, "--cipher", "rot13"], 64), (["account", "import", "x"], 64),
     (["account", "import", ALICE, "/nowhere"], 66), (["account", "import", "/"], 66),
     (["account", "link", ALICE], 64),
     (["account", "link", ALICE, "--public-url", "keys.example.org"], 64),
     (["account", "list", "--expiring", "-1"], 64),
     (["account", "server", "--encryption", "on"], 64),
     (["account", "server", "--recipient-delimiter", "a"], 65),
     (["account", "list", "--database", "mysql://x"], 64), (["token", "add", "x"], 64),
     (["token", "add", "x", "--scope", "root"], 64), (["token", "revoke", "x"], 64),
     (["token", "add", "x", "--scope", "metrics", "--days", "0"], 64),
     (["account", "disable", ALICE], 67), (["account", "remove", ALICE], 67)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)  # fmt: skip
def test_exit_codes(sqlite_url, monkeypatch, capsys, words, code):
    monkeypatch.setenv("CMSTREAM_DATABASE", sqlite_url)
    monkeypatch.delenv("CMSTREAM_PUBLIC_URL", raising=False)
    try:
        found = main(words)
    except SystemExit as ending:
        found = ending.code
    errors = capsys.readouterr().err
    assert found == code
    assert "Traceback" not in errors
    lines = [line for line in errors.splitlines() if line.startswith("cmstream: ")]
    assert lines


@pytest.mark.parametrize("what", [["account"], ["account", "import"], ["account", "server"],
                                  ["token", "add"], ["serve"]])  # fmt: skip
def test_help_has_examples(capsys, what):
    with pytest.raises(SystemExit) as ending:
        main([*what, "--help"])
    assert ending.value.code == 0
    assert "examples:" in capsys.readouterr().out
