"""Calls that AWS refuses for now are made again, with fewer in parallel, until it accepts them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from toolbox.aws.errors import CallError
from toolbox.migration.apply import INVOKE_CONFIG
from toolbox.migration.limiter import MAX_PAUSE, Clock, Limiter, RefusedError, refusal


class FastClock:
    """Waits for no time at all, and remembers how long it was asked to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []

    def wait(self, stopped: threading.Event, seconds: float) -> None:
        self.seconds += seconds
        self.pauses.append(seconds)
        stopped.wait(0.002)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.seconds, self.wait)


class Lambda:
    """A function with a few free executions, behind the protocol of Lambda."""

    def __init__(self, executions: int) -> None:
        self._free = threading.Semaphore(executions)
        self._lock = threading.Lock()
        self.calls = self.refused = 0

    @contextmanager
    def running(self) -> Iterator[Any]:
        function = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                status, body, headers = function.answer()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
            address = f"http://127.0.0.1:{server.server_port}"
            config = INVOKE_CONFIG.merge(Config(proxies={}))
            client = boto3.client("lambda", endpoint_url=address, region_name="us-east-1", config=config, **keys)  # type: ignore[call-overload]
            try:
                yield client
            finally:
                client.close()
                server.shutdown()

    def answer(self) -> tuple[int, bytes, dict[str, str]]:
        if not self._free.acquire(blocking=False):
            with self._lock:
                self.refused += 1
            reason = {"Reason": "ConcurrentInvocationLimitExceeded", "message": "Rate Exceeded."}
            return 429, json.dumps(reason).encode(), {"x-amzn-errortype": "TooManyRequestsException"}
        time.sleep(0.005)
        with self._lock:
            self.calls += 1
        self._free.release()
        return 200, b'{"statusCode": 200}', {}


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Anything")  # type: ignore[typeddict-item]


def failing(*errors: Exception) -> Callable[[], str]:
    waiting = iter(errors)

    def request() -> str:
        if error := next(waiting, None):
            raise error
        return "accepted"

    return request


def test_eight_calls_in_parallel_of_a_function_with_two_executions_all_succeed_with_fewer_in_parallel() -> None:
    function, clock, said = Lambda(executions=2), FastClock(), list[str]()
    with function.running() as client, ThreadPoolExecutor(8) as pool:
        limiter = Limiter(8, said.append, Clock(lambda: 0.0, clock.wait))
        answers = list(pool.map(lambda _: limiter.call(lambda: client.invoke(FunctionName="f")), range(40)))
    assert [answer["StatusCode"] for answer in answers] == [200] * 40
    assert function.calls == 40
    assert limiter.refused == function.refused > 0
    assert limiter.limit < 8
    [sentence] = said
    assert "with fewer in parallel" in sentence
    assert "TooManyRequestsException" in sentence


def test_the_pauses_grow_to_a_minute_and_are_never_the_same() -> None:
    clock = FastClock()
    Limiter(1, clock=clock.clock).call(failing(*[client_error("SlowDown", 503)] * 10))
    for pause, number in zip(clock.pauses, range(10), strict=True):
        assert min(2**number, MAX_PAUSE) / 2 <= pause <= min(2**number, MAX_PAUSE)
    assert len(set(clock.pauses)) == 10


def test_more_calls_are_made_in_parallel_again_when_none_is_refused_for_a_while() -> None:
    clock = FastClock()
    limiter = Limiter(4, clock=clock.clock)
    limiter.call(failing(client_error("SlowDown")))
    assert limiter.limit == 1
    limits = []
    for _ in range(4):
        clock.seconds += 11
        limiter.call(failing())
        limits.append(limiter.limit)
    assert limits == [2, 3, 4, 4]


def test_it_says_once_a_minute_that_it_still_waits_and_gives_up_after_a_quarter_of_an_hour() -> None:
    clock, said = FastClock(), list[str]()
    limiter = Limiter(1, said.append, clock.clock)
    with pytest.raises(CallError, match=r"accepted no call for 15 minutes: .*TooManyRequestsException"):
        limiter.call(failing(*[client_error("TooManyRequestsException", 429)] * 100))
    assert 900 < clock.seconds < 970
    assert 8 <= len(said) <= 16


@pytest.mark.parametrize("code", ["AccessDenied", "ResourceNotFoundException", "InvalidParameterValueException"])
def test_a_request_that_would_fail_again_is_not_made_again(code: str) -> None:
    with pytest.raises(ClientError, match=code):
        Limiter(1).call(failing(client_error(code)))


@pytest.mark.parametrize(
    "error",
    [
        client_error("SlowDown", 503),
        client_error("TooManyRequestsException", 429),
        client_error("ServiceException", 500),
        client_error("503", 503),
        RefusedError("SlowDown of 3 keys"),
    ],
)
def test_throttling_and_errors_of_a_service_are_refusals_for_now_also_as_a_cause(error: Exception) -> None:
    assert refusal(error) == str(error)
    ours = CallError("cannot read it")
    ours.__cause__ = error
    assert refusal(ours) == str(error)


def test_an_interruption_ends_the_calls_that_wait() -> None:
    limiter = Limiter(1)
    request = failing(*[client_error("SlowDown")] * 100)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(limiter.call, request) for _ in range(2)]
        while not limiter.refused:
            time.sleep(0.001)
        limiter.stop()
        for future in waiting:
            with pytest.raises(CancelledError):
                future.result(timeout=5)
