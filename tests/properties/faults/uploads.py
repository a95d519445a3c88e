"""Uploads whose events are delivered to our function as Lambda does, with the proxy between it and AWS."""

import json
from contextlib import ExitStack, closing
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from image_scaler.exceptions import RetryError
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import FailureQueues, Scaler, build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.failure_queue import SqsFailureQueue
from image_scaler.storage.s3 import CLIENT_CONFIG, S3Store
from tests.properties.faults.proxy import Proxy
from tests.support.drawing import photo, png
from toolbox.aws.failure_records import take
from toolbox.local.aws import LocalAws

SOURCE, DESTINATION = "source", "destination"
RENDITIONS = parse_recipe("""
[renditions.original]
[renditions.backup]
[renditions.web]
widths = [16, 24, 32]
format = "webp"
""")
LAST_COPY, LAST_OF_LADDER = "backup", "web-32"
TRIES = 3
"""Lambda's attempts for an event: one, and two retries."""
READ_TIMEOUT = 1.0
"""Longer than any undisturbed request takes on a busy machine."""

OLD, NEW = (png(photo(64, 48, seed)) for seed in (1, 2))
NO_IMAGE = b"Dear reader, this is not an image."

Objects = dict[str, tuple[bytes, str, dict[str, str]]]
"""Content, type and metadata by key."""


class Uploads:
    """Two buckets and a queue, used with the rights of the root user; and the function, behind the proxy."""

    def __init__(self, aws: LocalAws, proxy: Proxy, exits: ExitStack) -> None:
        self.s3, self._sqs = aws.client("s3"), aws.client("sqs")
        self.s3.create_bucket(Bucket=SOURCE)
        self.s3.create_bucket(Bucket=DESTINATION)
        self._queue = self._sqs.create_queue(QueueName="failures")["QueueUrl"]
        self._proxy = proxy
        self._env = aws.env
        self._exits = exits
        self.tries = 0

    def upload(self, key: str, body: bytes, sequencer: str) -> dict[str, Any]:
        """Store a source; return S3's event."""
        etag = self.s3.put_object(Bucket=SOURCE, Key=key, Body=body, ContentType="image/png")["ETag"].strip('"')
        entity = {
            "bucket": {"name": SOURCE},
            "object": {"key": key, "size": len(body), "eTag": etag, "sequencer": sequencer},
        }
        return {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}]}

    def deliver(self, event: dict[str, Any], *, client_tries: int = 1) -> None:
        """Invoke the function with an event as Lambda does: again when it raises, then with a failure record."""
        scaler = self._scaler(client_tries)
        for self.tries in range(1, TRIES + 1):
            try:
                scaler.handle(event)
            except RetryError as error:  # any other would have kept the other sources of the event from their turn
                reason = str(error)
            else:
                return
        record = {"requestPayload": event, "responsePayload": {"errorMessage": reason}}
        self._sqs.send_message(QueueUrl=self._queue, MessageBody=json.dumps(record))

    def take_records(self) -> list[dict[str, Any]]:
        """Take all failure records out of the queue."""
        return [json.loads(body) for body in take(self._sqs, self._queue)]

    def renditions(self, key: str) -> Objects:
        """Return the renditions of a source in the destination, by name."""
        found = {}
        for target in RENDITIONS.plan_for(key).targets:
            name = target.key.partition("/")[0]
            try:
                answer = self.s3.get_object(Bucket=DESTINATION, Key=target.key)
            except self.s3.exceptions.NoSuchKey:
                continue
            found[name] = (answer["Body"].read(), answer["ContentType"], answer["Metadata"])
        return found

    def undisturbed(self, key: str, body: bytes, sequencer: str) -> Objects:
        """The result of an upload if nothing goes wrong."""
        self.deliver(self.upload(key, body, sequencer))
        assert self.take_records() == []
        return self.renditions(key)

    @cache  # noqa: B019  there is one of them in all
    def _scaler(self, client_tries: int) -> Scaler:
        settings = Settings(destination_bucket=DESTINATION, recipe=RENDITIONS)
        store, queue = (self._exits.enter_context(closing(self._client(s, client_tries))) for s in ("s3", "sqs"))
        return build_scaler(settings, S3Store(store), queues=FailureQueues(SqsFailureQueue(self._queue, queue)))

    def _client(self, service: str, tries: int) -> Any:
        config = Config(
            retries={"mode": "standard", "total_max_attempts": tries},
            read_timeout=READ_TIMEOUT,
            connect_timeout=1,
            proxies={},
        )
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self._proxy.url,
            region_name=self._env["AWS_REGION"],
            aws_access_key_id=self._env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._env["AWS_SECRET_ACCESS_KEY"],
            config=CLIENT_CONFIG.merge(config),
        )
