"""The project's own rules: layers, sizes, docstrings, one gate to C, findings, the top level."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
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

# Lowest layer first. A module imports from its own folder and from lower layers.
LAYERS = [
    {"ciphers"},
    {"batches", "codes", "errors", "policy", "scratch", "sync", "asn1", "lazy"},
    {"engine"},
    {"certificates", "mail"},
    {"cms"},
    {"recipients"},
    {"sealing", "spool", "decryption_pass", "usual_opening"},
    {"encryption", "decryption"},
    {"many", "streams"},
    {"gather", "inspection"},
    {"public"},
    {"__init__"},
    {"accounts"},
    {"accounts.people"},
    {"accounts.http"},
    {"accounts.api", "accounts.pages"},
    {"accounts.web"},
    {"gateway.protocol"},
    {"gateway", "mailboxes", "archive"},
    {"command"},
    {"__main__"},
]


def name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {name(path): path for path in SOURCES}


def layer(module):
    """The layer of a module: that of its folder, or its own if it stands at the top."""
    folder = module.rpartition(".")[0] or module
    while folder and (found := [i for i, names in enumerate(LAYERS) if folder in names]) == []:
        folder = folder.rpartition(".")[0]
    assert folder, f"{module}: which layer is it in?"
    return found[0]


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


IMPORTS = {module: set(imports(path)) - {module, "_native"} for module, path in MODULES.items()}


def test_no_module_imports_a_higher_layer():
    upward = [
        f"{module} imports {other}"
        for module, found in IMPORTS.items()
        for other in found
        if layer(other) > layer(module)
    ]
    assert not upward


def test_layers_are_separate():
    """What stands in one layer side by side doesn't import each other."""
    sideways = [
        f"{module} imports {other}"
        for module, found in IMPORTS.items()
        for other in found
        if layer(other) == layer(module) and room(other) != room(module)
    ]
    assert not sideways


def room(module):
    """The folder named in the layers in which a module stands, or the module itself."""
    names = LAYERS[layer(module)]
    return next(one for one in names if module == one or module.startswith(f"{one}."))


def test_imports_run_in_no_circle():
    left = dict(IMPORTS)
    while free := [module for module, found in left.items() if not found & left.keys()]:
        for module in free:
            del left[module]
    assert not left


def test_every_layer_exists():
    assert all(
        (PACKAGE / one.replace(".", "/")).is_dir() or one in MODULES
        for names in LAYERS
        for one in names
    )


def test_one_module_imports_the_engine():
    importers = [name(p) for p in SOURCES if "_native import" in p.read_text("utf-8")]
    assert importers == ["engine.gate"]


def test_only_the_engine_calls_c():
    """What stands above it has classes and functions for that."""
    callers = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in {"lib", "ffi"})
        or (isinstance(node, ast.alias) and node.name in {"lib", "ffi"})
    ]
    assert {module.rpartition(".")[0] for module in callers} == {"engine"}


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
ALIASES = {"To": "encryption", "Who": "decryption", "Form": "sealing"}


@pytest.mark.parametrize(
    ("module", "public"),
    [(one, public) for one in (cmstream, accounts) for public in sorted(one.__all__)
     if public not in {*CONSTANTS, *ALIASES}],
)  # fmt: skip
def test_what_is_public_is_documented(module, public):
    thing = getattr(module, public)
    assert inspect.getdoc(thing)
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not member.startswith("_") and callable(value):
            assert inspect.getdoc(getattr(thing, member)), f"{public}.{member}"


@pytest.mark.parametrize(("alias", "module"), ALIASES.items())
def test_public_types_are_documented(alias, module):
    """An alias has no docstring of its own: it stands behind its definition."""
    assert alias in cmstream.__all__
    lines = ast.parse(MODULES[module].read_text("utf-8")).body
    names = [node.targets[0].id if isinstance(node, ast.Assign) else "" for node in lines]
    behind = lines[names.index(alias) + 1]
    assert isinstance(behind, ast.Expr)
    assert isinstance(behind.value.value, str)


def test_the_engine_needs_nothing_of_the_store():
    code = "import sys, cmstream.command.cli; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert not {"sqlalchemy", "alembic", "starlette", "argon2", "cmstream.accounts"} & {*loaded}


FINDINGS = sorted((ROOT / "findings").glob("*.sh"))


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.name)
def test_a_finding_says_what_was_tried_and_seen(path):
    """It stands in no list of CI's, so that this is all that is checked of it."""
    assert os.access(path, os.X_OK)
    first, *lines = path.read_text("utf-8").splitlines()
    assert first.startswith("#!")
    comment = "\n".join(lines[: next(i for i, line in enumerate(lines) if line[:1] != "#")])
    assert re.search(r"^# Tried: .*\d+\.\d+", comment, re.MULTILINE)
    assert "\n# Behaviour: " in comment
    assert f"`{path.name}`" in (ROOT / "findings" / "README.md").read_text("utf-8")


TOP = {
    "pyproject.toml", "build.py", "src", "native", "tests", "bench", "findings",
    "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md",
}  # fmt: skip


def test_the_top_level_has_few_names():
    if not shutil.which("git"):
        pytest.skip("there is no git")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("this is no checkout of git's")
    top = {one.partition("/")[0] for one in listed.stdout.splitlines()}
    assert {one for one in top if not one.startswith(".")} == TOP


LAZY = """
import sys
before = {*sys.modules}
import cmstream
assert {*sys.modules} - before <= {"cmstream", "__future__"}, {*sys.modules} - before
import cmstream.streams  # and no module takes the place of a public name
from cmstream import *
for name in cmstream.__all__:
    thing = getattr(cmstream, name)
    assert globals()[name] is thing
    assert type(thing) is not type(sys), name
assert {*cmstream.__all__, "__version__"} <= {*dir(cmstream)}
assert not hasattr(cmstream, "nonsense")
print(cmstream.__version__, cmstream.errors.CmstreamError.__name__)
"""


def test_the_package_imports_nothing_before_it_is_used():
    said = subprocess.check_output([sys.executable, "-c", LAZY], text=True)
    assert said == f"{cmstream.__version__} CmstreamError\n"


def test_the_store_comes_when_it_is_asked_for():
    code = "import cmstream; print(cmstream.accounts.open_store.__module__)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == (
        "cmstream.accounts.store\n"
    )
