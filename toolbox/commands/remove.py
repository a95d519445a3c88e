"""`image-scaler remove`: remove a stack, so that its buckets can be used again.

CloudFormation keeps the buckets with their notifications, which would overlap with those of the next stack.
"""

import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolbox.aws.deployed import find_stack
from toolbox.aws.errors import call_errors
from toolbox.aws.session import open_session
from toolbox.console import out
from toolbox.stack import ROOT, SLS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def remove(stage: str, region: str | None, params: Sequence[str]) -> int:
    """Run `sls remove`, then delete the notifications to the removed function; return the exit code of sls.

    Raises CallError if the stack does not exist, or AWS does not answer.
    """
    session = open_session(region)
    found = find_stack(stage, session)
    command = [str(SLS), "remove", "--stage", stage, "--region", session.region_name]
    command += [f"--param={param}" for param in params]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        return code
    count = remove_notifications(session.client("s3"), found.source_bucket, found.function)
    out.print(f"The buckets {found.source_bucket} and {found.destination_bucket} still exist, without notifications")
    out.print(f"({count} removed). Deploy with existingSourceBucket and existingDestinationBucket to use them again.")
    return 0


def remove_notifications(s3: "S3Client", bucket: str, function: str) -> int:
    """Delete the bucket's notifications to a function; return how many."""
    with call_errors(f"change the notifications of {bucket}"):
        configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
        entries = configuration.get("LambdaFunctionConfigurations", [])
        kept = [entry for entry in entries if entry["LambdaFunctionArn"].split(":")[6] != function]
        if len(kept) == len(entries):
            return 0
        others = {
            name: value
            for name, value in configuration.items()
            if name in ("TopicConfigurations", "QueueConfigurations", "EventBridgeConfiguration")
        }
        s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration={**others, "LambdaFunctionConfigurations": kept},  # type: ignore[typeddict-item]
            # The remaining entries may belong to others, whose functions need not exist.
            SkipDestinationValidation=True,
        )
    return len(entries) - len(kept)
