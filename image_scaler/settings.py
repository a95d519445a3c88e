"""The environment and renditions.toml -> Settings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import load_recipe

BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
"""The names that S3 allows for a bucket."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that the function is told from outside."""

    destination_bucket: str
    recipe: Recipe
    bucket_owners: Mapping[str, str] | None = None
    """The accounts of these buckets; S3 refuses a call if one belongs to another account now."""
    failure_queue_url: str | None = None
    """Where sources that failed go."""
    rejected_queue_url: str | None = None
    """Where rejected sources go; None: to the failure queue."""
    keeps_history: bool = False
    """Whether recipes and rejections are kept in the destination bucket, as in the function."""
    any_suffix: bool = False
    """Whether uploads invoke the function whatever their keys end in, so that some are no images."""
    memory: int | None = None
    """The function's memory in bytes; None outside Lambda."""

    @property
    def limits(self) -> Limits:
        """The limits of renditions.toml, and this function's memory."""
        return self.recipe.limits.in_memory(self.memory)

    @classmethod
    def load(cls, environ: Mapping[str, str], renditions_path: Path) -> "Settings":
        """Read the environment and renditions.toml.

        The variables are DESTINATION_BUCKET, SOURCE_BUCKET, DESTINATION_BUCKET_OWNER, SOURCE_BUCKET_OWNER,
        FAILURE_QUEUE_URL, REJECTED_QUEUE_URL, ANY_SUFFIX, and Lambda's own AWS_LAMBDA_FUNCTION_MEMORY_SIZE.

        Raises ConfigError whose one sentence says what is wrong.
        """
        destination = _bucket(environ, "DESTINATION_BUCKET")
        if destination is None:
            raise ConfigError("the environment variable DESTINATION_BUCKET is not set: it names the destination bucket")
        source = _bucket(environ, "SOURCE_BUCKET")
        if source == destination:
            raise ConfigError(
                f"SOURCE_BUCKET and DESTINATION_BUCKET are both {source}: every rendition would be an upload again"
            )
        return cls(
            destination_bucket=destination,
            bucket_owners=_owner(environ, "DESTINATION_BUCKET") | _owner(environ, "SOURCE_BUCKET"),
            failure_queue_url=environ.get("FAILURE_QUEUE_URL") or None,
            rejected_queue_url=environ.get("REJECTED_QUEUE_URL") or None,
            keeps_history=True,
            any_suffix=environ.get("ANY_SUFFIX") == "true",
            memory=int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0)) * 1024**2 or None,
            recipe=load_recipe(renditions_path),
        )


def _bucket(environ: Mapping[str, str], variable: str) -> str | None:
    name = environ.get(variable)
    if name and not re.fullmatch(BUCKET, name):
        raise ConfigError(f"expected the name of a bucket for {variable} but received {name!r}")
    return name or None


def _owner(environ: Mapping[str, str], variable: str) -> dict[str, str]:
    """Return the account of a bucket by the bucket's name; empty if it is not set."""
    bucket, owner = environ.get(variable), environ.get(f"{variable}_OWNER")
    if owner and not re.fullmatch(r"\d{12}", owner):
        raise ConfigError(f"expected the 12 digits of an account for {variable}_OWNER but received {owner!r}")
    return {bucket: owner} if bucket and owner else {}
