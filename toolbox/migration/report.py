"""A plan for people: tables and a few sentences."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.filesize import decimal
from rich.table import Table

from image_scaler.renditions.made import MadeRendition
from image_scaler.text import on_one_line, plural
from toolbox.migration.changes import Counts
from toolbox.migration.planner import Options, Plan, Totals
from toolbox.migration.visual_diff import VisualChange, VisualDiff

COLUMNS = ("make", "rewrite", "keep", "superseded", "orphan")


def count_report(totals: Totals) -> Iterator[Table | str]:
    """Yield the counts, which are known before the estimate."""
    if totals.to_process or totals.orphans:
        yield table(counts_by_rendition(totals))
        if rows := counts_by_rule(totals):
            yield ""
            yield table(rows)
    yield from count_sentences(totals)


def estimate_report(plan: Plan, options: Options) -> Iterator[Table | str]:
    """Yield what the sample says."""
    if not plan.has_changes:
        return
    if not plan.estimate.sampled:
        yield "Counts are exact. No source was rendered, so there is no estimate of bytes, dollars and hours"
        return
    if changes := visual_diff_table(plan.visual_diff):
        yield ""
        yield changes
    yield from estimate_sentences(plan, options)


class Rows(NamedTuple):
    """A table of counts, for the terminal."""

    columns: tuple[str, ...]
    """The first one names the row."""
    rows: list[tuple[str, list[int]]]


def counts_by_rendition(totals: Totals) -> Rows:
    """Return the counts of each rendition, and of all of them."""
    rows = [(name, _numbers(counts, COLUMNS)) for name, counts in totals.by_rendition.items()]
    if len(rows) > 1:
        rows.append(("all", _numbers(totals.renditions, COLUMNS)))
    return Rows(("rendition", *COLUMNS), rows)


def counts_by_rule(totals: Totals) -> Rows | None:
    """Return the counts of each rule; None if renditions.toml has no rules."""
    if totals.by_rule.keys() <= {None}:
        return None
    columns = ("sources", "to_process", *COLUMNS)
    rows = [(pattern or "no rule", _numbers(of, columns)) for pattern, of in totals.by_rule.items()]
    return Rows(("rule", "sources", "to process", *COLUMNS), rows)


def _numbers(counts: Counts, names: Iterable[str]) -> list[int]:
    return [getattr(counts, name) for name in names]


def table(rows: Rows) -> Table:
    """Return counts for the terminal."""
    found = Table(box=None, header_style="bold")
    label, *columns = rows.columns
    found.add_column(label, overflow="fold")
    for column in columns:
        found.add_column(column, justify="right")
    for name, numbers in rows.rows:
        found.add_row(name, *(f"{number:,}" for number in numbers))
    return found


def visual_diff_table(visual_diff: VisualDiff) -> Table | None:
    """Return the largest visible changes; None if nothing looks different."""
    if not visual_diff.largest:
        return None
    found = Table(box=None, header_style="bold", title="The largest visible changes", title_justify="left")
    for column in ("source", "rendition", "before", "after"):
        found.add_column(column, overflow="fold")
    found.add_column("score", justify="right")
    for change in visual_diff.largest:
        notes = [score(change.score), *remarks(change)]
        found.add_row(
            on_one_line(change.source), change.rendition, look(change.before), look(change.after), ", ".join(notes)
        )
    return found


def remarks(change: VisualChange) -> list[str]:
    """Return what the score does not say."""
    return ["other crop"] * change.is_other_crop + ["only one is animated"] * change.is_other_motion


def score(value: float) -> str:
    """Format a score. Negative scores all mean "very different"; 100 is reserved for identical images."""
    if value < 0:
        return "below 0"
    return f"{abs(value):.0f}" if value < 99.5 else f"{min(value, 99.9):.1f}"


def look(rendition: MadeRendition) -> str:
    """Return size, format, quality and score of a rendition in one line."""
    parts = [f"{rendition.width} x {rendition.height}", (rendition.type or "").removeprefix("image/")]
    if rendition.quality is not None:
        parts.append(f"q{rendition.quality}")
    if rendition.score is not None:
        parts.append(f"scores {score(rendition.score)}")
    return f"{' '.join(parts)}, {decimal(rendition.bytes)}"


def visual_diff_sentence(visual_diff: VisualDiff) -> str | None:
    """Return what was compared; None if nothing was, because nothing that exists is rewritten in the sample."""
    missing = f"; {visual_diff.missing:,} could not be read" if visual_diff.missing else ""
    if not visual_diff.compared:
        return f"No rendition could be compared{missing}" if missing else None
    compared = f"{plural(visual_diff.compared, 'rendition')} of the sample compared with what exists"
    if not visual_diff.changed:
        return f"{compared}: none looks different{missing}"
    return (
        f"{compared}: {visual_diff.changed:,} with other pixels{missing}. "
        "A score of 100 is identical, 90 looks identical, 70 slightly different"
    )


def count_sentences(totals: Totals) -> Iterator[str]:
    """Yield what the tables of counts do not say."""
    yield (
        f"{plural(totals.sources, 'source')} ({decimal(totals.bytes)}): {totals.up_to_date:,} up to date, "
        f"{totals.to_process:,} to process"
    )
    skipped = [
        (totals.rejected_before, "rejected before, in this version and with this recipe (--retry-rejected)"),
        (totals.archived, "in an archive (Glacier): restore them first"),
        (totals.unstorable, "with a key too long for its renditions"),
    ]
    for number, reason in skipped:
        if number:
            yield f"{number:,} skipped: {reason}"
    if totals.orphans:
        yield f"{plural(totals.orphans, 'orphan')} stay until image-scaler apply --orphans delete"


def estimate_sentences(plan: Plan, options: Options) -> Iterator[str]:
    """Yield what all sources take, as the sample says."""
    totals, estimate = plan.totals, plan.estimate
    change = estimate.bytes_after - estimate.bytes_before
    yield (
        f"Renditions of these sources: {decimal(round(estimate.bytes_before))} now, "
        f"{decimal(round(estimate.bytes_after))} then: "
        f"{'+' if change >= 0 else '-'}{dollars(abs(estimate.storage_usd_month))} of storage a month"
    )
    duration = hours(estimate.hours(options.concurrency))
    yield (
        f"Once: {dollars(estimate.usd)} ({dollars(estimate.function_usd)} function, "
        f"{dollars(estimate.requests_usd + estimate.events_usd)} requests), {duration} "
        f"with {options.concurrency} in parallel; with --via batch {dollars(estimate.batch_usd(totals.to_process))}"
    )
    yield (
        f"Counts are exact; bytes, dollars and hours come from {plural(estimate.sampled, 'source')} rendered on this "
        f"machine, at the prices of us-east-1 of {plan.content['prices']}"
    )
    if compared := visual_diff_sentence(plan.visual_diff):
        yield compared


def dollars(amount: float) -> str:
    """Return an amount as people read it."""
    return f"${amount:,.2f}" if amount >= 0.005 or not amount else f"${amount:.4f}"


def hours(amount: float) -> str:
    """Return a duration as people read it."""
    if amount >= 1:
        return f"{amount:,.1f} hours"
    return plural(max(1, round(amount * 60)), "minute")
