"""Measures archives: one process against two, Ray's tasks against processes and against Ray Data,
the memory of a worker, and whether many files slow a run down.

python bench/archive.py [--rounds N] [--quick] [--files N] [--folder FOLDER] [--out FOLDER]

Needs Linux; the rows of Ray are left out where it isn't installed. All rows seal the same files and
take turns. Everything that could be started before is warm.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cmstream
import results
from cmstream.archive import batch, places
from cmstream.archive.items import Item, Job
from cmstream.archive.processes import Here, Processes
from cmstream.archive.running import Run
from conditions import Conditions
from measure import median_ratio

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
ONE, TWO, TASKS = "one process", "two processes", "Ray tasks"
FROM_ITEMS, BINARY = "Ray Data, from_items", "Ray Data, read_binary_files"
# Text, ratio of two rows' rates, least, aim.
RATIOS = (
    ("two processes against one", TWO, ONE, 1.8, 1.95),
    ("Ray tasks, warm, against processes", TASKS, TWO, 0.9, 1.0),
    ("Ray tasks against Ray Data, from_items", TASKS, FROM_ITEMS, 8.0, 15.0),
    ("Ray tasks against Ray Data, read_binary_files", TASKS, BINARY, 8.0, 15.0),
)
SIZES = (1, 2, 4, 4, 8, 16, 32, 48)  # KiB: 14 KiB a message on average


def make_mails(folder: Path, count: int, sizes: tuple[int, ...] = SIZES) -> Path:
    """So many mails of those sizes in KiB, 500 in a folder."""
    chance = random.Random(1)  # noqa: S311 - the same ones each time
    line = b"0123456789 abcdefghijklmnopqrstuvwxyz and some more words here\r\n"
    for number in range(count):
        size = chance.choice(sizes) << 10
        body = b"Subject: %d\r\nContent-Type: text/plain\r\n\r\n" % number + line * (size // 64)
        path = folder / f"{number // 500}" / f"{number}.eml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body[:size])
    return folder


def certificate() -> bytes:
    (one,) = cmstream.load_recipients((ROOT / "tests/samples/alice.pem").read_bytes())
    return one.der


def new_job(source: Path, target: Path) -> Job:
    policy = cmstream.Policy(already_encrypted="encrypt")
    run = os.urandom(8).hex()
    return Job((str(source),), str(target), (certificate(),), (), policy, False, False, run)


def seal_pair(pair: tuple[Job, Any]) -> Any:
    return batch.seal(pair[0], pair[1].items)


class Warm:
    """An executor for one run, on processes that live longer."""

    def __init__(self, inner: Any, job: Job) -> None:
        self._inner, self._job = inner, job

    free = property(lambda self: self._inner.free)
    busy = property(lambda self: self._inner.busy)

    def submit(self, one: Any) -> None:
        self._inner.submit((self._job, one))

    def answers(self) -> list[Any]:
        return [(pair[1], answer) for pair, answer in self._inner.answers()]


def run(source: Path, target: Path, executor: Callable[[Job], Any], tell: Any = None) -> float:
    """Files a second."""
    shutil.rmtree(target, ignore_errors=True)
    job = new_job(source, target)
    archive = places.archive(str(target))
    archive.create()
    with archive.locked():
        manifest = archive.manifest(create=True)
        who = manifest.number_of(["bench"])
        used = executor(job)
        begun = time.perf_counter()
        report = Run(job, [source.name], archive, manifest, who).seal(used, tell or (lambda _: 0))
        seconds = time.perf_counter() - begun
        manifest.close()
        archive.clean()
    assert report.clean
    return report.done / seconds


# --- Ray ---------------------------------------------------------------------------------------


def written(target: str, der: bytes, rows: dict[str, Any]) -> dict[str, Any]:
    """What Ray Data does for a batch: seals it, and writes the files."""
    to = cmstream.Recipients([cmstream.Recipient.from_der(der)])
    paths = [str(one) for one in rows["path"]]
    data = list(rows["bytes"]) if "bytes" in rows else [Path(one).read_bytes() for one in paths]
    for path, sealed in zip(paths, cmstream.encrypt_many([(one, to) for one in data]), strict=True):
        Path(target, Path(path).name).write_bytes(sealed)
    return {"path": paths}


def by_ray_data(source: Path, target: Path, *, binary: bool) -> float:
    import ray  # noqa: PLC0415 - an extra

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    paths = sorted(map(str, source.rglob("*.eml")))
    begun = time.perf_counter()
    if binary:
        rows = ray.data.read_binary_files(paths, include_paths=True)
    else:
        rows = ray.data.from_items([{"path": one} for one in paths])
    rows.map_batches(partial(written, str(target), certificate()), batch_size=256).materialize()
    seconds = time.perf_counter() - begun
    assert len(list(target.iterdir())) == len(paths)
    return len(paths) / seconds


def by_tasks(job: Job) -> Any:
    from cmstream.archive.ray_tasks import RayTasks  # noqa: PLC0415 - an extra

    return RayTasks(job, "auto")


def ray_is_there() -> bool:
    try:
        import ray  # noqa: PLC0415
    except ImportError:
        return False
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    return True


def ray_data_is_there() -> bool:
    try:
        import ray.data  # noqa: PLC0415
    except ImportError as missing:
        print(f"Ray Data is left out: {missing}", file=sys.stderr)
        return False
    ray.data.DataContext.get_current().enable_progress_bars = False
    return True


# --- memory ------------------------------------------------------------------------------------

MEASURED = """
import sys
from pathlib import Path
sys.path.insert(0, {bench!r})
import archive, resident
from cmstream.archive import batch
job = archive.new_job(Path({source!r}), Path({target!r}))
items = archive.found(Path({source!r}))
batch.seal(job, archive.found(Path({first!r})))
def work():
    for some in archive.batches(items):
        batch.seal(job, some)
