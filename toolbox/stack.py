"""Check the stack's settings, as sls resolves them."""

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
_VALUES = {
    "architecture": ("arm64|x86_64", "arm64 or x86_64"),
    "memorySize": (r"\d+", "a number of MB from 128 to 10240"),
    "timeout": (r"\d+", "a number of seconds from 1 to 900"),
    "reservedConcurrency": (r"[1-9]\d*", "a number from 1"),
    "sourceBucket": _BUCKET,
    "destinationBucket": _BUCKET,
    "existingSourceBucket": _BUCKET,
    "alarmTopic": (r"arn:[\w-]+:sns:[\w-]+:\d{12}:[\w.-]+", "the ARN of an SNS topic"),
}
"""Parameters whose values sls does not check, or refuses with a message that does not help: pattern and words."""


def suffixes() -> list[str]:
    """Return the suffixes of keys whose uploads invoke the function."""
    names: list[str] = json.loads((ROOT / "serverless" / "suffixes.json").read_text(encoding="utf-8"))
    return [f".{spelling}" for name in names for spelling in (name, name.upper())]


def _parameters() -> list[str]:
    """Return the names of the stack's parameters."""
    files = [ROOT / "serverless.yml", *(ROOT / "serverless").glob("*.yml")]
    used = {name for file in files for name in re.findall(r"\bparam:(\w+)", file.read_text(encoding="utf-8"))}
    return sorted(used)


def _check_given(stage: str, params: Sequence[str]) -> None:
    """Raise ConfigError for a stage or a parameter that sls would accept, or refuse without a helpful message."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", stage):
        raise ConfigError(f"expected lower-case letters, digits and - for the stage but received {stage!r}")
    known = _parameters()
    for param in params:
        name, equals, value = param.partition("=")
        if not equals:
            raise ConfigError(f"expected a parameter like memorySize=3538 but received {param!r}")
        if name not in known:
            raise ConfigError(f"the stack has no parameter {name!r}.{did_you_mean(name, known)}")
        pattern, words = _VALUES.get(name, (".+", "a value"))
        if not re.fullmatch(pattern, re.sub(r"\$\{[^}]*\}", "000000000000", value)):
            raise ConfigError(f"expected {words} for {name} but received {value!r}")


def resolved(stage: str, params: Sequence[str], region: str | None = None) -> dict[str, Any]:
    """Return serverless.yml with every variable replaced; raises ConfigError if sls refuses it."""
    if not SLS.exists():
        raise ConfigError("the Serverless Framework is not installed in node_modules: run make setup")
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
        reason = " ".join(dict.fromkeys(lines))  # each once: sls repeats the message for every use of the value
        raise ConfigError(f"sls refuses serverless.yml: {reason}")
    settings: dict[str, Any] = json.loads(run.stdout)
    return settings


def check(stage: str, params: Sequence[str], region: str | None = None) -> None:
    """Raise ConfigError with one sentence if a setting cannot work.

    sls checks the ranges of numbers and the runtime, against its own schema.
    """
    _check_given(stage, params)
    settings = resolved(stage, params, region)
    source = settings["custom"]["sourceBucket"]
    destination = settings["resources"]["Resources"]["DestinationBucket"]["Properties"]["BucketName"]
    destination = destination.get("Fn::Sub") if isinstance(destination, dict) else destination
    if source == destination:
        raise ConfigError(
            f"expected the source and the destination to be two buckets but received {source} for both: "
            "every rendition would invoke the function again"
        )
