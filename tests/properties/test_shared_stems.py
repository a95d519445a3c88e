"""Two sources never share an object, whatever happens to their events on the way.

The state machine of test_order with two sources, whose renditions would have the same keys.

`ORDER_CASES=10000 pytest tests/properties/test_shared_stems.py` tries as many cases of each machine.
"""

import json
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from image_scaler.publisher import Provenance
from image_scaler.storage.base import ObjectRef, StoredObject
from tests.properties.test_order import DESTINATION, KEY, SOURCE, STEPS, Buckets, Run, case_of
from tests.support.stores import AS_PNG

OTHER = "a.jpg"
SOURCES = (KEY, OTHER)


class SharedStems(Buckets):
    """What a source has written under a key that it shares stays its own, as long as it exists."""

    renditions = """
    shared_stems = true
    [renditions.own]
    width = 500
    [renditions.small]
    width = 500
    key = "{dir}small/{stem}.png"
    [renditions.other]
    width = 600
    format = "webp"
    lossless = true
    key = "{dir}{stem}.{ext}"
    """

    def __init__(self) -> None:
        super().__init__()
        self.settings = replace(self.settings, keeps_history=True)

    @rule(version=st.integers(1, 3), steps=STEPS)
    def upload(self, version: int, steps: int, asked: str | None = None) -> None:
        """Upload a version that asks for all: else each of the two could own one of the keys."""
        super().upload(version, steps, asked)

    @rule(version=st.integers(1, 3), steps=STEPS)
    def upload_the_other(self, version: int, steps: int, asked: str | None = None) -> None:
        ref = ObjectRef(SOURCE, OTHER)
        self.store.put(ref, self.picture(version), replace(AS_PNG, metadata={"renditions": asked} if asked else {}))
        source = self.store.objects[ref]
        self.happen("ObjectCreated:Put", steps, key=OTHER, eTag=source.etag, size=source.size)

    @precondition(lambda self: ObjectRef(SOURCE, OTHER) in self.store.objects)
    @rule(steps=STEPS)
    def delete_the_other(self, steps: int) -> None:
        self.store.objects.pop(ObjectRef(SOURCE, OTHER))
        self.happen("ObjectRemoved:Delete", steps, key=OTHER)

    @invariant()
    def what_a_manifest_lists_is_of_its_source(self) -> None:
        for key in SOURCES:
            for entry in self._manifest(key).get("renditions", []):
                stored = self.store.objects.get(ObjectRef(DESTINATION, entry["key"]))
                provenance = Provenance.of(stored) if stored else None
                if provenance and not entry["key"].startswith("own/"):
                    assert provenance.source_key == key

    def settle(self) -> None:
        """Every run ends, and every event is tried until it is done: one may wait for a later one."""
        self.done += [event for run, event in self.runs if run.finish()]
        again = self.killed + [event for event in self.events if event not in self.done]
        for _ in range(9):
            again = [event for event in again if not Run(self.store, self.bus, self.settings, event).finish()]
        assert not again, "an event can never be processed"

    def teardown(self) -> None:
        self.settle()
        existing = [key for key in SOURCES if ObjectRef(SOURCE, key) in self.store.objects]
        owners = {provenance.source_key for provenance in self._shared()}
        if self.on_source_delete == "remove" and not existing:
            assert not owners or self.may_leave_litter
        if self.on_source_delete == "remove" and existing and not owners:
            # It was rejected while the other one existed: now the keys are free.
            event = {"bucket": SOURCE, "keys": existing[:1]}
            assert Run(self.store, self.bus, self.settings, event).finish()
            owners = {provenance.source_key for provenance in self._shared()}
        if existing:
            assert len(owners) == 1, f"the renditions are of {owners}"
        for key in owners & {*existing}:
            source = self.store.objects[ObjectRef(SOURCE, str(key))]
            assert {provenance.source_etag for provenance in self._shared()} == {source.etag}, "a rendition is stale"
            assert self._manifest(str(key))["source"]["etag"] == source.etag, "the manifest is stale"
        self.what_a_manifest_lists_is_of_its_source()

    def _shared(self) -> list[Provenance]:
        found = (self.store.objects.get(ObjectRef(DESTINATION, key)) for key in ("small/a.png", "a.webp"))
        return [provenance for stored in found if stored and (provenance := Provenance.of(stored))]

    def _manifest(self, key: str) -> dict[str, Any]:
        stored: StoredObject | None = self.store.objects.get(ObjectRef(DESTINATION, f"manifests/{key}.json"))
        return json.loads(stored.read()) if stored else {}


class SharedStemsWithRemoval(SharedStems):
    on_source_delete = "remove"


def test_a_source_takes_over_the_keys_of_one_that_was_removed() -> None:
    buckets = SharedStemsWithRemoval()
    buckets.upload(version=1, steps=99)
    buckets.delete(steps=0)
    buckets.upload_the_other(version=2, steps=99)
    buckets.teardown()
    assert {provenance.source_key for provenance in buckets._shared()} == {OTHER}


def test_a_source_takes_over_the_keys_that_the_first_one_does_not_ask_for_any_more() -> None:
    buckets = SharedStemsWithRemoval()
    buckets.upload(version=1, steps=99)
    buckets.upload(version=3, steps=99, asked="own")
    assert buckets._shared() == []
    buckets.upload_the_other(version=2, steps=99)
    buckets.settle()
    assert [provenance.source_key for provenance in buckets._shared()] == [OTHER, OTHER]


def test_what_another_source_owns_is_not_removed_by_one_that_does_not_ask_for_it() -> None:
    buckets = SharedStemsWithRemoval()
    buckets.upload(version=1, steps=99)
    buckets.upload_the_other(version=2, steps=99, asked="own")
    buckets.teardown()
    assert [provenance.source_key for provenance in buckets._shared()] == [KEY, KEY]


def test_the_first_of_two_sources_keeps_its_renditions() -> None:
    buckets = SharedStems()
    buckets.upload(version=1, steps=99)
    buckets.upload_the_other(version=2, steps=99)
    buckets.teardown()
    assert {provenance.source_key for provenance in buckets._shared()} == {KEY}


TestSourcesThatShareTheirStem = case_of(SharedStems)
TestSourcesThatShareTheirStemAndAreRemoved = case_of(SharedStemsWithRemoval)
