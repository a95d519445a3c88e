"""`image-scaler up` and `image-scaler down`: start and stop the local AWS of this checkout."""

import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from image_scaler.recipe_file import load_recipe
from toolbox.local.aws import DEFAULT_PORT, LOCAL, LocalAws, LocalAwsError
from toolbox.local.package_cache import architecture, locked
from toolbox.processes import signals_as_exit
from toolbox.progress import Steps
from toolbox.stack import ROOT

STATE = LOCAL / "up.json"
ENV_FILE = LOCAL / "env"

out = Console(highlight=False, soft_wrap=True)


def up() -> int:
    """Start the local AWS unless it runs, and print how to use it; return 0. Raises LocalAwsError or ConfigError."""
    with _alone():
        _up()
    return 0


def down() -> int:
    """Stop the local AWS and delete its files; print so if none is running. Return 0."""
    with _alone():
        _down()
    return 0


@contextmanager
def _alone() -> Iterator[None]:
    """Let no other `up` or `down` of this checkout run at the same time, and end in order if a signal arrives."""
    LOCAL.mkdir(exist_ok=True)
    with signals_as_exit(), locked(LOCAL / "up.lock"):
        yield


def _up() -> None:
    if aws := _running():
        out.print(f"The local AWS is already running at {aws.env['AWS_ENDPOINT_URL']}.")
        _write_env(aws)
        _print_usage(aws)
        return
    load_recipe(ROOT / "renditions.toml")  # a mistake would otherwise appear at the first upload
    aws = LocalAws.start(port=wanted_port(), step=Steps(out))
    try:
        STATE.write_text(json.dumps({"folder": str(aws.folder), "env": aws.env}), encoding="utf-8")
        STATE.chmod(0o600)
        _write_env(aws)
        aws.keep_running()
    except BaseException:
        aws.stop()
        _forget()
        raise
    out.print(f"\nThe local AWS is running at {aws.env['AWS_ENDPOINT_URL']}.")
    _print_usage(aws)


def _down() -> None:
    aws = _running()
    if aws:
        aws.stop()
    _forget()
    if aws:
        out.print(f"The local AWS at {aws.env['AWS_ENDPOINT_URL']} is stopped and its files are deleted.")
    else:
        out.print("No local AWS is running.")


def wanted_port() -> int:
    """Return LOCAL_PORT of the environment; raises LocalAwsError if it is not a port."""
    value = os.environ.get("LOCAL_PORT") or str(DEFAULT_PORT)
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise LocalAwsError(f"expected a port from 1 to 65535 in LOCAL_PORT but received {value!r}")
    return int(value)


def _running() -> LocalAws | None:
    try:
        state = json.loads(STATE.read_text(encoding="utf-8"))
        return LocalAws.found(Path(state["folder"]), state["env"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget() -> None:
    STATE.unlink(missing_ok=True)
    ENV_FILE.unlink(missing_ok=True)


def _write_env(aws: LocalAws) -> None:
    values = aws.env | {
        "AWS_SESSION_TOKEN": "",  # the shell's own token does not belong to this key
        "LOCAL_ARCHITECTURE": architecture(),
        "SLS_AWS_MONITORING_FREQUENCY": "100",
    }
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
    lines.append("unset AWS_PROFILE\n")  # sls prefers a profile to the keys
    ENV_FILE.write_text("".join(lines))
    ENV_FILE.chmod(0o600)


def _print_usage(aws: LocalAws) -> None:
    out.print(
        f"""\
  source bucket       {aws.env["SOURCE_BUCKET"]}
  destination bucket  {aws.env["DESTINATION_BUCKET"]}
  failure queue       {aws.env["FAILURE_QUEUE_URL"]}
  rejected queue      {aws.env["REJECTED_QUEUE_URL"]}
  function            {aws.env["FUNCTION_NAME"]}
.local/env has these names and the credentials, for any shell or program. To try it:
  . {ENV_FILE.relative_to(ROOT)}
  aws s3 cp photo.jpg "s3://$SOURCE_BUCKET/"
  .venv/bin/image-scaler url photo.jpg     # links to its renditions
or, without the aws command:
  .venv/bin/python -c "import boto3; boto3.client('s3').upload_file('photo.jpg', '$SOURCE_BUCKET', 'photo.jpg')"
`make down` stops it.""",
        markup=False,
    )
