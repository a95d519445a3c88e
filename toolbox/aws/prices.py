"""The prices of AWS that estimates use: us-east-1, in dollars, without free tiers.

From the pricing pages of Lambda, S3 and EventBridge. Other regions cost up to a third more.
"""

from datetime import date

REGION = "us-east-1"
AS_OF = date(2025, 11, 1)
"""When they were read; they have hardly changed in years."""

LAMBDA_GB_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
LAMBDA_REQUEST = 0.20 / 1e6
S3_PUT = 0.005 / 1e3
"""Also of COPY and LIST."""
S3_GET = 0.0004 / 1e3
"""Also of HEAD."""
S3_GB_MONTH = 0.023
BATCH_JOB = 0.25
BATCH_TASK = 1.00 / 1e6
EVENT = 1.00 / 1e6
