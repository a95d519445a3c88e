"""What is answered to whoever sent an event, and when an exception is the answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from image_scaler.events import Invocation, Sender
from image_scaler.exceptions import RetryError
from image_scaler.outcomes import Outcome, Status


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
