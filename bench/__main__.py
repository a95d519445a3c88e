"""`python -m bench`: measure, and write bench/RESULTS.md."""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import ladders, report, settings, targets
from bench.images import ROOT
from bench.ladders import BENCH

STATE = ROOT / ".local" / "bench.json"
PARTS: dict[str, Callable[[int], Any]] = {
    "ladders": lambda rounds: ladders.measure(rounds, _say),
    "targets": lambda rounds: targets.measure(rounds, _say),
    "settings": lambda rounds: settings.measure(_say),
}


def main() -> None:
    """Measure the parts that are named; those of earlier runs stay in the report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; the last not by default")
    parser.add_argument("--rounds", type=int, default=3, help="how often each program runs; 3 by default")
    options = parser.parse_args()
    if unknown := set(options.parts) - PARTS.keys():
        parser.error(f"expected parts among {' '.join(PARTS)} but received {' '.join(sorted(unknown))}")
    if "IMAGE_CORPUS" not in os.environ:
        _say("IMAGE_CORPUS names no folder of pictures: measuring the samples only")
    if hasattr(os, "sched_setaffinity"):  # one processor, as the function has by default
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    _install_sharp()
    results: dict[str, Any] = json.loads(STATE.read_text(encoding="utf-8")) if STATE.exists() else {}
    for part in options.parts or ("ladders", "targets"):
        _say(part)
        results[part] = PARTS[part](options.rounds)
        STATE.parent.mkdir(exist_ok=True)
        STATE.write_text(json.dumps(results), encoding="utf-8")
    _say(f"written: {report.write(results).relative_to(ROOT)}")


def _install_sharp() -> None:
    """Install sharp as package-lock.json pins it, unless that was done since it last changed."""
    ready, lock = BENCH / "node_modules" / "ready", BENCH / "package-lock.json"
    if not ready.exists() or ready.stat().st_mtime < lock.stat().st_mtime:
        _say("installing sharp into bench/node_modules")
        subprocess.run(["npm", "ci", "--silent"], cwd=BENCH, check=True)
        ready.touch()


_started = time.monotonic()


def _say(text: str) -> None:
    sys.stdout.write(f"{time.monotonic() - _started:4.0f} s  {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
