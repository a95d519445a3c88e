"""Read the stack's settings: serverless.yml as sls resolves it, and the files that it includes."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from image_scaler.exceptions import ConfigError

ROOT = Path(__file__).resolve().parent.parent
SLS = ROOT / "node_modules" / ".bin" / "sls"


class _Loader(yaml.SafeLoader):
    """Reads YAML with CloudFormation's tags, such as !Sub, whose values are left out."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)


def read() -> dict[str, Any]:
    """Return serverless.yml as it is written, with its variables and without the values of CloudFormation's tags."""
    with (ROOT / "serverless.yml").open(encoding="utf-8") as file:
        stack: dict[str, Any] = yaml.load(file, _Loader)  # noqa: S506 - a SafeLoader
    return stack


def suffixes() -> list[str]:
    """Return the suffixes of the keys whose uploads invoke the function, each with its dot."""
    return [event["s3"]["rules"][0]["suffix"] for event in read()["functions"]["resize"]["events"]]


def source_filter(delivery: str) -> Callable[[str], bool]:
    """Return what tells whether an upload of a key invokes the function; `delivery` is the stack's parameter.

    S3 compares suffixes to the letter, so there are notifications for `.jpg`, `.JPG` and `.Jpg`. The rule of
    EventBridge ignores the case: it also delivers `photo.jPG`.
    """
    spellings = tuple(suffixes())
    if delivery == "eventbridge":
        return lambda key: key.lower().endswith(spellings)
    return lambda key: key.endswith(spellings)


def parameters() -> list[str]:
    """Return the names of the stack's parameters."""
    text = (ROOT / "serverless.yml").read_text(encoding="utf-8")
    return sorted(set(re.findall(r"\bparam:(\w+)", text)))


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
