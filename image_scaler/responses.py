"""Outcomes -> the response that each event source expects, and when an exception is the response."""

from collections.abc import Mapping, Sequence
from typing import Any

from image_scaler.events import EventSource, Invocation
from image_scaler.exceptions import RetryError
from image_scaler.outcomes import Outcome, Status
from image_scaler.text import plural


def response(invocation: Invocation, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the function's response.

    Raises RetryError if something failed and Lambda retries this event source's events when the function raises. A
    direct call may be asynchronous, which the event does not tell: so this also raises if a source would be lost
    otherwise.
    """
    failed = [outcome for outcome in outcomes if outcome.status is Status.FAILED]
    if invocation.event_source is EventSource.SQS:
        return {"batchItemFailures": [{"itemIdentifier": number} for number in dict.fromkeys(o.id for o in failed)]}
    if invocation.event_source is EventSource.S3_BATCH_OPERATIONS:
        return _batch_response(invocation.event, outcomes)
    if any(outcome.is_lost or invocation.event_source is EventSource.NOTIFICATION for outcome in failed):
        reasons = "; ".join(f"{outcome.source}: {outcome.error}" for outcome in failed)
        raise RetryError(f"{len(failed)} of {plural(len(outcomes), 'source')} failed: {reasons}")
    if all(outcome.is_done for outcome in outcomes):
        written = sum(len(outcome.report.writes) for outcome in outcomes)
        return {"statusCode": 200, "body": f"{plural(len(outcomes), 'image')}, {plural(written, 'rendition')}"}
    return {"statusCode": 500, "body": "Error moving image"}


_BATCH_CODES = {Status.REJECTED: "PermanentFailure", Status.FAILED: "TemporaryFailure"}


def _batch_response(event: Mapping[str, Any], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "invocationSchemaVersion": event["invocationSchemaVersion"],
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event.get("invocationId"),
        "results": [
            {
                "taskId": outcome.id,
                "resultCode": _BATCH_CODES.get(outcome.status, "Succeeded"),
                "resultString": str(outcome.error or ", ".join(write.rendition.key for write in outcome.report.writes))[
                    :1000
                ],
            }
            for outcome in outcomes
        ],
    }
