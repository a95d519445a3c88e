"""Events for others: what the function tells, and the bus that delivers it."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import boto3

from image_scaler.exceptions import StorageError
from image_scaler.storage.s3 import CALL_ERRORS, CLIENT_CONFIG

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

EVENT_SOURCE = "image-scaler"
"""The `source` of the events, for rules to match."""
MAX_ENTRY_BYTES = 256 * 1024
"""The largest entry that EventBridge accepts: source, type and detail, in bytes of UTF-8."""


class EventBus(Protocol):
    """Delivers events to everybody who has a rule for them."""

    def send(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Deliver an event at least once; raises StorageError if that fails."""
        ...


class EventBridgeBus:
    """The default bus of Amazon EventBridge."""

    def __init__(self, client: "EventBridgeClient | None" = None) -> None:
        self._client: EventBridgeClient = client or boto3.client("events", config=CLIENT_CONFIG)

    def send(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """Send the event; see EventBus.send."""
        entry: Any = {"Source": EVENT_SOURCE, "DetailType": detail_type, "Detail": as_json(detail)}
        try:
            [answer] = self._client.put_events(Entries=[entry])["Entries"]
        except CALL_ERRORS as error:
            raise StorageError(f"cannot send the event {detail_type}: {error}") from error
        if "ErrorCode" in answer:
            reason = f"{answer['ErrorCode']}: {answer.get('ErrorMessage', 'no reason given')}"
            raise StorageError(f"cannot send the event {detail_type}: {reason}")


def as_json(detail: Mapping[str, Any]) -> str:
    """Return the detail of an event as it is sent."""
    return json.dumps(detail, ensure_ascii=False)


def entry_bytes(detail_type: str, detail: Mapping[str, Any]) -> int:
    """Return the size of an event as EventBridge counts it."""
    return len((EVENT_SOURCE + detail_type + as_json(detail)).encode())
