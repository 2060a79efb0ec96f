"""The project's own rules: layers, sizes, docstrings, one gate to C."""

from __future__ import annotations

import ast
import inspect
import statistics
from pathlib import Path

import pytest

import cmstream

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "cmstream").glob("*.py"))
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
    {"cli_open"},
    {"cli"},
    {"__main__"},
]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (
            node.level or (node.module or "").startswith("cms")
        ):
            module = (node.module or "").removeprefix("cmstream").lstrip(".")
            names = [module] if module else [alias.name for alias in node.names]
            yield from (n if (path.parent / f"{n}.py").exists() else "__init__" for n in names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_a_module_imports_lower_floors_alone(path):
    floor = next(i for i, names in enumerate(FLOORS) if path.stem in names)
    below = set().union(*FLOORS[:floor])
    found = set(imports(path)) - {"_native"} - ({"__init__"} if path.stem == "_core" else set())
    assert found <= below


def test_one_module_imports_the_engine():
    importers = [p.stem for p in SOURCES if "_native import" in p.read_text("utf-8")]
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
        if isinstance(node, ast.FunctionDef)
    ]
    assert max(lengths) <= 80
    assert statistics.median(lengths) <= 14


@pytest.mark.parametrize("name", [n for n in cmstream.__all__ if n != "DEFAULT"])
def test_what_is_public_is_documented(name):
    thing = getattr(cmstream, name)
    assert inspect.getdoc(thing)
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not member.startswith("_") and callable(value):
            assert inspect.getdoc(getattr(thing, member)), f"{name}.{member}"
