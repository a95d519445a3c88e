"""`make remove`: remove a stack, so that its buckets can be used again.

CloudFormation keeps the buckets with their notifications, which would overlap with those of the next stack.
"""

import argparse
import subprocess
from typing import TYPE_CHECKING

from toolbox.aws_errors import CallError, call_errors
from toolbox.deployed import find_stack
from toolbox.session import open_session
from toolbox.stack import ROOT, SLS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def main() -> None:
    """Run `sls remove`, then delete the notifications to the removed function; exits with the code of sls."""
    parser = argparse.ArgumentParser(prog="make remove", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--param", action="append", default=[], help="a parameter for sls, as name=value")
    parser.add_argument("--region", help="the region of the stack")
    options = parser.parse_args()
    try:
        aws = open_session(options.region)
        found = find_stack(options.stage, aws)
        command = [str(SLS), "remove", "--stage", options.stage, "--region", aws.region_name]
        command += [f"--param={param}" for param in options.param]
        if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
            raise SystemExit(code)
        count = remove_notifications(aws.client("s3"), found.source_bucket, found.function)
    except CallError as error:
        raise SystemExit(f"make remove: {error}") from None
    print(f"The buckets {found.source_bucket} and {found.destination_bucket} still exist, without notifications")  # noqa: T201
    print(f"({count} removed). Deploy with existingSourceBucket and existingDestinationBucket to use them again.")  # noqa: T201


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


if __name__ == "__main__":
    main()
