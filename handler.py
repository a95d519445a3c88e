"""The Lambda entry point: builds the scaler once for each execution environment, then delegates to it."""

import logging
import os
from pathlib import Path
from typing import Any

from image_scaler.config import Settings
from image_scaler.s3 import S3Store
from image_scaler.service import Scaler
from image_scaler.sqs import SqsFailureQueue

logging.getLogger("image_scaler").setLevel(logging.INFO)


def build_scaler() -> Scaler:
    """Return a scaler for the settings of the environment; raises ConfigError where these cannot work."""
    settings = Settings.load(os.environ, Path(__file__).with_name("renditions.toml"))
    queue = SqsFailureQueue(settings.failure_queue_url) if settings.failure_queue_url else None
    return Scaler(settings, S3Store(), queue)


# At start-up and not in the first call: Lambda then refuses a wrong configuration before any event, and
# start-up has a whole vCPU whatever the function's memory.
scaler = build_scaler()


def lambda_handler(event: object, context: Any) -> dict[str, Any]:
    """Process an event; see Scaler.handle for the answer and for what is raised."""
    if context is None:  # called by hand, as in a Python shell
        return scaler.handle(event)
    return scaler.handle(event, lambda: context.get_remaining_time_in_millis() / 1000)
