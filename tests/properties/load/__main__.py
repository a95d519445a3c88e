"""`make load`: send many uploads through the local AWS, and account for every one."""

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.properties.load.load import Fate, Load, Upload, uploads
from toolbox import processes
from toolbox.local.aws import LocalAws, LocalAwsError
from toolbox.progress import Steps

UPLOADS = 2000

out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the load; exit with 0 if no upload was lost, else with 1."""
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--uploads", type=int, choices=range(1, 1_000_001), metavar="N", default=UPLOADS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--param", action="append", default=[], help="a parameter of the stack, as name=value")
    options = parser.parse_args()
    with processes.signals_as_exit():
        try:
            is_complete = run(options.uploads, options.seed, options.param)
        except LocalAwsError as error:
            err.print(f"make load: {error}", style="red", markup=False)
            is_complete = False
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    raise SystemExit(0 if is_complete else 1)


def run(count: int, seed: int, params: Sequence[str]) -> bool:
    """Send the uploads to a new local AWS; return whether none was lost."""
    todo = uploads(count, seed)
    with LocalAws.start(retry_seconds=0.2, params=params, step=Steps(out)) as aws:
        load = Load(aws, todo)
        start = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
            task = progress.add_task("Uploading", total=count)
            for known in load.run():
                progress.update(task, completed=known)
        _print(todo, time.monotonic() - start)
    for problem in load.problems:
        err.print(problem, style="red", markup=False)
    return not load.problems


def _print(done: Sequence[Upload], seconds: float) -> None:
    fates = Counter(upload.fate or Fate.LOST for upload in done)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for fate in Fate:
        table.add_row(fate.value, f"{fates[fate]:,}")
    table.add_row("uploads", f"{len(done):,} in {seconds:.0f} s, {len(done) / seconds:.1f} a second")
    latencies = sorted(upload.seconds for upload in done if upload.seconds is not None)
    if len(latencies) > 1:
        cuts = statistics.quantiles(latencies, n=100, method="inclusive")
        shown = {"50 %": cuts[49], "90 %": cuts[89], "99 %": cuts[98], "100 %": latencies[-1]}
        text = ", ".join(f"{share} within {value:.2f} s" for share, value in shown.items())
        table.add_row("from the upload to its last rendition", text)
    out.print(table)


if __name__ == "__main__":
    main()
