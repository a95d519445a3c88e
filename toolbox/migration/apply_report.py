"""What people see of `image-scaler apply` while it works: bars, failures, and what is deleted."""

from itertools import islice

import boto3
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from image_scaler.text import on_one_line, plural
from toolbox.aws import prices
from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import CallError
from toolbox.migration.apply import DONE, FAILED, REJECTED, Applier, Result
from toolbox.migration.batch import BatchOperations
from toolbox.migration.files import MigrationPlan

_SHOWN = 20
"""Keys of orphans that are printed; the number says how many more there are."""


def _bar(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[dollars]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def run_function(applier: Applier, plan: MigrationPlan, concurrency: int, max_usd: float, console: Console) -> bool:
    """Send the sources to the function, with a bar; return whether all were sent."""
    total, tally = plan.content["counts"]["to_process"], applier.progress.tally
    with _bar(console) as progress:
        task = progress.add_task("", total=total, completed=tally.done + tally.rejected, rate="", dollars="")
        for result in applier.send(concurrency, max_usd):
            if result.status != DONE:
                console.print(f"{on_one_line(result.key)}: {on_one_line(result.reason)}", style="red", markup=False)
            speed = progress.tasks[0].speed
            rate = f"{speed:.1f}/s, {applier.limiter.limit} in parallel" if speed else ""
            progress.update(task, advance=1, rate=rate, dollars=f"${tally.usd:.2f} of ${max_usd:g}")
    # What has failed is left for another run, but was sent in this one.
    return sum(1 for _ in islice(applier.remaining(), tally.failed + 1)) <= tally.failed


def run_batch(
    applier: Applier,
    plan: MigrationPlan,
    deployed: DeployedStack,
    session: boto3.Session,
    max_usd: float,
    console: Console,
) -> bool:
    """Let an S3 Batch Operations job send the sources, and follow it; return True. Raises CallError.

    A job that an earlier run has created is followed instead of creating another one.
    """
    operations = BatchOperations.connect(session, deployed)
    progress, tally = applier.progress, applier.progress.tally
    total, estimate = plan.content["counts"]["to_process"], plan.content["estimate"]
    if total and not estimate["sampled"]:
        raise CallError("the plan has no estimate, so --max-usd cannot be checked: plan again without --sample 0")
    share = estimate["usd"] / total if total else 0.0
    job = tally.open_job
    if job is None:
        left = sum(1 for _ in applier.remaining())
        if not left:
            return True
        expected = tally.usd + left * (share + prices.BATCH_TASK) + prices.BATCH_JOB
        if expected > max_usd:  # a job cannot be stopped at a source
            raise CallError(f"the job would cost about ${expected:.2f}, more than --max-usd {max_usd:g}")
        job = operations.create(applier.remaining(), f"{plan.checksum[:48]}-{len(tally.jobs)}")
        progress.note({"job": job, "usd": prices.BATCH_JOB})
    console.print(f"The job {job} runs without this machine; the same command follows it again.")
    with _bar(console) as bar:
        task = bar.add_task("", total=total, rate="", dollars="")
        for status in operations.follow(job):
            finished = status.done + status.failed
            spent = f"about ${tally.usd + finished * (share + prices.BATCH_TASK):.2f}"
            bar.update(task, completed=finished, rate=status.name, dollars=spent)
    for found in operations.report(job):
        status_name = DONE if found.is_done else REJECTED if found.code == "PermanentFailure" else FAILED
        result = Result(found.key, status_name, found.reason, share + prices.BATCH_TASK)
        progress.record(result)
        if status_name != DONE:
            console.print(f"{on_one_line(result.key)}: {on_one_line(result.reason)}", style="red", markup=False)
    progress.note({"ended": job})
    return True


def delete_orphans(applier: Applier, console: Console) -> None:
    """Print what no recipe makes any longer, then delete it."""
    count = 0
    for key in applier.orphans():
        count += 1
        if count <= _SHOWN:
            console.print(f"deletes {on_one_line(key)}")
    if count > _SHOWN:
        console.print(f"deletes {count - _SHOWN:,} more")
    deleted = sum(applier.delete(applier.orphans()))
    console.print(f"{plural(deleted, 'orphan')} deleted")
