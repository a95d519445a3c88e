"""The Lambda entry point: builds the scaler once for each execution environment, then delegates to it."""

import os
from pathlib import Path
from typing import Any

from image_scaler.deadline import Deadline
from image_scaler.images import vips
from image_scaler.scaler import FailureQueues, Scaler, build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.event_bus import EventBridgeBus
from image_scaler.storage.failure_queue import SqsFailureQueue
from image_scaler.storage.s3 import S3Store
from image_scaler.storage.sdk import sdk_versions
from image_scaler.telemetry import Telemetry


def start() -> Scaler:
    """Set up the process and return a scaler for the environment's settings; raises ConfigError if they are wrong."""
    settings = Settings.load(os.environ, Path(__file__).with_name("renditions.toml"))
    vips.configure(allow_svg=settings.recipe.allow_svg)
    failed, rejected = (
        SqsFailureQueue(url) if url else None for url in (settings.failure_queue_url, settings.rejected_queue_url)
    )
    return build_scaler(
        settings,
        S3Store(owners=settings.bucket_owners),
        queues=FailureQueues(failed, rejected),
        event_bus=EventBridgeBus() if settings.recipe.events else None,
        observe=telemetry.observe,
    )


# At start-up and not in the first call: Lambda then refuses a wrong configuration before any event, and
# start-up has a full vCPU whatever the function's memory.
telemetry = Telemetry(os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "image-scaler"), sdk_versions())
scaler = start()


def lambda_handler(event: object, context: Any) -> dict[str, Any]:
    """Process an event; see Scaler.handle for the response and the exceptions."""
    telemetry.begin(getattr(context, "aws_request_id", None))
    if context is None:  # a call by hand, as in a Python shell
        return scaler.handle(event)
    return scaler.handle(event, Deadline(lambda: context.get_remaining_time_in_millis() / 1000))
