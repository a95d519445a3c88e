"""The command line of image-scaler: arguments in, text or JSON out. Each command is in the module of its name."""

import enum
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
from typer.core import TyperCommand

from image_scaler.exceptions import ConfigError, DestinationKeyError
from image_scaler.outcomes import counted
from image_scaler.renditions.spec import Renditions
from image_scaler.renditions.toml import load_renditions
from image_scaler.storage.base import on_one_line
from toolbox import stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import boto3

    from image_scaler.outcomes import WrittenObject
    from toolbox.deployed import DeployedStack
    from toolbox.scale import Scaled

main = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

RenditionsFile = Annotated[
    Path, typer.Option("--renditions", metavar="FILE", help="A renditions.toml to use instead of the project's.")
]
PROJECT_RENDITIONS = stack.ROOT / "renditions.toml"
Stage = Annotated[str | None, typer.Option(help="The stage of the deployed stack, whose names are read from AWS.")]
Region = Annotated[
    str | None, typer.Option(help="By default AWS_REGION, AWS_DEFAULT_REGION, or that of your AWS profile.")
]
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
    from toolbox.scale import scale_files
    from toolbox.source_files import InputError, source_files

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
    fields = ("name", "key", "width", "height", "bytes", "type", "quality", "score")
    return {
        "source": str(scaled.file.path),
        "status": outcome.status,
        "error": str(outcome.error) if outcome.error else None,
        "renditions": [_fields(written, fields) for written in outcome.written],
        "ms": scaled.milliseconds,
    }


def _fields(written: "WrittenObject", names: "Sequence[str]") -> dict[str, Any]:
    """Return fields of a rendition, without a quality and a score that are not known."""
    values = {name: getattr(written, name) for name in names}
    return {name: value for name, value in values.items() if value is not None or name not in ("quality", "score")}


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
    is_source = stack.source_filter("s3")
    table = _table("source", "rendition", "key", "what")
    is_rejected = False
    for key in keys:
        name = on_one_line(key)
        if not is_source(key):
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
    stage: Annotated[str, typer.Option(help="The stage of the stack.")] = "dev",
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the stack, as for sls.")
    ] = None,
    region: Region = None,
    credentials: Annotated[
        bool, typer.Option("--credentials", help="First ask AWS which account the credentials are of.")
    ] = False,
) -> None:
    """Check renditions.toml and the stack's settings before anything is deployed."""
    from toolbox.aws_errors import CallError
    from toolbox.check import check as check_settings
    from toolbox.session import account_of, open_session

    try:
        aws = open_session(region)
        if credentials:
            out.print(f"The account is {account_of(aws)}, the region is {aws.region_name}.")
        loaded = check_settings(renditions, stage, param or [], aws.region_name)
    except (CallError, ConfigError) as error:
        _stop(str(error))
    if loaded.allow_svg and ".svg" not in stack.suffixes():
        err.print("Note: no upload of an SVG invokes the function: add events for .svg to serverless.yml.")
    out.print(f"{renditions.name} and the settings of stage {stage} are valid. Renditions: {', '.join(loaded.by_name)}")


