"""The local AWS: ministack as a child process, with the stack deployed in it."""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from toolbox import processes
from toolbox.console import CommandError
from toolbox.local.package_cache import PACKAGES, PackageError, local_package, locked, sls_environment
from toolbox.stack import ROOT, SLS

LOCAL = ROOT / ".local"
RUNS = LOCAL / "runs"
HOST = "127.0.0.1"
DEFAULT_PORT = 4566
ACCOUNT = "123456789012"
REGION = "us-east-1"
STACK = "image-scaler-local"
START_SECONDS = 60.0

Step = Callable[[str], AbstractContextManager[object]]
"""Shows a step while its block runs: `with step("Starting"): ...`."""


class LocalAwsError(CommandError):
    """The local AWS did not start, or the stack was not deployed; says why, with the end of the log."""


class LocalAws:
    """A running local AWS; a context manager that stops it at the end.

    `env` has the environment variables for its clients and, after the deployment, the names of the buckets, the queue
    and the function. `outputs` are those of the deployed stack.
    """

    def __init__(self, folder: Path, env: dict[str, str], process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.folder = folder
        self.env = env
        self.outputs: dict[str, str] = {}
        self._process = process

    @classmethod
    def start(
        cls, *, port: int = 0, retry_seconds: float = 1.0, params: Sequence[str] = (), step: Step = nullcontext
    ) -> Self:
        """Start a local AWS and deploy the stack to it.

        `port` is preferred if it is free; 0 means any free port. `retry_seconds` is the delay before the first retry
        of a failed event, and doubles with each retry. `params` are parameters for sls, as `name=value`. Raises
        LocalAwsError, after everything is stopped and deleted.
        """
        with step("Starting the local AWS"):
            aws = cls.launch(port=port, retry_seconds=retry_seconds)
        try:
            aws.deploy(params, step=step)
        except BaseException:
            aws.stop()
            raise
        return aws

    @classmethod
    def launch(cls, *, port: int = 0, retry_seconds: float = 1.0) -> Self:
        """Start a local AWS without the stack; see `start`."""
        for wanted in (port, 0):
            folder, lock = _new_folder()
            aws = cls(folder, _environment(wanted if wanted and _is_free(wanted) else _free_port()))
            try:
                aws._process = _spawn(folder, lock, aws.env, retry_seconds)
                if aws._wait_until_healthy():
                    return aws
            except BaseException:
                aws.stop()
                raise
            finally:
                os.close(lock)  # from here on only the server holds it
            log = processes.tail(folder / "log")
            aws.stop()
            # If another program took the port in the meantime, try once more with another port.
            if "already in use" not in log:
                break
        raise LocalAwsError(f"cannot start the local AWS at {aws.env['AWS_ENDPOINT_URL']}: it ended:\n{log}")

    @classmethod
    def found(cls, folder: Path, env: dict[str, str]) -> Self | None:
        """Return the local AWS that runs in a folder, or None if it no longer runs."""
        return cls(folder, env) if _is_running(folder) else None

    def deploy(self, params: Sequence[str] = (), *, step: Step = nullcontext) -> None:
        """Deploy the stack, or update it; raises LocalAwsError if that fails."""
        try:
            with step("Packaging the function"):
                package = local_package(params)
        except PackageError as error:
            raise LocalAwsError(str(error)) from error
        command = [str(SLS), "deploy", "--stage", "local", "--package", str(package)]
        command += [f"--param={param}" for param in params]
        log = self.folder / "deploy.log"
        # sls works in .serverless here as well: it deletes what another sls has there.
        with step("Deploying the stack"), locked(PACKAGES / "lock"):
            if processes.run(command, cwd=ROOT, env=sls_environment() | self.env, log=log):
                raise LocalAwsError(f"`sls deploy` cannot deploy the stack:\n{processes.tail(log)}")
        [stack] = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        self.env |= {
            "SOURCE_BUCKET": self.outputs["SourceBucketName"],
            "DESTINATION_BUCKET": self.outputs["DestinationBucketName"],
            "FAILURE_QUEUE_URL": self.outputs["FailureQueueUrl"],
            "REJECTED_QUEUE_URL": self.outputs["RejectedQueueUrl"],
            "FUNCTION_NAME": f"{STACK}-resize",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service (`s3`, `sqs`, `lambda`, ...) with the permissions of the root user."""
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=self.env["AWS_REGION"],
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            config=Config(max_pool_connections=32, proxies={}),
        )

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the server's log, which includes the function's output."""
        return processes.tail(self.folder / "log", lines)

    def keep_running(self) -> None:
        """Let the server run on after this program ends."""
        if self._process and self._process.stdin:
            self._process.stdin.write(b"stay\n")
            self._process.stdin.close()
            self._process = None

    def stop(self) -> None:
        """Stop the server with its workers and delete its files; does nothing if it is stopped."""
        with processes.uninterrupted():
            _stop(self.folder)
            if self._process:
                if self._process.stdin:
                    self._process.stdin.close()
                self._process.wait()
                self._process = None
            _remove(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_healthy(self) -> bool:
        """Return True when the server answers, False if it ended; raises LocalAwsError after START_SECONDS."""
        assert self._process  # noqa: S101  it was just started
        deadline = time.monotonic() + START_SECONDS
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while self._process.poll() is None:
            with suppress(OSError, ValueError):
                answer = opener.open(self.env["AWS_ENDPOINT_URL"] + "/_ministack/health", timeout=5)
                # Compare its name: another server may have taken the port a moment ago.
                if json.load(answer).get("edition") == self.folder.name:
                    return True
            if time.monotonic() > deadline:
                raise LocalAwsError(
                    f"the local AWS at {self.env['AWS_ENDPOINT_URL']} does not answer "
                    f"after {START_SECONDS:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(0.05)
        return False


def _environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
        "AWS_ACCESS_KEY_ID": "LOCAL" + secrets.token_hex(8).upper()[:15],
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def _spawn(folder: Path, lock: int, env: dict[str, str], retry_seconds: float) -> "subprocess.Popen[bytes]":
    inherited = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "toolbox.local.emulator", str(folder)],  # the folder identifies it in `ps`
            cwd=ROOT,
            # No other variables, because the function's processes inherit them.
            env={name: os.environ[name] for name in inherited if name in os.environ}
            | env
            | {
                "AUTH": "true",
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "BIND_HOST": HOST,
                "DOCKER_HOST": "unix:///nonexistent",
                "GATEWAY_PORT": env["AWS_ENDPOINT_URL"].rpartition(":")[2],
                "IOT_MTLS_ENABLED": "false",  # it and SFTP would listen on further ports
                "LAMBDA_ACCOUNT_CONCURRENCY": str(max(2, os.cpu_count() or 2)),
                "LAMBDA_ASYNC_RETRY_BASE_SECONDS": str(retry_seconds),
                "MINISTACK_ACCOUNT_ID": ACCOUNT,
                "MINISTACK_EDITION": folder.name,  # the health response repeats it
                "MINISTACK_HOST": HOST,
                # The functions that sls deploys need the AWS SDK, which Lambda's Node.js includes.
                "NODE_PATH": str(ROOT / "node_modules"),
                "PYTHONUNBUFFERED": "1",
                "S3_DATA_DIR": str(folder / "tmp" / "s3"),
                "SFTP_ENABLED": "false",
                "STATE_DIR": str(folder / "tmp" / "state"),
                "TMPDIR": str(folder / "tmp"),
            },
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[lock],
        )
    (folder / "pid").write_text(str(process.pid))
    return process


def _new_folder() -> tuple[Path, int]:
    """Return a new folder and its open, locked lock file; delete the folders of servers that were killed.

    A server holds the lock of its folder as long as it runs, so the lock says whether it runs and whether the process
    id is still its own.
    """
    RUNS.mkdir(parents=True, exist_ok=True)
    with locked(RUNS / ".lock"):
        for old in RUNS.iterdir():
            if old.is_dir() and not _is_running(old):
                _remove(old)
        folder = RUNS / secrets.token_hex(4)
        (folder / "tmp").mkdir(parents=True)
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        return folder, lock


def _is_running(folder: Path) -> bool:
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _stop(folder: Path) -> None:
    for number, seconds in ((signal.SIGTERM, processes.GRACE_SECONDS), (signal.SIGKILL, 10.0)):
        if not _is_running(folder):
            return
        processes.signal_group(int((folder / "pid").read_text()), number)
        deadline = time.monotonic() + seconds
        while _is_running(folder) and time.monotonic() < deadline:
            time.sleep(0.02)


def _remove(folder: Path) -> None:
    for _ in range(20):  # a worker may take a moment to end, and may write a last file
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
