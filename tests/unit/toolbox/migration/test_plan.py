"""The parts of `image-scaler plan`: order, memory, counts, estimates. tests/stack/end_to_end has the whole."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.history import read_recipe_record, recipe_record
from image_scaler.manifest import fingerprint
from image_scaler.publisher import Provenance
from image_scaler.renditions.overlay import OverlayImage
from image_scaler.renditions.toml import parse_recipe
from image_scaler.storage.base import ObjectRef
from tests.support.stores import AS_JPEG, InMemoryStore
from toolbox.aws.errors import CallError
from toolbox.migration import inventory
from toolbox.migration.changes import Comparer, Counts, is_up_to_date
from toolbox.migration.costs import Function
from toolbox.migration.files import Item, Lists, load
from toolbox.migration.listing import ListedObject, in_manifest_order, in_order
from toolbox.migration.recipes import RecipeHistory, RecordedRecipe
from toolbox.migration.sampling import Sample, SampledSource
from toolbox.migration.states import (
    Index,
    IndexEntry,
    ReadManifest,
    State,
    look_at_manifest,
    read_index,
    with_states,
    write_index,
)

NOW = datetime(2026, 1, 31, tzinfo=UTC)
KEYS = st.lists(st.text("ab!-./ü", min_size=1, max_size=6), unique=True, max_size=40)


def listed(key: str, etag: str = "e", size: int = 100) -> ListedObject:
    return ListedObject(key, etag, size, NOW)


@given(KEYS)
def test_sources_come_in_the_order_of_their_manifests(keys: list[str]) -> None:
    ordered = [source.key + ".json" for source in in_manifest_order(map(listed, sorted(keys)))]
    assert ordered == sorted(key + ".json" for key in keys)


def test_a_listing_out_of_order_is_refused() -> None:
    with pytest.raises(CallError, match=r"the bucket is not in the order of its keys: 'a' follows 'b'"):
        list(in_order([listed("b"), listed("a")], "the bucket"))


@given(KEYS, st.data())
def test_each_source_gets_the_state_of_its_own_manifest_from_the_index_or_from_s3(
    keys: list[str], data: st.DataObject
) -> None:
    having = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
    known = data.draw(st.sets(st.sampled_from(sorted(having)))) if having else set()
    outdated = data.draw(st.sets(st.sampled_from(sorted(known)))) if known else set()
    manifests = sorted(f"manifests/{key}.json" for key in having)
    old = [
        IndexEntry(f"{key}.json", "older" if key in outdated else f"m-{key}", State(f"s-{key}", "index"))
        for key in sorted(known, key=lambda key: key + ".json")
    ]
    asked = []

    def look(manifest_key: str) -> ReadManifest:
        key = manifest_key.removeprefix("manifests/").removesuffix(".json")
        asked.append(key)
        return ReadManifest(f"m-{key}", State(f"s-{key}", "s3"))

    def run(lines: list[IndexEntry]) -> tuple[dict[str, State | None], list[IndexEntry]]:
        index = Index(iter(lines), "")
        stream = (listed(key, f"m-{key.removeprefix('manifests/').removesuffix('.json')}") for key in manifests)
        found = with_states(in_manifest_order(map(listed, sorted(keys))), stream, index, look)
        states = {source.key: state for source, state in found}
        with gzip.open(index.finish(), "rt", encoding="utf-8") as file:
            after = [IndexEntry(key, etag, State(*rest)) for key, etag, *rest in map(json.loads, file)]
        index.close()
        return states, after

    states, after = run(old)
    assert states == {
        key: State(f"s-{key}", "index" if key in known - outdated else "s3") if key in having else None for key in keys
    }
    assert sorted(asked) == sorted(having - (known - outdated))
    asked.clear()
    again, _ = run(after)
    assert asked == []
    assert again == states


def test_the_index_keeps_what_it_has_of_other_prefixes() -> None:
    old = [IndexEntry(key, "m", State("s", "r")) for key in ("a/1.json", "b/1.json", "b/2.json", "c/1.json")]
    index = Index(iter(old), "b/")
    assert index.find("b/2.json", "m") == State("s", "r")
    index.add(old[2])
    with gzip.open(index.finish(), "rt") as lines:
        assert [json.loads(line)[0] for line in lines] == ["a/1.json", "b/2.json", "c/1.json"]
    index.close()


def test_an_object_that_is_not_ours_has_no_state() -> None:
    store = InMemoryStore()
    store.put(ObjectRef("d", "manifests/a.json"), b"{}", AS_JPEG)
    assert look_at_manifest(store, "d", "manifests/a.json").state is None
    assert look_at_manifest(store, "d", "manifests/b.json") == ReadManifest(None, None)
    provenance = Provenance(source_etag="e", sequencer=None, fingerprint="r")
    store.put(ObjectRef("d", "c"), b"{}", replace(AS_JPEG, metadata=provenance.as_metadata()))
    assert look_at_manifest(store, "d", "c").state == State("e", "r")


OLD = """
[renditions.copy]
[renditions.small]
width = 10
[renditions.gone]
width = 20
[renditions.versioned]
width = 30
key = "v/{key}/{hash}"
"""
NEW = """
[renditions.copy]
[renditions.small]
width = 11
[renditions.versioned]
width = 30
quality = 50
key = "v/{key}/{hash}"
[renditions.added]
width = 40
"""


def compare(old: str | None, new: str, *, etag: str = "e", is_kept: bool = True) -> dict[str, tuple[int, ...]]:
    """Return make, rewrite, keep, superseded and orphan of each rendition of a source with the ETag `e`."""
    before, after = parse_recipe(old or new), RecordedRecipe(parse_recipe(new))
    plan = before.plan_for("a.jpg")
    state = State(etag, fingerprint(plan)) if old else None
    listed_keys = {target.key: target.spec.name for target in plan.of_version(etag).targets}
    comparer = Comparer(after, RecipeHistory([RecordedRecipe(before)] if is_kept else []), lambda key: listed_keys)
    new_plan = after.plan_for("a.jpg")
    assert new_plan
    change = comparer.change(listed("a.jpg"), new_plan, state)
    return {
        name: (counts.make, counts.rewrite, counts.keep, counts.superseded, counts.orphan)
        for name, counts in change.by_rendition.items()
    }


def test_a_source_without_a_manifest_gets_everything() -> None:
    assert compare(None, NEW) == dict.fromkeys(("copy", "small", "versioned", "added"), (1, 0, 0, 0, 0))


def test_another_recipe_keeps_rewrites_makes_and_leaves_over() -> None:
    assert compare(OLD, NEW) == {
        "copy": (0, 0, 1, 0, 0),
        "small": (0, 1, 0, 0, 0),
        "versioned": (1, 0, 0, 1, 0),
        "added": (1, 0, 0, 0, 0),
        "gone": (0, 0, 0, 0, 1),
    }


def test_another_logo_rewrites_only_what_it_is_drawn_on() -> None:
    toml = NEW.replace("width = 11", 'width = 11\noverlay = { image = "overlays/logo.png" }')
    old, new = (parse_recipe(toml, read_overlay=lambda name, d=digit: OverlayImage(d * 64)) for digit in "01")
    kept = RecordedRecipe(read_recipe_record(json.loads(recipe_record(old))))
    comparer = Comparer(RecordedRecipe(new), RecipeHistory([kept]), lambda key: {})
    plan = new.plan_for("a.jpg")
    state = State("e", fingerprint(old.plan_for("a.jpg")))
    assert not is_up_to_date(listed("a.jpg"), plan, state, RecordedRecipe(new))
    change = comparer.change(listed("a.jpg"), plan, state)
    assert {name: (counts.rewrite, counts.keep) for name, counts in change.by_rendition.items()} == {
        "copy": (0, 1),
        "small": (1, 0),
        "versioned": (0, 1),
        "added": (0, 1),
    }


def test_another_version_of_the_source_rewrites_what_has_no_hash() -> None:
    assert compare(NEW, NEW, etag="older") == {
        "copy": (0, 1, 0, 0, 0),
        "small": (0, 1, 0, 0, 0),
        "added": (0, 1, 0, 0, 0),
        "versioned": (1, 0, 0, 1, 0),
    }


def test_of_a_recipe_that_is_not_kept_the_manifest_tells_the_keys() -> None:
    assert compare(OLD, NEW, is_kept=False) == {
        "copy": (0, 1, 0, 0, 0),  # perhaps kept: that is not known
        "small": (0, 1, 0, 0, 0),
        "versioned": (1, 0, 0, 1, 0),
        "added": (1, 0, 0, 0, 0),
        "gone": (0, 0, 0, 0, 1),
    }


def test_a_recipe_of_another_version_of_the_code_is_compared_by_the_fingerprints_that_it_had() -> None:
    recipe = parse_recipe(NEW)
    then = RecordedRecipe(recipe, [f"then-{number}" for number in range(4)], version=0)
    plan = recipe.plan_for("a.jpg")
    found = RecipeHistory([then]).find("a.jpg", then.of_manifest(plan))
    assert found
    assert found.recipe.fingerprint_of(recipe.specs[1]) == "then-1"
    assert not is_up_to_date(listed("a.jpg"), plan, State("e", then.of_manifest(plan)), RecordedRecipe(recipe))
    assert is_up_to_date(listed("a.jpg"), plan, State("e", fingerprint(plan)), RecordedRecipe(recipe))


def test_a_source_is_up_to_date_without_what_its_metadata_does_not_ask_for() -> None:
    recorded = RecordedRecipe(parse_recipe(NEW))
    for asked in (("small",), ("small", "unknown"), ()):
        plan = recorded.plan_for("a.jpg", asked)
        assert plan
        state = State("e", recorded.of_manifest(plan), asked)
        assert is_up_to_date(listed("a.jpg"), plan, state, recorded)
    everything = recorded.plan_for("a.jpg")
    assert everything
    assert not is_up_to_date(listed("a.jpg"), everything, state, recorded)


def test_another_recipe_changes_only_what_the_metadata_of_a_source_asks_for() -> None:
    before, after = RecordedRecipe(parse_recipe(OLD)), RecordedRecipe(parse_recipe(NEW))
    old, new = (recorded.plan_for("a.jpg", ("small", "versioned")) for recorded in (before, after))
    assert old
    assert new
    state = State("e", before.of_manifest(old), ("small", "versioned"))
    comparer = Comparer(after, RecipeHistory([before]), lambda key: {})
    change = comparer.change(listed("a.jpg"), new, state)
    assert {name: (one.make, one.rewrite, one.superseded, one.orphan) for name, one in change.by_rendition.items()} == {
        "small": (0, 1, 0, 0),
        "versioned": (1, 0, 1, 0),
    }


@pytest.mark.parametrize("asked", [None, (), ("small", "web")])
def test_the_index_keeps_what_the_metadata_of_a_source_asks_for(asked: tuple[str, ...] | None, s3: Any) -> None:
    s3.create_bucket(Bucket="destination")
    entry = IndexEntry("a.jpg.json", "m", State("e", "f", asked))
    index = Index(iter([]), "")
    index.add(entry)
    write_index(s3, "destination", index.finish())
    assert list(read_index(s3, "destination")) == [entry]


def test_counts_of_all_renditions_add_up() -> None:
    total = Counts(make=1, orphan=2)
    total.add(Counts(make=3, keep=4))
    assert total == Counts(make=4, keep=4, orphan=2)


def test_an_estimate_is_exact_if_every_source_of_a_stratum_is_alike() -> None:
    comparer = Comparer(RecordedRecipe(parse_recipe(NEW)), RecipeHistory([]), lambda key: {})
    sample = Sample(4, "seed")
    plan = parse_recipe(NEW).plan_for
    sizes = {"jpg": 1000, "png": 50_000}
    for number in range(100):
        extension = ("jpg", "png")[number % 4 == 0]
        key = f"{number}.{extension}"
        sample.offer(comparer.change(listed(key, size=sizes[extension]), plan(key), None))
    chosen = sample.chosen()
    assert 2 <= len(chosen) <= 4
    measured = [
        (stratum, SampledSource(change.source.size / 1000, {}, {"small": change.source.size // 10}))
        for stratum, change in chosen
    ]
    totals = sample.totals(measured)
    assert totals.seconds == pytest.approx(75 * 1 + 25 * 50)
    assert totals.after == {"small": 75 * 100 + 25 * 5000}


def test_every_source_of_a_stratum_may_be_chosen() -> None:
    plan = parse_recipe(NEW).plan_for
    comparer = Comparer(RecordedRecipe(parse_recipe(NEW)), RecipeHistory([]), lambda key: {})
    chosen = set()
    for seed in range(40):
        sample = Sample(4, str(seed))
        for number in range(12):
            key = f"{number:02}.{('jpg', 'png')[number % 2]}"
            sample.offer(comparer.change(listed(key), plan(key), None))
        chosen |= {change.source.key for _, change in sample.chosen()}
    assert len(chosen) == 12


def test_the_sample_is_as_large_as_was_asked_for_if_there_are_enough_sources() -> None:
    plan = parse_recipe(NEW).plan_for
    comparer = Comparer(RecordedRecipe(parse_recipe(NEW)), RecipeHistory([]), lambda key: {})
    sample = Sample(20, "seed")
    sizes = {"jpg": 10_000_000, "png": 1000}
    for number in range(30):
        key = f"{number}.{'png' if number % 5 else 'jpg'}"
        sample.offer(comparer.change(listed(key, size=sizes[key[-3:]]), plan(key), None))
    keys = [change.source.key for _, change in sample.chosen()]
    assert len(keys) == len(set(keys)) == 20
    assert sum(key.endswith("jpg") for key in keys) == 6  # all of them: they have most of the bytes


def test_strata_without_a_sample_are_like_the_others_by_the_byte() -> None:
    sample = Sample(1, "seed")
    comparer = Comparer(RecordedRecipe(parse_recipe(NEW)), RecipeHistory([]), lambda key: {})
    for key, size in (("a.jpg", 4000), ("a.png", 1000)):
        sample.offer(comparer.change(listed(key, size=size), parse_recipe(NEW).plan_for(key), None))
    ((stratum, change),) = sample.chosen()
    assert change.source.key == "a.jpg"
    assert sample.totals([(stratum, SampledSource(4.0, {}, {"small": 400}))]) == SampledSource(5.0, {}, {"small": 500})


def test_a_function_with_less_than_a_vcpu_takes_longer() -> None:
    assert Function("arm64", 1769).seconds(1.0) == Function("arm64", 3538).seconds(1.0)
    assert Function("arm64", 1769 // 2).seconds(1.0) > 2.0


def test_a_plan_that_is_interrupted_leaves_no_file(tmp_path: Path) -> None:
    with suppress(CallError), Lists(tmp_path / "plan.json") as lists:
        lists.add(Item("a.jpg", "e", 0.0), ["old/a.jpg"])
        raise CallError("S3 does not answer")
    assert list(tmp_path.iterdir()) == []


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    with Lists(tmp_path / "plan.json") as lists:
        lists.add(Item("a.jpg", "e", 0.5), ["old/a.jpg"])
        lists.add_leftover("b.jpg", "old/b.jpg", waits=False)
        lists.save({"recipe": "r"})
    plan = load(tmp_path / "plan.json")
    assert list(plan.items()) == [Item("a.jpg", "e", 0.5)]
    assert list(plan.orphans()) == [("a.jpg", "old/a.jpg", True), ("b.jpg", "old/b.jpg", False)]
    for text in ("no json", "[]", "{}"):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(CallError, match="is not a plan of this version"):
            load(tmp_path / "plan.json")


def test_an_inventory_is_sorted_in_files_if_it_does_not_fit_in_memory() -> None:
    rows = [listed(f"{number * 7919 % 5009:04d}.jpg") for number in range(2005)]
    ordered = list(inventory.sort_rows(iter(rows), in_memory=1000))
    assert all(one.key < other.key for one, other in pairwise(ordered))
    assert len(ordered) == len(rows)
    assert ordered[0] == min(rows)


def many(count: int) -> Iterator[ListedObject]:
    return (listed(f"{number // 1000:04d}/photo-{number:07d}.jpg", f"e{number}") for number in range(count))


def peak_of_a_plan(count: int) -> int:
    """Return the most memory in bytes that the comparison of so many sources takes; a tenth of them has changed."""
    recipe = parse_recipe(NEW)
    new, history = RecordedRecipe(recipe), RecipeHistory([RecordedRecipe(parse_recipe(OLD))])
    current = fingerprint(recipe.plan_for("a.jpg"))
    manifests = (listed(f"manifests/{source.key}.json", f"m{source.etag}") for source in many(count))

    def known() -> Iterator[IndexEntry]:
        for number, source in enumerate(many(count)):
            plan = recipe.plan_for(source.key)
            state = State(source.etag, new.of_manifest(plan) if number % 10 else current)
            yield IndexEntry(source.key + ".json", f"m{source.etag}", state)

    index = Index(known(), "")
    comparer = Comparer(new, history, lambda key: {})
    sample = Sample(60, "seed")
    changed = 0
    tracemalloc.start()
    try:
        for source, state in with_states(
            in_manifest_order(many(count)), manifests, index, lambda key: ReadManifest(None, None)
        ):
            plan = new.plan_for(source.key)
            assert plan
            if not is_up_to_date(source, plan, state, new):
                changed += 1
                sample.offer(comparer.change(source, plan, state))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        index.close()
    assert changed == count // 10
    assert index.looks == 0
    return peak


@pytest.mark.slow
def test_the_memory_of_a_plan_does_not_grow_with_the_number_of_sources() -> None:
    peak_of_a_plan(500)  # what is loaded only once
    assert peak_of_a_plan(6_000) < peak_of_a_plan(3_000) + 400_000  # 133 bytes a source
