"""The copy path against get-then-put, on a local S3: bytes through the function, peak memory, wall."""

import os
import socket
import statistics
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from bench.processes import run
from bench.workplace import BENCH
from toolbox.local.aws import LocalAws

MEGABYTES = (1, 50, 500)
_BUCKETS = ("bench-source", "bench-destination")
_HANDLERS = {"ours": "copy_ours", "get, then put": "copy_get_put"}


def measure(*, quick: bool, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Return what each handler took for each size, the medians of all rounds."""
    aws = LocalAws.launch()
    try:
        client = aws.client("s3")
        for bucket in _BUCKETS:
            client.create_bucket(Bucket=bucket)
        idle = {
            name: statistics.median(_copy(script, aws.env, None).peak_mb for _ in range(3))
            for name, script in _HANDLERS.items()
        }
        rows = []
        for megabytes in MEGABYTES[:2] if quick else MEGABYTES:
            say(f"  {megabytes} MB")
            client.put_object(Bucket=_BUCKETS[0], Key="object", Body=os.urandom(megabytes * 1_000_000))
            rows += _rows(megabytes, idle, aws.env, rounds)
            for bucket in _BUCKETS:
                client.delete_object(Bucket=bucket, Key="object")
    finally:
        aws.stop()
    return {"rounds": rounds, "rows": rows}


def _rows(megabytes: int, idle: dict[str, float], env: dict[str, str], rounds: int) -> list[dict[str, Any]]:
    runs: dict[str, list[Any]] = {name: [] for name in _HANDLERS}
    for _ in range(rounds):
        for name, script in _HANDLERS.items():
            runs[name].append(_copy(script, env, megabytes))
    rows = []
    for name, script in _HANDLERS.items():
        # The wire is counted in a run of its own, whose time does not count.
        with _counted(env["AWS_ENDPOINT_URL"]) as (endpoint, count):
            _copy(script, env | {"AWS_ENDPOINT_URL": endpoint}, megabytes)
            carried = count()
        rows.append(
            {
                "handler": name,
                "megabytes": megabytes,
                "carried_bytes": carried,
                "idle_mb": idle[name],
                "peak_mb": statistics.median(done.peak_mb for done in runs[name]),
                "cpu_ms": statistics.median(done.cpu_ms for done in runs[name]),
                "wall_ms": statistics.median(done.printed["wall_ms"] for done in runs[name]),
            }
        )
    return rows


def _copy(script: str, env: dict[str, str], megabytes: int | None) -> Any:
    buckets = _BUCKETS if megabytes else ("-", "-")
    size = (megabytes or 0) * 1_000_000
    return run([sys.executable, str(BENCH / "contestants" / f"{script}.py"), *buckets, "object", str(size)], env)


@contextmanager
def _counted(endpoint: str) -> Iterator[tuple[str, Callable[[], int]]]:
    """Stand between a handler and an endpoint; yields our own endpoint, and what counts the bytes of both ways."""
    target = urlsplit(endpoint)
    counts: list[int] = []

    def carry(source: socket.socket, destination: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 18):
                counts.append(len(data))
                destination.sendall(data)
            destination.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((target.hostname or "", target.port or 80))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: sum(counts)
