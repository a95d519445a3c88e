"""A fresh process -> CPU, wall, peak memory, and what it printed."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.workplace import BENCH, ROOT

_CACHED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": ""}
"""Whatever our own environment says: programs keep their bytecode, and find it."""


@dataclass(frozen=True)
class Run:
    """The figures of one process, from its start to its end."""

    cpu_ms: float
    """User and system time of all its threads, in milliseconds."""
    wall_ms: float
    peak_mb: float
    """The most memory that was resident at once, in 10^6 bytes."""
    printed: dict[str, Any]
    """The JSON object on its standard output; empty if it printed nothing."""


class ContestantError(Exception):
    """A contestant ended with an error."""


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Run a program to its end; raises ContestantError if it fails. `env` is added to the environment."""
    with tempfile.NamedTemporaryFile() as output:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(BENCH / "spawn.py"), output.name, *command],
            cwd=ROOT,
            env={**os.environ, **_CACHED, **(env or {})},
            check=False,
            capture_output=True,
            text=True,
        )
        result = json.loads(done.stdout) if done.returncode == 0 else {"exit_code": done.returncode}
        if result.pop("exit_code"):
            raise ContestantError(f"expected {' '.join(command)} to succeed but received:\n{done.stderr[-2000:]}")
        printed = Path(output.name).read_text(encoding="utf-8")
    return Run(**result, printed=json.loads(printed) if printed else {})
