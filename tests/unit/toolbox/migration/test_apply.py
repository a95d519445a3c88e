"""What `image-scaler apply` remembers; tests/stack/end_to_end has the whole."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from image_scaler.publisher import Provenance
from image_scaler.renditions.toml import parse_recipe
from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import CallError
from toolbox.migration.apply import DONE, FAILED, REJECTED, Applier, Progress, Result, _billed_seconds
from toolbox.migration.files import Lists, MigrationPlan, load, progress_path
from toolbox.migration.limiter import Limiter


@pytest.fixture
def plan(tmp_path: Path) -> MigrationPlan:
    return write(tmp_path / "plan.json", "r")


def write(path: Path, recipe: str) -> MigrationPlan:
    with Lists(path) as lists:
        lists.save({"recipe": recipe})
    return load(path)


def test_the_next_run_knows_what_is_done_and_what_it_cost(plan: MigrationPlan) -> None:
    with Progress(plan) as first:
        assert not first.has_begun
        for result in (Result("a", DONE, "", 0.5), Result("b", REJECTED, "", 0.25), Result("c", FAILED, "", 0.25)):
            first.record(result)
        assert (first.tally.done, first.tally.rejected, first.tally.failed, first.tally.usd) == (1, 1, 1, 1.0)
    with Progress(plan) as second:
        assert second.has_begun
        assert (second.tally.done, second.tally.rejected, second.tally.failed, second.tally.usd) == (1, 1, 0, 1.0)
        assert [second.is_finished(key) for key in "abcd"] == [True, True, False, False]
        assert [second.is_done(key) for key in "abcd"] == [True, False, False, False]


def test_a_line_that_a_kill_cut_off_is_forgotten(plan: MigrationPlan) -> None:
    with Progress(plan) as first:
        first.record(Result("a", DONE, "", 0.0))
    path = progress_path(plan.path)
    path.write_text(path.read_text() + '{"key": "b", "sta')
    with Progress(plan) as second:
        second.record(Result("c", DONE, "", 0.0))
    with Progress(plan) as third:
        assert [third.is_finished(key) for key in "abc"] == [True, False, True]


def test_two_runs_at_the_same_time_are_refused(plan: MigrationPlan) -> None:
    with Progress(plan), pytest.raises(CallError, match="another image-scaler apply works on"):
        Progress(plan)


def test_the_progress_of_another_plan_is_refused(plan: MigrationPlan, tmp_path: Path) -> None:
    with Progress(plan) as first:
        first.record(Result("a", DONE, "", 0.0))
    kept = progress_path(plan.path).read_text()
    other = write(tmp_path / "plan.json", "s")  # which deletes the progress of the old one
    assert not progress_path(plan.path).exists()
    progress_path(plan.path).write_text(kept)
    with pytest.raises(CallError, match="is of another plan"):
        Progress(other)


def test_a_job_is_open_until_its_end_is_noted(plan: MigrationPlan) -> None:
    with Progress(plan) as first:
        first.note({"job": "j1", "usd": 0.25})
    with Progress(plan) as second:
        assert second.tally.open_job == "j1"
        second.note({"ended": "j1"})
    with Progress(plan) as third:
        assert (third.tally.open_job, third.tally.jobs) == (None, ["j1"])


@pytest.mark.parametrize(
    ("log", "seconds"),
    [
        ("", 9.0),
        ("bm90aGluZw==", 9.0),
        ("UkVQT1JUIFJlcXVlc3RJZDogeAlEdXJhdGlvbjogMTI5LjU2IG1zCUJpbGxlZCBEdXJhdGlvbjogMTMwIG1z", 0.13),
        ("eyJ0eXBlIjoicGxhdGZvcm0ucmVwb3J0IiwibWV0cmljcyI6eyJiaWxsZWREdXJhdGlvbk1zIjogMTMwfX0=", 0.13),
    ],
)
def test_the_log_of_a_call_says_what_is_billed_and_else_the_call_took_longer(log: str, seconds: float) -> None:
    assert _billed_seconds(log, 9.0) == seconds


@contextmanager
def applying(toml: str, orphans: Iterable[tuple[str, str]], aws: boto3.Session, folder: Path) -> Iterator[Applier]:
    """Apply a plan that names orphans: sources, and keys of the destination."""
    recipe = parse_recipe(toml)
    stack = {"source_bucket": "source", "destination_bucket": "destination", "function": "resize"}
    with Lists(folder / "plan.json") as lists:
        for source_key, key in orphans:
            lists.add_leftover(source_key, key, waits=False)
        lists.save({"recipe": recipe.id, "stack": stack, "function": {"architecture": "arm64", "memory": 1792}})
    plan = load(folder / "plan.json")
    deployed = DeployedStack("source", "destination", "", "", "resize")
    with Progress(plan) as progress:
        yield Applier(plan, deployed, recipe, aws, progress, Limiter(1, lambda text: None))


def test_of_what_the_rules_allow_only_what_a_source_does_not_ask_for_now_is_deleted(
    aws: boto3.Session, s3: Any, tmp_path: Path
) -> None:
    for key, asked in {"all.jpg": None, "small.jpg": "small", "none.jpg": "none"}.items():
        s3.put_object(Bucket="source", Key=key, Body=b"x", Metadata={"renditions": asked} if asked else {})
    sources = ("all.jpg", "small.jpg", "none.jpg", "deleted.jpg")
    orphans = [(key, f"{folder}/{key}") for key in sources for folder in ("small", "big", "gone")]
    recipe = "[renditions.small]\nwidth = 10\n[renditions.big]\nwidth = 20\n"
    with applying(recipe, orphans, aws, tmp_path) as applier:
        assert list(applier.orphans()) == [
            *("gone/all.jpg", "big/small.jpg", "gone/small.jpg"),
            *("small/none.jpg", "big/none.jpg", "gone/none.jpg", "gone/deleted.jpg"),
        ]


def test_what_the_recipe_makes_of_another_source_is_not_deleted(aws: boto3.Session, s3: Any, tmp_path: Path) -> None:
    s3.put_object(Bucket="source", Key="a.jpg.webp", Body=b"x")
    s3.put_object(Bucket="destination", Key="manifests/c.jpg.webp.json", Body=b"{}")  # which its source has left
    # Of a.jpg an earlier recipe made resized/a.jpg.webp, which is the copy of a.jpg.webp now.
    orphans = [(f"{name}.jpg", f"resized/{name}.jpg.webp") for name in "abc"]
    with applying("[renditions.resized]\n", orphans, aws, tmp_path) as applier:
        assert list(applier.orphans()) == ["resized/b.jpg.webp"]


def test_what_another_source_has_under_a_shared_key_is_not_deleted(aws: boto3.Session, s3: Any, tmp_path: Path) -> None:
    metadata = Provenance(source_etag="e", fingerprint="f", source_key="new.png").as_metadata()
    s3.put_object(Bucket="destination", Key="small/new.webp", Body=b"x", Metadata=metadata)
    recipe = """
    shared_stems = true
    rules = [{ match = "*.jpg", renditions = [] }]
    [renditions.small]
    width = 10
    format = "webp"
    key = "small/{dir}{stem}.{ext}"
    """
    orphans = [("new.jpg", "small/new.webp"), ("old.jpg", "small/old.webp")]
    with applying(recipe, orphans, aws, tmp_path) as applier:
        assert list(applier.orphans()) == ["small/old.webp"]
