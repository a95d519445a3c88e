"""The environment and renditions.toml -> Settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.spec import Renditions
from image_scaler.renditions.toml import load_renditions

BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
"""What S3 lets a bucket be called."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the function needs to know."""

    destination_bucket: str
    renditions: Renditions
    bucket_owners: Mapping[str, str] | None = None
    """The accounts that these buckets belong to; S3 refuses a call where one has come into other hands."""
    failure_queue_url: str | None = None
    memory: int | None = None
    """The function's memory in bytes; None outside of Lambda."""

    @property
    def vcpus(self) -> int | None:
        """The function's vCPUs, of which Lambda gives one for each 1,769 MB of memory; None outside of Lambda."""
        return max(1, round(self.memory / (1769 * 1024**2))) if self.memory else None

    @property
    def limits(self) -> Limits:
        """What a source may cost, in this function's memory."""
        return replace(self.renditions.limits, memory=self.memory)

    @classmethod
    def load(cls, environ: Mapping[str, str], renditions_path: Path) -> "Settings":
        """Read the environment and renditions.toml.

        Of the environment: DESTINATION_BUCKET, SOURCE_BUCKET, DESTINATION_BUCKET_OWNER, SOURCE_BUCKET_OWNER,
        FAILURE_QUEUE_URL, and Lambda's own AWS_LAMBDA_FUNCTION_MEMORY_SIZE.

        Raises ConfigError whose one sentence says what is wrong.
        """
        destination = _bucket(environ, "DESTINATION_BUCKET")
        if destination is None:
            raise ConfigError(
                "expected the name of a bucket in the environment variable DESTINATION_BUCKET but it is not set"
            )
        source = _bucket(environ, "SOURCE_BUCKET")
        if source == destination:
            raise ConfigError(
                f"expected SOURCE_BUCKET and DESTINATION_BUCKET to be two buckets but received {source} for both: "
                "every rendition would be taken for an upload"
            )
        return cls(
            destination_bucket=destination,
            bucket_owners=_owner(environ, "DESTINATION_BUCKET") | _owner(environ, "SOURCE_BUCKET"),
            failure_queue_url=environ.get("FAILURE_QUEUE_URL") or None,
            memory=int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0)) * 1024**2 or None,
            renditions=load_renditions(renditions_path),
        )


def _bucket(environ: Mapping[str, str], variable: str) -> str | None:
    name = environ.get(variable)
    if name and not re.fullmatch(BUCKET, name):
        raise ConfigError(f"expected the name of a bucket for {variable} but received {name!r}")
    return name or None


def _owner(environ: Mapping[str, str], variable: str) -> dict[str, str]:
    """Return the account that a bucket belongs to, by the bucket's name; empty where that is not said."""
    bucket, owner = environ.get(variable), environ.get(f"{variable}_OWNER")
    if owner and not re.fullmatch(r"\d{12}", owner):
        raise ConfigError(f"expected the 12 digits of an account for {variable}_OWNER but received {owner!r}")
    return {bucket: owner} if bucket and owner else {}
