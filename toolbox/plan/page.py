"""The plan as a page: its figures, the largest changes to the eye, and the renditions of their sources."""

import tempfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from image_scaler.exceptions import ConfigError
from image_scaler.pipeline import focal_point_of
from image_scaler.renditions.geometry import Point
from image_scaler.storage.base import ObjectRef, on_one_line
from toolbox.aws_errors import call_errors
from toolbox.plan.eye import MAX_CHANGES, VisualChange
from toolbox.plan.planner import Options, Plan
from toolbox.plan.report import Rows, counts_by_rendition, counts_by_rule, look, remarks, score, sentences
from toolbox.play.recipe import read_recipe
from toolbox.play.report import Comparison, write_report
from toolbox.source_files import SourceFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BASELINE = "the recipe before"


def write_page(html: Path, plan: Plan, options: Options, renditions: Path, s3: "S3Client") -> int:
    """Write a plan as one file that needs no server; return the number of sources that it shows.

    These are the sources of the largest changes to the eye, or the first of the sample if nothing looks different. They
    are rendered with `renditions`, and with the recipe that made the largest change's existing rendition if it is kept;
    sources with another recipe before are left out. Raises CallError if a source cannot be read, and ConfigError if all
    are gone, or if the page cannot be written.
    """
    bucket = plan.content["stack"]["source_bucket"]
    before = next(iter(plan.recipes_before.values()), None)
    keys = [key for key, recipe in plan.recipes_before.items() if recipe == before] or plan.sampled[:MAX_CHANGES]
    with tempfile.TemporaryDirectory(prefix="image-scaler-plan-") as folder:
        files, focal_points = _download(s3, bucket, keys, Path(folder))
        if not files:
            raise ConfigError(f"cannot write {html}: the sources that it would show were deleted in the meantime")
        comparison = Comparison(
            name=BASELINE,
            recipe=read_recipe(before)[0] if before else None,
            focal_points=focal_points,
            above="".join(_html(plan, options)),
        )
        write_report(html, files, renditions, comparison)
    return len(files)


def _download(
    s3: "S3Client", bucket: str, keys: Iterable[str], folder: Path
) -> tuple[list[SourceFile], dict[str, Point]]:
    """Return the sources as files, and their focal points; a source that was deleted in the meantime is left out."""
    files, points = [], {}
    for number, key in enumerate(keys):
        path = folder / str(number)
        with call_errors(f"read s3://{bucket}/{key}"):
            try:
                answer = s3.get_object(Bucket=bucket, Key=key)
            except s3.exceptions.NoSuchKey:
                continue
            with path.open("wb") as file:
                for chunk in answer["Body"].iter_chunks():
                    file.write(chunk)
        files.append(SourceFile(path, ObjectRef(bucket, key)))
        if point := focal_point_of(answer["Metadata"]):
            points[key] = point
    return files, points


def _html(plan: Plan, options: Options) -> Iterator[str]:
    stack = plan.content["stack"]
    buckets = f"{stack['source_bucket']} → {stack['destination_bucket']}, {plan.content['created']}"
    yield '<section class="plan" aria-labelledby="plan-title"><h2 id="plan-title">Plan</h2>'
    yield f'<p class="hint">{escape(buckets)}</p><ul>'
    for sentence in sentences(plan, options):
        yield f"<li>{escape(sentence)}</li>"
    yield '</ul><div class="tables">'
    for rows in (counts_by_rendition(plan.totals), counts_by_rule(plan.totals)):
        if rows:
            yield from _table(rows)
    yield "</div>"
    if plan.eye.largest:
        yield '<h2>The largest changes to the eye</h2><p class="hint">The part of each rendition that changes most, in '
        yield "its own pixels: the stored object, and what renditions.toml makes now.</p>"
        yield '<div class="changes">'
        for change in plan.eye.largest:
            yield from _change(change)
        yield "</div>"
    yield "</section>"


def _table(rows: Rows) -> Iterator[str]:
    yield "<table><thead><tr>"
    for column in rows.columns:
        yield f'<th scope="col">{escape(column)}</th>'
    yield "</tr></thead><tbody>"
    for label, numbers in rows.rows:
        yield f'<tr><th scope="row">{escape(label)}</th>'
        for number in numbers:
            yield f"<td>{number:,}</td>" if number else '<td class="none">0</td>'
        yield "</tr>"
    yield "</tbody></table>"


def _change(change: VisualChange) -> Iterator[str]:
    notes = [change.rendition, f"score {score(change.score)} between the two", *remarks(change)]
    source = on_one_line(change.source)
    yield f'<article class="change"><h3>{escape(source)}</h3><p>{escape(" · ".join(notes))}</p><div>'
    for name, rendition, crop in zip(("before", "after"), (change.before, change.after), change.crops, strict=True):
        url = f"data:image/webp;base64,{b64encode(crop).decode()}"
        label = f"{change.rendition} of {source}, {name}"
        yield f'<figure><img src="{url}" alt="{escape(label)}"><figcaption><b>{name}</b> {escape(look(rendition))}'
        yield "</figcaption></figure>"
    yield "</div></article>"
