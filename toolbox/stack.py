"""The stack's settings, as sls resolves them, and what is wrong with them."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.toml import did_you_mean
from image_scaler.settings import BUCKET

ROOT = Path(__file__).resolve().parent.parent
SLS = ROOT / "node_modules" / ".bin" / "sls"


_BUCKET = (BUCKET, "the name of a bucket: lower-case letters, digits, - and .")
_LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_VALUES = {
    "architecture": ("arm64|x86_64", "arm64 or x86_64"),
    "memorySize": (r"\d+", "a number of MB from 128 to 10240"),
    "timeout": (r"\d+", "a number of seconds from 1 to 900"),
    "logRetentionInDays": ("|".join(map(str, _LOG_DAYS)), f"one of {', '.join(map(str, _LOG_DAYS))}"),
    "reservedConcurrency": (r"[1-9]\d*", "a number from 1"),
    "sourceBucket": _BUCKET,
    "destinationBucket": _BUCKET,
    "existingSourceBucket": _BUCKET,
    "alarmTopic": (r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+", "the ARN of an SNS topic"),
}
"""What a parameter may be, beyond what sls says of it in words that help."""


def suffixes() -> list[str]:
    """Return the ends of keys that an upload is listened to for."""
    return re.findall(r"suffix: (\S+)", (ROOT / "serverless.yml").read_text(encoding="utf-8"))


def _check_given(stage: str, params: Sequence[str]) -> None:
    """Raise ConfigError for a stage or a parameter of which sls would say nothing, or nothing that helps."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", stage):
        raise ConfigError(f"expected lower-case letters, digits and - for the stage but received {stage!r}")
    known = sorted(set(re.findall(r"\$\{param:(\w+)", (ROOT / "serverless.yml").read_text(encoding="utf-8"))))
    for param in params:
        name, equals, value = param.partition("=")
        if not equals:
            raise ConfigError(f"expected a parameter like memorySize=3538 but received {param!r}")
        if name not in known:
            raise ConfigError(
                f"expected one of the parameters {', '.join(known)} but received {name!r}.{did_you_mean(name, known)}"
            )
        pattern, words = _VALUES.get(name, (".+", "a value"))
        if not re.fullmatch(pattern, re.sub(r"\$\{[^}]*\}", "000000000000", value)):
            raise ConfigError(f"expected {words} for {name} but received {value!r}")


def resolved(stage: str, params: Sequence[str], region: str | None = None) -> dict[str, Any]:
    """Return serverless.yml with every variable in it replaced; raises ConfigError where sls refuses it."""
    if not SLS.exists():
        raise ConfigError("expected the Serverless Framework in node_modules but it is not installed: run make setup")
    command = [str(SLS), "print", "--format", "json", "--stage", stage]
    command += [f"--param={param}" for param in params] + ([f"--region={region}"] if region else [])
    run = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NODE_NO_WARNINGS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        _, _, reason = (run.stdout + run.stderr).rpartition("Error:\n")
        lines = (line.strip() for line in re.split(r"\n\n|\nEnvironment: ", reason.strip())[0].splitlines())
        reason = " ".join(dict.fromkeys(lines))  # each once: sls says the same of every place that a value stands in
        raise ConfigError(f"expected settings that sls accepts but received: {reason}")
    settings: dict[str, Any] = json.loads(run.stdout)
    return settings


def check(stage: str, params: Sequence[str], region: str | None = None) -> None:
    """Raise ConfigError for a setting that cannot work, in one sentence.

    The ranges of numbers and the runtime are checked by sls against its own schema.
    """
    _check_given(stage, params)
    settings = resolved(stage, params, region)
    source = settings["custom"]["source"]["bucketName"]
    destination = settings["resources"]["Resources"]["DestinationBucket"]["Properties"]["BucketName"]
    destination = destination.get("Fn::Sub") if isinstance(destination, dict) else destination
    if source == destination:
        raise ConfigError(
            f"expected the source and the destination to be two buckets but received {source} for both: "
            "every rendition would be taken for an upload"
        )
