"""The command line of image-scaler: the options of each command. toolbox/commands/ has a module for each."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.core import TyperCommand

from image_scaler.exceptions import ConfigError
from image_scaler.recipe_file import load_recipe
from toolbox.console import CommandError, print_error
from toolbox.stack import ROOT

if TYPE_CHECKING:
    import boto3

    from toolbox.aws.deployed import DeployedStack

main = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

PROJECT_RENDITIONS = ROOT / "renditions.toml"
RenditionsFile = Annotated[
    Path, typer.Option("--renditions", metavar="FILE", help="A renditions.toml to use instead of the project's.")
]
Stage = Annotated[str | None, typer.Option(help="The stage of the deployed stack, whose names are read from AWS.")]
OwnStage = Annotated[str, typer.Option(help="The stage of the stack.")]
Region = Annotated[
    str | None, typer.Option(help="By default AWS_REGION, AWS_DEFAULT_REGION, or that of your AWS profile.")
]
Parameters = Annotated[
    list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the stack, as for sls.")
]
Images = Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="Images, or folders of images.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one line for each source or rendition.")]
SourceBucket = Annotated[str | None, typer.Option(envvar="SOURCE_BUCKET", help="A bucket without --stage.")]
DestinationBucket = Annotated[str | None, typer.Option(envvar="DESTINATION_BUCKET", help="A bucket without --stage.")]
Function = Annotated[str | None, typer.Option(envvar="FUNCTION_NAME", help="A function without --stage.")]


class ErrorsExitWithOne(TyperCommand):
    """A command that returns 2 as a result; usage errors exit with 1 instead."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; see click.Command.parse_args."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "exit_code", None) == 2:  # click's UsageError, which typer does not export
                error.exit_code = 1  # type: ignore[attr-defined]
            raise


def _exit(command: Callable[[], int], error_code: int = 2) -> NoReturn:
    """Run a command and exit with its code; if it cannot do its work, print why and exit with `error_code`."""
    try:
        code = command()
    except (CommandError, ConfigError) as error:
        for mistake in error.mistakes if isinstance(error, ConfigError) else [error]:
            print_error(str(mistake))
        code = error_code
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code)


# Each command imports its module when it runs: boto3, libvips and sls are slow to load, and few commands need them.


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
    from toolbox.commands.scale import scale

    _exit(lambda: scale(paths, out_folder, load_recipe(renditions), as_json=as_json))


@main.command()
def explain(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys of objects in the source bucket.")],
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    as_json: AsJson = False,
) -> None:
    """Print what the function would write for an upload under each KEY.

    Exit code 0: as printed; 1: the function would reject a key; 2: renditions.toml is wrong.
    """
    from toolbox.commands.explain import explain

    _exit(lambda: explain(keys, load_recipe(renditions), as_json=as_json))


@main.command("import")
def import_settings(
    tool: Annotated[Literal["aws-lambda-image", "firebase"], typer.Argument(help="Whose settings FILE has.")],
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The config.json, or the params.env.")],
) -> None:
    """Print the settings of another tool as a renditions.toml, with comments on what has no counterpart.

    Exit code 0: the pictures and their keys are the same; 2: the comments say what is different, or FILE cannot be
    read.
    """
    from toolbox.commands.import_settings import import_settings

    _exit(lambda: import_settings(tool, path))


@main.command()
def check(
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    stage: OwnStage = "dev",
    param: Parameters = None,
    region: Region = None,
    credentials: Annotated[
        bool, typer.Option("--credentials", help="First ask AWS which account the credentials are of.")
    ] = False,
) -> None:
    """Check renditions.toml and the stack's settings before anything is deployed."""
    from toolbox.commands.check import check

    _exit(lambda: check(renditions, stage, param or [], region, credentials=credentials))


