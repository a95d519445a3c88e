"""Calls of AWS in parallel: fewer while AWS refuses some, and each again until it is accepted."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from botocore import exceptions
from botocore.exceptions import ClientError

from toolbox.aws.errors import CallError

FIRST_PAUSE = 1.0
MAX_PAUSE = 60.0
"""In seconds. The pause before a call is made again doubles each time; a random half of it is left out."""
MAX_WAIT = 900.0
"""Seconds after which a call is no longer made again if AWS accepts none: no execution of Lambda takes longer."""
GROWTH_SECONDS = 10.0
"""Without a refusal for so long, a tenth more calls are made in parallel, and at least one."""
REPORT_SECONDS = 60.0
"""Between two reports that AWS still refuses calls."""

LATER_CODES = {"TooManyRequestsException", "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded"}
LATER_CODES |= {"RequestTimeout", "ServiceUnavailable", "InternalError"}
"""Of errors after which AWS may accept the same request."""
_STATUS_CODES = {429, 500, 502, 503, 504}
_NETWORK_ERRORS = (exceptions.ConnectionError, exceptions.HTTPClientError)

R = TypeVar("R")


class RefusedError(Exception):
    """AWS refused a part of a request for now."""


class Clock(NamedTuple):
    """What the limiter knows of time."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    """Waits for some seconds, or until the event is set."""


def refusal(error: BaseException) -> str | None:
    """Return why AWS refused a request that it may accept later; None if the same request would fail again.

    The errors of the stores have that of boto3 as their cause.
    """
    for found in (error, error.__cause__):
        if isinstance(found, RefusedError):
            return str(found)
        if isinstance(found, ClientError):
            code = found.response.get("Error", {}).get("Code", "")
            status = found.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return str(found) if code in LATER_CODES or status in _STATUS_CODES else None
        if isinstance(found, _NETWORK_ERRORS) and not isinstance(found, exceptions.ReadTimeoutError):
            return str(found)
    return None


class Limiter:
    """Limits how many calls are in progress, and makes those again that AWS refused for now.

    Each refused call lowers the limit to one less than the calls that were in progress, so that it soon is what AWS
    accepts: 8 calls of a function with two free executions go down to 2. It grows again later.
    """

    def __init__(
        self, max_calls: int, report: Callable[[str], None] = lambda text: None, clock: Clock | None = None
    ) -> None:
        """`report` receives a sentence when AWS refuses calls, at most once in a minute."""
        self.limit = max_calls
        self.refused = 0
        self._max = max_calls
        self._report = report
        self._clock = clock or Clock()
        self._free = threading.Condition()
        self._stopped = threading.Event()
        self._in_progress = 0
        self._changed_at = 0.0
        self._refused_since: float | None = None
        """When AWS refused the first of the calls that followed the last one that it accepted."""
        self._reported_at: float | None = None

    def call(self, request: Callable[[], R]) -> R:
        """Return what a request returns; make it again, after a growing pause, as long as AWS refuses it for now.

        Raises CallError if AWS has accepted none for 15 minutes, CancelledError after `stop`, and what the request
        raises otherwise.
        """
        pause = FIRST_PAUSE
        while True:
            with self._turn():
                try:
                    answer = request()
                except Exception as error:
                    if (reason := refusal(error)) is None:
                        raise
                    self._slow_down(reason)
                else:
                    self._speed_up()
                    return answer
            self._clock.wait(self._stopped, random.uniform(pause / 2, pause))  # noqa: S311  nothing secret
            pause = min(2 * pause, MAX_PAUSE)

    def stop(self) -> None:
        """Begin no call any more: those that wait raise CancelledError."""
        with self._free:
            self._stopped.set()
            self._free.notify_all()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._free:
            self._free.wait_for(lambda: self._in_progress < self.limit or self._stopped.is_set())
            if self._stopped.is_set():
                raise CancelledError
            self._in_progress += 1
        try:
            yield
        finally:
            with self._free:
                self._in_progress -= 1
                self._free.notify_all()

    def _slow_down(self, reason: str) -> None:
        now = self._clock.now()
        with self._free:
            self.refused += 1
            self.limit = max(1, min(self.limit, self._in_progress) - 1)
            self._changed_at = now
            self._refused_since = now if self._refused_since is None else self._refused_since
            is_hopeless = now - self._refused_since > MAX_WAIT
            is_due = self._reported_at is None or now - self._reported_at >= REPORT_SECONDS
            self._reported_at = now if is_due else self._reported_at
        if is_hopeless:
            raise CallError(f"AWS has accepted no call for {MAX_WAIT / 60:.0f} minutes: {reason}")
        if is_due:
            self._report(f"AWS refuses calls for now, they are made again with fewer in parallel: {reason}")

    def _speed_up(self) -> None:
        now = self._clock.now()
        with self._free:
            self._refused_since = None
            if self.limit < self._max and now - self._changed_at >= GROWTH_SECONDS:
                self.limit = min(self._max, self.limit + max(1, self.limit // 10))
                self._changed_at = now
                self._free.notify_all()
