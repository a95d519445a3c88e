"""Child processes: none outlives a command that is interrupted or killed."""

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
"""The time between SIGTERM and SIGKILL."""


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> int:
    """Run a program, append its output to a file, and return its exit code.

    If this is interrupted (also by a signal, see `signals_as_exit`), the program and its children are ended.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a new process group, which can be ended as a whole
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
    """Send a signal to a process group; does nothing if the group no longer exists."""
    # macOS raises PermissionError for a group that has only unreaped processes.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


@contextmanager
def signals_as_exit() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that they clean up like Ctrl-C."""

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
    """Ignore Ctrl-C, SIGTERM and SIGHUP during a clean-up: a second one must not interrupt it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt only the main thread, and only the main thread may set handlers
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a text file, indented; empty if there is no such file."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])
