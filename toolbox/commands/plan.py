"""`image-scaler plan`: count what renditions.toml changes for the existing sources, and estimate what that takes."""

from pathlib import Path

import boto3
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from image_scaler.renditions.recipe import Recipe
from toolbox.aws.deployed import DeployedStack
from toolbox.console import err, out, print_json
from toolbox.migration.planner import Observer, Options, Planner, Totals
from toolbox.migration.report import count_report, estimate_report


def plan(
    session: boto3.Session,
    deployed: DeployedStack,
    recipe: Recipe,
    options: Options,
    plan_file: Path | None,
    *,
    as_json: bool,
) -> int:
    """Print the plan, and write it to `plan_file`; return 0 if there is nothing to do, else 2. Raises CallError."""
    with _bar() as bar:
        task = bar.add_task("Reading", total=None)

        def show_counts(totals: Totals) -> None:
            if not as_json:
                for part in count_report(totals):
                    out.print(part)
            bar.update(task, description="Rendering a sample and comparing it with what exists")

        observer = Observer(
            step=lambda text: bar.update(task, description=text),
            counted=show_counts,
            sampled=lambda done, total: bar.update(task, completed=done, total=total),
        )
        made = Planner(deployed, recipe, session).plan(options, plan_file, observer)
    if made.note:
        err.print(f"Note: the next plan asks for all manifests again: {made.note}", markup=False)
    if as_json:
        print_json(made.content)
    else:
        for part in estimate_report(made, options):
            out.print(part)
    return 2 if made.has_changes else 0


def _bar() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal)
