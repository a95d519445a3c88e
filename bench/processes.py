"""A fresh process: its CPU and peak memory."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.images import ROOT

_CACHED = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": ""}
"""Whatever our own environment says: programs keep their bytecode, and find it."""


@dataclass(frozen=True)
class Run:
    """The figures of one process, from its start to its end."""

    cpu_ms: float
    """User and system time of all its threads, in milliseconds."""
    peak_mb: float
    """The maximum of its resident memory, in 10^6 bytes."""


def run(command: Sequence[str]) -> Run:
    """Run a program to its end; raises CalledProcessError if it fails."""
    spawn = [sys.executable, "-I", "-S", str(Path(__file__).with_name("spawn.py")), *command]
    done = subprocess.run(spawn, cwd=ROOT, env=os.environ | _CACHED, check=True, stdout=subprocess.PIPE, text=True)
    return Run(**json.loads(done.stdout))
