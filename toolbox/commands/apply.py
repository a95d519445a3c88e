"""`image-scaler apply`: make what a plan says."""

from pathlib import Path

import boto3

from image_scaler.renditions.recipe import Recipe
from image_scaler.text import plural
from toolbox.aws.deployed import DeployedStack
from toolbox.console import err, out
from toolbox.migration.apply import Applier, Progress
from toolbox.migration.apply_report import delete_orphans, run_batch, run_function
from toolbox.migration.files import load
from toolbox.migration.limiter import Limiter


def apply(
    session: boto3.Session,
    deployed: DeployedStack,
    recipe: Recipe,
    plan_file: Path,
    *,
    max_usd: float,
    concurrency: int,
    via_batch: bool,
    deletes_orphans: bool,
) -> int:
    """Make what a plan says, and print it; return the exit code. Raises CallError."""
    planned = load(plan_file)
    try:
        with Progress(planned) as done:
            limiter = Limiter(concurrency, lambda text: err.print(text, style="yellow", markup=False))
            applier = Applier(planned, deployed, recipe, session, done, limiter)
            with err.status("Comparing the sources with the plan"):
                changed = applier.check_listing()
            if changed:
                err.print(f"{changed:,} skipped: they were replaced or deleted since the plan")
            if via_batch:
                is_complete = run_batch(applier, planned, deployed, session, max_usd, err)
            else:
                is_complete = run_function(applier, planned, concurrency, max_usd, err)
            if deletes_orphans:
                delete_orphans(applier, out)
            tally = done.tally
    except KeyboardInterrupt:
        err.print("Interrupted. The same command goes on from here.")
        return 1
    if limiter.refused:
        err.print(f"AWS refused {plural(limiter.refused, 'call')} for a while; at the end, {limiter.limit} in parallel")
    out.print(
        f"{plural(tally.done, 'source')} done, {tally.rejected:,} rejected, {tally.failed:,} failed, "
        f"${tally.usd:,.4f} spent"
    )
    if not is_complete:
        out.print(f"Stopped at --max-usd {max_usd:g}. The same command with a higher one goes on from here.")
    return 0 if is_complete and not tally.rejected and not tally.failed else 1
