"""How uploads reach the function: by S3's notifications or by EventBridge, directly or through a buffer."""

from typing import Any

from tests.stack.packaging.packages import ACCOUNT, REGION, Package
from tests.stack.packaging.test_template import EVERY_CASE, SOURCE, SUFFIXES, role_statements

FUNCTION = "<ResizeLambdaFunction.Arn>"
NO_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def rule(package: Package) -> dict[str, Any]:
    (name,) = package.of_type("AWS::Events::Rule")
    return package.properties(name)


def statements(package: Package, policy: str) -> dict[str, dict[str, Any]]:
    """The statements of a queue's policy by their ids."""
    return {found["Sid"]: found for found in package.properties(policy)["PolicyDocument"]["Statement"]}


def test_s3_invokes_the_function_directly_by_default(arm64: Package) -> None:
    for type_ in ("AWS::Events::Rule", "AWS::Lambda::EventSourceMapping"):
        assert arm64.of_type(type_) == []


def test_event_bridge_takes_suffixes_in_any_case_of_the_source_bucket_alone(with_event_bridge: Package) -> None:
    assert with_event_bridge.properties("S3BucketSource")["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    pattern = rule(with_event_bridge)["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    assert pattern["detail"]["bucket"] == {"name": [SOURCE]}
    suffixes = [entry["suffix"]["equals-ignore-case"] for entry in pattern["detail"]["object"]["key"]]
    assert sorted(suffixes) == SUFFIXES


def test_event_bridge_may_invoke_the_function_and_keeps_what_it_cannot_deliver(with_event_bridge: Package) -> None:
    (permission,) = with_event_bridge.of_type("AWS::Lambda::Permission")
    assert with_event_bridge.properties(permission) == {
        "FunctionName": FUNCTION,
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": "<UploadRule.Arn>",
    }
    (target,) = rule(with_event_bridge)["Targets"]
    assert (target["Arn"], target["DeadLetterConfig"]) == (FUNCTION, {"Arn": "<FailureQueue.Arn>"})
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 24 * 60 * 60, "MaximumRetryAttempts": 185}
    allowed = statements(with_event_bridge, "FailureQueuePolicy")["UploadRule"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": "<UploadRule.Arn>"}}


def test_the_buffer_gets_every_upload_and_nothing_else_invokes_the_function(with_buffer: Package) -> None:
    source = with_buffer.resources["S3BucketSource"]
    assert source["DependsOn"] == ["BufferQueuePolicy"]
    configuration = source["Properties"]["NotificationConfiguration"]
    assert configuration.keys() == {"QueueConfigurations"}
    found = configuration["QueueConfigurations"]
    assert {(entry["Event"], entry["Queue"]) for entry in found} == {("s3:ObjectCreated:*", "<BufferQueue.Arn>")}
    assert sorted(entry["Filter"]["S3Key"]["Rules"][0]["Value"] for entry in found) == EVERY_CASE
    assert with_buffer.of_type("AWS::Lambda::Permission") == []


def test_the_buffer_keeps_two_weeks_and_hands_over_what_fails_five_times(with_buffer: Package) -> None:
    assert with_buffer.properties("BufferQueue") == {
        "SqsManagedSseEnabled": True,
        "MessageRetentionPeriod": 14 * 24 * 60 * 60,
        "VisibilityTimeout": 6 * 90,  # six times the timeout of the function, as AWS recommends
        "RedrivePolicy": {"deadLetterTargetArn": "<FailureQueue.Arn>", "maxReceiveCount": 5},
    }


def test_the_function_takes_one_upload_of_the_buffer_at_a_time_with_a_maximum_of_parallel_executions(
    with_buffer: Package,
) -> None:
    (mapping,) = with_buffer.of_type("AWS::Lambda::EventSourceMapping")
    found = with_buffer.properties(mapping)
    assert (found["EventSourceArn"], found["FunctionName"]) == ("<BufferQueue.Arn>", FUNCTION)
    assert (found["BatchSize"], found["ScalingConfig"]) == (1, {"MaximumConcurrency": 5})
    assert found["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    (reads,) = [found for found in role_statements(with_buffer) if "sqs:ReceiveMessage" in str(found["Action"])]
    assert reads["Action"] == ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    assert reads["Resource"] == ["<BufferQueue.Arn>"]


def test_only_the_source_bucket_of_this_account_may_fill_the_buffer(with_buffer: Package) -> None:
    found = statements(with_buffer, "BufferQueuePolicy")
    assert found["TlsOnly"]["Condition"] == NO_TLS
    allowed = found["SourceBucket"]
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
    assert allowed["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::image-scaler-dev-source-{ACCOUNT}-{REGION}"},
    }


def test_uploads_of_another_account_come_by_event_bridge(with_everything_between: Package) -> None:
    assert rule(with_everything_between)["EventPattern"]["detail"]["bucket"] == {"name": ["my-uploads"]}
    (target,) = rule(with_everything_between)["Targets"]
    assert (target["Arn"], target["DeadLetterConfig"]["Arn"]) == ("<BufferQueue.Arn>", "<FailureQueue.Arn>")
    allowed = statements(with_everything_between, "BufferQueuePolicy")["UploadRule"]
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": "<UploadRule.Arn>"}}
    variables = with_everything_between.properties("ResizeLambdaFunction")["Environment"]["Variables"]
    assert (variables["SOURCE_BUCKET_OWNER"], variables["DESTINATION_BUCKET_OWNER"]) == ("111122223333", ACCOUNT)
    # An existing bucket is not touched, and nothing needs the right to change it.
    assert with_everything_between.of_type("Custom::S3") == []
    assert with_everything_between.of_type("AWS::IAM::Role") == ["IamRoleLambdaExecution"]


def test_the_helper_for_an_existing_bucket_may_change_its_notifications_and_this_function_only(
    with_existing_bucket: Package,
) -> None:
    (policy,) = with_existing_bucket.properties("IamRoleCustomResourcesLambdaExecution")["Policies"]
    allowed = {(tuple(found["Action"]), found["Resource"]) for found in policy["PolicyDocument"]["Statement"]}
    assert allowed == {
        (("s3:PutBucketNotification", "s3:GetBucketNotification"), "arn:aws:s3:::my-uploads"),
        (("lambda:AddPermission", "lambda:RemovePermission"), FUNCTION),
    }
