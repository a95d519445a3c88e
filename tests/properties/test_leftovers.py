"""Nothing is left behind, and nothing that is needed is thrown away.

The state machine of test_order, with more that can happen: focal points, versions of a source that are deleted by their
ids, uploads that are no images, searches that are cut short, and deployments of other recipes while events are on their
way. In the end the manifest and the objects agree in both directions.

`ORDER_CASES=10000 pytest tests/properties/test_leftovers.py` tries as many cases of each machine.
"""

import json
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from image_scaler import manifest
from image_scaler.history import rejection_key
from image_scaler.publisher import Provenance, is_superseded
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef, StoredObject
from image_scaler.upload import asked_renditions, focal_point_of
from tests.properties.test_order import (
    ASKED,
    DESTINATION,
    KEY,
    MANIFEST,
    SOURCE,
    STEPS,
    Buckets,
    case_of,
)
from tests.support.stores import AS_PNG

PLAIN = """
[renditions.copy]
[renditions.small]
width = 40
height = 2
[renditions.other]
width = 60
format = "webp"
lossless = true
"""
VERSIONS = """
[renditions.copy]
key = "copy/{key}.{hash}"
[renditions.small]
width = 40
height = 2
key = "small/{key}/{hash}"
[renditions.other]
width = 60
format = "webp"
lossless = true
"""
PARTS = """
shared_stems = true
[renditions.copy]
[renditions.small]
width = 40
height = 2
key = "{dir}small/{stem}{source_ext}/{hash}"
[renditions.other]
width = 60
format = "webp"
lossless = true
key = "{dir}{stem}.{ext}"
"""
FEWER = """
[renditions.small]
width = 40
height = 2
key = "small/{key}/{hash}"
"""
NOTHING = """
rules = [{ match = "*", renditions = [] }]
[renditions.copy]
"""
NO_MANIFEST = """
manifest = false
[renditions.small]
width = 50
height = 2
"""
CUT_SHORT = """
[renditions.small]
width = 200
format = "jpeg"
max_bytes = 4000
"""

POINTS = [None, "0.1,0.5", "0.9,0.5"]
NOT_AN_IMAGE = 9


