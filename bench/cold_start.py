"""A fresh process of the deployed package to its first rendition, against one that only makes a boto3 client."""

import os
import shutil
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import pictures
from bench.processes import Run, run
from bench.workplace import BENCH, ROOT, SCRATCH
from toolbox.local.package_cache import PACKAGES, architecture, locked, sls_environment
from toolbox.stack import SLS, resolved

_ENV = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "SOURCE_BUCKET": "bench-source",
    "DESTINATION_BUCKET": "bench-destination",
    "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's file system is read-only
}


def measure(*, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return the times of both, in milliseconds from start to end, with the bytecode of the package and without.

    The bytecode of Python and of boto3 exists in both cases, as in Lambda's runtime.
    """
    interpreter = _runtime_python() or Path(sys.executable)
    say(f"  packaging for Python {_version(interpreter)}")
    folder = SCRATCH / "cold-start"
    shutil.rmtree(folder, ignore_errors=True)
    packages = _unpack(interpreter, folder)
    runtime = _install_boto3(interpreter, folder / "runtime")
    picture = str(pictures.small().path)
    scripts = {"ours": ["first_rendition.py", picture], "boto3": ["bare_client.py"]}
    count = 5 if quick else 21
    runs: dict[tuple[bool, str], list[Run]] = {(cached, name): [] for cached in packages for name in scripts}
    say(f"  {count} starts of each")
    for turn in range(count + 1):
        for (cached, name), done in runs.items():
            script, *arguments = scripts[name]
            path = {"PYTHONPATH": os.pathsep.join(map(str, (packages[cached], runtime)))}
            one = run([str(interpreter), "-s", str(BENCH / "contestants" / script), *arguments], _ENV | path)
            if turn:  # the first fills the caches of the disk
                done.append(one)
    rows = [
        {
            "cached": cached,
            "runs": count,
            "ours_ms": [done.wall_ms for done in runs[cached, "ours"]],
            "boto3_ms": [done.wall_ms for done in runs[cached, "boto3"]],
            "ours_cpu_ms": [done.cpu_ms for done in runs[cached, "ours"]],
            "ours_peak_mb": statistics.median(done.peak_mb for done in runs[cached, "ours"]),
            "boto3_peak_mb": statistics.median(done.peak_mb for done in runs[cached, "boto3"]),
        }
        for cached in packages
    ]
    return {"python": _version(interpreter), "rows": rows}


def _runtime_python() -> Path | None:
    """Return the interpreter of the runtime's version of Python; None if this machine has none."""
    name = str(resolved("dev", ())["provider"]["runtime"])
    command = [shutil.which(name) or name, "-c", "import sys; print(sys.executable)"]
    env = os.environ | {"PYENV_VERSION": name.removeprefix("python")}  # for a shim of pyenv
    try:
        return Path(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.strip())
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(python: Path) -> str:
    command = [str(python), "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _unpack(python: Path, folder: Path) -> dict[bool, Path]:
    """Build the package for a Python; return the folders of its content with bytecode and without."""
    package = folder / "package"
    minor = ".".join(_version(python).split(".")[:2])
    command = [str(SLS), "package", f"--package={package}"]
    command += [f"--param=python={minor}", f"--param=architecture={architecture()}"]
    # sls works in .serverless even with --package, so two builds must not run at the same time.
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with locked(PACKAGES / "lock"):
        subprocess.run(command, cwd=ROOT, env=sls_environment(), check=True, capture_output=True)
    folders = {True: folder / "with-bytecode", False: folder / "without"}
    for target in folders.values():
        with zipfile.ZipFile(package / "image-scaler.zip") as archive:
            archive.extractall(target)
    for compiled in folders[False].rglob("*.pyc"):
        compiled.unlink()
    return folders


def _install_boto3(python: Path, folder: Path) -> Path:
    """Install boto3 and its bytecode, as Lambda's runtime has it."""
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "--target", str(folder)]
    subprocess.run([*command, f"boto3=={version('boto3')}"], check=True)
    return folder
