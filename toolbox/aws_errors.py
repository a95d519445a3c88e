"""Calls of AWS by the commands: what goes wrong is said in one sentence, with what was being done."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from image_scaler.exceptions import ImageScalerError


class CallError(Exception):
    """AWS refused or did not answer; says what was asked and why that failed."""


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn the errors of boto3 and of the stores into CallErrors."""
    try:
        yield
    except (ClientError, BotoCoreError, ImageScalerError) as error:
        raise CallError(f"could not {doing}: {error}") from error