print(resident.above_base(work))
"""


def found(source: Path) -> list[Item]:
    """The items of a tree."""
    return [one for one in places.source(str(source)).walk(source.name, 0) if isinstance(one, Item)]


def batches(items: list[Item]) -> Any:
    """As a run makes them of messages of 64 KiB."""
    every = iter(items)
    while some := list(itertools.islice(every, 128)):
        yield some


def above_base(folder: Path, source: Path) -> float:
    """MiB that a worker's memory grows by, above what it has after its first message."""
    first = make_mails(folder / "first", 1)
    target = folder / "memory"
    shutil.rmtree(target, ignore_errors=True)
    (target / ".cmstream").mkdir(parents=True)
    code = MEASURED.format(
        bench=str(Path(__file__).parent), source=str(source), target=str(target), first=str(first)
    )
    peak = subprocess.check_output([sys.executable, "-c", code], text=True)
    shutil.rmtree(target)
    return int(peak) / (1 << 20)


def memory(folder: Path, long: int) -> dict[str, float]:
    """MiB above base, for messages of 64 KiB and for one file of so many bytes."""
    mails = make_mails(folder / "mails", 1024, (64,))
    (folder / "long").mkdir()
    with (folder / "long/one").open("wb") as file:
        file.truncate(long)
    return {
        "messages of 64 KiB": above_base(folder, mails),
        f"one file of {long >> 30} GiB": above_base(folder, folder / "long"),
    }


# --- many files --------------------------------------------------------------------------------


