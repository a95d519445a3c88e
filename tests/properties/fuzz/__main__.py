"""`make fuzz`: damaged images, many of them, and nothing but renditions or clean rejections may come of any."""

import argparse
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tests import ROOT
from tests.properties.fuzz.cases import case, run
from tests.support.watched_process import CEILING, MEGABYTE, WatchedError, WatchedProcess

FOUND = ROOT / ".local" / "fuzz"


class Failure(NamedTuple):
    number: int
    name: str
    reason: str


class Summary:
    """The results of all cases."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.peak = 0


def fuzz(
    seed: int,
    numbers: range,
    corpus: Path | None,
    *,
    found: Path = FOUND,
    workers: int = 2,
    progress: Progress | None = None,
) -> Summary:
    """Run the cases in processes of their own, and keep the files of those that fail in `found`."""
    summary = Summary()
    bar = progress.add_task("cases", total=len(numbers)) if progress else None
    left = iter(numbers)
    turn = Lock()

    def work(process: WatchedProcess) -> None:
        while True:
            with turn:
                number = next(left, None)
            if number is None:
                return
            try:
                result = process.call(seed, number, corpus)
            except WatchedError as error:
                result = "failures"
                summary.failures.append(_keep(found, seed, number, corpus, str(error)))
            with turn:
                summary.counts[result] += 1
                if progress and bar is not None:
                    progress.advance(bar)

    with ExitStack() as stack:
        processes = [stack.enter_context(WatchedProcess(run)) for _ in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, processes))
        summary.peak = max(process.peak for process in processes)
    return summary


def _keep(folder: Path, seed: int, number: int, corpus: Path | None, reason: str) -> Failure:
    """Write the file that failed, and why beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    damaged = case(seed, number, corpus)
    stem = f"{seed}-{number}-{Path(damaged.name).name}"
    (folder / stem).write_bytes(damaged.body)
    renditions = ", ".join(target.spec.name for target in damaged.targets)
    (folder / f"{stem}.txt").write_text(
        f"--seed {seed} --first {number} --cases 1\nfrom {damaged.name}, renditions {renditions}\n{reason}\n"
    )
    return Failure(number, damaged.name, reason)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="other seeds are other cases")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    args = parser.parse_args()
    variable = os.environ.get("IMAGE_CORPUS")
    corpus = Path(variable) if variable and Path(variable).is_dir() else None
    console = Console(highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        numbers = range(args.first, args.first + args.cases)
        summary = fuzz(args.seed, numbers, corpus, workers=args.workers, progress=progress)
    console.print(
        f"{args.cases:,} cases of seed {args.seed}, {'with' if corpus else 'without'} the corpus; "
        f"the most memory that one took: {summary.peak // MEGABYTE:,} MB of {CEILING // MEGABYTE:,} MB",
        soft_wrap=True,
    )
    for outcome, count in summary.counts.most_common():
        console.print(f"  {outcome:<24} {count:>8,}")
    for failure in sorted(summary.failures)[:20]:
        last = failure.reason.strip().splitlines()[-1]
        console.print(f"  case {failure.number} ({failure.name}): {last}", markup=False, soft_wrap=True)
    if summary.failures:
        console.print(f"{len(summary.failures)} failures: the files are in {FOUND}", soft_wrap=True)
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
