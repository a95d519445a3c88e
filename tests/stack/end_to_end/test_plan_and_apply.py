"""`image-scaler plan` counts what a recipe changes for existing images, `image-scaler apply` does it."""

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.stack.end_to_end.old_images import SOURCES, OldImages, Reader
from tests.support.drawing import jpeg, photo
from toolbox.aws.deployed import find_stack
from toolbox.local.aws import LocalAws

KILLS = 3 if SOURCES < 1000 else 10
"""Of each of the two runs of apply."""

FIRST = """
[renditions.thumbnail]
width = 48
format = "webp"
key = "thumbnail/{key}/{hash}"
[renditions.web]
widths = [64, 96]
formats = ["webp"]
key = "{name}-{width}/{key}/{hash}"
"""
SECOND = """
[renditions.thumbnail]
width = 48
format = "webp"
key = "thumbnail/{key}/{hash}"
[renditions.web]
widths = [64, 128]
formats = ["webp"]
quality = 60
key = "{name}-{width}/{key}/{hash}"
"""
PLAIN = '[renditions.thumbnail]\nwidth = 48\nformat = "webp"\n'


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldImages]:
    with LocalAws.start(retry_seconds=0.5) as aws:
        yield OldImages(aws, tmp_path_factory.mktemp("images"))


def apply_with_kills(images: OldImages, plan: Path, kills: int) -> None:
    """Apply a plan, killed at random moments and started again."""
    choose = random.Random(3)  # noqa: S311  nothing secret
    for _ in range(kills):
        run = images.start("apply", plan)
        time.sleep(choose.uniform(1.0, 3.0))  # some are killed before they have done anything
        run.kill()
        run.wait()
    done = images.command("apply", plan)
    assert done.returncode in (0, 1), done.stdout + done.stderr


def written_to_twice(images: OldImages, keys: set[str]) -> list[str]:
    return [key for key in keys if images.versions(key) > 1]


@pytest.mark.timeout(300 + 2 * SOURCES)
def test_a_plan_is_exact_and_applied_once_however_often_it_is_killed_while_readers_see_whole_sets(
    images: OldImages, tmp_path: Path
) -> None:
    images.use_recipe(FIRST)
    keys = images.fill("all", SOURCES)
    bad = [f"all/bad {number}.jpg" for number in range(3)]
    for key in bad:
        images.upload(key, b"" if key == bad[0] else b"no image")
    for ignored in ("all/notes.txt", "all/a.JPg", "all/a.svg"):
        images.upload(ignored, jpeg(photo(60, 40)))
    plan = tmp_path / "plan.json"

    first = images.plan("--prefix=all/", f"--out={plan}", "--sample=20")
    assert first["counts"]["sources"] == first["counts"]["to_process"] == SOURCES + 3
    assert {name: counts["make"] for name, counts in first["by_rendition"].items()} == dict.fromkeys(
        ["thumbnail", "web-64", "web-96"], SOURCES + 3
    )
    assert first["visual_diff"] == {"compared": 0, "changed": 0, "missing": 0, "largest": []}
    apply_with_kills(images, plan, kills=KILLS)
    made = images.destination_objects()
    assert len(made) == 4 * SOURCES  # three renditions and a manifest each; the broken ones have none
    assert written_to_twice(images, {*made}) == []

    nothing = images.plan("--prefix=all/")
    assert (nothing["counts"]["up_to_date"], nothing["counts"]["rejected_before"]) == (SOURCES, 3)
    assert nothing["counts"]["looked_at"] == SOURCES
    assert images.plan("--prefix=all/")["counts"]["looked_at"] == 0  # the index knows them

    images.use_recipe(SECOND)
    second = images.plan("--prefix=all/", f"--out={plan}")
    assert second["counts"]["to_process"] == SOURCES + 3  # another recipe may accept what the first one rejected
    assert second["by_rendition"] == {
        "thumbnail": {"make": 3, "rewrite": 0, "keep": SOURCES, "superseded": 0, "orphan": 0},
        "web-64": {"make": SOURCES + 3, "rewrite": 0, "keep": 0, "superseded": SOURCES, "orphan": 0},
        "web-128": {"make": SOURCES + 3, "rewrite": 0, "keep": 0, "superseded": 0, "orphan": 0},
        "web-96": {"make": 0, "rewrite": 0, "keep": 0, "superseded": 0, "orphan": SOURCES},
    }
    (rule,) = second["by_rule"]
    assert rule == {
        "match": None,
        "sources": SOURCES + 3,
        "to_process": SOURCES + 3,
        **second["counts"]["renditions"],
    }
    saved = json.loads(plan.read_text())
    assert (saved["visual_diff"], saved["by_rule"]) == (second["visual_diff"], second["by_rule"])
    # web-64 is the only rendition that exists and is made with other pixels.
    visual_diff = second["visual_diff"]
    sampled = second["estimate"]["sampled"]
    assert max(5, sampled - 3) <= visual_diff["compared"] <= sampled  # the three broken ones have no renditions
    assert (visual_diff["changed"], visual_diff["missing"]) == (visual_diff["compared"], 0)
    assert len(visual_diff["largest"]) == len({change["source"] for change in visual_diff["largest"]}) == 5
    assert all(change["rendition"] == "web-64" and change["score"] < 90 for change in visual_diff["largest"])
    reader = Reader(images, keys)
    with reader.reading():
        apply_with_kills(images, plan, kills=KILLS)
    assert (reader.missing, reader.mixed) == ([], [])
    assert reader.sets > 10
    after = images.destination_objects()
    new = after.keys() - made.keys()
    assert len(new) == 2 * SOURCES
    assert written_to_twice(images, new) == []
    assert made.keys() <= after.keys()
    old = [key for key in made if key.startswith("web-64/")]
    assert all(images.is_marked(key) for key in old[:10])

    sizes = sum(images.s3.head_object(Bucket=images.destination, Key=key)["ContentLength"] for key in new)
    kept = sum(
        images.s3.head_object(Bucket=images.destination, Key=key)["ContentLength"]
        for key in made
        if key.startswith("thumbnail/")
    )
    assert second["estimate"]["bytes_after"] == pytest.approx(sizes + kept, rel=0.1)

    deleted = images.command("apply", plan, "--orphans=delete")
    assert f"{SOURCES:,} orphans deleted" in deleted.stdout, deleted.stdout + deleted.stderr
    left = images.destination_objects()
    assert {key for key in after if key not in left} == {key for key in made if key.startswith("web-96/")}
    assert images.command("plan", "--prefix=all/").returncode == 0


