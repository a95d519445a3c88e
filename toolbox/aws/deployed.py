"""The names of the deployed stack, from its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from toolbox.aws.errors import CallError, call_errors
from toolbox.aws.session import QUICK

SERVICE = "image-scaler"


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
    any_suffix: str = "false"
    """Whether every upload invokes it: the parameter of this name."""


def stack_name(stage: str) -> str:
    """Return the name of the stack of a stage."""
    return f"{SERVICE}-{stage}"


def find_stack(stage: str, session: boto3.Session) -> DeployedStack:
    """Return the stack of a stage; raises CallError if it does not exist or cannot be read."""
    name, outputs = stack_name(stage), _outputs(_describe(stage, session))
    try:
        return DeployedStack(
            source_bucket=outputs["SourceBucketName"],
            destination_bucket=outputs["DestinationBucketName"],
            failure_queue_url=outputs["FailureQueueUrl"],
            rejected_queue_url=outputs["RejectedQueueUrl"],
            function=outputs["FunctionName"],
            batch_role=outputs.get("BatchOperationsRoleArn"),
            delivery=outputs.get("Delivery", "s3"),
            any_suffix=outputs.get("AnySuffix", "false"),
        )
    except KeyError as error:
        raise CallError(f"the stack {name} has no output {error}: deploy it again") from error


def _describe(stage: str, session: boto3.Session) -> Mapping[str, Any]:
    name = stack_name(stage)
    with call_errors(f"read the outputs of the stack {name} in {session.region_name}"):
        [found] = session.client("cloudformation", config=QUICK).describe_stacks(StackName=name)["Stacks"]
    return dict(found)


def _outputs(stack: Mapping[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
