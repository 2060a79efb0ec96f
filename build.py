"""Builds the native engine: the cffi builder and the project's build backend in one file.

Installers import this file as the PEP 517 backend (``build-backend = "build"`` in
pyproject.toml). ``python -m build`` in this folder would run this file by mistake, because the
current folder comes first on the path; it steps aside then and runs the real program.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parent
HEADERS = (
    "cpu.h", "kernel.h", "hash/digest.h", "mail/header.h", "rsa/rsa.h", "cms/der.h", "core.h",
    "cms/open.h", "cms/usual_head.h", "cms/whole.h",
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
        '#include "core.h"\n#include "cms/whole.h"',
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


# The limited API of free-threaded builds isn't there yet: they get a wheel of their own.
LIMITED_API = not sysconfig.get_config_var("Py_GIL_DISABLED")

if __name__ == "__main__":
    sys.path = [folder for folder in sys.path if Path(folder or ".").resolve() != ROOT.resolve()]
    runpy.run_module("build", run_name="__main__", alter_sys=True)
elif __name__ == "build":
    import setuptools

    _setup = setuptools.setup

    def _setup_with_engine(**keywords: object) -> object:
        options = {"bdist_wheel": {"py_limited_api": "cp310"}} if LIMITED_API else {}
        keywords = {"cffi_modules": ["build.py:make_ffibuilder"], "options": options} | keywords
        return _setup(**keywords)

    setuptools.setup = _setup_with_engine
    from setuptools.build_meta import *  # noqa: F403