def test_a_plan_that_does_not_hold_any_more_is_refused_before_anything_is_made(
    images: OldImages, tmp_path: Path
) -> None:
    images.use_recipe(PLAIN)
    keys = images.fill("refused", 3)
    plan = tmp_path / "plan.json"

    def refused(*arguments: str, **env: str) -> str:
        run = images.command("apply", plan, *arguments, **env)
        assert run.returncode == 2, run.stdout + run.stderr
        assert not any("refused/" in key for key in images.destination_objects())
        return run.stderr

    assert "cannot read" in refused()
    images.plan("--prefix=refused/", f"--out={plan}")
    assert "another stack: its function is" in refused(FUNCTION_NAME="another-function")
    written = plan.read_text()
    plan.write_text(written.replace('"to_process": 3', '"to_process": 2'))
    assert "was changed after it was written" in refused()
    plan.write_text(written)
    sources = Path(f"{plan}.sources.gz")
    sources.write_bytes(sources.read_bytes() + b"x")
    assert "was changed after it was written" in refused()
    images.plan("--prefix=refused/", f"--out={plan}")
    images.renditions.write_text(PLAIN + "quality = 70\n")
    assert "renditions.toml has changed since the plan" in refused()
    images.renditions.write_text(PLAIN)
    images.upload(keys[0], jpeg(photo(90, 60)))
    assert "1 source of the plan changed since" in refused()
    images.s3.delete_object(Bucket=images.source, Key=keys[0])
    assert "1 source of the plan changed since" in refused()
    images.plan("--prefix=refused/", f"--out={plan}")
    assert "no role for S3 Batch Operations" in refused("--via=batch")


def test_orphans_are_named_until_they_are_deleted(images: OldImages, tmp_path: Path) -> None:
    images.use_recipe(PLAIN + "[renditions.resized]\nwidth = 30\n")
    images.fill("dropped", 3)
    plan = tmp_path / "plan.json"
    images.plan("--prefix=dropped/", f"--out={plan}")
    assert images.command("apply", plan).returncode == 0
    images.use_recipe(PLAIN)
    images.plan("--prefix=dropped/", f"--out={plan}")
    assert images.command("apply", plan).returncode == 0  # orphans are kept, and no manifest lists them any more
    images.s3.put_object(Bucket=images.destination, Key="resized/dropped/theirs.jpg", Body=b"of somebody else")

    again = images.plan("--prefix=dropped/", f"--out={plan}", "--sample=0")
    assert (again["counts"]["to_process"], again["counts"]["orphans"]) == (0, 3)
    assert again["by_rendition"]["resized"]["orphan"] == 3
    assert "3 orphans stay until" in images.command("plan", "--prefix=dropped/").stdout
    deleted = images.command("apply", plan, "--orphans=delete")
    assert (deleted.returncode, "3 orphans deleted" in deleted.stdout) == (0, True)
    assert images.plan("--prefix=dropped/")["counts"]["orphans"] == 0
    left = [key for key in images.destination_objects() if key.startswith("resized/dropped/")]
    assert left == ["resized/dropped/theirs.jpg"]


