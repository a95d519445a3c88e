"""The stack's settings, as sls resolves them, and what is wrong with them."""

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image_scaler.exceptions import ConfigError

ROOT = Path(__file__).resolve().parent.parent
SLS = ROOT / "node_modules" / ".bin" / "sls"


def resolved(stage: str, params: Sequence[str]) -> dict[str, Any]:
    """Return serverless.yml with every variable in it replaced; raises ConfigError where sls refuses it."""
    if not SLS.exists():
        raise ConfigError("expected the Serverless Framework in node_modules but it is not installed: run make setup")
    command = [str(SLS), "print", "--format", "json", "--stage", stage]
    command += [f"--param={param}" for param in params]
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
        reason = " ".join(line.strip() for line in re.split(r"\n\n|\nEnvironment: ", reason.strip())[0].splitlines())
        raise ConfigError(f"expected settings that sls accepts but received: {reason}")
    settings: dict[str, Any] = json.loads(run.stdout)
    return settings


def check(stage: str, params: Sequence[str]) -> None:
    """Raise ConfigError for a setting that cannot work, in one sentence.

    Numbers and choices (memory, timeout, architecture, runtime) are checked by sls against its own schema.
    """
    settings = resolved(stage, params)
    source = settings["custom"]["source"]["bucketName"]
    destination = settings["resources"]["Resources"]["DestinationBucket"]["Properties"]["BucketName"]
    destination = destination.get("Fn::Sub") if isinstance(destination, dict) else destination
    if source == destination:
        raise ConfigError(
            f"expected the source and the destination to be two buckets but received {source} for both: "
            "every rendition would be taken for an upload"
        )