class Leftovers(Buckets):
    recipes: Sequence[str] = (PLAIN,)
    """The first is deployed in the beginning."""
    checks_current = True
    """Whether all recipes write a manifest: nobody looks at one that the current recipe does not write."""

    def __init__(self) -> None:
        super().__init__()
        self.deployed = [self._settings(recipe) for recipe in self.recipes]
        self.settings = self.deployed[0]
        self.older_versions: list[StoredObject] = []
        self.is_older_version = False
        """The source is an older version again, of which a destination that keeps all is not told."""
        self.was_called = False

    def _settings(self, toml: str) -> Settings:
        recipe = parse_recipe(f'on_source_delete = "{self.on_source_delete}"\n{toml}')
        return Settings(destination_bucket=DESTINATION, recipe=recipe, keeps_history=True)

    @rule(version=st.integers(1, 3), point=st.sampled_from(POINTS), asked=st.sampled_from(ASKED), steps=STEPS)
    def upload(self, version: int, steps: int, asked: str | None = None, point: str | None = None) -> None:
        self._place(self.picture(version), steps, point, asked)

    @rule(steps=STEPS)
    def upload_no_image(self, steps: int) -> None:
        self._place(b"no image", steps, None)

    def _place(self, body: bytes, steps: int, point: str | None, asked: str | None = None) -> None:
        ref = ObjectRef(SOURCE, KEY)
        self.store.now += timedelta(seconds=1)
        if old := self.store.objects.get(ref):
            self.older_versions.append(old)
        metadata = ({"focal-point": point} if point else {}) | ({"renditions": asked} if asked else {})
        self.store.put(ref, body, AS_PNG.__class__(content_type="image/png", metadata=metadata))
        source = self.store.objects[ref]
        self.is_older_version = False
        self.happen("ObjectCreated:Put", steps, eTag=source.etag, size=source.size)

    @precondition(lambda self: ObjectRef(SOURCE, KEY) in self.store.objects and self.older_versions)
    @rule(steps=STEPS)
    def delete_the_newest_version(self, steps: int) -> None:
        """Delete it by its id: the version before it is the source again."""
        self.store.objects[ObjectRef(SOURCE, KEY)] = self.older_versions.pop()
        self.is_older_version = self.on_source_delete == "keep"
        self.happen("ObjectRemoved:Delete", steps)

    @precondition(lambda self: len(self.deployed) > 1)
    @rule(number=st.integers(0, 9))
    def deploy(self, number: int) -> None:
        """From now on events are processed with another recipe; runs that have begun go on with theirs."""
        self.settings = self.deployed[number % len(self.deployed)]

    @rule(steps=STEPS)
    def call_directly(self, steps: int) -> None:
        """A call by hand, as `image-scaler apply` makes them; the caller sees to it that it ends."""
        self.was_called = True
        self.deliver({"bucket": SOURCE, "keys": [KEY]}, 99)

    def teardown(self) -> None:
        self.settle()
        self._check(self.store.objects.get(ObjectRef(SOURCE, KEY)))

    def _check(self, source: StoredObject | None) -> None:
        made = {ref.key: stored for ref, stored in self.store.objects.items() if ref.bucket == DESTINATION}
        made = {key: stored for key, stored in made.items() if not key.startswith("recipes/")}
        if source is None and self.on_source_delete == "remove":
            assert not made, f"left behind: {sorted(made)}"
        content = json.loads(made[MANIFEST].read()) if MANIFEST in made else {"renditions": []}
        listed = {entry["key"]: entry for entry in content["renditions"]}
        assert made.keys() >= listed.keys(), "a listed object is missing"
        if self.is_older_version or (source is None and self.on_source_delete == "keep" and self.killed):
            return  # nobody can finish what a killed run began, or tells a destination that keeps all of a deletion
        for key, entry in listed.items():
            if source is None or source.read() == b"no image":
                if entry["name"] == "copy" or self.was_called:
                    continue  # two runs without sequencers cannot tell whose version is the newer one
                if self.killed and not self._has_version(key):
                    continue  # what the killed run replaced, and nobody can make again
            assert made[key].size == entry["bytes"], f"{key} has other bytes than the manifest says"
        for key in filter(self._has_version, made):
            is_marked = is_superseded(made[key])
            assert not (is_marked and key in listed), f"{key} is marked"
            # What a killed run of another recipe has left is found with the next replacement, or the deletion.
            assert is_marked or key in listed or (self.killed and len(self.deployed) > 1), f"{key} is not marked"
        if source is None or self.is_older_version:
            return
        if source.read() == b"no image":
            if len(self.deployed) == 1:
                assert json.loads(made[rejection_key(KEY)].read())["source"]["etag"] == source.etag
        elif self.checks_current:
            self._check_current(source, content, made)

    def _check_current(self, source: StoredObject, content: dict[str, Any], made: dict[str, StoredObject]) -> None:
        """Check that all that is listed is of the current version, and of one recipe."""
        assert content["source"]["etag"] == source.etag, "the manifest is stale"
        asked = asked_renditions(source.metadata)
        recipe = next(found for found in self.deployed if _fingerprint(found.recipe, asked) == content["recipe"]).recipe
        names = {spec.name for spec in recipe.specs}
        assert {entry["name"] for entry in content["renditions"]} == (names if asked is None else names & {*asked})
        fingerprints = {spec.name: spec.fingerprint for spec in recipe.specs}
        point = focal_point_of(source.metadata)
        for entry in content["renditions"]:
            stored = made[entry["key"]]
            if entry["name"] == "copy":
                assert stored.read() == source.read(), "a copy is stale"
                continue
            provenance = Provenance.of(stored)
            assert provenance
            assert provenance.source_etag == source.etag, f"{entry['key']} is stale"
            assert provenance.focal_point == (f"{point.x},{point.y}" if point else None), f"{entry['key']} is cropped"
            assert provenance.fingerprint == fingerprints[entry["name"]], f"{entry['key']} is of another recipe"

    def _has_version(self, key: str) -> bool:
        return any(setting.recipe.plan_for(KEY).has_version(key) for setting in self.deployed)