def test_a_function_with_another_recipe_is_found_out_at_the_first_source(images: OldImages, tmp_path: Path) -> None:
    images.use_recipe(PLAIN)
    images.fill("deployed", 4)
    images.renditions.write_text(PLAIN.replace("48", "50"))
    plan = tmp_path / "plan.json"
    images.plan("--prefix=deployed/", f"--out={plan}")
    run = images.command("apply", plan)
    assert run.returncode == 2
    assert "has another renditions.toml than the plan: run make deploy" in run.stderr
    assert len([key for key in images.destination_objects() if "deployed/" in key]) == 2  # of one source


def test_the_ceiling_stops_it_and_a_higher_one_goes_on(images: OldImages, tmp_path: Path) -> None:
    images.use_recipe(PLAIN)
    images.fill("ceiling", 8)
    plan = tmp_path / "plan.json"
    images.plan("--prefix=ceiling/", f"--out={plan}")
    none = images.command("apply", plan, "--max-usd=0")
    assert (none.returncode, "0 sources done" in none.stdout) == (1, True)
    some = images.command("apply", plan, "--max-usd=0.00001", "--concurrency=2")
    assert some.returncode == 1
    assert "Stopped at --max-usd 1e-05" in some.stdout
    done = sum("manifests/ceiling/" in key for key in images.destination_objects())
    assert 1 <= done <= 3  # the first one, and what was in flight
    rest = images.command("apply", plan)
    assert (rest.returncode, "8 sources done" in rest.stdout) == (0, True)


def test_a_rejected_source_is_named_and_left_out_of_the_next_plan_but_not_a_better_one(
    images: OldImages, tmp_path: Path
) -> None:
    images.use_recipe(PLAIN)
    images.upload("rejected/broken.jpg", b"no image")
    images.upload("rejected/fine.jpg", jpeg(photo(90, 60)))
    plan = tmp_path / "plan.json"
    images.plan("--prefix=rejected/", f"--out={plan}")
    run = images.command("apply", plan)
    assert (run.returncode, "1 source done, 1 rejected, 0 failed" in run.stdout) == (1, True)
    assert "rejected/broken.jpg: rejected" in run.stderr
    assert images.plan("--prefix=rejected/")["counts"]["rejected_before"] == 1
    assert images.plan("--prefix=rejected/", "--retry-rejected")["counts"]["to_process"] == 1
    images.renditions.write_text(PLAIN + "[limits]\npixels = 1_000_000\n")
    assert images.plan("--prefix=rejected/")["counts"]["rejected_before"] == 0
    images.renditions.write_text(PLAIN)
    images.upload("rejected/broken.jpg", jpeg(photo(90, 60)))
    assert images.plan("--prefix=rejected/")["counts"]["to_process"] == 1


