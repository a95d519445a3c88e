"""`image-scaler plan`: count what renditions.toml changes for the existing sources, and estimate what that takes."""

from pathlib import Path

import boto3

from image_scaler.renditions.recipe import Recipe
from toolbox.aws.deployed import DeployedStack
from toolbox.console import err, out, print_json
from toolbox.migration.planner import Options, Planner
from toolbox.migration.report import report


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
    with err.status("Reading") as status:
        made = Planner(deployed, recipe, session).plan(options, plan_file, status.update)
    if made.note:
        err.print(f"Note: the next plan asks for all manifests again: {made.note}", markup=False)
    if as_json:
        print_json(made.content)
    else:
        for part in report(made, options):
            out.print(part)
    return 2 if made.has_changes else 0
