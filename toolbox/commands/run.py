"""`image-scaler run`: upload images to a local AWS, and print the renditions that the function makes."""

import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from image_scaler.exceptions import DestinationKeyError
from image_scaler.renditions.keys import MANIFEST_FOLDER, RECIPE_FOLDER, REJECTION_FOLDER
from image_scaler.renditions.recipe import SourcePlan
from image_scaler.renditions.toml import load_recipe
from image_scaler.text import on_one_line, plural
from toolbox.aws.failure_records import read_record, take
from toolbox.commands.up import wanted_port
from toolbox.console import CommandError, err
from toolbox.local.aws import LOCAL, LocalAws
from toolbox.processes import signals_as_exit
from toolbox.progress import Steps
from toolbox.source_files import SourceFile, source_files
from toolbox.stack import ROOT

SAMPLES = ROOT / "samples"
OUT = LOCAL / "out"
MAX_IDLE_SECONDS = 100.0
"""How long to wait without progress: longer than the function's timeout and its retries."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


@dataclass
class Source:
    """An upload, and the objects that it became."""

    key: str
    body: bytes
    plan: SourcePlan
    expected: tuple[str, ...] = ()
    """The keys of its renditions, and of its manifest."""
    uploaded: float = 0.0
    arrived: dict[str, float] = field(default_factory=dict)
    """Seconds from the upload to the rendition, by key."""
    failure: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether all objects arrived, or a failure record did."""
        return self.failure is not None or len(self.arrived) == len(self.expected)


def run(paths: Sequence[Path]) -> int:
    """Show the stack at work with these images, or with the samples; return 0 if every rendition was made, else 1.

    Raises CommandError or ConfigError if it cannot start.
    """
    pillow_heif.register_heif_opener()
    with signals_as_exit():
        return 0 if _run(source_files(paths or [SAMPLES])) else 1


def _run(files: Sequence[SourceFile]) -> bool:
    step = Steps(out)
    recipe = load_recipe(ROOT / "renditions.toml")
    try:
        sources = [Source(file.ref.key, file.path.read_bytes(), recipe.plan_for(file.ref.key)) for file in files]
    except DestinationKeyError as error:
        raise CommandError(str(error)) from error
    _empty(OUT)
    with LocalAws.start(port=wanted_port(), retry_seconds=0.2, step=step) as aws:
        _refuse_unmatched_suffixes(aws, sources)
        with step("Uploading"):
            _upload(aws, sources)
        with step("Waiting for the renditions") as say:
            _wait(aws, sources, say)
        with step(f"Downloading to {OUT.relative_to(ROOT)}"):
            results = _download(aws)
        _print_table(sources, results)
        return _report(aws, sources)


def _refuse_unmatched_suffixes(aws: LocalAws, sources: list[Source]) -> None:
    """Raise CommandError if the deployed stack has no event for a source."""
    configuration = aws.client("s3").get_bucket_notification_configuration(Bucket=aws.env["SOURCE_BUCKET"])
    suffixes = [
        rule["Value"]
        for notification in configuration.get("LambdaFunctionConfigurations", [])
        for rule in notification.get("Filter", {}).get("Key", {}).get("FilterRules", [])
        if rule["Name"].lower() == "suffix"
    ]
    for source in sources:
        if suffixes and not source.key.endswith(tuple(suffixes)):
            raise CommandError(
                f"an upload of {source.key} invokes nothing: serverless.yml has events for {' '.join(suffixes)} only"
            )


def _upload(aws: LocalAws, sources: list[Source]) -> None:
    s3 = aws.client("s3")
    for source in sources:
        s3.upload_fileobj(io.BytesIO(source.body), aws.env["SOURCE_BUCKET"], source.key)
        source.uploaded = time.monotonic()
        etag = s3.head_object(Bucket=aws.env["SOURCE_BUCKET"], Key=source.key)["ETag"].strip('"')
        source.expected = source.plan.of_version(etag).keys  # a key with a hash depends on it


