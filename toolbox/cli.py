"""image-scaler: the engine on files, and what renditions.toml and the stack would do."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from image_scaler.events import SourceEvent
from image_scaler.exceptions import ConfigError, DestinationKeyError
from image_scaler.images import vips
from image_scaler.outcomes import Outcome
from image_scaler.renditions.keys import is_image_key
from image_scaler.renditions.spec import CopyTarget, Renditions, Target
from image_scaler.renditions.toml import load_renditions
from image_scaler.scaler import Scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef, on_one_line
from toolbox import stack
from toolbox.file_store import FileStore

main = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)

RenditionsFile = Annotated[
    Path, typer.Option("--renditions", metavar="FILE", help="What to make, instead of the project's renditions.toml.")
]
PROJECT_RENDITIONS = stack.ROOT / "renditions.toml"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one line for each source or rendition.")]


@main.command()
def scale(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, or folders of images.")],
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")],
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    as_json: AsJson = False,
) -> None:
    """Make the renditions of images on this machine, with the engine of the function.

    The key of a file is its name; of a file in a folder, its path within that folder. Exit code 0: all were
    made; 1: some source was rejected or failed; 2: nothing was tried.
    """
    settings = Settings(destination_bucket=str(out_folder.resolve()), renditions=_load(renditions))
    vips.configure(allow_svg=settings.renditions.allow_svg)
    sources = list(_sources(paths, out_folder.resolve()))
    scaler = Scaler(settings, FileStore())
    table = _table("source", "rendition", "size", "bytes", "saved")
    all_ok = True
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        for path, ref in progress.track(sources, description="Scaling"):
            start = time.perf_counter()
            outcome = scaler.scale(SourceEvent(ref=ref, payload={}))
            milliseconds = round((time.perf_counter() - start) * 1000)
            all_ok &= outcome.status == "ok"
            if as_json:
                _print_json(_report(path, outcome, milliseconds))
            else:
                _add_rows(table, path, outcome)
    if not as_json:
        out.print(table)
    raise typer.Exit(0 if all_ok else 1)


@main.command()
def explain(
    key: Annotated[str, typer.Argument(help="The key of an object in the source bucket.")],
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    as_json: AsJson = False,
) -> None:
    """Tell what would be written where for an upload under KEY."""
    try:
        loaded = _load(renditions)
        plan = loaded.plan_for(key)
    except DestinationKeyError as error:
        _stop(str(error))
    if not key.endswith(tuple(stack.suffixes())):
        err.print(
            f"Note: an upload under {on_one_line(key)} is not listened to: no event in serverless.yml has its ending.",
            markup=False,
        )
    table = _table("rendition", "key", "what")
    for target in plan.targets:
        if as_json:
            format = None if isinstance(target, CopyTarget) else target.format
            _print_json({"name": target.spec.name, "key": target.key, "format": format})
        else:
            table.add_row(target.spec.name, on_one_line(target.key), _describe(target))
    if plan.manifest_key and as_json:
        _print_json({"name": "manifest", "key": plan.manifest_key, "format": "json"})
    elif plan.manifest_key:
        table.add_row("manifest", on_one_line(plan.manifest_key), "the list of renditions, in JSON")
    if not as_json:
        out.print(
            table if plan.targets else f"Nothing is made of {on_one_line(key)}: a rule without renditions matches it."
        )


def _describe(target: Target) -> str:
    if isinstance(target, CopyTarget):
        return "copy, byte for byte"
    spec = target.spec
    box = f"{spec.width or 'any'} x {spec.height or 'any'}, " if spec.width or spec.height else ""
    fit = f"{spec.fit}, " if spec.width and spec.height else ""
    return f"{box}{fit}{target.format}"


@main.command()
def check(
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    stage: Annotated[str, typer.Option(help="The stage to check the stack's settings for.")] = "dev",
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the stack, as sls takes it.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region, as sls takes it.")] = None,
) -> None:
    """Check renditions.toml and the stack's settings; says what is wrong before anything is deployed."""
    loaded = _load(renditions)
    try:
        stack.check(stage, param or [], region)
    except ConfigError as error:
        _stop(str(error))
    if loaded.allow_svg and ".svg" not in stack.suffixes():
        err.print("Note: SVG is read, but no upload of one is listened to: add .svg to the events in serverless.yml.")
    names = ", ".join(loaded.by_name)
    out.print(f"{renditions.name} and the stack's settings for stage {stage} are fine. Renditions: {names}")


@main.command()
def redrive(
    queue_url: Annotated[str, typer.Option(envvar="FAILURE_QUEUE_URL", help="The stack's FailureQueueUrl.")],
    function: Annotated[str, typer.Option(envvar="FUNCTION_NAME", help="The stack's function.")],
    send: Annotated[
        bool, typer.Option("--send/--dry-run", help="Send the events to the function again, or only show them.")
    ] = False,
    at_most: Annotated[int, typer.Option("--max", min=1, help="How many records to look at.")] = 100,
) -> None:
    """Show what is in the failure queue; with --send, let the function try it again.

    A record is deleted when the function has accepted its event; what fails again comes back. Exit code 0: all were
    shown or sent; 1: some message is no failure record, and was left; 2: the queue or the function could not be asked.
    """
    from toolbox.aws_errors import CallError  # boto3 takes its time, which only this needs
    from toolbox.redrive import FailureQueueReader

    table = _table("source", "reason", "" if send else "with --send")
    readable = True
    try:
        reader = FailureQueueReader(queue_url, function)
        with reader.held(at_most) as records:
            for failed in records:
                has_event = failed.record.event is not None
                readable &= has_event
                if send and has_event:
                    reader.send(failed)
                what = ("sent" if send else "would be sent") if has_event else "left in the queue"
                sources = "\n".join(str(source.ref) for source in failed.record.sources)
                table.add_row(sources or "-", on_one_line(failed.record.reason), what)
    except CallError as error:
        if table.rows:
            out.print(table)
        _stop(str(error))
    out.print(table if table.rows else "The failure queue is empty.")
    raise typer.Exit(0 if readable else 1)


