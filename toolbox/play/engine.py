"""Processes that render, one per core: a file that kills one, or keeps it busy for too long, harms no other."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

MAX_SECONDS = 60.0
"""For one request; the function's timeout by default."""
CANCEL_SECONDS = 1.0
"""The time in which a cancelled request must end before its process is killed."""
MAX_MESSAGE_BYTES = 1024 * 1024


class Job(Protocol):
    """A request, and what receives its messages."""

    request: Mapping[str, Any]

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take a message; see `worker`."""
        ...

    def end(self, failure: str | None) -> None:
        """Take note that no message follows; `failure` says why if the process did not end the request itself."""
        ...


class Engine:
    """Processes that take one job after the other."""

    def __init__(self, processes: int, max_seconds: float = MAX_SECONDS) -> None:
        self._count = processes
        self._max_seconds = max_seconds
        self._running: dict[Job, tuple[asyncio.Timeout, asyncio.subprocess.Process]] = {}

    async def run(self, next_job: Callable[[], Awaitable[Job]]) -> None:
        """Take jobs until this is cancelled; then no process is left."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._serve(next_job))

    def cancel(self, job: Job) -> None:
        """Let a running job end before its next rendition; its process is killed if that takes too long."""
        if job in self._running:
            limit, process = self._running[job]
            if process.stdin and not limit.expired():
                process.stdin.write(b"\n")
                limit.reschedule(asyncio.get_running_loop().time() + CANCEL_SECONDS)

    @property
    def process_ids(self) -> list[int]:
        """The ids of the processes that are at work."""
        return [process.pid for _, process in self._running.values()]

    async def _serve(self, next_job: Callable[[], Awaitable[Job]]) -> None:
        process = await _start()
        try:
            while True:
                job = await next_job()
                if process.returncode is not None:
                    process = await _start()
                job.end(await self._work(process, job))
        finally:
            await _kill(process)

    async def _work(self, process: asyncio.subprocess.Process, job: Job) -> str | None:
        """Pass the messages of a job on; return why the process did not end it, or None if it did."""
        assert process.stdin  # noqa: S101  both are pipes
        assert process.stdout  # noqa: S101
        try:
            async with asyncio.timeout(self._max_seconds) as limit:
                self._running[job] = limit, process
                with suppress(ConnectionError):
                    process.stdin.write(json.dumps(dict(job.request)).encode() + b"\n")
                    await process.stdin.drain()
                while line := await process.stdout.readline():
                    message = json.loads(line)
                    if message["kind"] == "done":
                        return None
                    job.receive(message)
                    if message["kind"] == "error":
                        return None
            await process.wait()
            return f"the process that rendered it ended: {_ending(process.returncode or 0)}"
        except TimeoutError:
            await _kill(process)
            return f"it was not finished after {self._max_seconds:g} seconds, and was ended"
        except (ValueError, KeyError):  # not a message
            await _kill(process)
            return "the process that rendered it sent no valid message, and was ended"
        finally:
            del self._running[job]


async def _start() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "toolbox.play.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_MESSAGE_BYTES,
        start_new_session=True,  # Ctrl-C is for the server, which ends its processes
    )


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
