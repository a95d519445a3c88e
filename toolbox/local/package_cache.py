"""Build the function's package for the local AWS, once for each content."""

import fcntl
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from toolbox import processes
from toolbox.stack import ROOT, SLS

PACKAGES = ROOT / ".local" / "packages"
MAX_PACKAGES = 4
NOT_PACKAGED = {
    *("node_modules", "toolbox", "tests", "bench", "docs", "events", "samples", "requirements", "__pycache__"),
    *("examples", "web"),
}


def sls_environment() -> dict[str, str]:
    """Return the environment for sls at stage `local`: this process's, without the settings of another AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LOCAL_ARCHITECTURE": architecture(),
        "NODE_NO_WARNINGS": "1",
        "SLS_AWS_MONITORING_FREQUENCY": "100",  # ms between two requests for the state of the stack; 5 s by default
    }


def architecture() -> str:
    """Return what Lambda calls this machine's architecture: `x86_64` or `arm64`."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


class PackageError(Exception):
    """The function could not be packaged; says why, with the end of the log."""


def local_package(params: Sequence[str] = ()) -> Path:
    """Return the folder with the package of stage `local`, for `sls deploy --package`.

    The package is built unless the cache has one of the same files and parameters. `params` are parameters for sls, as
    `name=value`. Raises PackageError if the build fails.
    """
    PACKAGES.mkdir(parents=True, exist_ok=True)
    package = PACKAGES / _digest(params)
    # sls works in .serverless even with --package, so two builds must not run at the same time.
    with locked(PACKAGES / "lock"):
        if not package.exists():
            _build(package, params)
            _drop_oldest()
        package.touch()
    return package


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; it is released if the process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(package: Path, params: Sequence[str]) -> None:
    part, log = package.with_suffix(".part"), PACKAGES / "log"
    shutil.rmtree(part, ignore_errors=True)
    log.unlink(missing_ok=True)
    command = [str(SLS), "package", "--stage", "local", "--package", str(part)]
    command += [f"--param={param}" for param in params]
    if processes.run(command, cwd=ROOT, env=sls_environment(), log=log):
        raise PackageError(f"`sls package` cannot package the function:\n{processes.tail(log)}")
    part.rename(package)


def _drop_oldest() -> None:
    packages = [path for path in PACKAGES.iterdir() if path.is_dir()]
    for package in sorted(packages, key=lambda path: path.stat().st_mtime, reverse=True)[MAX_PACKAGES:]:
        shutil.rmtree(package, ignore_errors=True)


def _digest(params: Sequence[str]) -> str:
    """Return a digest of everything that can change the package: the files, the Python and the machine."""
    digest = hashlib.sha256(repr((sys.version, platform.machine(), *params)).encode())
    for path in sorted(_inputs(ROOT)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(ROOT)}\0{content}\n".encode())
    return digest.hexdigest()[:16]


def _inputs(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(".") or path.name in NOT_PACKAGED:
            continue
        if path.is_dir():
            yield from _inputs(path)
        elif path.suffix != ".pyc":
            yield path
