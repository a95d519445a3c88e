"""A fresh process to its first rendition, against a fresh process that only makes a boto3 client."""

import statistics
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from bench import pictures
from bench.processes import Run, run
from bench.workplace import BENCH, ROOT

_ENV = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "SOURCE_BUCKET": "bench-source",
    "DESTINATION_BUCKET": "bench-destination",
    "PYTHONPATH": str(ROOT),
}


def measure(*, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the times of both, in milliseconds from start to end, with bytecode cached and without.

    Without: that of Python and boto3 is there, as in Lambda's runtime, but not that of what is packaged.
    """
    picture = str(pictures.small().path)
    scripts = {"ours": ["first_rendition.py", picture], "boto3": ["bare_client.py"]}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        runtime_only = {"PYTHONPYCACHEPREFIX": folder}
        _start(scripts["boto3"], runtime_only)  # leaves its bytecode in the folder
        for cached, count in ((True, 5 if quick else 21), (False, 5 if quick else 15)):
            say(f"  bytecode {'cached' if cached else 'not cached'}")
            env = {} if cached else runtime_only | {"PYTHONDONTWRITEBYTECODE": "1"}
            runs: dict[str, list[Run]] = {name: [] for name in scripts}
            for turn in range(count + 1):
                for name, command in scripts.items():
                    done = _start(command, env)
                    if turn:  # the first fills the caches
                        runs[name].append(done)
            rows.append(
                {
                    "cached": cached,
                    "runs": count,
                    "ours_ms": [done.wall_ms for done in runs["ours"]],
                    "boto3_ms": [done.wall_ms for done in runs["boto3"]],
                    "ours_peak_mb": statistics.median(done.peak_mb for done in runs["ours"]),
                    "boto3_peak_mb": statistics.median(done.peak_mb for done in runs["boto3"]),
                }
            )
    return {"rows": rows}


def _start(command: list[str], env: dict[str, str]) -> Run:
    script, *arguments = command
    return run([sys.executable, str(BENCH / "contestants" / script), *arguments], _ENV | env)
