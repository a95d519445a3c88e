"""`image-scaler redrive`: print the failed and the rejected uploads, and send their events to the function again."""

from image_scaler.text import on_one_line
from toolbox.aws.deployed import find_stack
from toolbox.aws.failure_queues import FailedMessage, FailureQueueReader
from toolbox.aws.session import open_session
from toolbox.console import CommandError, make_table, out


def redrive(
    stage: str | None,
    region: str | None,
    queue_url: str | None,
    rejected_queue_url: str | None,
    function: str | None,
    *,
    send: bool,
    discard_rejected: bool,
    max_records: int,
) -> int:
    """Print the records of the queues, and send or delete them; return the exit code.

    Raises CommandError if neither a stage nor a queue and a function are given, or AWS does not answer.
    """
    session = open_session(region)
    if stage:
        deployed = find_stack(stage, session)
        queue_url, rejected_queue_url = deployed.failure_queue_url, deployed.rejected_queue_url
        function = deployed.function
    if not (queue_url and function):
        raise CommandError("no stack given: use --stage, or set FAILURE_QUEUE_URL and FUNCTION_NAME in the environment")
    reader = FailureQueueReader(list(filter(None, [queue_url, rejected_queue_url])), function, session)
    table = make_table("source", "status", "reason", "" if send or discard_rejected else "with --send")
    is_readable = True
    try:
        with reader.held(max_records) as records:
            for failed in records:
                record = failed.record
                is_readable &= record.event is not None
                action = _act(reader, failed, send=send, discard_rejected=discard_rejected)
                status = "rejected" if record.is_rejected else "failed"
                table.add_row(
                    "\n".join(str(source.ref) for source in record.sources) or "-",
                    status if record.event is not None else "-",
                    on_one_line(record.reason),
                    action,
                )
    finally:
        if table.rows:
            out.print(table)
    if not table.rows:
        out.print("No upload has failed or was rejected.")
    return 0 if is_readable else 1


def _act(reader: FailureQueueReader, failed: FailedMessage, *, send: bool, discard_rejected: bool) -> str:
    """Send or delete a record as asked for; return what was done, or would be."""
    if failed.record.is_rejected and discard_rejected:
        reader.discard(failed)
        return "deleted"
    if failed.record.event is None:
        return "stays in the queue"
    if send:
        reader.send(failed)
        return "sent"
    return "stays in the queue" if discard_rejected else "would be sent"
