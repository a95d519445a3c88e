"""Processes that render, one per core: a file that kills one, or keeps it busy for too long, harms no other."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from toolbox.play.messages import AnyMessage, Done, Failed, Request

MAX_SECONDS = 60.0
"""For one request; the function's timeout by default."""
CANCEL_SECONDS = 1.0
"""The time in which a cancelled request must end before its process is killed."""
MAX_MESSAGE_BYTES = 1024 * 1024


class Job(Protocol):
    """A request, and what receives its messages."""

    request: Request

    def receive(self, message: AnyMessage) -> None:
        """Take a message."""
        ...

    def end(self, failure: str | None) -> None:
        """Do what follows the last message; `failure` is why the process was ended, or None."""
        ...


class Engine:
    """Processes that take one job after the other."""

    def __init__(self, processes: int, max_seconds: float = MAX_SECONDS) -> None:
        self._count = processes
        self._max_seconds = max_seconds
        self._running: dict[Job, tuple[asyncio.Timeout, asyncio.subprocess.Process]] = {}

    async def run(self, next_job: Callable[[], Awaitable[Job]], ended: Callable[[Job], None]) -> None:
        """Take jobs until this is cancelled; then no process is left. `ended` is called after each."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._serve(next_job, ended))

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

    async def _serve(self, next_job: Callable[[], Awaitable[Job]], ended: Callable[[Job], None]) -> None:
        process = await _start()
        try:
            while True:
                job = await next_job()
                if process.returncode is not None:
                    process = await _start()
                job.end(await self._work(process, job))
                ended(job)
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
                    process.stdin.write(msgspec.json.encode(job.request) + b"\n")
                    await process.stdin.drain()
                while line := await process.stdout.readline():
                    message = msgspec.json.decode(line, type=AnyMessage)
                    job.receive(message)
                    if isinstance(message, Done | Failed):
                        return None
            await process.wait()
            return f"the process that rendered it ended: {_ending(process.returncode or 0)}"
        except TimeoutError:
            await _kill(process)
            return f"it was not finished after {self._max_seconds:g} seconds, and was ended"
        except msgspec.MsgspecError:  # not a message
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