def many_files(folder: Path, count: int) -> dict[str, Any]:
    """The rate of each tenth of a run over so many small files."""
    source = folder / "many"
    for number in range(count):
        if number % 1000 == 0:
            inside = source / f"{number // 1000:04}"
            inside.mkdir(parents=True)
        (inside / f"{number}.txt").write_bytes(b"%d\n" % number * 20)
    marks = [(0, time.perf_counter())]

    def tell(report: Any) -> None:
        if report.done >= len(marks) * count // 10:
            marks.append((report.done, time.perf_counter()))

    pool = Processes(seal_pair, 2)
    warm = Here(partial(run, make_mails(folder / "some", 600), folder / "warm"))
    warm.submit(partial(Warm, pool))
    warm.answers()
    marks[0] = (0, time.perf_counter())
    rate = run(source, folder / "sealed", partial(Warm, pool), tell)
    pool.close()
    tenths = [
        round((b[0] - a[0]) / (b[1] - a[1])) for a, b in itertools.pairwise(marks) if b[0] > a[0]
    ]
    return {"files": count, "files a second": round(rate), "tenths": tenths}


# --- all of it ---------------------------------------------------------------------------------


def rates(folder: Path, rounds: int, count: int) -> dict[str, list[float]]:
    """Files a second for each row, a round after the other."""
    source = make_mails(folder / "source", count)
    pool = Processes(seal_pair, 2)
    here = Here(seal_pair)
    target = folder / "sealed"
    rows: dict[str, Callable[[], float]] = {
        ONE: lambda: run(source, target, partial(Warm, here)),
        TWO: lambda: run(source, target, partial(Warm, pool)),
    }
    if ray_is_there():
        rows[TASKS] = lambda: run(source, target, by_tasks)
    if TASKS in rows and ray_data_is_there():
        rows |= {
            FROM_ITEMS: lambda: by_ray_data(source, target, binary=False),
            BINARY: lambda: by_ray_data(source, target, binary=True),
        }
    figures: dict[str, list[float]] = {name: [] for name in rows}
    for number in range(rounds + 1):
        for name, row in rows.items():
            rate = row()
            if number:  # the first round warms
                figures[name].append(rate)
                print(f"round {number}, {name}: {rate:.0f} files a second", file=sys.stderr)
    pool.close()
    return figures


def text(document: dict[str, Any]) -> str:
    """For people, in Markdown."""
    lines = ["| row | files a second |", "| --- | --- |"]
    lines += [f"| {name} | {statistics.median(some):.0f} |" for name, some in
              document["rates"].items()]  # fmt: skip
    lines += ["", "| goal | reached | at least | aim |", "| --- | --- | --- | --- |"]
    for name, row, peer, least, aim in RATIOS:
        if {row, peer} <= document["rates"].keys():
            reached = median_ratio(document["rates"][row], document["rates"][peer])
            lines.append(f"| {name} | {reached:.2f} | {least:g} | {aim:g} |")
    for (name, mib), most in zip(document["memory"].items(), (128, 48), strict=True):
        lines.append(f"| memory above base, {name} | {mib:.0f} MiB | ≤ {most} | ≤ {most // 2} |")
    tenths = document["many"]["tenths"]
    name = f"{document['many']['files']} files, last tenth against the first"
    lines.append(f"| {name} | {tenths[-1] / tenths[0]:.2f} | 0.9 | 0.98 |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="default: %(default)s")
    add("--files", type=int, default=1_000_000, help="small files of one run; default: %(default)s")
    memory_disk = "/dev/shm" if Path("/dev/shm").exists() else tempfile.gettempdir()  # noqa: S108
    add("--folder", default=memory_disk, help="where files stand; default: %(default)s")
    results.add_options(parser)
    options = parser.parse_args()
    rounds, count, files, long = options.rounds, 5000, options.files, 4 << 30
    if options.quick:
        rounds, count, files, long = min(rounds, 2), 1000, min(files, 20_000), 1 << 30
    conditions = Conditions()
    document: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        document["memory"] = memory(folder, long)
        document["many"] = many_files(folder / "files", files)
        document["rates"] = rates(folder / "rates", rounds, count)
    conditions.end([f"files in {options.folder}"])
    document |= {"conditions": conditions.as_document()}
    print(*conditions.lines(), "", text(document), sep="\n")
    results.write_json(options.out / "archive.json", document)
    (options.out / "archive.md").write_text(text(document), "utf-8")


if __name__ == "__main__":
    main()
