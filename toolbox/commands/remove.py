"""`image-scaler remove`: remove a stack, so that its buckets can be used again.

CloudFormation keeps the buckets with their notifications, which would overlap with those of the next stack.
"""

import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolbox.aws.deployed import find_stack, stack_name
from toolbox.aws.errors import call_errors
from toolbox.aws.session import open_session
from toolbox.console import out
from toolbox.stack import ROOT, SLS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def remove(stage: str, region: str | None, params: Sequence[str]) -> int:
    """Run `sls remove`, then delete the notifications to what was removed; return the exit code of sls.

    Raises CallError if the stack does not exist, or AWS does not answer.
    """
    session = open_session(region)
    found = find_stack(stage, session)
    command = [str(SLS), "remove", "--stage", stage, "--region", session.region_name]
    command += [f"--param={param}" for param in params]
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        return code
    count = remove_notifications(session.client("s3"), found.source_bucket, found.function, stack_name(stage))
    out.print(f"The buckets {found.source_bucket} and {found.destination_bucket} still exist, without notifications")
    out.print(f"({count} removed). Deploy with existingSourceBucket and existingDestinationBucket to use them again.")
    return 0


def remove_notifications(s3: "S3Client", bucket: str, function: str, stack: str) -> int:
    """Delete the bucket's notifications to a function, and to the buffer of its stack; return how many."""
    with call_errors(f"change the notifications of {bucket}"):
        configuration = s3.get_bucket_notification_configuration(Bucket=bucket)
        functions = configuration.get("LambdaFunctionConfigurations", [])
        queues = configuration.get("QueueConfigurations", [])
        kept_functions = [entry for entry in functions if entry["LambdaFunctionArn"].split(":")[6] != function]
        # CloudFormation puts the name of the stack before the logical name of the queue, and random letters after it.
        buffer = f"{stack}-BufferQueue-"
        kept_queues = [entry for entry in queues if not entry["QueueArn"].split(":")[5].startswith(buffer)]
        count = len(functions) + len(queues) - len(kept_functions) - len(kept_queues)
        if count:
            names = ("TopicConfigurations", "EventBridgeConfiguration")
            others = {name: value for name, value in configuration.items() if name in names}
            kept = {"LambdaFunctionConfigurations": kept_functions, "QueueConfigurations": kept_queues}
            s3.put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={**others, **kept},  # type: ignore[typeddict-item]
                # The remaining entries may belong to others, whose functions need not exist.
                SkipDestinationValidation=True,
            )
    return count