@main.command()
def backfill(
    source_bucket: Annotated[str, typer.Option(envvar="SOURCE_BUCKET", help="The stack's source bucket.")],
    destination_bucket: Annotated[
        str, typer.Option(envvar="DESTINATION_BUCKET", help="The stack's destination bucket.")
    ],
    function: Annotated[str, typer.Option(envvar="FUNCTION_NAME", help="The stack's function.")],
    prefix: Annotated[str, typer.Option(help="Only sources whose keys begin so.")] = "",
    send: Annotated[
        bool, typer.Option("--send/--dry-run", help="Let the function make them, or only count them.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Also sources whose renditions are all there.")] = False,
    at_once: Annotated[int, typer.Option(min=1, max=100, help="How many the function makes at a time.")] = 8,
    renditions: RenditionsFile = PROJECT_RENDITIONS,
) -> None:
    """Make the renditions of images that were in the source bucket before, or under another renditions.toml.

    What is done already is seen from the manifests and left out: it can be broken off and begun again at any time.
    Exit code 0: nothing is missing, or all was made; 1: some source was rejected or failed, or, without --send, some
    are unfinished; 2: the buckets or the function could not be asked.
    """
    from toolbox.aws_errors import CallError
    from toolbox.backfill import Backfill, Source  # boto3 takes its time, which only this needs

    looked_at = size = failed = 0
    unfinished: list[Source] = []
    try:
        work = Backfill(source_bucket, destination_bucket, function, _load(renditions))
        with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
            sources = work.sources(prefix)
            for source in progress.track(sources if everything else work.unfinished(sources), description="Looking"):
                looked_at += 1
                if source:
                    unfinished.append(source)
                    size += source.size
            out.print(f"{looked_at:,} sources, of which {len(unfinished):,} are to be made ({decimal(size)}).")
            if send:
                made = work.make(unfinished, at_once)
                for source, reason in progress.track(made, total=len(unfinished), description="Making"):
                    if reason:
                        failed += 1
                        err.print(f"{on_one_line(source.key)}: {on_one_line(reason)}", style="red", markup=False)
    except CallError as error:
        _stop(str(error))
    if send:
        out.print(f"{len(unfinished) - failed:,} were made, {failed:,} were not.")
    raise typer.Exit(1 if failed or (unfinished and not send) else 0)


def _load(path: Path) -> Renditions:
    try:
        return load_renditions(path)
    except ConfigError as error:
        _stop(str(error))


def _sources(paths: list[Path], out_folder: Path) -> Iterator[tuple[Path, ObjectRef]]:
    """Yield every file with its key; stops the program where a path is missing or two files have one key."""
    seen: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            _stop(f"expected a file or a folder but found nothing at {path}")
        found = sorted(
            file
            for file in (path.rglob("*") if path.is_dir() else [path])
            if file.is_file()
            and (file == path or is_image_key(file.name))
            and not file.resolve().is_relative_to(out_folder)
        )
        if not found:
            what = f"expected images in the folder {path} but found none" if path.is_dir() else f"expected {path} to be"
            _stop(f"{what} outside the output folder")
        for file in found:
            key = file.relative_to(path if path.is_dir() else path.parent).as_posix()
            if key in seen:
                _stop(f"expected files of different names but both {seen[key]} and {file} are called {key}")
            seen[key] = file
            yield file, ObjectRef(str((path if path.is_dir() else path.parent).resolve()), key)


def _report(path: Path, outcome: Outcome, milliseconds: int) -> dict[str, Any]:
    return {
        "source": str(path),
        "status": outcome.status,
        "error": str(outcome.error) if outcome.error else None,
        "renditions": [
            {
                "name": written.name,
                "key": written.key,
                "width": written.width,
                "height": written.height,
                "bytes": written.bytes,
                "type": written.type,
            }
            for written in outcome.written
        ],
        "ms": milliseconds,
    }


def _add_rows(table: Table, path: Path, outcome: Outcome) -> None:
    name = on_one_line(str(path))
    if outcome.status != "ok":
        table.add_row(name, Text(on_one_line(f"{outcome.status}: {outcome.error}"), style="red"))
        return
    before = path.stat().st_size
    for written in outcome.written:
        size = f"{written.width} x {written.height}" if written.width else "copy"
        saved = f"{1 - written.bytes / before:.0%}" if before else ""
        table.add_row(name, on_one_line(written.key), size, decimal(written.bytes), saved)
        name = ""


def _table(*headers: str) -> Table:
    """Return an empty table in which a long key is broken, never cut."""
    table = Table(box=None, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


def _stop(reason: str) -> NoReturn:
    err.print(f"image-scaler: {on_one_line(reason)}", style="red", markup=False)
    raise typer.Exit(2)
