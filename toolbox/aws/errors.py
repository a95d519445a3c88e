"""Errors of AWS calls as one sentence that says what was being done."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from image_scaler.exceptions import ImageScalerError
from toolbox.console import CommandError


class CallError(CommandError):
    """AWS refused a request or did not answer; says which request and why."""


@contextmanager
def call_errors(doing: str) -> Iterator[None]:
    """Raise CallError(`cannot <doing>: <reason>`) for the errors of boto3 and of the stores."""
    try:
        yield
    except (ClientError, BotoCoreError, ImageScalerError) as error:
        raise CallError(f"cannot {doing}: {error}") from error
