"""Builds the native engine: the cffi builder and the project's build backend in one file.

Installers import this file as the PEP 517 backend (``build-backend = "build"`` in
pyproject.toml). ``python -m build`` in this folder would run this file by mistake, because the
current folder comes first on the path; it steps aside then and runs the real program.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import runpy
import shutil
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent
HEADERS = (
    "cpu.h", "kernel.h", "hash/digest.h", "mail/header.h", "mail/readable.h", "rsa/rsa.h",
    "cms/der.h", "core.h", "cms/open.h", "cms/usual_head.h", "cms/whole.h",
)  # fmt: skip
FLAGS = ("-O3", "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra")
# Python's own flags ask for debug information, which is six times as large as the code. For a
# debugger, ask for it in the environment: CFLAGS=-g pip install .
WITHOUT_DEBUG = () if re.search(r"(^|\s)-g", os.environ.get("CFLAGS", "")) else ("-g0",)
OPAQUE = ("seal", "seal_slots", "seal_single", "seal_aead", "open", "whole")


def declarations() -> str:
    """What Python may call: the text of some headers between their marks. Of some structures
    Python knows the size alone."""
    headers = [ROOT / "native" / name for name in HEADERS]
    marked = re.compile(r"/\* \[python\] \*/(.*)/\* \[end\] \*/", re.DOTALL)
    texts = [marked.findall(header.read_text(encoding="ascii"))[0] for header in headers]
    return "".join(texts) + "".join(f"struct {name} {{ ...; }};" for name in OPAQUE)


def make_ffibuilder():
    """The cffi builder; its sources and flags are the same for every machine, since each kernel
    names its instruction set itself."""
    from cffi import FFI

    builder = FFI()
    builder.cdef(declarations())
    builder.set_source(
        "cmstream._native",
        '#include "core.h"\n#include "cms/whole.h"\n#include "mail/readable.h"',
        sources=_files("*.c"),
        depends=[*_files("*.h"), "build.py"],
        include_dirs=["native"],
        extra_compile_args=[*FLAGS, *WITHOUT_DEBUG],
        # Symbols are bound at once: a late look-up saves vector registers, with keys in them.
        extra_link_args=["-Wl,-z,now"] if sys.platform == "linux" else [],
        py_limited_api=LIMITED_API,
    )
    return builder


def _files(pattern: str) -> list[str]:
    return sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "native").rglob(pattern))


def _forget_libraries_folder() -> None:
    """Python's own link command may name the folder of its libraries. A wheel that kept it would
    look for them there on every machine, and it needs none of them."""
    variables = sysconfig.get_config_vars()
    variables["LDSHARED"] = re.sub(r"-Wl,-rpath[=,]\S+", "", variables["LDSHARED"])


def _settle(archive: Path, date: int) -> None:
    """Writes a source archive again, with all that tests need (setuptools takes only the tests
    themselves), and without what differs between builds: dates, owners, permissions, order."""

    def settled(member: tarfile.TarInfo) -> tarfile.TarInfo:
        runs = member.isdir() or member.mode & 0o100
        member.mode, member.mtime = 0o755 if runs else 0o644, date
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=content, mode="w") as new:
        shutil.unpack_archive(archive, folder)
        root = Path(folder, archive.name.removesuffix(".tar.gz"))
        caches = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(ROOT / "tests", root / "tests", ignore=caches, dirs_exist_ok=True)
        new.add(root, root.name, filter=settled)
    archive.write_bytes(gzip.compress(content.getvalue(), mtime=date))


# The limited API of free-threaded builds isn't there yet: they get a wheel of their own.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

if __name__ == "__main__":
    sys.path = [folder for folder in sys.path if Path(folder or ".").resolve() != ROOT.resolve()]
    runpy.run_module("build", run_name="__main__", alter_sys=True)
elif __name__ == "build":
    import setuptools
    from setuptools import build_meta

    _setup = setuptools.setup

    def _setup_with_engine(**keywords: object) -> object:
        options = {"bdist_wheel": {"py_limited_api": "cp310"}} if LIMITED_API else {}
        keywords = {"cffi_modules": ["build.py:make_ffibuilder"], "options": options} | keywords
        return _setup(**keywords)

    setuptools.setup = _setup_with_engine
    from setuptools.build_meta import *  # noqa: F403

    # The same sources give the same archives, octet for octet, whoever builds them and where.
    # An unpacked source archive has the release's date at its files.
    os.environ.setdefault("SOURCE_DATE_EPOCH", str(int((ROOT / "pyproject.toml").stat().st_mtime)))
    os.umask(0o022)
    _forget_libraries_folder()

    def build_sdist(folder: str, settings: dict | None = None) -> str:
        name = build_meta.build_sdist(folder, settings)
        _settle(Path(folder, name), int(os.environ["SOURCE_DATE_EPOCH"]))
        return name
