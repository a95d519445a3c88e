"""A proxy before the local AWS that disturbs the requests it is told to, each in one way."""

import enum
import http.client
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

STALL_SECONDS = 10.0
"""The time that a slow response takes, unless the client gives up before."""


class Fault(enum.Enum):
    """A fault in a request or its response."""

    SLOW_DOWN = "503"
    DENIED = "403"
    EXPIRED = "expired token"
    RESET = "reset before the answer"
    ANSWER_LOST = "carried out, then reset"
    SLOW = "slow body"
    TRUNCATED = "truncated body"
    CORRUPTED = "corrupted body"
    FAILED_AS_200 = "an error in a 200"


REFUSALS = {
    Fault.SLOW_DOWN: (503, "SlowDown"),
    Fault.DENIED: (403, "AccessDenied"),
    Fault.EXPIRED: (400, "ExpiredToken"),
    Fault.FAILED_AS_200: (200, "InternalError"),
}


@dataclass(frozen=True)
class Request:
    """A request that passes."""

    operation: str
    """As AWS calls it: GetObject, SendMessage."""
    path: str
    """Decoded: /bucket/key."""
    number: int
    """Which request of its operation it is, from 1."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Proxy(ThreadingHTTPServer):
    """Passes everything on to an endpoint, but for what `disturbing` picks out."""

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(endpoint).netloc
        self.disturbed = 0
        self._fault: Fault | None = None
        self._picks: Callable[[Request], bool] = lambda request: False
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def serving(self) -> Iterator["Proxy"]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            thread.join()
            self.server_close()

    @contextmanager
    def disturbing(self, fault: Fault, picks: Callable[[Request], bool]) -> Iterator[None]:
        """Let a fault happen to the requests that are picked meanwhile, and count them in `disturbed`."""
        with self._lock:
            self.disturbed, self._numbers = 0, {}
            self._fault, self._picks = fault, picks
        try:
            yield
        finally:
            with self._lock:
                self._fault, self._picks = None, lambda request: False

    def fault_of(self, operation: str, path: str) -> Fault | None:
        with self._lock:
            self._numbers[operation] = number = self._numbers.get(operation, 0) + 1
            if self._fault is None or not self._picks(Request(operation, path, number)):
                return None
            self.disturbed += 1
            return self._fault

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # without a FIN of its own before: a reset is to come as one

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.fault_of(self._operation(), unquote(urlsplit(self.path).path))
        if fault in REFUSALS:
            self._write(self._refusal(*REFUSALS[fault]))
        elif fault is Fault.RESET:
            self._reset()
        elif fault is Fault.CORRUPTED and body:
            self._write(self._forward(_corrupted(body)))
        else:
            answer = self._forward(body)
            match fault:
                case None:
                    self._write(answer)
                case Fault.ANSWER_LOST:
                    self._reset()
                case Fault.CORRUPTED:
                    self._write(Answer(answer.status, answer.headers, _corrupted(answer.body)))
                case Fault.SLOW | Fault.TRUNCATED:
                    self._write(answer, half=True)
                    self.close_connection = True
                    if fault is Fault.SLOW:
                        self._stall()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def _operation(self) -> str:
        if target := self.headers.get("X-Amz-Target"):
            return target.rpartition(".")[2]
        if "x-amz-copy-source" in self.headers:
            return "CopyObject"
        return f"{self.command.capitalize()}Object"

    def _forward(self, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            # With the client's own Host: it is signed.
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            dropped = ("connection", "transfer-encoding")
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in dropped]
            return Answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def _refusal(self, status: int, code: str) -> Answer:
        if "X-Amz-Target" in self.headers:
            type_, body = "application/x-amz-json-1.0", f'{{"__type": "{code}", "message": "as told"}}'
        else:
            type_, body = "application/xml", f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>"
        return Answer(status, [("Content-Type", type_)], b"" if self.command == "HEAD" else body.encode())

    def _write(self, answer: Answer, *, half: bool = False) -> None:
        """Write the answer, or the first half of its body; of one without a body, half of its head."""
        lines = [f"HTTP/1.1 {answer.status} {http.client.responses.get(answer.status, '')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers]
        if "content-length" not in (name.lower() for name, _ in answer.headers):
            lines.append(f"Content-Length: {len(answer.body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        if not half:
            self.wfile.write(head + answer.body)
        elif answer.body:
            self.wfile.write(head + answer.body[: len(answer.body) // 2])
        else:
            self.wfile.write(head[:12])

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _stall(self) -> None:
        """Wait until the client gives up."""
        self.connection.settimeout(STALL_SECONDS)
        with suppress(OSError):
            self.connection.recv(1)


def _corrupted(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes(byte ^ 0x80 for byte in body[middle : middle + 1]) + body[middle + 1 :]
