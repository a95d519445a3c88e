"""What is kept of a source that could not be processed, and who keeps it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from image_scaler.events import SourceEvent
from image_scaler.exceptions import ImageScalerError


class FailureQueue(Protocol):
    """Keeps failure records until somebody looks at them."""

    def send(self, record: Mapping[str, Any]) -> None:
        """Keep a record; raises StorageError where that fails."""
        ...


def failure_record(source: SourceEvent, error: ImageScalerError, written: Sequence[str]) -> dict[str, Any]:
    """Return what is kept of a source: the event, the reason, and the keys that were written all the same.

    It has the shape of the record that Lambda sends to an on-failure destination (requestPayload,
    responsePayload), so that one reader understands both; sending requestPayload to the function again
    repeats what failed.
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "requestContext": {"condition": "Rejected"},
        "requestPayload": source.payload,
        "responsePayload": {"errorType": type(error).__name__, "errorMessage": str(error)},
        "source": {"bucket": source.ref.bucket, "key": source.ref.key},
        "reason": str(error),
        "written": list(written),
    }