@main.command()
def play(
    paths: Images = None,
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
    from toolbox.commands.play import play

    _exit(lambda: play(paths or [], renditions, port, html))


@main.command()
def run(paths: Images = None) -> None:
    """Show the stack at work in a local AWS, with these images or with the samples.

    Exit code 0: every rendition was made; 1: one was not; 2: it cannot start.
    """
    from toolbox.commands.run import run

    _exit(lambda: run(paths or []))


@main.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of 127.0.0.1; 0: any free one.")] = 0,
) -> None:
    """Serve a page that uploads pictures and shows them, with a local AWS behind it; Ctrl-C ends it.

    Prints the address of the page. Exit code 0: ended by Ctrl-C; 2: it cannot start.
    """
    from toolbox.commands.demo import demo

    _exit(lambda: demo(port))


@main.command()
def up() -> None:
    """Start a local AWS with the stack in it, and keep it running."""
    from toolbox.commands.up import up

    _exit(up)


@main.command()
def down() -> None:
    """Stop the local AWS that `up` started."""
    from toolbox.commands.up import down

    _exit(down)


@main.command()
def smoke(stage: OwnStage = "dev", region: Region = None, renditions: RenditionsFile = PROJECT_RENDITIONS) -> None:
    """Try a deployed stack: upload samples, check what it makes of them, and delete all of it.

    The renditions must be those of the deployed stack. Exit code 0: everything is as it should be; 1: something is
    not; 2: the stack does not exist, or AWS does not answer.
    """
    from toolbox.commands.smoke import smoke

    _exit(lambda: smoke(stage, region, load_recipe(renditions)))


