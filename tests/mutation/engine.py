"""The engine in C, built again quickly after a change of one file."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NATIVE = (
    "known_answers",
    "base64_canon",
    "unbase64",
    "lines",
    "readable",
    "digest",
    "rsa",
    "rsa_wrap",
)
SECONDS = 300
FLAGS = ["-std=gnu11", "-fPIC", "-fvisibility=hidden", "-Inative", "-O2"]
LIBRARIES = ["-lcrypto"]


class Engine:
    """In a copy of the project. ``tests``: those of Python that look at it the most."""

    tests = (
        "tests/engine", "tests/asn1", "tests/cms", "tests/mail", "tests/test_encrypt.py",
        "tests/test_messages.py", "tests/test_streams.py", "tests/test_many.py",
        "tests/test_decrypt.py", "tests/test_usual_opening.py", "tests/test_message_stream.py",
        "tests/test_decrypt_failures.py", "tests/test_many_authenticated.py",
        "tests/test_encrypt_authenticated.py", "tests/test_decrypt_authenticated.py",
        "tests/test_no_random.py", "tests/test_bound.py", "tests/test_stream_arguments.py",
        "tests/test_decrypt_message.py", "tests/test_inspect.py", "tests/test_many_fuzz.py",
        "tests/test_gather.py", "tests/recipients", "tests/test_ciphers.py",
    )  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self._folder, self._objects = folder, folder / "objects"
        self._objects.mkdir()
        self._module = self._made()
        sources = sorted(one.relative_to(folder) for one in (folder / "native").rglob("*.c"))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            if not all(pool.map(self._compile, [self._module, *sources])):
                raise RuntimeError("the engine doesn't compile without a fault")
        self._link()

    def build(self, path: Path, text: str) -> bool:
        """Whether it compiles with this text as the file."""
        (self._folder / path).write_text(text, "utf-8")
        if not self._compile(path):
            return False
        self._link()
        return True

    def native(self) -> str | None:
        """The standalone test that fails, or None."""
        objects = [str(one) for one in self._objects.glob("native_*.o")]
        for name in NATIVE:
            program = self._folder / name
            self._run("gcc", *FLAGS, f"tests/native/{name}.c", *objects, *LIBRARIES, "-o", program)
            cases = ["2000"] if name == "rsa" else []
            try:
                done = subprocess.run(
                    [program, *cases], capture_output=True, check=False, timeout=SECONDS
                )
            except subprocess.TimeoutExpired:
                return f"tests/native/{name}.c: it didn't end"
            if done.returncode:
                return f"tests/native/{name}.c"
        return None

    def _made(self) -> Path:
        """The module's own source."""
        text = "import build; build.make_ffibuilder().emit_c_code('objects/_native.c')"
        subprocess.run([sys.executable, "-c", text], cwd=self._folder, check=True)
        return Path("objects/_native.c")

    def _compile(self, path: Path) -> bool:
        made = self._objects / f"{'_'.join(path.with_suffix('').parts)}.o"
        include = sysconfig.get_paths()["include"]
        flags = [*FLAGS, f"-I{include}", "-DPy_LIMITED_API=0x030a0000"]
        return self._run("gcc", *flags, "-c", path, "-o", made)

    def _link(self) -> None:
        target = self._folder / "src" / "cmstream" / "_native.abi3.so"
        new = target.with_suffix(".new")
        objects = sorted(self._objects.glob("*.o"))
        if not self._run("gcc", "-shared", *objects, "-Wl,-z,now", "-o", new):
            raise RuntimeError("the engine doesn't link")
        new.replace(target)

    def _run(self, *command: object) -> bool:
        done = subprocess.run(
            [str(one) for one in command], cwd=self._folder, capture_output=True, check=False
        )
        return not done.returncode
