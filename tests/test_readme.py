"""The READMEs are true: their code runs and gives what they show, their tables name every error
code, their links lead somewhere.

The two commands that set cmstream up are run by .ci/run. A block behind ``<!-- not run: why -->``
is only checked for its syntax, and its ``cmstream`` commands for their options.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

import cmstream
from cmstream import errors
from cmstream.accounts import errors as store_errors
from cmstream.command import cli
from helpers import warm_command
from helpers.accounts.mail_server import MAIN, MASTER, SCRIPT

ROOT = Path(__file__).parent.parent
TEXTS = sorted(
    path
    for folder in (ROOT, *(ROOT / one for one in ("src", "native", "tests", "bench", "findings")))
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
STORE = ROOT / "src" / "cmstream" / "accounts" / "README.md"
ENGINE = STORE.parents[1] / "README.md"


def name(path):
    return str(path.relative_to(ROOT))


class Block(NamedTuple):
    """A piece of code in a README: ``mark`` is the comment before it, ``output`` what follows as
    its output."""

    path: Path
    line: int
    mark: str
    language: str
    code: str
    output: str | None

    def __str__(self):
        return f"{name(self.path)}:{self.line}"

    @property
    def runs(self):
        return not self.mark


_BLOCK = re.compile(
    r"^(?:<!-- ([^\n]+) -->\n)?```(\w*)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)


def blocks(path):
    text = path.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(path, line, found[1] or "", found[2], found[3], found[4])


BLOCKS = [block for path in TEXTS for block in blocks(path)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
PYTHON = list(dict.fromkeys(block.path for block in BLOCKS if block.language == "python"))


def test_every_block_is_of_a_kind_that_is_checked():
    kinds = {block.language for block in BLOCKS if block.path != STORE}
    assert kinds <= {"sh", "python"}
    for block in SHELL:
        marks = ("main job", "tests") if block.path == ROOT / "README.md" else ()
        assert block.runs or block.mark in marks or block.mark.startswith("not run: "), block


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the examples name, and the command on its PATH."""
    made = tmp_path_factory.mktemp("readme")
    samples = ROOT / "tests" / "samples"
    (made / "tests").mkdir()
    (made / "tests" / "samples").symlink_to(samples)
    certificate = (samples / "alice.pem").read_bytes()
    for name in ("alice.pem", "bob.pem", "alice.p7b"):
        (made / name).write_bytes(certificate)
    (made / "message.eml").write_bytes((samples / "mail.eml").read_bytes())
    for name in ("scan.tiff", "old.tar"):
        (made / name).write_bytes(bytes(range(256)) * 100)
    (made / "pw").write_text("open sesame\n")
    key = load_pem_private_key((samples / "alice.key.pem").read_bytes(), None)
    pfx = pkcs12.serialize_key_and_certificates(
        b"alice", key, load_pem_x509_certificate(certificate), None,
        BestAvailableEncryption(b"open sesame"),
    )  # fmt: skip
    for name in ("alice.pfx", "me.pfx"):
        (made / name).write_bytes(pfx)
    (made / "bin").mkdir()
    with warm_command.program(made / "bin"):
        yield made


