"""Whatever happens to events on their way, the destination ends as the last source says.

A Hypothesis state machine: uploads, overwrites and deletions of a key; their events are delivered late,
out of order, several times, and run at the same time, interleaved at every storage call; each run can be
killed between any two storage calls, and is then tried again, as Lambda does. A copy within the store takes
two steps, as it does in S3: what it reads may be replaced before it is written.

`ORDER_CASES=10000 pytest tests/properties/test_order.py` tries as many cases of each machine.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest
import pyvips
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from image_scaler.exceptions import RetryError
from image_scaler.images.rendering import SourceImage
from image_scaler.publisher import is_superseded
from image_scaler.renditions.recipe import SourcePlan
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import FailureQueues, build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, StoredObject
from image_scaler.upload import asked_renditions, focal_point_of, version_of
from tests.support.drawing import decoded
from tests.support.stores import AS_PNG, InMemoryBus, InMemoryQueue, InMemoryStore

SOURCE, DESTINATION, KEY = "source", "destination", "a.png"  # keys know nothing of each other: one is enough
MANIFEST = f"manifests/{KEY}.json"
COPY = "[renditions.copy]"
RENDITIONS = """
[renditions.copy]
[renditions.small]
width = 500
[renditions.other]
width = 600
format = "webp"
lossless = true
"""


def image(version: int) -> bytes:
    """An image whose width tells which version it is."""
    return bytes(pyvips.Image.black(version, 2).copy(interpretation="b-w").pngsave_buffer())


def image_or_noise(version: int) -> bytes:
    """An image like that; the second version is noise, which is larger in PNG than in JPEG, and black is smaller."""
    if version != 2:
        return image(version)
    return bytes(pyvips.Image.gaussnoise(2, 600, seed=1).cast("uchar").copy(interpretation="b-w").pngsave_buffer())


class Killed(BaseException):
    """The process of the function ends here, with no chance to clean up."""


class Inline(Executor):
    """Does everything at once, so that a run is one sequence of storage calls."""

    def submit(self, job: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(job(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


class Run:
    """One execution of the function, which stops before every storage call until it is let on."""

    def __init__(self, store: InMemoryStore, bus: InMemoryBus, settings: Settings, event: Mapping[str, Any]) -> None:
        self.is_over = self.is_good = False
        self._is_killed = False
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._scaler = build_scaler(
            settings,
            SteppedStore(store, self.stop),
            queues=FailureQueues(InMemoryQueue()),
            executor=Inline,
            event_bus=SteppedBus(bus, self.stop),
            sleep=lambda seconds: None,  # the others' storage calls take no time here, so no pause is needed
        )
        self._thread = threading.Thread(target=self._run, args=(event,), daemon=True)
        self._thread.start()
        self._stopped.acquire()

    def _run(self, event: Mapping[str, Any]) -> None:
        try:
            self.is_good = not self._scaler.handle(event).get("batchItemFailures")
        except (RetryError, Killed):
            pass
        finally:
            self.is_over = True
            self._stopped.release()

    def stop(self) -> None:
        """Called by the run itself: wait to be let on."""
        self._stopped.release()
        self._go.acquire()
        if self._is_killed:
            raise Killed

    def step(self, calls: int = 1) -> None:
        """Let it make so many storage calls, and come to the next or to its end."""
        for _ in range(calls):
            if not self.is_over:
                self._go.release()
                self._stopped.acquire()

    def kill(self) -> None:
        self._is_killed = True
        while not self.is_over:
            self.step()

    def finish(self) -> bool:
        while not self.is_over:
            self.step()
        return self.is_good


class SteppedStore:
    """An InMemoryStore that asks before every call."""

    def __init__(self, store: InMemoryStore, stop: Callable[[], None]) -> None:
        self._store = store
        self._stop = stop

    def head(self, ref: ObjectRef) -> ObjectHead:
        self._stop()
        return self._store.head(ref)

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        self._stop()
        return self._store.get(ref, if_match=if_match)

    def put(self, ref: ObjectRef, body: bytes, headers: ObjectHeaders, **options: Any) -> str:
        self._stop()
        return self._store.put(ref, body, headers, **options)

    def copy(
        self,
        source: ObjectRef,
        destination: ObjectRef,
        headers: ObjectHeaders,
        *,
        if_match: str,
        size: int,
        overwrites: str | None,
    ) -> None:
        self._stop()
        read = self._store.get(source, if_match=if_match)
        self._stop()
        self._store.check(destination, overwrites)
        # Whatever the source was uploaded in, its copy is one part.
        self._store.keep(destination, replace(read, etag=read.etag.removesuffix(IN_PARTS), **vars(headers)))

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        self._stop()
        return self._store.list(bucket, prefix)

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        self._stop()
        self._store.delete(ref, if_match=if_match)


class SteppedBus:
    """An InMemoryBus that asks before every event."""

    def __init__(self, bus: InMemoryBus, stop: Callable[[], None]) -> None:
        self._bus = bus
        self._stop = stop

    def send(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        self._stop()
        self._bus.send(detail_type, detail)


IN_PARTS = "-2"
"""At the end of the ETag of what was uploaded in two parts."""

ASKED = [None, None, None, "small", "copy, other", "none", "unknown"]
"""What the metadata of an upload asks for; None: nothing special."""

STEPS = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 99])  # 99: to its end


class Buckets(RuleBasedStateMachine):
    on_source_delete = "keep"
    renditions = RENDITIONS
    picture = staticmethod(image)

    def __init__(self) -> None:
        super().__init__()
        recipe = parse_recipe(f'on_source_delete = "{self.on_source_delete}"\n{self.renditions}')
        self.settings = Settings(destination_bucket=DESTINATION, recipe=recipe)
        self.store = InMemoryStore()
        self.bus = InMemoryBus()
        self.newest_first = self.in_parts = False
        self.may_leave_litter = False  # of a killed run that no event repeats
        self.has_asked = False  # some version asked for less than the rules allow
        self.events: list[dict[str, Any]] = []
        self.done: list[dict[str, Any]] = []  # those that some run has brought to its end
        self.runs: list[tuple[Run, dict[str, Any]]] = []
        self.killed: list[dict[str, Any]] = []

    @initialize(newest_first=st.booleans(), in_parts=st.booleans())
    def choose_how_uploads_come_and_the_dust_settles(self, newest_first: bool, in_parts: bool) -> None:
        self.newest_first = newest_first
        self.in_parts = in_parts

    @rule(version=st.integers(1, 3), asked=st.sampled_from(ASKED), steps=STEPS)
    def upload(self, version: int, steps: int, asked: str | None = None) -> None:
        source = self.place(version, asked)
        self.happen("ObjectCreated:Put", steps, eTag=source.etag, size=source.size)

    def place(self, version: int, asked: str | None = None) -> StoredObject:
        """From now on this version is the source, and asks for these renditions."""
        ref = ObjectRef(SOURCE, KEY)
        self.has_asked |= asked is not None
        self.store.now += timedelta(seconds=1)
        self.store.put(ref, self.picture(version), replace(AS_PNG, metadata={"renditions": asked} if asked else {}))
        if self.in_parts:
            self.store.objects[ref] = replace(self.store.objects[ref], etag=self.store.objects[ref].etag + IN_PARTS)
        return self.store.objects[ref]

    @rule(steps=STEPS)
    def delete(self, steps: int) -> None:
        if self.store.objects.pop(ObjectRef(SOURCE, KEY), None):
            self.happen("ObjectRemoved:Delete", steps)

    @precondition(lambda self: self.events)
    @rule(number=st.integers(0, 9), in_queue=st.booleans(), steps=STEPS)
    def deliver_again(self, number: int, in_queue: bool, steps: int) -> None:
        event = self.events[number % len(self.events)]
        if in_queue:  # which tells how often it has delivered a message
            attributes = {"ApproximateReceiveCount": "2"}
            message = {"eventSource": "aws:sqs", "body": json.dumps(event), "attributes": attributes}
            event = {"Records": [message]}
        self.deliver(event, steps)

    @rule(steps=STEPS)
    def call_directly(self, steps: int) -> None:
        self.may_leave_litter = True
        self.deliver({"bucket": SOURCE, "keys": [KEY]}, steps)

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 9), steps=STEPS)
    def let_on(self, number: int, steps: int) -> None:
        self.runs[number % len(self.runs)][0].step(steps)

    @precondition(lambda self: self.runs)
    @rule(number=st.integers(0, 9))
    def kill(self, number: int) -> None:
        run, event = self.runs[number % len(self.runs)]
        if not run.is_over:
            run.kill()
            self.killed.append(event)  # Lambda tries it again, whatever other deliveries of it there are

    def happen(self, name: str, steps: int, key: str = KEY, **details: Any) -> None:
        """Something happened to the source: its event is delivered, once at least."""
        thing = {"key": key, "sequencer": f"{len(self.events) * 7 + 1:X}".zfill(6), **details}
        self.events.append({"Records": [{"eventName": name, "s3": {"bucket": {"name": SOURCE}, "object": thing}}]})
        self.deliver(self.events[-1], steps)

    def deliver(self, event: dict[str, Any], steps: int) -> None:
        """Start a run for an event, and let it make so many storage calls."""
        run = Run(self.store, self.bus, self.settings, event)
        run.step(steps)
        self.runs.append((run, event))

    def settle(self) -> None:
        """Every run ends, and every event is tried until it is done."""
        step = -1 if self.newest_first else 1
        self.done += [event for run, event in self.runs[::step] if run.finish()]
        again = self.killed + [event for event in self.events if event not in self.done]
        for event in again[::step]:
            while not Run(self.store, self.bus, self.settings, event).finish():
                pass

    def teardown(self) -> None:
        """Let the dust settle: every run ends, every event is tried until it is done; then look."""
        self.settle()
        source = self.store.objects.get(ObjectRef(SOURCE, KEY))
        made = self.live()
        if source is None:
            assert self.on_source_delete == "keep" or self.may_leave_litter or not made, f"orphans: {sorted(made)}"
            told_of = [detail_type for detail_type, _ in self.bus.sent]
            assert "Renditions Ready" not in told_of or self.on_source_delete == "keep" or "Source Removed" in told_of
            return
        plan = self.settings.recipe.plan_for(KEY, asked_renditions(source.metadata))
        keys = set(plan.of_version(version_of(source.etag, focal_point_of(source.metadata))).keys)
        # A format that does not pay may have been left out. If it exists it is current, whether or not it is listed.
        left_out = self.left_out(source.read(), plan)
        keys -= left_out - made.keys()
        assert made.keys() >= keys
        # What an earlier version asked for, and this one does not, cannot be deleted where renditions stay.
        may_have_more = self.may_leave_litter or (self.has_asked and self.on_source_delete == "keep")
        assert may_have_more or made.keys() == keys
        made = {key: made[key] for key in keys}
        copies = [key for key in keys if key.startswith("copy/")]
        assert [made[key].read() for key in copies] == [source.read()] * len(copies), "a copy is stale"
        width = decoded(source.read()).width
        for key in made.keys() - {*copies, MANIFEST}:
            assert decoded(made[key].read()).width == width, f"{key} is stale"
        manifest = json.loads(made[MANIFEST].read())
        assert manifest["source"]["etag"] == source.etag, "the manifest is stale"
        known = width if plan.renditions else None  # a source that is only copied is not looked into
        listed = {entry["key"]: (entry["width"], entry["bytes"]) for entry in manifest["renditions"]}
        existing = {key: (known, made[key].size) for key in made if key != MANIFEST}
        assert listed.items() <= existing.items(), "the manifest is wrong"
        assert existing.keys() - listed.keys() <= left_out, "the manifest is not complete"
        assert manifest in [detail.get("manifest") for _, detail in self.bus.sent], "nobody was told"

    def left_out(self, source: bytes, plan: SourcePlan) -> set[str]:
        """The keys of formats that are larger than others."""
        renditions = plan.renditions
        if not any(target.spec.skip_larger for target in renditions):
            return set()
        return {item.target.key for item in SourceImage(source).render(renditions) if item.is_larger}

    def live(self) -> dict[str, StoredObject]:
        """The objects of the destination that are not to be deleted."""
        return {
            ref.key: stored
            for ref, stored in self.store.objects.items()
            if ref.bucket == DESTINATION and not is_superseded(stored)
        }


class BucketsWithRemoval(Buckets):
    on_source_delete = "remove"

    @precondition(lambda self: ObjectRef(SOURCE, KEY) in self.store.objects)
    @rule(version=st.integers(1, 3), steps=STEPS)
    def delete_the_newest_version(self, version: int, steps: int) -> None:
        """The version before it, whichever that was, is the source again; nobody tells of that."""
        self.may_leave_litter = True
        self.place(version)
        self.happen("ObjectRemoved:Delete", steps)


class BucketsWithoutLargerFormats(Buckets):
    """A format is left out in one version and stored in another."""

    picture = staticmethod(image_or_noise)
    renditions = """
    [renditions.copy]
    [renditions.ladder]
    widths = [500]
    formats = ["png", "jpeg"]
    quality = 9
    skip_larger = true
    """


class BucketsWithoutLargerFormatsWithRemoval(BucketsWithRemoval):
    picture = staticmethod(image_or_noise)
    renditions = BucketsWithoutLargerFormats.renditions


class BucketsOfCopies(BucketsWithRemoval):
    renditions = COPY


class BucketsOfVersions(Buckets):
    """Each version has keys of its own: a reader of a manifest finds everything that it lists, of one version."""

    renditions = """
    [renditions.copy]
    key = "copy/{key}.{hash}"
    [renditions.small]
    width = 500
    key = "small/{key}/{hash}"
    [renditions.other]
    width = 600
    format = "webp"
    lossless = true
    key = "other/{key}.{hash}.{ext}"
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, StoredObject] = {}

    @invariant()
    def everything_that_a_reader_was_told_of_exists_unchanged(self) -> None:
        if self.on_source_delete == "remove":
            return
        manifest = self.store.objects.get(ObjectRef(DESTINATION, MANIFEST))
        if manifest:
            content = json.loads(manifest.read())
            listed = {
                entry["key"]: self.store.objects[ObjectRef(DESTINATION, entry["key"])]
                for entry in content["renditions"]
            }
            widths = {decoded(stored.read()).width for stored in listed.values()}
            assert len(widths) == (1 if listed else 0), "a mixed set"
            assert content["source"]["width"] in (None, *widths)
            self.seen |= listed
        for key, stored in self.seen.items():
            assert self.store.objects[ObjectRef(DESTINATION, key)].read() == stored.read()


