"""The process of the local AWS: ministack with five patches, which CONTRIBUTING explains.

Run as `python -m toolbox.local.emulator`, configured by ministack's environment variables. It ends when its standard
input is closed, so when its parent process ends, unless it reads a line `stay` first.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from contextvars import ContextVar
from importlib import import_module
from itertools import product
from typing import Any


def main() -> None:
    """Serve until SIGTERM."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lambda_service = import_module("ministack.services.lambda_svc")
    _queue_throttled_events(lambda_service)
    _retry_events_of_rules(import_module("ministack.services.eventbridge"), lambda_service)
    _read_metrics_in_logs(import_module("ministack.services.cloudwatch"), lambda_service)
    app: Any = import_module("ministack.app")
    _trust_loopback(app)
    _serve_distributions(app, import_module("ministack.services.cloudfront"))
    del sys.argv[1:]  # which name the folder, for `ps`
    app.main()


def _end_with_parent() -> None:
    if sys.stdin.readline() != "stay\n":
        os.killpg(os.getpgrp(), signal.SIGKILL)  # with the workers; there is no state to save


def _trust_loopback(app: Any) -> None:
    """Count all requests as encrypted, which the bucket policies require: they never leave this machine."""
    pin = app.pin_request_origin
    app.pin_request_origin = lambda address, is_secure: pin(address, True)


def _serve_distributions(app: Any, cloudfront: Any) -> None:
    """Let a browser on this machine reach a distribution, as `<its label>.cloudfront.localhost`, and without TLS.

    Browsers know that names below localhost are this machine. A distribution may redirect to HTTPS, which nothing here
    answers.
    """
    handle = cloudfront.handle_viewer_request

    async def handle_encrypted(
        distribution: Any, method: str, path: str, raw_path: str, query: str, headers: dict[str, str], *rest: Any
    ) -> Any:
        encrypted = headers | {"x-forwarded-proto": "https"}
        return await handle(distribution, method, path, raw_path, query, encrypted, *rest)

    cloudfront.handle_viewer_request = handle_encrypted
    app._CLOUDFRONT_HOST_RE = re.compile(r"^([a-z0-9]+)\.cloudfront\.(?:net|localhost)$")


def _queue_throttled_events(service: Any) -> None:
    """Let an asynchronous event wait for a free execution, as on AWS.

    ministack counts "too many executions" as a failed attempt, so most of a burst of uploads would be in the failure
    queue within seconds. Lambda keeps such an event for up to six hours.
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
        # ministack copies this context into the thread that makes the attempts.
        token = asynchronous.set(True)
        try:
            deliver(function, event)
        finally:
            asynchronous.reset(token)

    service._execute_function = execute_when_free
    service.invoke_async_with_retry = deliver_asynchronously


def _retry_events_of_rules(event_bridge: Any, lambda_service: Any) -> None:
    """Let a rule of EventBridge invoke a function asynchronously, as on AWS, so that Lambda retries what fails."""

    def dispatch(arn: str, payload: str) -> None:
        function, config, _ = lambda_service._get_func_record_for_ref(arn)
        if function and config:
            record = lambda_service._execution_record_for_config(function, config)
            lambda_service.invoke_async_with_retry(record, json.loads(payload))

    event_bridge._dispatch_to_lambda = dispatch


def _read_metrics_in_logs(cloudwatch: Any, lambda_service: Any) -> None:
    """Let CloudWatch have the metrics in the function's log, which are in its embedded metric format."""
    emit_logs = lambda_service._emit_lambda_logs

    def emit(function: Any, request_id: str, log_text: str, *args: Any, **options: Any) -> None:
        emit_logs(function, request_id, log_text, *args, **options)
        for values in (json.loads(line) for line in log_text.splitlines() if '"_aws"' in line):
            for directive in values["_aws"]["CloudWatchMetrics"]:
                for names, metric in product(directive["Dimensions"], directive["Metrics"]):
                    dimensions = {name: values[name] for name in names}
                    name, unit = metric["Name"], metric["Unit"]
                    cloudwatch.record_metric(directive["Namespace"], name, values[name], unit, dimensions)

    lambda_service._emit_lambda_logs = emit


if __name__ == "__main__":
    main()
