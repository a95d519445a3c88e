"""A function in a process of its own, which may crash, hang or eat memory without harm to the tests."""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

MEGABYTE = 1024**2
CEILING = 1500 * MEGABYTE


class WatchedError(Exception):
    """The process broke a rule; says which one."""


class WatchedProcess:
    """Calls of one function in one process, which is started again after it had to be ended.

    `ceiling`: bytes of resident memory, seen where the system has /proc; `seconds`: for one call.
    """

    def __init__(self, function: Callable[..., Any], *, ceiling: int = CEILING, seconds: float = 20) -> None:
        self._function = function
        self._ceiling = ceiling
        self._seconds = seconds
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self.peak = 0
        """The most memory that any call took, in bytes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(self, *args: object) -> Any:
        """Return what the function returns; raises WatchedError if it raises, crashes, hangs or takes too much."""
        connection = self._started()
        try:
            connection.send(args)
            self._wait(connection)
            ok, answer, peak = connection.recv()
        except (EOFError, ConnectionError) as error:
            raise WatchedError(f"it crashed: {self._end()}") from error
        self.peak = max(self.peak, peak)
        if peak > self._ceiling:
            self.stop()
            raise WatchedError(f"it took too much memory: {peak // MEGABYTE:,} MB")
        if not ok:
            raise WatchedError(f"it raised {answer}")
        return answer

    def _started(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, self._function), daemon=True)
            self._process.start()
            theirs.close()
            if not self._connection.poll(60):
                self.stop()
                raise WatchedError("the process did not start")
            self._connection.recv()
        return self._connection

    def _wait(self, connection: Connection) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self._seconds
        pause = 0.0
        while not connection.poll(pause):
            pause = 0.05
            resident = _status(self._process.pid, "VmRSS")
            if resident > self._ceiling:
                self.stop()
                raise WatchedError(f"it took too much memory: {resident // MEGABYTE:,} MB")
            if time.monotonic() > deadline:
                self.stop()
                raise WatchedError(f"it hung: nothing came in {self._seconds:g} seconds")

    def _end(self) -> str:
        assert self._process is not None
        self._process.join(10)
        code = self._process.exitcode
        self.stop()
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._connection:
            self._connection.close()
        if self._process:
            self._process.kill()
            self._process.join()
        self._process = self._connection = None


def _serve(connection: Connection, function: Callable[..., Any]) -> None:
    connection.send("ready")
    while True:
        try:
            args = connection.recv()
        except EOFError:
            return
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
        try:
            ok, answer = True, function(*args)
        except BaseException as error:  # whatever it is, the one who watches judges it
            ok, answer = False, "".join(traceback.format_exception(error))
        connection.send((ok, answer, _status("self", "VmHWM")))


def _status(pid: object, field: str) -> int:
    """Return a field of a process's status in bytes; 0 if it cannot be known."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return 0
