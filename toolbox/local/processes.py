"""Programs we start: none outlives a command that is interrupted or killed."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 3.0
"""What a program gets to end by itself before it is killed."""


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """Run a program to its end with its output added to a file, and return its exit code.

    When this is interrupted (also by a signal, see `signals_end_us`), the program and its own children are ended.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own: ended as a whole, and by us alone
        )
        try:
            return process.wait()
        except BaseException:
            with uninterrupted():
                signal_group(process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_SECONDS)
                signal_group(process.pid, signal.SIGKILL)
                process.wait()
            raise


def signal_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to a process that leads a group, and to the whole group; nothing happens where it is gone."""
    # PermissionError: on macOS, a group of which only unreaped processes are left.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


@contextmanager
def signals_end_us() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that they clean up as Ctrl-C does."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and its like meanwhile: a second one must not stop the clean-up after the first."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt the main thread only, and only that may set this
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a text file, indented; empty where there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])
