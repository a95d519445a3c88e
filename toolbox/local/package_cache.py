"""The function's package for the local AWS: built once for each content, and kept."""

import fcntl
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from toolbox.local import processes
from toolbox.stack import ROOT, SLS

PACKAGES = ROOT / ".local" / "packages"
KEPT = 4
NOT_PACKAGED = {"node_modules", "toolbox", "tests", "bench", "docs", "events", "__pycache__"}


def sls_environment() -> dict[str, str]:
    """Return the environment for sls at stage `local`: ours, without what would lead it to another AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LOCAL_ARCHITECTURE": architecture(),
        "NODE_NO_WARNINGS": "1",
        "SLS_AWS_MONITORING_FREQUENCY": "100",  # milliseconds between looks at the stack; 5 s by default
    }


def architecture() -> str:
    """Return what Lambda calls this machine's architecture: `x86_64` or `arm64`."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


class PackageError(Exception):
    """The function could not be packaged; says why, with the end of the log."""


def local_package(params: Sequence[str] = ()) -> Path:
    """Return the folder with the package of stage `local`, for `sls deploy --package`.

    It is built where none was built yet from the files as they are now. `params` are those of sls
    (`name=value`). Raises PackageError where that fails.
    """
    PACKAGES.mkdir(parents=True, exist_ok=True)
    package = PACKAGES / _digest(params)
    # sls works in .serverless, whatever --package says: two at a time would spoil each other's.
    with locked(PACKAGES / "lock"):
        if not package.exists():
            _build(package, params)
            _drop_oldest()
        package.touch()
    return package


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for a lock of this name, and hold it meanwhile; it goes with the process in any case."""
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
        raise PackageError(
            f"expected `sls package` to make the function's package but it failed:\n{processes.tail(log)}"
        )
    part.rename(package)


def _drop_oldest() -> None:
    packages = [path for path in PACKAGES.iterdir() if path.is_dir()]
    for package in sorted(packages, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(package, ignore_errors=True)


def _digest(params: Sequence[str]) -> str:
    """Return a name for all that goes into the package: every file but those that never do, the Python, the machine."""
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
