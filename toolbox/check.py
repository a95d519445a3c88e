"""Check renditions.toml and the stack's settings before anything is deployed."""

import re
from collections.abc import Sequence
from pathlib import Path

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.spec import Renditions
from image_scaler.renditions.toml import did_you_mean, load_renditions
from image_scaler.settings import BUCKET
from toolbox import stack

_BUCKET = (BUCKET, "the name of a bucket: lower-case letters, digits, - and .")
_VALUES = {
    "architecture": ("arm64|x86_64", "arm64 or x86_64"),
    "memorySize": (r"\d+", "a number of MB from 128 to 10240"),
    "timeout": (r"\d+", "a number of seconds from 1 to 900"),
    "reservedConcurrency": (r"[1-9]\d*", "a number from 1"),
    "sourceBucket": _BUCKET,
    "destinationBucket": _BUCKET,
    "existingSourceBucket": _BUCKET,
    "alarmTopic": (r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+", "the ARN of an SNS topic"),
}
"""Parameters whose values sls does not check, or refuses with a message that does not help: pattern and words."""


def check(renditions_file: Path, stage: str, params: Sequence[str], region: str | None = None) -> Renditions:
    """Return the renditions; raises ConfigError with one sentence if they or a setting of the stack cannot work."""
    renditions = load_renditions(renditions_file)
    _check_given(stage, params)
    _check_stack(stage, params, region)
    return renditions


def _check_given(stage: str, params: Sequence[str]) -> None:
    """Raise ConfigError for a stage or a parameter that sls would accept, or refuse without a helpful message."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", stage):
        raise ConfigError(f"expected lower-case letters, digits and - for the stage but received {stage!r}")
    known = stack.parameters()
    for param in params:
        name, equals, value = param.partition("=")
        if not equals:
            raise ConfigError(f"expected a parameter like memorySize=3538 but received {param!r}")
        if name not in known:
            raise ConfigError(f"the stack has no parameter {name!r}.{did_you_mean(name, known)}")
        pattern, words = _VALUES.get(name, (".+", "a value"))
        if not re.fullmatch(pattern, re.sub(r"\$\{[^}]*\}", "000000000000", value)):
            raise ConfigError(f"expected {words} for {name} but received {value!r}")


def _check_stack(stage: str, params: Sequence[str], region: str | None = None) -> None:
    """Raise ConfigError with one sentence if a setting cannot work.

    sls checks the ranges of numbers and the runtime, against its own schema.
    """
    _check_given(stage, params)
    settings = stack.resolved(stage, params, region)
    source = settings["custom"]["sourceBucket"]
    destination = settings["resources"]["Resources"]["DestinationBucket"]["Properties"]["BucketName"]
    destination = destination.get("Fn::Sub") if isinstance(destination, dict) else destination
    if source == destination:
        raise ConfigError(
            f"expected the source and the destination to be two buckets but received {source} for both: "
            "every rendition would invoke the function again"
        )