@main.command()
def smoke(stage: Stage = "dev", region: Region = None, renditions: RenditionsFile = PROJECT_RENDITIONS) -> None:
    """Try a deployed stack: upload samples, check what it makes of them, and delete all of it.

    The renditions must be those of the deployed stack. Exit code 0: everything is as it should be; 1: something is
    not; 2: the stack does not exist, or AWS does not answer.
    """
    from toolbox.aws_errors import CallError
    from toolbox.deployed import find_stack
    from toolbox.session import open_session
    from toolbox.smoke import Smoke

    all_ok = True
    table = _table("check", "result", "seconds")
    try:
        aws = open_session(region)
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
def play(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Images, or folders of images; or drop them later.")
    ] = None,
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of 127.0.0.1; 0: any free one.")] = 0,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page to one file that needs no server, and exit.")
    ] = None,
) -> None:
    """See the renditions of your pictures in a browser, and tune renditions.toml; Ctrl-C ends it.

    Prints the address of the page. Exit code 0: ended by Ctrl-C, or --html was written; 2: the arguments are wrong, the
    port is in use, or renditions.toml cannot be read.
    """
    from toolbox.local.processes import signals_as_exit
    from toolbox.play.report import write_report
    from toolbox.play.server import play as serve
    from toolbox.source_files import InputError, source_files

    try:
        files = source_files(paths or [])
        with signals_as_exit():
            if html:
                write_report(html, files, renditions)
                out.print(f"{html}: {counted(len(files), 'picture')}")
            else:
                serve(files, renditions, port, lambda address: print(address, flush=True))  # noqa: T201
    except (InputError, ConfigError) as error:
        _stop(str(error))


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
    from toolbox.deployed import find_stack
    from toolbox.redrive import FailureQueueReader
    from toolbox.session import open_session

    table = _table("source", "status", "reason", "" if send or discard_rejected else "with --send")
    all_readable = True
    try:
        aws = open_session(region)
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


