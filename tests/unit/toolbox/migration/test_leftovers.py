"""What no recipe asks for any more is named until it is gone, and nothing that somebody else may have written."""

import json
from typing import Any

import pytest

from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.s3 import S3Store
from tests.support.drawing import jpeg, photo
from toolbox.migration.leftovers import KnownKeys, Leftover, Leftovers
from toolbox.migration.listing import list_objects
from toolbox.migration.recipes import RecordedRecipe, read_history
from toolbox.migration.states import look_at_manifest

BOTH = """
[renditions.copy]
[renditions.small]
width = 10
format = "webp"
[renditions.big]
width = 20
"""
SMALL = BOTH.partition("[renditions.big]")[0]
NOTHING_OF_RAW = BOTH + '[[rules]]\nmatch = "raw/**"\nrenditions = []\n'
REMOVE = 'on_source_delete = "remove"\n'
PICTURE = jpeg(photo(40, 30))


class Stack:
    """Two buckets, the function's own scaler, and what `plan` finds."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3

    def process(self, recipe: str, *keys: str, asked: str | None = None) -> None:
        """Upload sources that ask for some renditions, and let a function with this recipe process them."""
        metadata = {} if asked is None else {"renditions": asked}
        settings = Settings(destination_bucket="destination", recipe=parse_recipe(recipe), keeps_history=True)
        for key in keys:
            self.s3.put_object(Bucket="source", Key=key, Body=PICTURE, Metadata=metadata)
        answer = build_scaler(settings, S3Store(self.s3)).handle({"bucket": "source", "keys": list(keys)})
        assert answer["statusCode"] == 200

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket="source", Key=key)

    def put(self, key: str, body: bytes = PICTURE, **options: Any) -> None:
        """Write something that is not of the function."""
        self.s3.put_object(Bucket="destination", Key=key, Body=body, **options)

    def leftovers(self, recipe: str, prefix: str = "", to_process: str | None = None) -> list[Leftover]:
        recorded = RecordedRecipe(parse_recipe(recipe))
        with KnownKeys() as known:
            for listed in list_objects(self.s3, "source", prefix):
                known.add_source(listed.key, listed.etag)
                state = look_at_manifest(S3Store(self.s3), "destination", f"manifests/{listed.key}.json").state
                if state and state.asked is not None:
                    known.add_asked(listed.key, state.asked)
            if to_process:
                known.add_change(to_process, [])
            history = read_history(self.s3, "destination").recipes
            found = Leftovers(S3Store(self.s3), ("source", "destination"), recorded, history, known)
            return [
                leftover
                for listed_prefix in found.prefixes(prefix)
                for leftover in found.find(list_objects(self.s3, "destination", listed_prefix), prefix)
            ]

    def keys(self, recipe: str, prefix: str = "") -> list[str]:
        return [leftover.key for leftover in self.leftovers(recipe, prefix)]


@pytest.fixture
def stack(s3: Any) -> Stack:
    return Stack(s3)


def test_what_is_asked_for_is_not_left_over(stack: Stack) -> None:
    stack.process(BOTH, "a.jpg", "dir/b.png")
    assert stack.keys(BOTH) == []


def test_a_rendition_that_was_dropped_is_named_until_it_is_gone_also_after_its_manifest_was_replaced(
    stack: Stack,
) -> None:
    stack.process(BOTH, "a.jpg")
    stack.process(SMALL, "a.jpg")
    manifest = json.loads(stack.s3.get_object(Bucket="destination", Key="manifests/a.jpg.json")["Body"].read())
    assert "big/a.jpg" not in [entry["key"] for entry in manifest["renditions"]]
    assert stack.leftovers(SMALL) == stack.leftovers(SMALL) == [Leftover("a.jpg", "big/a.jpg", "big", waits=False)]
    stack.s3.delete_object(Bucket="destination", Key="big/a.jpg")
    assert stack.leftovers(SMALL) == []


def test_it_waits_for_its_source_if_that_is_processed_first(stack: Stack) -> None:
    stack.process(BOTH, "a.jpg")
    assert [leftover.waits for leftover in stack.leftovers(SMALL, to_process="a.jpg")] == [True]


def test_copies_that_were_dropped_are_named_if_they_have_the_etag_of_their_source(stack: Stack) -> None:
    stack.process(BOTH, "a.jpg")
    without = BOTH.replace("[renditions.copy]\n", "")
    assert stack.keys(without) == ["copy/a.jpg"]
    stack.put("copy/a.jpg", b"of somebody else")
    assert stack.keys(without) == []


def test_a_manifest_that_is_not_asked_for_any_more_is_named(stack: Stack) -> None:
    stack.process(BOTH, "a.jpg")
    assert stack.keys("manifest = false\n" + BOTH) == ["manifests/a.jpg.json"]


def test_all_that_was_made_of_a_key_is_named_when_a_rule_makes_nothing_of_it(stack: Stack) -> None:
    stack.process(BOTH, "raw/a.jpg", "b.jpg")
    found = stack.leftovers(NOTHING_OF_RAW)
    assert {leftover.name for leftover in found} == {"copy", "small", "big", "manifest"}
    assert {leftover.source_key for leftover in found} == {"raw/a.jpg"}


@pytest.mark.parametrize("asked", ["small", "none"])
def test_what_an_upload_does_not_ask_for_any_more_is_named(stack: Stack, asked: str) -> None:
    stack.process(BOTH, "a.jpg", "b.jpg")
    stack.process(BOTH, "a.jpg", asked=asked)
    left = {"small": ["big/a.jpg", "copy/a.jpg"], "none": ["big/a.jpg", "copy/a.jpg", "small/a.jpg.webp"]}[asked]
    assert stack.keys(BOTH) == left
    stack.process(BOTH, "a.jpg")
    assert stack.keys(BOTH) == []


def test_what_a_removal_left_behind_is_named(stack: Stack) -> None:
    stack.process(REMOVE + BOTH, "a.jpg", "b.jpg")
    stack.delete("a.jpg")
    # A copy has no metadata of the function's, and no source any more that could tell whose it is.
    assert stack.keys(REMOVE + BOTH) == ["big/a.jpg", "manifests/a.jpg.json", "small/a.jpg.webp"]


def test_renditions_survive_their_source_unless_they_are_removed_with_it(stack: Stack) -> None:
    stack.process(BOTH, "a.jpg")
    stack.delete("a.jpg")
    assert stack.keys(SMALL) == []


def test_a_source_that_came_back_since_the_listing_keeps_its_renditions(stack: Stack) -> None:
    stack.process(REMOVE + BOTH, "a.jpg")
    recorded = RecordedRecipe(parse_recipe(REMOVE + BOTH))
    with KnownKeys() as known:  # the listing of the sources does not have it yet
        found = Leftovers(S3Store(stack.s3), ("source", "destination"), recorded, (), known)
        assert list(found.find(list_objects(stack.s3, "destination", ""))) == []


@pytest.mark.parametrize("key", ["big/a.jpg", "small/a.jpg.webp", "manifests/a.jpg.json", "other/a.jpg", "big/x/y.jpg"])
def test_an_object_of_somebody_else_is_never_named(stack: Stack, key: str) -> None:
    stack.process(BOTH, "a.jpg")
    for other in ("big/a.jpg", "small/a.jpg.webp", "manifests/a.jpg.json"):
        stack.s3.delete_object(Bucket="destination", Key=other)
    stack.put(key, b"theirs")
    stack.put("big/theirs.jpg", Metadata={"source-etag": "e", "recipe": "of another program"})
    stack.s3.put_object(Bucket="source", Key="theirs.jpg", Body=b"x")
    assert stack.keys("manifest = false\n[renditions.new]\nwidth = 5\n") == ["copy/a.jpg"]


def test_only_sources_with_the_prefix_are_looked_at(stack: Stack) -> None:
    stack.process(BOTH, "one/a.jpg", "two/a.jpg")
    assert stack.keys(SMALL, "one/") == ["big/one/a.jpg"]


def test_versions_under_keys_with_a_hash_are_named_if_their_rendition_was_dropped(stack: Stack) -> None:
    hashed = BOTH + 'key = "big/{key}.{hash}"\n'
    stack.process(hashed, "a.jpg")
    assert stack.keys(hashed) == []
    (key,) = stack.keys(SMALL)
    assert key.startswith("big/a.jpg.")


PARTS = """
[renditions.small]
width = 10
key = "{dir}thumbs/{stem}_10{source_ext}"
[renditions.big]
width = 20
key = "{dir}big/{stem}{source_ext}"
"""
ONE_PART = PARTS.partition("[renditions.big]")[0]


def test_renditions_under_keys_of_parts_are_named_if_they_were_dropped(stack: Stack) -> None:
    stack.process(PARTS, "a.jpg", "dir/b", "dir/x.y.png")
    assert stack.keys(PARTS) == []
    assert stack.keys(ONE_PART) == ["big/a.jpg", "dir/big/b", "dir/big/x.y.png"]
    assert stack.keys(ONE_PART, "dir/x") == ["dir/big/x.y.png"]


def test_what_a_removal_left_behind_under_keys_of_parts_is_named(stack: Stack) -> None:
    stack.process(REMOVE + PARTS, "dir/a.jpg", "b.jpg")
    stack.delete("dir/a.jpg")
    assert stack.keys(REMOVE + PARTS) == ["dir/big/a.jpg", "dir/thumbs/a_10.jpg", "manifests/dir/a.jpg.json"]


def test_a_rendition_that_does_not_say_of_which_source_it_is_is_not_named(stack: Stack) -> None:
    shared = 'shared_stems = true\n[renditions.small]\nwidth = 10\nformat = "webp"\nkey = "small/{dir}{stem}.webp"\n'
    stack.process(shared, "a.jpg")
    stack.process(BOTH, "b")
    # small/b.image.webp could be that of b.image.png too.
    assert stack.keys(SMALL.replace("[renditions.small]", "[renditions.tiny]")) == ["big/b.image.webp"]


def test_what_is_another_sources_now_is_not_named_whatever_prefix_is_planned(stack: Stack) -> None:
    old, new = (f'[renditions.t]\nwidth = 10\nkey = "{folder}{{key}}"\n' for folder in ("t/", "t/a/"))
    stack.process(old, "a/b.jpg")
    stack.process(new, "b.jpg", "a/b.jpg")
    stack.delete("b.jpg")
    assert stack.keys(new) == stack.keys(new, "a/") == []
