"""The folders of the benchmark, and the machine that it runs on."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import pyvips

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "bench"
SCRATCH = ROOT / ".local" / "bench"
"""Pictures, outputs and results; deleting it costs only the time to draw the pictures again."""


def corpus() -> Path | None:
    """Return the folder of photographs that IMAGE_CORPUS names, or None if it names none."""
    value = os.environ.get("IMAGE_CORPUS")
    folder = Path(value) / "perf" if value else None
    return folder if folder and folder.is_dir() else None


def machine() -> dict[str, str]:
    """Return what the numbers depend on: processor, cores, system, versions."""
    return {
        "Processor": f"{_cpu_model()}, {os.cpu_count()} cores",
        "System": " ".join([platform.system(), platform.machine(), *filter(None, platform.libc_ver())]),
        "Python": platform.python_version(),
        "libvips (ours)": ".".join(str(pyvips.version(part)) for part in range(3)) + f", pyvips {version('pyvips')}",
        "Node.js": _output("node", "--version").removeprefix("v"),
        "sharp": _output("node", "-p", "const v = require('sharp').versions; `${v.sharp}, libvips ${v.vips}`"),
        "Pillow": version("pillow"),
        "boto3": version("boto3"),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=BENCH, check=True, capture_output=True, text=True).stdout.strip()
