"""The function's time is enough for what it waits for."""

import re

from image_scaler.deadline import SHUTDOWN_MARGIN
from image_scaler.storage.s3 import CLIENT_CONFIG
from tests import ROOT

LONGEST_PAUSES = (1, 2, 4, 8)
"""In seconds, before each further try: botocore waits a random part of it."""


def timeout() -> int:
    """The function's default, in seconds."""
    text = (ROOT / "serverless.yml").read_text(encoding="utf-8")
    (found,) = re.findall(r"^    timeout: (\d+)$", text, re.MULTILINE)
    return int(found)


def test_the_slowest_request_leaves_the_function_time_to_finish() -> None:
    tries = CLIENT_CONFIG.retries["total_max_attempts"]
    slowest = tries * (CLIENT_CONFIG.connect_timeout + CLIENT_CONFIG.read_timeout) + sum(LONGEST_PAUSES[: tries - 1])
    body_that_stalls = CLIENT_CONFIG.read_timeout
    assert slowest + body_that_stalls <= timeout() - SHUTDOWN_MARGIN