def _wait(aws: LocalAws, sources: list[Source], say: Callable[[str], None]) -> None:
    """Record what arrives, until every source is finished or nothing arrives for MAX_IDLE_SECONDS."""
    s3, sqs = aws.client("s3"), aws.client("sqs")
    by_key = {source.key: source for source in sources}
    total = sum(len(source.expected) for source in sources)
    deadline = time.monotonic() + MAX_IDLE_SECONDS
    seen: set[str] = set()
    while not all(source.is_finished for source in sources) and time.monotonic() < deadline:
        present = {stored["Key"] for stored in _list(s3, aws.env["DESTINATION_BUCKET"])}
        now = time.monotonic()
        for source in sources:
            source.arrived |= {
                key: now - source.uploaded for key in source.expected if key in present and key not in source.arrived
            }
        for key, reason in _failures(sqs, aws.env["FAILURE_QUEUE_URL"], aws.env["REJECTED_QUEUE_URL"]):
            if key in by_key:
                by_key[key].failure = reason
                deadline = now + MAX_IDLE_SECONDS
        if present - seen:
            seen, deadline = present, now + MAX_IDLE_SECONDS
        say(f"{sum(len(source.arrived) for source in sources)} of {total}")
        time.sleep(0.1)


def _list(s3: Any, bucket: str) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        yield from page.get("Contents", [])


def _failures(sqs: Any, *queues: str) -> Iterator[tuple[str, str]]:
    """Take the failure records out of the queues; yield the source key and the reason of each."""
    for body in take(sqs, *queues):
        record = read_record(body)
        for source in record.sources:
            yield source.ref.key, f"{'rejected' if record.is_rejected else 'failed'}: {record.reason}"


def _download(aws: LocalAws) -> dict[str, bytes]:
    """Save the destination bucket to OUT; return the content by key. Raises CommandError if a key cannot be a path."""
    s3, bucket = aws.client("s3"), aws.env["DESTINATION_BUCKET"]
    results = {}
    with tempfile.TemporaryDirectory(dir=LOCAL, prefix="out-") as name:
        folder = Path(name).resolve() / "out"
        folder.mkdir()
        for stored in _list(s3, bucket):
            key = stored["Key"]
            if key.startswith((RECIPE_FOLDER, REJECTION_FOLDER)):
                continue
            path = (folder / key).resolve()
            if not path.is_relative_to(folder) or path == folder:
                raise CommandError(f"cannot save {key!r}: its path leads out of {OUT}")
            results[key] = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(results[key])
            except OSError as error:
                raise CommandError(f"cannot save {key!r} to {OUT}: {error}") from error
        _empty(OUT)
        folder.rename(OUT)
    return results


def _empty(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def _print_table(sources: list[Source], results: dict[str, bytes]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("source", overflow="fold")
    table.add_column("rendition", overflow="fold")
    for header in ("size", "bytes", "saved", "after"):
        table.add_column(header, justify="right", no_wrap=True)
    for source in sources:
        table.add_row(
            Text(on_one_line(source.key), style="bold"), "", _size(source.body), decimal(len(source.body)), "", ""
        )
        for key in source.expected:
            body = results.get(key)
            if body is None or key not in source.arrived:
                table.add_row("", Text(on_one_line(key)), "[red]missing[/red]", "", "", "")
                continue
            saved = "copy" if body == source.body else f"{1 - len(body) / max(1, len(source.body)):.1%}"
            if key.startswith(MANIFEST_FOLDER):
                saved = ""
            after = f"{source.arrived[key]:.1f} s"
            table.add_row("", Text(on_one_line(key)), _size(body), decimal(len(body)), saved, after)
    out.print()
    out.print(table)


def _size(body: bytes) -> str:
    """Return width x height of the upright image, or a dash if Pillow cannot read it."""
    try:
        with Image.open(io.BytesIO(body)) as image:
            width, height = image.size
            if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):
                width, height = height, width
            return f"{width} x {height}"
    except Exception:  # of any kind: this is only a label
        return "-"


def _report(aws: LocalAws, sources: list[Source]) -> bool:
    """Print what is missing and why; return whether everything arrived."""
    out.print()
    incomplete = [source for source in sources if len(source.arrived) < len(source.expected)]
    for source in incomplete:
        count = f"{len(source.arrived)} of {len(source.expected)} objects"
        why = source.failure or f"nothing arrived for {MAX_IDLE_SECONDS:.0f} s; the end of the log:\n{aws.log_tail()}"
        err.print(f"{on_one_line(source.key)}: {count}. {why}", style="red", markup=False)
    if not incomplete:
        total = sum(not key.startswith(MANIFEST_FOLDER) for source in sources for key in source.expected)
        out.print(
            f"{plural(len(sources), 'image')}, {plural(total, 'rendition')}. They are in {OUT.relative_to(ROOT)}/"
        )
    return not incomplete
