"""`python -m bench`: measure, and write bench/RESULTS.md and its charts."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import cold_start, copies, curves, ladders, promise, report
from bench.workplace import BENCH, ROOT, SCRATCH, machine

PARTS = ("ladders", "copies", "cold_start", "promise", "curves")


def main() -> None:
    """Measure the parts that are named; those of earlier runs stay in the report."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure, and write bench/RESULTS.md and its charts."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {' '.join(PARTS)}; all but curves by default")
    parser.add_argument("--quick", action="store_true", help="one picture, about a minute, into .local/bench/quick")
    parser.add_argument("--rounds", type=int, help="how often each contestant runs: 3 by default, 2 with --quick")
    parser.add_argument("--report-only", action="store_true", help="measure nothing, write the report again")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"expected parts among {' '.join(PARTS)} but received {' '.join(sorted(unknown))}")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    folder = SCRATCH / "quick" if options.quick else BENCH
    state = SCRATCH / ("quick.json" if options.quick else "results.json")
    results = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    if not options.report_only:
        _install_sharp()
        results["machine"] = machine()
        rounds = options.rounds or (2 if options.quick else 3)
        for part in options.parts or PARTS[:-1]:
            _say(part.replace("_", " "))
            results[part] = _measures(rounds, quick=options.quick)[part]()
            state.parent.mkdir(parents=True, exist_ok=True)
            state.write_text(json.dumps(results), encoding="utf-8")
    command = "make bench" if not options.quick else ".venv/bin/python -m bench --quick"
    _say(f"written: {report.write(results, folder, command).relative_to(ROOT)}")


def _measures(rounds: int, *, quick: bool) -> dict[str, Callable[[], dict[str, Any]]]:
    return {
        "ladders": lambda: ladders.measure(quick=quick, rounds=rounds, say=_say),
        "copies": lambda: copies.measure(quick=quick, rounds=rounds, say=_say),
        "cold_start": lambda: cold_start.measure(quick=quick, say=_say),
        "promise": lambda: promise.measure(quick=quick, say=_say),
        "curves": lambda: curves.measure(quick=quick, say=_say),
    }


def _install_sharp() -> None:
    """Install sharp as package-lock.json pins it, unless that was done since it last changed."""
    ready, lock = BENCH / "node_modules" / "ready", BENCH / "package-lock.json"
    if ready.exists() and ready.stat().st_mtime >= lock.stat().st_mtime:
        return
    _say("installing sharp into bench/node_modules")
    subprocess.run(["npm", "ci", "--silent"], cwd=BENCH, check=True)
    ready.touch()


_started = time.monotonic()


def _say(text: str) -> None:
    sys.stdout.write(f"{time.monotonic() - _started:4.0f} s  {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
