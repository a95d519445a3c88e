"""The command line of image-scaler: arguments in, text or JSON out. Each command is in the module of its name."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from image_scaler.exceptions import ConfigError, DestinationKeyError
from image_scaler.outcomes import counted
from image_scaler.renditions.spec import Renditions
from image_scaler.renditions.toml import load_renditions
from image_scaler.storage.base import on_one_line
from toolbox import stack

if TYPE_CHECKING:
    from toolbox.scale import Scaled

main = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)

RenditionsFile = Annotated[
    Path, typer.Option("--renditions", metavar="FILE", help="A renditions.toml to use instead of the project's.")
]
PROJECT_RENDITIONS = stack.ROOT / "renditions.toml"
Stage = Annotated[str | None, typer.Option(help="The stage of the deployed stack, whose names are read from AWS.")]
Region = Annotated[str | None, typer.Option(help="Its region; AWS_REGION or the AWS profile's by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one line for each source or rendition.")]

# The commands import their modules when they run: boto3, libvips and sls are slow to load, and few commands need them.


@main.command()
def scale(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, or folders of images.")],
    out_folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")],
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    as_json: AsJson = False,
) -> None:
    """Make the renditions of images on this machine, with the engine of the function.

    The key of a file is its name; of a file in a folder, its path within that folder. Exit code 0: all renditions were
    made; 1: a source was rejected or failed; 2: nothing was made, because the arguments are wrong.
    """
    from toolbox.scale import InputError, scale_files, source_files

    loaded = _load(renditions)
    try:
        files = source_files(paths, out_folder)
    except InputError as error:
        _stop(str(error))
    all_ok = True
    table = _table("source", "rendition", "size", "bytes", "saved")
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        scaled_files = scale_files(files, out_folder, loaded)
        for scaled in progress.track(scaled_files, total=len(files), description="Scaling"):
            all_ok &= scaled.outcome.status == "ok"
            if as_json:
                _print_json(_scaled_json(scaled))
            else:
                _add_scaled(table, scaled)
    if not as_json:
        out.print(table)
    raise typer.Exit(0 if all_ok else 1)


def _scaled_json(scaled: "Scaled") -> dict[str, Any]:
    outcome = scaled.outcome
    fields = ("name", "key", "width", "height", "bytes", "type")
    return {
        "source": str(scaled.file.path),
        "status": outcome.status,
        "error": str(outcome.error) if outcome.error else None,
        "renditions": [{field: getattr(written, field) for field in fields} for written in outcome.written],
        "ms": scaled.milliseconds,
    }


def _add_scaled(table: Table, scaled: "Scaled") -> None:
    outcome = scaled.outcome
    name = on_one_line(str(scaled.file.path))
    if outcome.status != "ok":
        table.add_row(name, Text(on_one_line(f"{outcome.status}: {outcome.error}"), style="red"))
        return
    before = scaled.file.path.stat().st_size
    for written in outcome.written:
        size = f"{written.width} x {written.height}" if written.width else "copy"
        saved = f"{1 - written.bytes / before:.0%}" if before else ""
        table.add_row(name, on_one_line(written.key), size, decimal(written.bytes), saved)
        name = ""


@main.command()
def explain(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys of objects in the source bucket.")],
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    as_json: AsJson = False,
) -> None:
    """Print what the function would write for an upload under each KEY.

    Exit code 0: as printed; 1: the function would reject a key; 2: renditions.toml is wrong.
    """
    from toolbox.explain import explain as explain_key

    loaded = _load(renditions)
    suffixes = tuple(stack.suffixes())
    table = _table("source", "rendition", "key", "what")
    is_rejected = False
    for key in keys:
        name = on_one_line(key)
        if not key.endswith(suffixes):
            err.print(f"Note: an upload of {name} invokes nothing: serverless.yml has no event for it.", markup=False)
        try:
            explained = explain_key(key, loaded)
        except DestinationKeyError as error:
            is_rejected = True
            err.print(f"image-scaler: {on_one_line(str(error))}", style="red", markup=False)
            continue
        for target in explained:
            if as_json:
                _print_json({"source": key, "name": target.name, "key": target.key, "format": target.format})
            table.add_row(name, target.name, on_one_line(target.key), target.description)
            name = ""
        if not explained:
            table.add_row(name, "none", "", "a rule without renditions matches the key")
    if not as_json and table.rows:
        out.print(table)
    raise typer.Exit(1 if is_rejected else 0)


@main.command()
def check(
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    stage: Annotated[
        str | None,
        typer.Option(help="The stage of the stack; dev by default. If given, compare the deployed one."),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the stack, as for sls.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="The region, as for sls.")] = None,
) -> None:
    """Check renditions.toml and the stack's settings before anything is deployed.

    With --stage, also print what a deployment would change in the settings of the deployed stack, if AWS can be asked.
    """
    from toolbox.aws_errors import CallError
    from toolbox.check import changes
    from toolbox.check import check as check_settings
    from toolbox.deployed import session

    try:
        loaded, settings = check_settings(renditions, stage or "dev", param or [], region)
    except ConfigError as error:
        _stop(str(error))
    if loaded.allow_svg and ".svg" not in stack.suffixes():
        err.print("Note: no upload of an SVG invokes the function: add svg to serverless/suffixes.json.")
    names = ", ".join(loaded.by_name)
    out.print(f"{renditions.name} and the settings of stage {stage or 'dev'} are valid. Renditions: {names}")
    if not stage:
        return
    try:
        changed = changes(stage, settings, session(settings.region))
    except CallError as error:
        err.print(f"Note: the deployed stack was not compared: {on_one_line(str(error))}", markup=False)
        return
    for change in changed:
        out.print(f"A deployment changes {change}.")


@main.command()
def smoke(stage: Stage = "dev", region: Region = None, renditions: RenditionsFile = PROJECT_RENDITIONS) -> None:
    """Try a deployed stack: upload samples, check what it makes of them, and delete all of it.

    The renditions must be those of the deployed stack. Exit code 0: everything is as it should be; 1: something is
    not; 2: the stack does not exist, or AWS does not answer.
    """
    from toolbox.aws_errors import CallError
    from toolbox.deployed import find_stack, session
    from toolbox.smoke import Smoke

    all_ok = True
    table = _table("check", "result", "seconds")
    try:
        aws = session(region)
        tried = Smoke(find_stack(stage or "dev", aws), _load(renditions), aws)
        with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
            progress.add_task(f"Trying the stack, with keys in {tried.prefix}", total=None)
            for check in tried.run():
                all_ok &= check.problem is None
                table.add_row(check.what, check.problem or "ok", f"{check.seconds:.1f}")
    except CallError as error:
        if table.rows:
            out.print(table)
        _stop(str(error))
    out.print(table)
    raise typer.Exit(0 if all_ok else 1)


@main.command()
def redrive(
    stage: Stage = None,
    region: Region = None,
    queue_url: Annotated[str | None, typer.Option(envvar="FAILURE_QUEUE_URL", help="A queue without --stage.")] = None,
    rejected_queue_url: Annotated[
        str | None, typer.Option(envvar="REJECTED_QUEUE_URL", help="A queue of rejected uploads without --stage.")
    ] = None,
    function: Annotated[str | None, typer.Option(envvar="FUNCTION_NAME", help="A function without --stage.")] = None,
    send: Annotated[
        bool, typer.Option("--send/--dry-run", help="Send the events to the function again, or only print them.")
    ] = False,
    discard_rejected: Annotated[
        bool, typer.Option("--discard-rejected", help="Delete the records of rejected uploads instead of sending them.")
    ] = False,
    max_records: Annotated[int, typer.Option("--max", min=1, help="The number of records to read.")] = 100,
) -> None:
    """Print the failed and the rejected uploads; with --send, send their events to the function again.

    A record is deleted when the function has accepted its event; an event that fails again comes back as a new record.
    Exit code 0: all records were printed, sent or deleted; 1: a message is not a failure record, and stays in its
    queue; 2: a queue or the function does not answer.
    """
    from toolbox.aws_errors import CallError
    from toolbox.deployed import find_stack, session
    from toolbox.redrive import FailureQueueReader

    table = _table("source", "status", "reason", "" if send or discard_rejected else "with --send")
    all_readable = True
    try:
        aws = session(region)
        if stage:
            deployed = find_stack(stage, aws)
            queue_url, rejected_queue_url = deployed.failure_queue_url, deployed.rejected_queue_url
            function = deployed.function
        if not (queue_url and function):
            _stop("expected --stage, or FAILURE_QUEUE_URL and FUNCTION_NAME in the environment, but received neither")
        urls = [queue_url, rejected_queue_url] if rejected_queue_url else [queue_url]
        reader = FailureQueueReader(urls, function, aws)
        with reader.held(max_records) as records:
            for failed in records:
                record = failed.record
                action = "stays in the queue"
                if record.is_rejected and discard_rejected:
                    reader.discard(failed)
                    action = "deleted"
                elif record.event is None:
                    all_readable = False
                elif send:
                    reader.send(failed)
                    action = "sent"
                elif not discard_rejected:
                    action = "would be sent"
                status = "rejected" if record.is_rejected else "failed"
                table.add_row(
                    "\n".join(str(source.ref) for source in record.sources) or "-",
                    status if record.event is not None else "-",
                    on_one_line(record.reason),
                    action,
                )
    except CallError as error:
        if table.rows:
            out.print(table)
        _stop(str(error))
    out.print(table if table.rows else "No upload has failed or was rejected.")
    raise typer.Exit(0 if all_readable else 1)


@main.command()
def backfill(
    stage: Stage = None,
    region: Region = None,
    source_bucket: Annotated[str | None, typer.Option(envvar="SOURCE_BUCKET", help="A bucket without --stage.")] = None,
    destination_bucket: Annotated[
        str | None, typer.Option(envvar="DESTINATION_BUCKET", help="A bucket without --stage.")
    ] = None,
    function: Annotated[str | None, typer.Option(envvar="FUNCTION_NAME", help="A function without --stage.")] = None,
    prefix: Annotated[str, typer.Option(help="Only sources whose keys start with this.")] = "",
    send: Annotated[
        bool, typer.Option("--send/--dry-run", help="Send the sources to the function, or only count them.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also sources whose renditions are all up to date.")
    ] = False,
    parallel: Annotated[int, typer.Option(min=1, max=100, help="The number of parallel executions.")] = 8,
    renditions: RenditionsFile = PROJECT_RENDITIONS,
) -> None:
    """Make the renditions of images that were uploaded before the stack, or before a change of renditions.toml.

    You can interrupt and restart it at any time: images whose manifest is up to date are skipped. Exit code 0: all
    renditions exist; 1: a source was rejected or failed, or, without --send, some are unfinished; 2: a bucket or the
    function does not answer.
    """
    from toolbox.aws_errors import CallError
    from toolbox.backfill import Backfill, Source
    from toolbox.deployed import DeployedStack, find_stack, session

    count = size = failed = 0
    unfinished: list[Source] = []
    try:
        aws = session(region)
        if stage:
            deployed = find_stack(stage, aws)
        elif source_bucket and destination_bucket and function:
            deployed = DeployedStack(source_bucket, destination_bucket, "", "", function)
        else:
            _stop(
                "expected --stage, or SOURCE_BUCKET, DESTINATION_BUCKET and FUNCTION_NAME in the environment, "
                "but received neither"
            )
        work = Backfill(deployed, _load(renditions), aws)
        with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
            sources = work.sources(prefix)
            for source in progress.track(sources if everything else work.unfinished(sources), description="Reading"):
                count += 1
                if source:
                    unfinished.append(source)
                    size += source.size
            out.print(f"{counted(count, 'source')}, {len(unfinished):,} without current renditions ({decimal(size)})")
            if send:
                sent = work.send(unfinished, parallel)
                for source, reason in progress.track(sent, total=len(unfinished), description="Sending"):
                    if reason:
                        failed += 1
                        err.print(f"{on_one_line(source.key)}: {on_one_line(reason)}", style="red", markup=False)
    except CallError as error:
        _stop(str(error))
    if send:
        out.print(f"{counted(len(unfinished) - failed, 'source')} finished, {failed:,} rejected or failed")
    raise typer.Exit(1 if failed or (unfinished and not send) else 0)


def _load(path: Path) -> Renditions:
    try:
        return load_renditions(path)
    except ConfigError as error:
        _stop(str(error))


def _table(*headers: str) -> Table:
    """Return an empty table that wraps long keys and never cuts them."""
    table = Table(box=None, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


def _stop(reason: str) -> NoReturn:
    err.print(f"image-scaler: {on_one_line(reason)}", style="red", markup=False)
    raise typer.Exit(2)
