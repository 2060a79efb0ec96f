"""The project's own rules: layers, sizes, docstrings, one gate to C."""

from __future__ import annotations

import ast
import inspect
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import cmstream
from cmstream import accounts

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "cmstream"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FILES = [p for folder in ("src", "native", "tests", "bench") for p in (ROOT / folder).rglob("*.*")]

# Ground floor first: a module imports from floors below its own.
FLOORS = [
    {"errors", "key_wrap", "policy", "tlv", "output", "progress"},
    {"_core", "aead", "keys", "mime", "old_wrap", "pfx_outline", "x509"},
    {
        "_batch",
        "_opening",
        "answers",
        "archive_keys",
        "authenticated",
        "fields",
        "ml_kem_keys",
        "recognise",
    },
    {"private_keys"},
    {"header_protection", "pfx", "push", "pwri_kek", "sealed", "spool"},
    {"containers", "unframe"},
    {"certificates"},
    {"command", "enveloped", "wrapping"},
    {"choice", "identity", "opener"},
    {"agreement", "archive", "contents", "kem", "transport"},
    {"cms", "unwrap"},
    {"passes", "sealing"},
    {"decrypt", "encrypt"},
    {"many", "streams"},
    {"gather", "inspection"},
    {"__init__", "show"},
    # The store of accounts.
    {"accounts.tables", "accounts.errors", "accounts.clients", "accounts.scratch"},
    {"accounts.addresses", "accounts.database", "accounts.account"},
    {"accounts.rows", "accounts.values", "accounts.migrations.env"},
    {"accounts.audit"},
    {"accounts.figures", "accounts.imports", "accounts.lookup"},
    {"accounts.change"},
    {"accounts.store"},
    {"accounts.__init__"},
    # Its people.
    {"accounts.credentials", "accounts.limits", "accounts.passwords"},
    {"accounts.sessions", "accounts.tokens"},
    {"accounts.links"},
    {"accounts.people"},
    # Its API and its pages.
    {"accounts.web.problems", "accounts.web.resources"},
    {"accounts.web.sample", "accounts.web.settings", "accounts.web.schemas", "accounts.web.views"},
    {"accounts.web.auth", "accounts.web.inputs"},
    {
        "accounts.web.api_people",
        "accounts.web.forms",
        "accounts.web.metrics",
        "accounts.web.operations",
    },
    {"accounts.web.api", "accounts.web.openapi", "accounts.web.pages.words"},
    {"accounts.web.docs"},
    {"accounts.web.pages.visit"},
    {"accounts.web.pages.certificates", "accounts.web.pages.entry", "accounts.web.pages.upload"},
    {"accounts.web.pages.accounts", "accounts.web.pages.bulk"},
    {"accounts.web.pages.administration"},
    {"accounts.web.pages.__init__"},
    {"accounts.web.app"},
    # Its commands.
    {"accounts.commands.__init__", "accounts.commands.accounts_shown"},
    {"accounts.commands.managing", "accounts.commands.seal"},
    {"accounts.commands.importing", "accounts.commands.serve", "accounts.commands.token"},
    {"accounts.commands.account"},
    {"cli_open"},
    {"cli"},
    {"__main__"},
]


def name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {name(path): path for path in SOURCES}
# Packages that say nothing but what they are, and migrations, which never change again.
EMPTY = {"accounts.web.__init__", "accounts.migrations.__init__"}
FROZEN = {one for one in MODULES if one.startswith("accounts.migrations.versions.")}


def imports(path):
    """The project's modules that a module imports, wherever it does."""
    package = ["cmstream", *name(path).split(".")[:-1]]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base += (node.module or "").split(".") if node.module else []
            if base[:1] == ["cmstream"]:
                yield from (_imported(base[1:], alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ("__init__" for one in node.names if one.name.startswith("cmstream"))


def _imported(base, last):
    """What ``from base import last`` imports: a module of a package, or a name of a module."""
    places = ([*base, last], base, [*base, "__init__"])
    return next(".".join(one) for one in places if ".".join(one) in {*MODULES, "_native"})


@pytest.mark.parametrize("module", sorted(MODULES.keys() - EMPTY - FROZEN))
def test_a_module_imports_lower_floors_alone(module):
    floor = next((i for i, names in enumerate(FLOORS) if module in names), None)
    assert floor is not None, "which floor is it on?"
    below = set().union(*FLOORS[:floor]) | EMPTY
    found = set(imports(MODULES[module])) - {"_native"}
    assert found - ({"__init__"} if module == "_core" else set()) <= below


def test_the_engine_doesnt_import_the_store():
    engine = [one for one in MODULES if "." not in one and not one.startswith("cli")]
    imported = {found for one in engine for found in imports(MODULES[one])}
    assert not [found for found in imported if found.startswith("accounts")]


def test_every_floor_has_its_modules():
    listed = set().union(*FLOORS) | EMPTY | FROZEN
    assert listed == MODULES.keys()


def test_one_module_imports_the_engine():
    importers = [name(p) for p in SOURCES if "_native import" in p.read_text("utf-8")]
    assert importers == ["_core"]


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix in {".py", ".c", ".h", ".java"}],
                         ids=lambda p: str(p.relative_to(ROOT)))  # fmt: skip
def test_no_file_is_long(path):
    assert len(path.read_text("utf-8").splitlines()) <= 500


def test_functions_are_short():
    lengths = [
        node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert max(lengths) <= 80
    assert statistics.median(lengths) <= 14


CONSTANTS = {"DEFAULT", "CIPHERS", "SWITCHES"}


@pytest.mark.parametrize(
    ("module", "public"),
    [(one, public) for one in (cmstream, accounts) for public in sorted(one.__all__)
     if public not in CONSTANTS],
)  # fmt: skip
def test_what_is_public_is_documented(module, public):
    thing = getattr(module, public)
    assert inspect.getdoc(thing)
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not member.startswith("_") and callable(value):
            assert inspect.getdoc(getattr(thing, member)), f"{public}.{member}"


def test_the_engine_needs_nothing_of_the_store():
    code = "import sys, cmstream.cli; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"sqlalchemy", "alembic", "starlette", "argon2", "cmstream.accounts"} & {*loaded}
