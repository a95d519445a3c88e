"""`image-scaler run`: upload images to a local AWS, and print the renditions that the function makes."""

import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from image_scaler.recipe_file import load_recipe
from image_scaler.renditions.keys import MANIFEST_FOLDER
from image_scaler.renditions.recipe import Recipe, SourcePlan
from image_scaler.text import on_one_line, plural
from toolbox.aws.failure_records import read_record, take
from toolbox.commands.up import wanted_port
from toolbox.console import err
from toolbox.local.aws import LOCAL, LocalAws
from toolbox.processes import signals_as_exit
from toolbox.progress import Steps
from toolbox.source_files import SourceFile, source_files
from toolbox.stack import INVOKES_NOTHING, ROOT

SAMPLES = ROOT / "samples"
OUT = LOCAL / "out"
MAX_IDLE_SECONDS = 100.0
"""How long to wait without progress: longer than the function's timeout and its retries."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


@dataclass
class Source:
    """An image, and the objects that its upload became."""

    key: str
    body: bytes = b""
    plan: SourcePlan | None = None
    """None if nothing can be made of it."""
    expected: tuple[str, ...] = ()
    """The keys of its renditions, and of its manifest."""
    uploaded: float = 0.0
    arrived: dict[str, float] = field(default_factory=dict)
    """Seconds from the upload to the rendition, by key."""
    failure: str | None = None
    """Why it was not uploaded, or what its failure record says."""
    unsaved: dict[str, str] = field(default_factory=dict)
    """Why a rendition could not be saved, by its key."""

    @property
    def is_complete(self) -> bool:
        """Whether everything arrived. The manifest is last, and not all formats of a ladder may be stored."""
        manifest = self.plan.manifest_key if self.plan else None
        return manifest in self.arrived if manifest else len(self.arrived) == len(self.expected)

    @property
    def is_finished(self) -> bool:
        """Whether all objects arrived, or a failure record did."""
        return self.failure is not None or self.is_complete


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
    sources = [read_source(file, recipe) for file in files]
    with LocalAws.start(port=wanted_port(), retry_seconds=0.2, step=step) as aws:
        _leave_out_unmatched(aws, sources)
        with step("Uploading"):
            _upload(aws, sources)
        with step("Waiting for the renditions") as say:
            _wait(aws, sources, say)
        with step(f"Downloading to {OUT.relative_to(ROOT)}"):
            results = _download(aws, sources)
        out.print()
        out.print(table_of(sources, results))
        _print_end(aws, sources, results)
    return all(source.is_complete and not source.failure and not source.unsaved for source in sources)


def read_source(file: SourceFile, recipe: Recipe) -> Source:
    """Return the source of a file; it has a failure if the file cannot be read, or its key has no renditions."""
    source = Source(file.ref.key)
    try:
        source.body = file.path.read_bytes()
        source.plan = recipe.plan_for(source.key)
    except OSError as error:
        source.failure = f"cannot read the file: {error.strerror}"
    except DestinationKeyError as error:
        source.failure = f"rejected: {error}"
    return source


def _leave_out_unmatched(aws: LocalAws, sources: list[Source]) -> None:
    """Give a failure to each source for which the deployed stack has no event."""
    configuration = aws.client("s3").get_bucket_notification_configuration(Bucket=aws.env["SOURCE_BUCKET"])
    suffixes = [
        rule["Value"]
        for notification in configuration.get("LambdaFunctionConfigurations", [])
        for rule in notification.get("Filter", {}).get("Key", {}).get("FilterRules", [])
        if rule["Name"].lower() == "suffix"
    ]
    for source in sources:
        if suffixes and not source.key.endswith(tuple(suffixes)):
            source.failure = source.failure or INVOKES_NOTHING


def _upload(aws: LocalAws, sources: list[Source]) -> None:
    s3 = aws.client("s3")
    for source in sources:
        if source.failure or source.plan is None:
            continue
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


def _download(aws: LocalAws, sources: list[Source]) -> dict[str, bytes]:
    """Save the renditions to OUT; return the content by key. Without any, OUT keeps those of an earlier run."""
    s3, bucket = aws.client("s3"), aws.env["DESTINATION_BUCKET"]
    results: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(dir=LOCAL, prefix="out-") as name:
        folder = Path(name).resolve() / "out"
        folder.mkdir()
        for source in sources:
            for key in source.arrived:
                results[key] = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
                if reason := save(results[key], folder, key):
                    source.unsaved[key] = reason
        if results:
            _empty(OUT)
            folder.rename(OUT)
    return results


def save(body: bytes, folder: Path, key: str) -> str | None:
    """Write an object to its path in a folder; return why it cannot be written, None if it was."""
    path = (folder / key).resolve()
    if not path.is_relative_to(folder) or path == folder:
        return "not saved: its path leads out of the folder"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    except OSError as error:
        return f"not saved: {error.strerror}"
    return None


def _empty(folder: Path) -> None:
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def table_of(sources: Sequence[Source], results: Mapping[str, bytes]) -> Table:
    """Return a row for each source and for each of its renditions; a source without renditions has the reason."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("source", overflow="fold")
    table.add_column("rendition", overflow="fold")
    for header in ("size", "bytes", "saved", "after"):
        table.add_column(header, justify="right", no_wrap=True)
    for source in sources:
        reason = Text(on_one_line(source.failure or ""), style="red")
        name = Text(on_one_line(source.key), style="bold")
        table.add_row(name, reason, _size(source.body), decimal(len(source.body)), "", "")
        if source.failure and not source.arrived:
            continue
        for key in source.expected:
            table.add_row("", Text(on_one_line(key)), *_cells(source, key, results.get(key)))
    return table


def _cells(source: Source, key: str, body: bytes | None) -> tuple[str | Text, ...]:
    """Return size, bytes, saving and time of a rendition."""
    if body is None:
        return (Text("left out: no smaller") if source.is_complete else Text("missing", style="red"), "", "", "")
    after = f"{source.arrived[key]:.1f} s"
    if reason := source.unsaved.get(key):
        return (Text(reason, style="red"), decimal(len(body)), "", after)
    if key.startswith(MANIFEST_FOLDER):
        saved = ""
    elif body == source.body:
        saved = "copy"
    else:
        saved = "larger" if len(body) > len(source.body) else f"{1 - len(body) / len(source.body):.1%}"
    return (_size(body), decimal(len(body)), saved, after)


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


def _print_end(aws: LocalAws, sources: Sequence[Source], results: Mapping[str, bytes]) -> None:
    """Print how much was made, and the end of the log if something is missing without a reason."""
    out.print()
    for source in sources:
        if not source.is_finished:
            count = f"{len(source.arrived)} of {len(source.expected)} objects"
            why = f"nothing arrived for {MAX_IDLE_SECONDS:.0f} s; the end of the log:\n{aws.log_tail()}"
            err.print(f"{on_one_line(source.key)}: {count}. {why}", style="red", markup=False)
    renditions = sum(not key.startswith(MANIFEST_FOLDER) for key in results)
    made = sum(bool(source.arrived) for source in sources)
    others = f", {plural(len(sources) - made, 'image')} without any" if made < len(sources) else ""
    place = f"They are in {OUT.relative_to(ROOT)}/"
    out.print(f"{plural(made, 'image')}, {plural(renditions, 'rendition')}{others}. {place if results else ''}".strip())
