"""Fuzzes one of the targets beside this file by atheris, which takes libFuzzer's options:
``python tests/fuzz/run.py TARGET [OPTIONS AND FOLDERS]``; ``… TARGET seeds FOLDER`` writes the
inputs that fuzzing begins with. ``.ci/fuzz`` does both."""

from __future__ import annotations

import hashlib
import importlib
import os
import random
import signal
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def write_seeds(name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in importlib.import_module(name).seeds():
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


def fuzz(name: str, options: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["cmstream"]):
        target = importlib.import_module(name)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        source = random.Random(seed)
        if source.random() < 0.5:
            return atheris.Mutate(data, most)
        return target.mutate(data, source)[:most]

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # libFuzzer's handler takes no other's place
    # Where libFuzzer starts itself again, it calls the program by its name.
    program = os.environ.get("FUZZ_PROGRAM", sys.argv[0])
    atheris.Setup([program, *options], target.check, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> None:
    name, *options = sys.argv[1:]
    warnings.simplefilter("ignore")
    if options[:1] == ["seeds"]:
        write_seeds(name, Path(options[1]))
    else:
        fuzz(name, options)


if __name__ == "__main__":
    main()