class ErrorsExitWithOne(TyperCommand):
    """A command whose exit code 2 does not mean an error: wrong arguments exit with 1."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; see click.Command.parse_args."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "exit_code", None) == 2:  # click's UsageError, which typer does not export
                error.exit_code = 1  # type: ignore[attr-defined]
            raise


SourceBucket = Annotated[str | None, typer.Option(envvar="SOURCE_BUCKET", help="A bucket without --stage.")]
DestinationBucket = Annotated[str | None, typer.Option(envvar="DESTINATION_BUCKET", help="A bucket without --stage.")]
Function = Annotated[str | None, typer.Option(envvar="FUNCTION_NAME", help="A function without --stage.")]


@main.command(cls=ErrorsExitWithOne)
def plan(
    stage: Stage = None,
    region: Region = None,
    source_bucket: SourceBucket = None,
    destination_bucket: DestinationBucket = None,
    function: Function = None,
    prefix: Annotated[str, typer.Option(help="Only sources whose keys start with this.")] = "",
    inventory: Annotated[
        str | None, typer.Option(metavar="S3-URL", help="The manifest.json of an S3 Inventory, instead of a listing.")
    ] = None,
    sample: Annotated[int, typer.Option(min=1, max=1000, help="The number of sources to render here.")] = 60,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="The executions in parallel, for the hours.")] = 8,
    everything: Annotated[bool, typer.Option("--all", help="Also sources that are up to date.")] = False,
    retry_rejected: Annotated[bool, typer.Option("--retry-rejected", help="Also sources rejected before.")] = False,
    plan_file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the plan for apply.")] = None,
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    as_json: AsJson = False,
) -> None:
    """Count what renditions.toml changes for the existing sources, and estimate bytes, dollars and hours.

    Nothing is made. Exit code 0: nothing to do; 2: something would change; 1: an error.
    """
    from toolbox.aws_errors import CallError
    from toolbox.plan.planner import Options, Planner
    from toolbox.plan.report import report

    loaded = _load(renditions, exit_code=1)
    options = Options(prefix, inventory, sample, concurrency, everything, retry_rejected)
    try:
        aws, deployed = _find(stage, region, source_bucket, destination_bucket, function)
        with err.status("Reading") as status:
            made = Planner(deployed, loaded, aws).plan(options, plan_file, status.update)
    except CallError as error:
        _stop(str(error), exit_code=1)
    if made.note:
        err.print(f"Note: the next plan asks for all manifests again: {made.note}", markup=False)
    if as_json:
        _print_json(made.content)
    else:
        for part in report(made, options):
            out.print(part)
    raise typer.Exit(2 if made.has_changes else 0)


class Via(enum.StrEnum):
    """What calls the function."""

    FUNCTION = "function"
    BATCH = "batch"


class Orphans(enum.StrEnum):
    """What to do with objects that no recipe makes any longer."""

    KEEP = "keep"
    DELETE = "delete"


@main.command()
def apply(
    plan_file: Annotated[Path, typer.Argument(metavar="PLAN", help="A file that plan --out wrote.")],
    stage: Stage = None,
    region: Region = None,
    source_bucket: SourceBucket = None,
    destination_bucket: DestinationBucket = None,
    function: Function = None,
    max_usd: Annotated[float, typer.Option(min=0, help="Stop when so many dollars are spent, in all runs.")] = 20.0,
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="The number of parallel executions.")] = 8,
    via: Annotated[Via, typer.Option(help="Call the function from here, or from an S3 Batch Operations job.")] = (
        Via.FUNCTION
    ),
    orphans: Annotated[Orphans, typer.Option(help="Keep what no recipe makes any longer, or delete it.")] = (
        Orphans.KEEP
    ),
    renditions: RenditionsFile = PROJECT_RENDITIONS,
) -> None:
    """Make what a plan says. You can interrupt and restart it at any time: finished sources are skipped.

    Exit code 0: all is done; 1: a source was rejected or failed, or the ceiling was reached; 2: nothing was done,
    because the plan is outdated, or AWS does not answer.
    """
    from toolbox.apply import Applier, Progress
    from toolbox.apply_report import delete_orphans, run_batch, run_function
    from toolbox.aws_errors import CallError
    from toolbox.plan.files import load

    try:
        loaded = _load(renditions)
        planned = load(plan_file)
        aws, deployed = _find(stage, region, source_bucket, destination_bucket, function)
        with Progress(planned) as done:
            applier = Applier(planned, deployed, loaded, aws, done)
            with err.status("Comparing the sources with the plan"):
                changed = applier.check_listing()
            if changed:
                err.print(f"{changed:,} skipped: they were replaced or deleted since the plan")
            if via is Via.BATCH:
                is_complete = run_batch(applier, planned, deployed, aws, max_usd, err)
            else:
                is_complete = run_function(applier, planned, concurrency, max_usd, err)
            if orphans is Orphans.DELETE:
                delete_orphans(applier, out)
            tally = done.tally
    except CallError as error:
        _stop(str(error))
    except KeyboardInterrupt:
        err.print("Interrupted. The same command goes on from here.")
        raise typer.Exit(1) from None
    out.print(
        f"{counted(tally.done, 'source')} done, {tally.rejected:,} rejected, {tally.failed:,} failed, "
        f"${tally.usd:,.4f} spent"
    )
    if not is_complete:
        out.print(f"Stopped at --max-usd {max_usd:g}. The same command with a higher one goes on from here.")
    raise typer.Exit(0 if is_complete and not tally.rejected and not tally.failed else 1)


def _find(
    stage: str | None, region: str | None, source: str | None, destination: str | None, function: str | None
) -> "tuple[boto3.Session, DeployedStack]":
    """Return a session, and the stack of a stage or of the given names; raises CallError."""
    from toolbox.aws_errors import CallError
    from toolbox.deployed import DeployedStack, find_stack
    from toolbox.session import open_session

    aws = open_session(region)
    if stage:
        return aws, find_stack(stage, aws)
    if source and destination and function:
        return aws, DeployedStack(source, destination, "", "", function)
    raise CallError(
        "expected --stage, or SOURCE_BUCKET, DESTINATION_BUCKET and FUNCTION_NAME in the environment, "
        "but received neither"
    )


def _load(path: Path, exit_code: int = 2) -> Renditions:
    try:
        return load_renditions(path)
    except ConfigError as error:
        _stop(str(error), exit_code)


def _table(*headers: str) -> Table:
    """Return an empty table that wraps long keys and never cuts them."""
    table = Table(box=None, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")


def _stop(reason: str, exit_code: int = 2) -> NoReturn:
    err.print(f"image-scaler: {on_one_line(reason)}", style="red", markup=False)
    raise typer.Exit(exit_code)
