"""The deployed stack: its region and its outputs."""

import os
from dataclasses import dataclass

import boto3

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
    function: str
    batch_role: str | None = None
    """Of S3 Batch Operations, if the stack has one."""


def find_stack(stage: str, session: boto3.Session) -> DeployedStack:
    """Return the stack of a stage; raises CallError if it does not exist or cannot be read."""
    name = f"{SERVICE}-{stage}"
    with call_errors(f"read the outputs of the stack {name} in {session.region_name or 'no region'}"):
        [found] = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    try:
        return DeployedStack(
            source_bucket=outputs["SourceBucketName"],
            destination_bucket=outputs["DestinationBucketName"],
            failure_queue_url=outputs["FailureQueueUrl"],
            function=outputs["FunctionName"],
            batch_role=outputs.get("BatchOperationsRoleArn"),
        )
    except KeyError as error:
        raise CallError(f"the stack {name} has no output {error}: deploy it again") from error
