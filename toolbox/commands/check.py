"""`image-scaler check`: check renditions.toml and the stack's settings before anything is deployed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from image_scaler.exceptions import ConfigError
from image_scaler.recipe_file import load_recipe
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.spec import RenditionSpec
from image_scaler.renditions.toml import did_you_mean
from image_scaler.settings import BUCKET
from toolbox import stack
from toolbox.aws.session import account_of, open_session
from toolbox.console import err, out

MAX_BUCKET_NAME = 63

_BUCKET = (BUCKET, "the name of a bucket: lower-case letters, digits, - and .")
_KEY = (r"arn:[\w-]+:kms:[\w-]+:\d{12}:key/[\w-]+", "the ARN of a KMS key")
_VALUES = {
    "architecture": ("arm64|x86_64", "arm64 or x86_64"),
    "memorySize": (r"\d+", "a number of MB from 128 to 10240"),
    "timeout": (r"\d+", "a number of seconds from 1 to 900"),
    "reservedConcurrency": (r"[1-9]\d*", "a number from 1"),
    "delivery": ("s3|eventbridge", "s3 or eventbridge"),
    "buffer": ("none|sqs", "none or sqs"),
    "maxConcurrency": (r"[2-9]|[1-9]\d{1,2}|1000", "a number from 2 to 1000"),
    "sourceAccount": (r"\d{12}", "the 12 digits of an account"),
    "sourceBucket": _BUCKET,
    "destinationBucket": _BUCKET,
    "existingSourceBucket": _BUCKET,
    "existingDestinationBucket": _BUCKET,
    "batchOperations": ("true|false", "true or false"),
    "keepReplacedDays": (r"[1-9]\d*", "a number of days from 1"),
    "distributionReadsCopies": ("true|false", "true or false"),
    "distribution": (r"arn:[\w-]+:cloudfront::\d{12}:distribution/\w+", "the ARN of a CloudFront distribution"),
    "corsOrigins": (r"(https?://[^,\s]+|\*)(,(https?://[^,\s]+|\*))*", "origins separated by commas"),
    "sourceKmsKey": _KEY,
    "destinationKmsKey": _KEY,
    "alarmTopic": (r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+", "the ARN of an SNS topic"),
}
"""Parameters whose values sls does not check, or refuses with a message that does not help: pattern and words."""


def check(file: Path, stage: str, params: Sequence[str], region: str | None, *, credentials: bool) -> int:
    """Check and print; return the exit code. Raises ConfigError if something cannot work, CallError if AWS refuses."""
    session = open_session(region)
    if credentials:
        out.print(f"The account is {account_of(session)}, the region is {session.region_name}.")
    recipe = load_recipe(file)
    _check_given(stage, params)
    _check_stack(stage, params, session.region_name)
    if recipe.allow_svg and ".svg" not in stack.suffixes():
        err.print("Note: no upload of an SVG invokes the function: add events for .svg to serverless.yml.")
    for note in small_overlays(recipe):
        err.print(f"Note: {note}", soft_wrap=True)
    names = ", ".join(recipe.by_name)
    out.print(f"{file.name} and the settings of stage {stage} are valid. Recipe: {names}")
    return 0


def small_overlays(recipe: Recipe) -> Iterator[str]:
    """Yield which overlays are smaller than renditions.toml asks for, because they are not enlarged."""
    asked: dict[tuple[str, int], tuple[int, str]] = {}
    for spec in recipe.specs:
        if isinstance(spec, RenditionSpec) and spec.overlay and spec.overlay.file.size and spec.box[0]:
            own, width = spec.overlay.file.size.width, spec.overlay.width_on(spec.box[0])
            if width > own:
                image = (spec.overlay.image, own)
                asked[image] = max(asked.get(image, (0, "")), (width, spec.name))
    for (name, own), (width, rendition) in asked.items():
        yield f"{name} is {own:,} pixels wide and is not enlarged, but {rendition} has room for {width:,}"


def _substitute(text: str, known: Mapping[str, str]) -> str:
    """Return a text with the values of CloudFormation's variables, as far as they are known."""
    return re.sub(r"\$\{([^}]*)\}", lambda match: known.get(match[1], match[0]), text)


def _check_given(stage: str, params: Sequence[str]) -> None:
    """Raise ConfigError for a stage or a parameter that sls would accept, or refuse without a helpful message."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", stage):
        raise ConfigError(f"expected lower-case letters, digits and - for the stage but received {stage!r}")
    known = stack.parameters()
    for param in params:
        name, equals, value = param.partition("=")
        if not equals:
            raise ConfigError(f"expected a parameter like memorySize=3538 but received {param!r}")
        if name not in known:
            raise ConfigError(f"the stack has no parameter {name!r}.{did_you_mean(name, known)}")
        pattern, words = _VALUES.get(name, (".+", "a value"))
        if not re.fullmatch(pattern, re.sub(r"\$\{[^}]*\}", "000000000000", value)):
            raise ConfigError(f"expected {words} for {name} but received {value!r}")


def _check_stack(stage: str, params: Sequence[str], region: str | None) -> None:
    """Raise ConfigError if sls refuses serverless.yml, or if its parameters cannot work together.

    sls checks the ranges of numbers and the runtime, against its own schema.
    """
    settings = stack.resolved(stage, params, region)
    known = {"AWS::AccountId": "0" * 12, "AWS::Region": settings["provider"]["region"]}
    buckets = {kind: _substitute(settings["custom"][f"{kind}Bucket"], known) for kind in ("source", "destination")}
    for kind, bucket in buckets.items():
        if len(bucket) > MAX_BUCKET_NAME:
            raise ConfigError(
                f"the {kind} bucket {bucket} would have {len(bucket)} characters but {MAX_BUCKET_NAME} are allowed: "
                f"choose a shorter stage than {stage}, or set {kind}Bucket"
            )
        if not re.fullmatch(BUCKET, bucket):
            raise ConfigError(f"expected {_BUCKET[1]} for {kind}Bucket but received {bucket!r}")
    if buckets["source"] == buckets["destination"]:
        raise ConfigError(
            f"the source and the destination are both {buckets['source']}: every rendition would be an upload again"
        )
