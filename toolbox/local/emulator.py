"""The process of the local AWS: ministack, with what our stack needs beyond it.

Run as `python -m toolbox.local.emulator`, set up by ministack's environment variables. It ends when its standard
input does, that is with whoever started it, unless it reads a line `stay` there first.
"""

import os
import signal
import sys
import threading
import time
from contextvars import ContextVar
from importlib import import_module
from typing import Any


def main() -> None:
    """Serve until SIGTERM."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _queue_throttled_events(import_module("ministack.services.lambda_svc"))
    app: Any = import_module("ministack.app")
    _trust_loopback(app)
    del sys.argv[1:]  # the folder there is for `ps`
    app.main()


def _end_with_parent() -> None:
    if sys.stdin.readline() != "stay\n":
        os.killpg(os.getpgrp(), signal.SIGKILL)  # with the workers; there is nothing to save


def _trust_loopback(app: Any) -> None:
    """Let requests count as made by TLS, which our bucket policies demand: none leaves this machine."""
    pin = app.pin_request_origin
    app.pin_request_origin = lambda address, is_secure: pin(address, True)


def _queue_throttled_events(service: Any) -> None:
    """Let an asynchronous event wait for a free execution, as on AWS.

    ministack counts "too many executions" as a failed attempt: of a burst of uploads, all but the first few
    would end in the failure queue within seconds. Lambda keeps such an event for up to six hours.
    """
    execute, deliver = service._execute_function, service.invoke_async_with_retry
    asynchronous = ContextVar("asynchronous", default=False)

    def execute_when_free(function: Any, event: Any) -> Any:
        while True:
            result = execute(function, event)
            if not (asynchronous.get() and result.get("throttle")):
                return result
            time.sleep(0.1)

    def deliver_asynchronously(function: Any, event: Any) -> None:
        # ministack copies the context into the thread that makes the attempts.
        token = asynchronous.set(True)
        try:
            deliver(function, event)
        finally:
            asynchronous.reset(token)

    service._execute_function = execute_when_free
    service.invoke_async_with_retry = deliver_asynchronously


if __name__ == "__main__":
    main()