def test_the_deployed_stack_says_how_uploads_reach_its_function(
    images: OldImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", images.env["AWS_ENDPOINT_URL"])
    session = boto3.Session(
        images.env["AWS_ACCESS_KEY_ID"], images.env["AWS_SECRET_ACCESS_KEY"], region_name=images.env["AWS_REGION"]
    )
    assert find_stack("local", session).delivery == "s3"
    outputs = session.client("cloudformation").describe_stacks()["Stacks"][0]["Outputs"]
    assert [output["OutputValue"] for output in outputs if output["OutputKey"] == "Delivery"] == ["s3"]


def test_a_plan_for_people_says_what_it_costs_and_what_looks_different(images: OldImages, tmp_path: Path) -> None:
    images.use_recipe(PLAIN)
    images.fill("people", 2)
    run = images.command("plan", "--prefix=people/", f"--out={tmp_path / 'plan.json'}")
    assert run.returncode == 2
    for text in ("thumbnail", "2 sources", "0 up to date, 2 to process", "Once: $", "with 8 in parallel", "exact"):
        assert text in run.stdout
    assert "visible changes" not in run.stdout
    applied = images.command("apply", tmp_path / "plan.json")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    images.renditions.write_text(f'{PLAIN}quality = 10\n[[rules]]\nmatch = "people/0/**"\nrenditions = ["thumbnail"]\n')
    changed = images.command("plan", "--prefix=people/")
    assert changed.returncode == 2
    for text in (
        "people/0/**",
        "no rule",
        "The largest visible changes",
        "48 x ",
        "2 renditions of the sample compared with what exists: 2 with other pixels",
    ):
        assert text in changed.stdout.replace("\n", "")


def test_a_missing_bucket_or_function_or_stage_is_an_error_and_not_a_change(images: OldImages) -> None:
    images.renditions.write_text(PLAIN)
    for name in ("SOURCE_BUCKET", "DESTINATION_BUCKET", "FUNCTION_NAME"):
        run = images.command("plan", "--prefix=nobody/", **{name: "nothing-of-that-name"})
        assert run.returncode == 1
        assert "cannot" in run.stderr
        assert "nothing-of-that-name" in run.stderr
    assert images.command("plan", "--no-such-option").returncode == 1
    assert images.command("plan", **dict.fromkeys(("SOURCE_BUCKET", "FUNCTION_NAME"), "")).returncode == 1


def test_an_inventory_takes_the_place_of_the_listing(images: OldImages) -> None:
    images.use_recipe(PLAIN)
    keys = images.fill("inventory", 4)
    rows = "".join(
        f'"{images.source}","{key.replace(" ", "%20").replace("+", "%2B").replace("ü", "%C3%BC")}","100",'
        f'"2026-01-01T00:00:00.000Z","{images.s3.head_object(Bucket=images.source, Key=key)["ETag"].strip(chr(34))}"\n'
        for key in reversed(keys)
    )
    report = {
        "sourceBucket": images.source,
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, LastModifiedDate, ETag",
        "files": [{"key": "reports/1.csv"}],
    }

    def put(**changed: object) -> None:
        body = json.dumps(report | changed)
        images.s3.put_object(Bucket=images.destination, Key="reports/manifest.json", Body=body)

    images.s3.put_object(Bucket=images.destination, Key="reports/1.csv", Body=rows)
    address = f"--inventory=s3://{images.destination}/reports/manifest.json"
    put()
    assert images.plan(address)["counts"]["to_process"] == 4
    for changed, sentence in (
        ({"fileSchema": "Bucket, Key, Size"}, "has no column ETag: it needs Key, Size, ETag, LastModifiedDate"),
        ({"fileFormat": "Parquet"}, "is in Parquet: only CSV can be read"),
        ({"sourceBucket": "another"}, f"is of another, not of {images.source}"),
    ):
        put(**changed)
        run = images.command("plan", address)
        assert (run.returncode, sentence in run.stderr) == (1, True)


def test_what_an_upload_does_not_ask_for_is_not_to_do_and_is_an_orphan_if_an_earlier_version_had_it(
    images: OldImages, tmp_path: Path
) -> None:
    images.use_recipe(PLAIN + '[renditions.web]\nwidths = [64]\nformats = ["webp"]\n')
    plan = tmp_path / "plan.json"

    def upload(name: str, asked: str | None, seed: int) -> None:
        metadata = {} if asked is None else {"renditions": asked}
        body = jpeg(photo(160, 120, seed=seed))
        images.upload(f"asked/{name}.jpg", body, Metadata=metadata)

    def apply(*options: str) -> None:
        done = images.command("apply", plan, *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def made() -> set[str]:
        return {key for key in images.destination_objects() if "asked/" in key and not key.startswith("manifests/")}

    upload("all", None, 1)
    upload("some", "web", 2)
    upload("none", "none", 3)
    assert images.plan("--prefix=asked/", f"--out={plan}", "--sample=0")["counts"]["to_process"] == 3
    apply()
    assert made() == {"thumbnail/asked/all.jpg.webp", "web-64/asked/all.jpg.webp", "web-64/asked/some.jpg.webp"}
    for _ in range(2):  # from the manifests, and from the index
        counts = images.plan("--prefix=asked/")["counts"]
        assert (counts["sources"], counts["up_to_date"], counts["to_process"], counts["orphans"]) == (3, 3, 0, 0)

    upload("all", "thumbnail", 4)
    counts = images.plan("--prefix=asked/", f"--out={plan}", "--sample=0")["counts"]
    assert (counts["to_process"], counts["orphans"]) == (1, 0)  # a listing does not tell what it asks for
    apply()
    counts = images.plan("--prefix=asked/", f"--out={plan}")["counts"]
    assert (counts["up_to_date"], counts["to_process"], counts["orphans"]) == (3, 0, 1)
    apply("--orphans", "delete")
    assert made() == {"thumbnail/asked/all.jpg.webp", "web-64/asked/some.jpg.webp"}
    assert images.plan("--prefix=asked/")["counts"]["orphans"] == 0
