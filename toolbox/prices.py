"""Prices of AWS: what the renditions of uploads cost, in US dollars.

List prices of us-east-1 without the free tier, as of January 2026. Change them here and nowhere else.
"""

from typing import NamedTuple

AS_OF = "January 2026"
REGION = "us-east-1"

LAMBDA_GB_SECOND = 0.0000133334
"""On arm64, per second and gibibyte of memory."""
LAMBDA_REQUEST = 0.20 / 1_000_000
S3_WRITE = 0.005 / 1_000
"""One PUT, COPY or LIST."""
S3_READ = 0.0004 / 1_000
"""One GET or HEAD."""
S3_GB_MONTH = 0.023
"""Storage of a gigabyte (10^9 bytes) for a month, S3 Standard."""

DEFAULT_MEMORY_GB = 1792 / 1024
"""The function's memory by default; see serverless.yml."""


class Prices(NamedTuple):
    """The prices as the page of `image-scaler play` uses them, in dollars."""

    as_of: str = AS_OF
    region: str = REGION
    second: float = LAMBDA_GB_SECOND * DEFAULT_MEMORY_GB
    """The function for a second, with the default memory."""
    request: float = LAMBDA_REQUEST + S3_READ
    """Invoking the function, which reads the source once."""
    write: float = S3_WRITE
    """Writing one object."""
    gigabyte_month: float = S3_GB_MONTH


PRICES = Prices()
