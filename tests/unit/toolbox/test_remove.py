"""`image-scaler remove`: what it deletes of the source bucket; tests/stack/end_to_end has the whole."""

from typing import Any

from toolbox.commands.remove import remove_notifications

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function"
QUEUE = "arn:aws:sqs:us-east-1:123456789012"


def notify(s3: Any, functions: list[str], queues: list[str]) -> None:
    s3.put_bucket_notification_configuration(
        Bucket="source",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [
                {"LambdaFunctionArn": f"{FUNCTION}:{name}", "Events": ["s3:ObjectCreated:*"]} for name in functions
            ],
            "QueueConfigurations": [
                {"QueueArn": f"{QUEUE}:{name}", "Events": ["s3:ObjectCreated:*"]} for name in queues
            ],
        },
        SkipDestinationValidation=True,
    )


def test_the_notifications_to_the_function_and_its_buffer_go_and_those_of_others_stay(s3: Any) -> None:
    notify(
        s3, ["image-scaler-dev-resize", "thumbs"], ["image-scaler-dev-BufferQueue-8XK2", "image-scaler-dev2", "mine"]
    )
    assert remove_notifications(s3, "source", "image-scaler-dev-resize", "image-scaler-dev") == 2
    left = s3.get_bucket_notification_configuration(Bucket="source")
    assert [entry["LambdaFunctionArn"] for entry in left["LambdaFunctionConfigurations"]] == [f"{FUNCTION}:thumbs"]
    assert [entry["QueueArn"] for entry in left["QueueConfigurations"]] == [
        f"{QUEUE}:image-scaler-dev2",
        f"{QUEUE}:mine",
    ]
    assert remove_notifications(s3, "source", "image-scaler-dev-resize", "image-scaler-dev") == 0
