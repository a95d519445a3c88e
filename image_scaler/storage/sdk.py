"""The AWS SDK: which versions this process has, and whether they are new enough.

boto3 is part of Lambda's runtime and not of our package. AWS updates it without a deployment.
"""

import re

import boto3
import botocore

from image_scaler.exceptions import ConfigError

MIN_VERSION = "1.36.0"
"""The first botocore that verifies the checksum of a download, so that a corrupted one is tried again and not rejected
as a damaged image. Conditional writes (IfMatch) came before, with 1.35.69."""


def sdk_versions() -> dict[str, str]:
    """Return the versions of the SDK by its packages' names; raises ConfigError if it is too old."""
    if _parse(botocore.__version__) < _parse(MIN_VERSION):
        raise ConfigError(
            f"botocore {botocore.__version__} is too old, it must be {MIN_VERSION} or newer: "
            "choose a newer Lambda runtime with the parameter python"
        )
    return {"boto3": boto3.__version__, "botocore": botocore.__version__}


def _parse(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