@main.command()
def url(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of an upload in the source bucket.")],
    stage: Stage = None,
    region: Region = None,
    source_bucket: SourceBucket = None,
    destination_bucket: DestinationBucket = None,
    function: Function = None,
    name: Annotated[
        str | None, typer.Option(metavar="RENDITION", help="Only the link of this rendition, or of the `manifest`.")
    ] = None,
    expires: Annotated[int, typer.Option(min=1, max=604_800, help="The seconds for which a link works.")] = 3600,
    base: Annotated[
        str | None, typer.Option(metavar="URL", help="Links below this address, which serves the destination bucket.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="The seconds to wait for an upload that is processed now.")] = 60,
    renditions: RenditionsFile = PROJECT_RENDITIONS,
) -> None:
    """Print links to the renditions of an upload, for a browser; or why there are none.

    Exit code 0: the links are printed; 1: there are no renditions; 2: AWS does not answer, or the stack does not exist.
    """
    from toolbox.commands.url import Options, url

    def command() -> int:
        loaded = load_recipe(renditions)
        session, deployed = _find(stage, region, source_bucket, destination_bucket, function)
        return url(session, deployed, loaded, key, Options(name, expires, base, wait))

    _exit(command)


@main.command()
def presign(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key of the upload in the source bucket.")],
    stage: Stage = None,
    region: Region = None,
    source_bucket: SourceBucket = None,
    destination_bucket: DestinationBucket = None,
    function: Function = None,
    post: Annotated[bool, typer.Option("--post", help="A form, for a file of any size up to the limit.")] = False,
    size: Annotated[int | None, typer.Option("--bytes", min=1, help="The exact size of the file, for a PUT.")] = None,
    type: Annotated[  # noqa: A002 - the name of the option
        str | None, typer.Option(metavar="TYPE", help="The Content-Type; by default that of the key's extension.")
    ] = None,
    expires: Annotated[int, typer.Option(min=1, max=604_800, help="The seconds for which it can be sent.")] = 300,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also if a source with this key exists.")] = False,
    only: Annotated[
        str | None, typer.Option(metavar="NAMES", help="The renditions to make, separated by commas, or none.")
    ] = None,
    renditions: RenditionsFile = PROJECT_RENDITIONS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a curl command.")] = False,
) -> None:
    """Print a presigned request that uploads one image, under this key only.

    It needs no credentials, and expires. Exit code 0: it is printed; 2: it would lead to no rendition,
    the key exists, AWS does not answer, or the stack does not exist.
    """
    from toolbox.commands.presign import Options, presign

    def command() -> int:
        loaded = load_recipe(renditions)
        session, deployed = _find(stage, region, source_bucket, destination_bucket, function)
        options = Options(is_post=post, size=size, type=type, expires=expires, overwrites=overwrite, only=only)
        return presign(session, deployed, loaded, key, options, as_json=as_json)

    _exit(command)


@main.command()
def remove(
    stage: Annotated[str, typer.Option(help="The stage of the stack.")],
    region: Region = None,
    param: Parameters = None,
) -> None:
    """Remove a deployed stack with `sls remove`, and the notifications that it leaves in its source bucket.

    Both buckets keep their objects. Exit code 2: the stack does not exist, or AWS does not answer; else that of sls.
    """
    from toolbox.commands.remove import remove

    _exit(lambda: remove(stage, region, param or []))


@main.command()
def redrive(
    stage: Stage = None,
    region: Region = None,
    queue_url: Annotated[str | None, typer.Option(envvar="FAILURE_QUEUE_URL", help="A queue without --stage.")] = None,
    rejected_queue_url: Annotated[
        str | None, typer.Option(envvar="REJECTED_QUEUE_URL", help="A queue of rejected uploads without --stage.")
    ] = None,
    function: Function = None,
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
    from toolbox.commands.redrive import redrive

    _exit(
        lambda: redrive(
            *(stage, region, queue_url, rejected_queue_url, function),
            send=send,
            discard_rejected=discard_rejected,
            max_records=max_records,
        )
    )


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
    sample: Annotated[
        int, typer.Option(min=0, max=1000, help="The number of sources to render here; 0: no estimate.")
    ] = 60,
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
    from toolbox.commands.plan import plan
    from toolbox.migration.planner import Options

    def command() -> int:
        loaded = load_recipe(renditions)
        options = Options(prefix, inventory, sample, concurrency, everything, retry_rejected)
        session, deployed = _find(stage, region, source_bucket, destination_bucket, function)
        return plan(session, deployed, loaded, options, plan_file, as_json=as_json)

    _exit(command, error_code=1)


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
    via: Annotated[
        Literal["function", "batch"], typer.Option(help="Call the function from here, or from S3 Batch Operations.")
    ] = "function",
    orphans: Annotated[
        Literal["keep", "delete"], typer.Option(help="Keep what no recipe makes any longer, or delete it.")
    ] = "keep",
    renditions: RenditionsFile = PROJECT_RENDITIONS,
) -> None:
    """Make what a plan says. You can interrupt and restart it at any time: finished sources are skipped.

    Exit code 0: all is done; 1: a source was rejected or failed, or the ceiling was reached; 2: nothing was done,
    because the plan is outdated, or AWS does not answer.
    """
    from toolbox.commands.apply import apply

    def command() -> int:
        loaded = load_recipe(renditions)
        session, deployed = _find(stage, region, source_bucket, destination_bucket, function)
        return apply(
            *(session, deployed, loaded, plan_file),
            max_usd=max_usd,
            concurrency=concurrency,
            via_batch=via == "batch",
            deletes_orphans=orphans == "delete",
        )

    _exit(command)


def _find(
    stage: str | None, region: str | None, source: str | None, destination: str | None, function: str | None
) -> "tuple[boto3.Session, DeployedStack]":
    """Return a session, and the stack of a stage or of the given names; raises CommandError."""
    from toolbox.aws.deployed import DeployedStack, find_stack
    from toolbox.aws.session import open_session

    session = open_session(region)
    if stage:
        return session, find_stack(stage, session)
    if source and destination and function:
        return session, DeployedStack(source, destination, "", "", function)
    raise CommandError(
        "no stack given: use --stage, or set SOURCE_BUCKET, DESTINATION_BUCKET and FUNCTION_NAME in the environment"
    )
