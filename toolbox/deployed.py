"""The deployed stack: its region and its outputs."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from toolbox.aws_errors import CallError, call_errors

SERVICE = "image-scaler"


def session(region: str | None = None) -> boto3.Session:
    """Return a session in the region that sls would deploy to: this one, AWS_REGION, or that of the AWS profile."""
    return boto3.Session(region_name=region or os.environ.get("AWS_REGION") or None)


@dataclass(frozen=True)
class DeployedStack:
    """The names that the commands need of a stack."""

    source_bucket: str
    destination_bucket: str
    failure_queue_url: str
    rejected_queue_url: str
    function: str
    batch_role: str | None = None
    """Of S3 Batch Operations, if the stack has one."""
    delivery: str = "s3"
    """How uploads reach the function: the parameter of this name."""


def find_stack(stage: str, session: boto3.Session) -> DeployedStack:
    """Return the stack of a stage; raises CallError if it does not exist or cannot be read."""
    name, outputs = f"{SERVICE}-{stage}", _outputs(_describe(stage, session))
    try:
        return DeployedStack(
            source_bucket=outputs["SourceBucketName"],
            destination_bucket=outputs["DestinationBucketName"],
            failure_queue_url=outputs["FailureQueueUrl"],
            rejected_queue_url=outputs["RejectedQueueUrl"],
            function=outputs["FunctionName"],
            batch_role=outputs.get("BatchOperationsRoleArn"),
            delivery=outputs.get("Delivery", "s3"),
        )
    except KeyError as error:
        raise CallError(f"the stack {name} has no output {error}: deploy it again") from error


def _describe(stage: str, session: boto3.Session) -> Mapping[str, Any]:
    name = f"{SERVICE}-{stage}"
    # A laptop without credentials or network hears of it soon.
    config = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})
    with call_errors(f"read the outputs of the stack {name} in {session.region_name or 'no region'}"):
        [found] = session.client("cloudformation", config=config).describe_stacks(StackName=name)["Stacks"]
    return dict(found)


def _outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