def _fingerprint(recipe: Recipe, asked: Collection[str] | None) -> str:
    return manifest.fingerprint(recipe.plan_for(KEY, asked))


class LeftoversWithRemoval(Leftovers):
    on_source_delete = "remove"


class Versions(Leftovers):
    recipes = (VERSIONS,)


class VersionsWithRemoval(LeftoversWithRemoval):
    recipes = (VERSIONS,)


class Deployments(Leftovers):
    recipes = (VERSIONS, PLAIN, FEWER)


class DeploymentsWithRemoval(LeftoversWithRemoval):
    recipes = (VERSIONS, PLAIN, FEWER, NOTHING, NO_MANIFEST, PARTS)
    checks_current = False


class PartsWithRemoval(LeftoversWithRemoval):
    recipes = (PARTS,)


def test_a_run_that_finds_its_source_replaced_while_it_is_copied_writes_nothing_more() -> None:
    buckets = Leftovers()
    buckets.upload(version=2, steps=4)
    buckets.upload(version=1, steps=0)
    buckets.call_directly(steps=99)
    buckets.upload_no_image(steps=0)
    buckets.teardown()


def test_a_removal_that_a_rejected_upload_interrupts_is_brought_to_its_end() -> None:
    buckets = LeftoversWithRemoval()
    buckets.newest_first = True
    buckets.upload(version=1, steps=5)
    buckets.upload_no_image(steps=0)
    buckets.upload_no_image(steps=0)
    buckets.delete_the_newest_version(steps=0)
    buckets.teardown()


def test_an_empty_manifest_goes_with_its_source_too() -> None:
    buckets = VersionsWithRemoval()
    buckets.newest_first = True
    buckets.upload_no_image(steps=5)
    buckets.delete(steps=0)
    buckets.upload(version=1, steps=4)
    buckets.delete(steps=0)
    buckets.let_on(number=0, steps=5)
    buckets.teardown()


def test_what_a_recipe_without_manifests_has_made_goes_with_its_source() -> None:
    buckets = DeploymentsWithRemoval()
    buckets.upload(version=1, steps=0)
    buckets.deploy(number=4)
    buckets.call_directly(steps=99)
    buckets.deploy(number=0)
    buckets.delete(steps=0)
    buckets.teardown()


@pytest.mark.parametrize("recipe", [0, 3, 4])
@pytest.mark.parametrize("steps", range(4, 9))
def test_a_run_sees_that_its_source_was_removed_and_uploaded_again_with_the_same_bytes(steps: int, recipe: int) -> None:
    buckets = DeploymentsWithRemoval()
    buckets.upload(version=1, steps=steps)
    buckets.delete(steps=99)
    buckets.deploy(number=recipe)
    buckets.upload(version=1, steps=99)
    buckets.teardown()


def test_a_run_sees_what_a_removal_deleted_if_a_newer_recipe_makes_nothing_of_the_next_upload() -> None:
    buckets = DeploymentsWithRemoval()
    buckets.upload(version=1, steps=6)
    buckets.deploy(number=3)
    buckets.delete(steps=0)
    buckets.call_directly(steps=0)
    buckets.upload_no_image(steps=0)
    buckets.teardown()


def test_the_crop_of_a_deleted_version_is_replaced_by_that_of_the_version_before_it() -> None:
    buckets = LeftoversWithRemoval()
    buckets.upload(version=1, steps=99, point="0.1,0.5")
    buckets.deliver_again(number=0, in_queue=False, steps=0)
    buckets.upload(version=1, steps=1)
    buckets.delete_the_newest_version(steps=5)
    buckets.teardown()


TestPlainKeysThatStay = case_of(Leftovers)
TestPlainKeysThatGoWithTheirSource = case_of(LeftoversWithRemoval)
TestVersionsThatStay = case_of(Versions)
TestVersionsThatGoWithTheirSource = case_of(VersionsWithRemoval)
TestKeysOfPartsThatGoWithTheirSource = case_of(PartsWithRemoval)
TestDeployments = case_of(Deployments)
TestDeploymentsWithRemoval = case_of(DeploymentsWithRemoval)