class BucketsOfVersionsWithRemoval(BucketsWithRemoval, BucketsOfVersions):
    renditions = BucketsOfVersions.renditions


class BucketsOfParts(BucketsWithRemoval):
    """The keys are made of parts of the source's key, one of them not of the whole of it."""

    renditions = """
    shared_stems = true
    [renditions.copy]
    [renditions.small]
    width = 500
    key = "{dir}small/{stem}_500{source_ext}"
    [renditions.other]
    width = 600
    format = "webp"
    lossless = true
    key = "other/{dir}{stem}.{ext}"
    """


CASES = int(os.environ.get("ORDER_CASES", 20))
T = TypeVar("T", bound=type[Buckets])


def case_of(machine: T) -> Any:
    test = machine.TestCase
    test.pytestmark = [pytest.mark.timeout(120 + CASES)]
    test.settings = settings(stateful_step_count=12, max_examples=CASES)
    return test


@pytest.mark.parametrize("machine", [BucketsWithRemoval, BucketsOfCopies, BucketsOfVersionsWithRemoval, BucketsOfParts])
@pytest.mark.parametrize("steps", range(12))
def test_renditions_that_a_killed_removal_deleted_are_made_again_if_the_source_exists(
    machine: type[Buckets], steps: int
) -> None:
    buckets = machine()
    buckets.upload(version=1, steps=99)
    buckets.delete(steps=steps)
    buckets.upload(version=1, steps=99)
    buckets.let_on(number=1, steps=1)  # it removes what has the same bytes as what it looked at
    buckets.kill(number=1)
    buckets.teardown()


TestRenditionsThatStay = case_of(Buckets)
TestRenditionsThatGoWithTheirSource = case_of(BucketsWithRemoval)
TestFormatsThatDoNotPay = case_of(BucketsWithoutLargerFormats)
TestFormatsThatDoNotPayAndGoWithTheirSource = case_of(BucketsWithoutLargerFormatsWithRemoval)
TestCopiesThatGoWithTheirSource = case_of(BucketsOfCopies)
TestKeysOfPartsThatGoWithTheirSource = case_of(BucketsOfParts)
TestVersionsThatStay = case_of(BucketsOfVersions)
TestVersionsThatGoWithTheirSource = case_of(BucketsOfVersionsWithRemoval)