@pytest.fixture(scope="module")
def shell(folder):
    """Runs shell code there; the certificate store is one database for all of it."""

    def run(code):
        environment = os.environ | {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "CMSTREAM_DATABASE": "sqlite:///accounts.sqlite3",
        }
        return subprocess.run(
            ["sh", "-eu", "-c", code], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def fresh(folder):
    """Each README begins without an account."""
    for path in folder.glob("accounts.sqlite3*"):
        path.unlink()


@pytest.mark.parametrize("path", list(dict.fromkeys(b.path for b in SHELL if b.runs)), ids=name)
def test_shell_code_runs(path, folder, shell):
    fresh(folder)
    for block in blocks(path):
        if block.language == "sh" and block.runs:
            done = shell(block.code)
            assert done.returncode == 0, f"{block}: {done.stderr}"
            assert block.output in {None, done.stdout}, block


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_python_code_runs(path, folder, shell, monkeypatch):
    """All blocks of a README are one program; what they print is shown."""
    monkeypatch.chdir(folder)
    fresh(folder)
    assert shell(
        "cmstream account import --add --cipher aes256-cbc alice@example.org alice.pem"
    ).returncode == 0  # fmt: skip
    names = {"__name__": "readme"}
    for block in blocks(path):
        if block.language == "python":
            said = io.StringIO()
            code = compile("\n" * block.line + block.code, path, "exec")
            with contextlib.redirect_stdout(said):
                exec(code, names)  # noqa: S102 - the README's own
            assert said.getvalue() == (block.output or ""), block


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_shell_code_is_well_formed(block):
    done = subprocess.run(
        ["sh", "-n"], input=block.code, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def commands(block):
    """The arguments of each ``cmstream`` that stands alone on a line."""
    for line in block.code.splitlines():
        words = shlex.split(re.split(r"[<>|]", line)[0], comments=True)
        if words[:1] == ["cmstream"]:
            yield words[1:]


@pytest.mark.parametrize("block", [b for b in SHELL if any(commands(b)) and not b.runs], ids=str)
def test_the_command_takes_what_is_not_run(block):
    for arguments in commands(block):
        parser = cli._parser(arguments)
        assert parser.parse_args(arguments).run


def test_postfix_is_tested_with_these_lines():
    """The test that runs a real Postfix has its own copy, for a folder of its own."""
    text = STORE.read_text("utf-8")
    main, master = (block.code for block in blocks(STORE) if not block.language)
    assert main in MAIN
    tested = MASTER[MASTER.index("\nseal ") + 1 :]
    local = {"{user}": "vmail", "{folder}": "/usr/local/bin", "${{": "${", "}}": "}"}
    for there, here in local.items():
        tested = tested.replace(there, here)
    assert master == tested
    script = next(code for code in (block.code for block in blocks(STORE)) if "mktemp" in code)
    shared = SCRIPT[SCRIPT.index("sealed=") : SCRIPT.index("cat ")]
    assert shared.replace("{cmstream}", "/usr/local/bin/cmstream") in script
    assert "seal_destination_recipient_limit = 1" in text


def codes(one):
    """Those of an error's docstring: all names in the sentences about codes."""
    text = re.sub(
        r"``(account|retry_after|fingerprint|problems|recipients|size=)``", "", one.__doc__
    )
    return set(re.findall(r"``([a-z]+(?:-[a-z]+)*)``", text.partition("Code")[2]))


def classes(module):
    """The errors that a module defines and that have codes."""
    for one in vars(module).values():
        ours = isinstance(one, type) and one.__module__ == module.__name__
        if ours and issubclass(one, errors.CmstreamError) and codes(one):
            yield one


@pytest.mark.parametrize(
    ("path", "one"),
    [
        *((ENGINE, one) for one in classes(errors)),
        *((STORE, one) for one in classes(store_errors)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_error_code_is_explained(path, one):
    """Behind the class's name, up to the next bold one or, in a table, the end of the row."""
    text = path.read_text("utf-8")
    text = text[text.index("## Error codes") :]
    end = "\n**" if path == ENGINE else "\n"
    part = text[text.index(f"`{one.__name__}`") :].partition(end)[0]
    told = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", part))
    assert codes(one) <= told


def anchors(path):
    """Of its headings, as they are linked to."""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#"):
            words = re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower())
            yield words.replace(" ", "-")


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8").replace("\n", " ")):
        if not target.startswith("http"):
            name, _, anchor = target.partition("#")
            found = (path.parent / name).resolve() if name else path
            assert found.exists(), target
            assert not anchor or anchor in anchors(found), target


def test_the_readme_fits():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 220


def test_the_guide_names_everything_public():
    words = set(re.findall(r"\w+", ENGINE.read_text("utf-8")))
    assert sorted(set(cmstream.__all__) - words) == []
