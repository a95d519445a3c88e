"""What is answered to whoever sent an event, and when an exception is the answer."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_scaler.events import Invocation, Sender
from image_scaler.exceptions import ImageScalerError, RetryError
from image_scaler.measuring import Measurements
from image_scaler.store import ObjectRef


class Status(enum.StrEnum):
    """What became of one source."""

    OK = "ok"
    REJECTED = "rejected"
    """No retry can mend it."""
    FAILED = "failed"
    """A retry may mend it."""
    SUPERSEDED = "superseded"
    """It was replaced or deleted meanwhile: a newer event does the work."""
    IGNORED = "ignored"
    """Nothing was to be done: it is a rendition itself, or a removal that is to change nothing."""


@dataclass(frozen=True)
class Written:
    """One object that is in the destination now."""

    name: str
    key: str
    width: int | None
    """In pixels, as the height; None for a copy, which is never looked into."""
    height: int | None
    bytes: int
    type: str | None
    """Its Content-Type; None for a copy: the source's."""
    is_new: bool = True
    """Whether it was written just now; otherwise the same one was there."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one part of an event."""

    source: ObjectRef | None
    """None for a part that could not be read."""
    status: Status
    written: Sequence[Written] = ()
    removed: Sequence[str] = ()
    """The keys of renditions that went with their source."""
    error: ImageScalerError | None = None
    id: str = ""
    is_lost: bool = False
    """Whether a failure record of it was due and could not be kept."""
    is_removal: bool = False
    """Whether the source was deleted, not uploaded."""
    measured: Measurements = field(default_factory=Measurements, compare=False)

    @property
    def is_good(self) -> bool:
        """Whether nothing is left to be done, by anybody."""
        return self.status not in (Status.REJECTED, Status.FAILED)


def answer(invocation: Invocation, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return what the function returns.

    Raises RetryError where the sender is one for whom Lambda retries what raises, and something failed. A call may
    be such a sender as well, which the event does not tell: so where a source would be lost without that.
    """
    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    if invocation.sender is Sender.SQS:
        return {"batchItemFailures": [{"itemIdentifier": number} for number in dict.fromkeys(o.id for o in failed)]}
    if invocation.sender is Sender.BATCH:
        return _batch_answer(invocation.event, outcomes)
    if any(outcome.is_lost or invocation.sender is Sender.NOTIFICATION for outcome in failed):
        reasons = "; ".join(f"{outcome.source}: {outcome.error}" for outcome in failed)
        raise RetryError(f"{len(failed)} of {len(outcomes)} sources failed: {reasons}")
    if all(outcome.is_good for outcome in outcomes):
        written = sum(len(outcome.written) for outcome in outcomes)
        return {"statusCode": 200, "body": f"{len(outcomes)} images, {written} renditions"}
    return {"statusCode": 500, "body": "Error moving image"}


_BATCH_CODES = {Status.REJECTED: "PermanentFailure", Status.FAILED: "TemporaryFailure"}


def _batch_answer(event: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "invocationSchemaVersion": event["invocationSchemaVersion"],
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event.get("invocationId"),
        "results": [
            {
                "taskId": outcome.id,
                "resultCode": _BATCH_CODES.get(outcome.status, "Succeeded"),
                "resultString": str(outcome.error or ", ".join(written.key for written in outcome.written))[:1000],
            }
            for outcome in outcomes
        ],
    }
