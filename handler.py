"""The Lambda entry point: builds the scaler once for each execution environment, then delegates to it."""

import os
from pathlib import Path
from typing import Any

from image_scaler.scaler import Scaler
from image_scaler.settings import Settings
from image_scaler.storage.s3 import S3Store
from image_scaler.storage.sqs import SqsFailureQueue
from image_scaler.telemetry import Telemetry


def build_scaler() -> Scaler:
    """Return a scaler for the settings of the environment; raises ConfigError where these cannot work."""
    settings = Settings.load(os.environ, Path(__file__).with_name("renditions.toml"))
    queue = SqsFailureQueue(settings.failure_queue_url) if settings.failure_queue_url else None
    return Scaler(settings, S3Store(owners=settings.bucket_owners), queue, observe=telemetry.observe)


# At start-up and not in the first call: Lambda then refuses a wrong configuration before any event, and
# start-up has a whole vCPU whatever the function's memory.
telemetry = Telemetry(os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "image-scaler"))
scaler = build_scaler()


def lambda_handler(event: object, context: Any) -> dict[str, Any]:
    """Process an event; see Scaler.handle for the answer and for what is raised."""
    telemetry.begin(getattr(context, "aws_request_id", None))
    if context is None:  # called by hand, as in a Python shell
        return scaler.handle(event)
    return scaler.handle(event, lambda: context.get_remaining_time_in_millis() / 1000)
