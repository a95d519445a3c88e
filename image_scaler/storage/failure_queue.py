"""What is kept of a source that could not be processed, and who keeps it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from image_scaler.exceptions import ImageScalerError
from image_scaler.storage.base import ObjectRef


class FailureQueue(Protocol):
    """Keeps failure records until somebody looks at them."""

    def send(self, record: Mapping[str, Any]) -> None:
        """Keep a record; raises StorageError where that fails."""
        ...


def failure_record(
    payload: Mapping[str, Any],
    source: ObjectRef | None,
    error: ImageScalerError,
    written: Sequence[str],
    *,
    is_final: bool,
) -> dict[str, Any]:
    """Return what is kept of a source: its event, the reason, and the keys that were written all the same.

    `is_final`: no retry can mend it, and its condition is `Rejected`; otherwise `Failed`.

    It has the shape of the record that Lambda sends to an on-failure destination (requestPayload,
    responsePayload), so that one reader understands both; sending requestPayload to the function again
    repeats what failed.
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "requestContext": {"condition": "Rejected" if is_final else "Failed"},
        "requestPayload": payload,
        "responsePayload": {"errorType": type(error).__name__, "errorMessage": str(error)},
        "source": source._asdict() if source else None,
        "reason": str(error),
        "written": list(written),
    }
