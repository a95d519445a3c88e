"""The largest visible changes: stored renditions, compared with what a recipe makes of their sources."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
import pyvips

from image_scaler.events import SourceEvent
from image_scaler.manifest import fingerprint
from image_scaler.renditions.made import MadeRendition
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef
from image_scaler.storage.s3 import S3Store
from tests.support.drawing import jpeg, photo, png, quadrants, with_alpha
from tests.support.stores import AS_JPEG, InMemoryStore
from tests.unit.images.test_animation import animation
from tests.unit.toolbox.migration.test_plan import listed
from toolbox.console import out
from toolbox.migration.changes import Comparer
from toolbox.migration.recipes import RecipeHistory, RecordedRecipe
from toolbox.migration.report import score, visual_diff_sentence, visual_diff_table
from toolbox.migration.sampling import SampledSource, Sampler
from toolbox.migration.states import State
from toolbox.migration.stored import ParsedManifest
from toolbox.migration.visual_diff import MAX_CHANGES, MAX_COMPARED_SIDE, VisualDiff, compare, pairs

SMALL = '[renditions.small]\nwidth = 200\nformat = "webp"\nquality = 80\n'
POORER = SMALL.replace("80", "20")
OTHER_CROP = SMALL + "height = 200\n"
LADDER = '[renditions.web]\nwidths = [80, 160, 240, 320]\nformats = ["webp", "jpeg"]\nquality = 80\n'


class Bucket:
    """A destination with the renditions of an old recipe, and the visual diff of a new one."""

    def __init__(self, old: str, new: str) -> None:
        self.store = InMemoryStore()
        self.read: list[str] = []
        self.visual_diff = VisualDiff(self._read)
        self._old, self._new = parse_recipe(old), parse_recipe(new)

    def _read(self, key: str) -> bytes | None:
        self.read.append(key)
        stored = self.store.objects.get(ObjectRef("destination", key))
        return stored.read() if stored else None

    def fill(self, key: str, body: bytes) -> None:
        """Upload a source and make its renditions by the old recipe."""
        self._make(self.store, key, body, self._old)

    def put(self, key: str, body: bytes) -> None:
        """Replace a rendition."""
        ref = ObjectRef("destination", key)
        self.store.objects[ref] = replace(self.store.objects[ref], read=lambda: body, size=len(body))

    def manifest(self, key: str) -> dict[str, Any]:
        stored = self.store.objects.get(ObjectRef("destination", f"manifests/{key}.json"))
        content: dict[str, Any] = json.loads(stored.read()) if stored else {}
        return content

    def look(self, key: str, body: bytes, manifest: Mapping[str, Any] | None = None) -> VisualDiff:
        """Compare what exists of a source with what the new recipe makes of it."""
        made = InMemoryStore()
        written = self._make(made, key, body, self._new)
        etag = made.objects[ObjectRef("source", key)].etag
        plan = RecordedRecipe(self._new).plan_for(key)
        assert plan
        manifest = self.manifest(key) if manifest is None else manifest
        state = State(manifest["source"]["etag"], fingerprint(self._old.plan_for(key))) if manifest else None
        history = RecipeHistory([RecordedRecipe(self._old)])
        change = Comparer(RecordedRecipe(self._new), history, lambda key: {}).change(listed(key, etag), plan, state)
        self.visual_diff.look(
            change,
            msgspec.convert(manifest, ParsedManifest) if manifest else None,
            written,
            lambda key: bytes(made.objects[ObjectRef("destination", key)].read()),
        )
        return self.visual_diff

    @staticmethod
    def _make(store: InMemoryStore, key: str, body: bytes, recipe: Recipe) -> list[MadeRendition]:
        ref = ObjectRef("source", key)
        store.put(ref, body, AS_JPEG)
        settings = Settings(destination_bucket="destination", recipe=recipe)
        outcome = build_scaler(settings, store).scale(SourceEvent(ref=ref, payload={}))
        assert outcome.error is None
        return [write.rendition for write in outcome.report.writes]


def seen(old: str, new: str, body: bytes) -> VisualDiff:
    """Return the visual diff if a recipe replaces another one."""
    bucket = Bucket(old, new)
    bucket.fill("a.jpg", body)
    return bucket.look("a.jpg", body)


def counts(visual_diff: VisualDiff) -> tuple[int, int, int]:
    return visual_diff.compared, visual_diff.changed, visual_diff.missing


def webp(image: pyvips.Image, **options: object) -> bytes:
    return bytes(image.webpsave_buffer(**({"lossless": True} | options)))


PHOTO = jpeg(photo(400, 300))


def test_another_quality_looks_different() -> None:
    visual_diff = seen(SMALL, POORER, PHOTO)
    assert counts(visual_diff) == (1, 1, 0)
    (change,) = visual_diff.largest
    assert (change.source, change.rendition, change.key) == ("a.jpg", "small", "small/a.jpg.webp")
    assert (change.before.quality, change.after.quality) == (80, 20)
    assert (change.after.width, change.after.height, change.after.type) == (200, 150, "image/webp")
    assert change.before.bytes > change.after.bytes
    assert 0 < change.score < 90
    assert not change.is_other_crop
    assert not change.is_other_motion


def test_the_worse_the_quality_the_larger_the_change() -> None:
    scores = [seen(SMALL, SMALL.replace("80", str(quality)), PHOTO).largest[0].score for quality in (70, 40, 10)]
    assert scores == sorted(scores, reverse=True)


def test_identical_bytes_are_no_change() -> None:
    visual_diff = seen(SMALL, SMALL + "keep_copyright = false\n", PHOTO)
    assert counts(visual_diff) == (1, 0, 0)
    assert visual_diff.largest == []


def test_other_bytes_with_identical_pixels_are_no_change() -> None:
    lossless = '[renditions.small]\nwidth = 200\nformat = "webp"\nlossless = true\n'
    visual_diff = seen(lossless, lossless + "effort = 1\n", PHOTO)
    assert counts(visual_diff) == (1, 0, 0)
    picture = photo(60, 40)
    assert webp(picture) != png(picture)
    assert compare(webp(picture), png(picture)) is None


@pytest.mark.parametrize("width", [60, 333])
def test_a_picture_that_became_only_smaller_or_larger_is_no_damage(width: int) -> None:
    lossless = '[renditions.small]\nwidth = 200\nformat = "webp"\nlossless = true\n'
    (change,) = seen(lossless, lossless.replace("200", str(width)), PHOTO).largest
    assert (change.before.width, change.after.width) == (200, width)
    assert not change.is_other_crop
    assert change.score > 80


def test_a_smaller_picture_of_less_quality_is_damage() -> None:
    (change,) = seen(SMALL, POORER.replace("200", "120"), PHOTO).largest
    assert change.score < 70


@pytest.mark.parametrize(("old", "new"), [(SMALL, OTHER_CROP), (OTHER_CROP, SMALL)])
def test_another_crop_is_marked(old: str, new: str) -> None:
    (change,) = seen(old, new, PHOTO).largest
    assert change.is_other_crop
    assert change.score < 50


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (9, 7), (333, 250)])
@pytest.mark.parametrize("other", [(1, 1), (17, 3), (250, 333)])
def test_pictures_of_all_sizes_can_be_compared(size: tuple[int, int], other: tuple[int, int]) -> None:
    found = compare(webp(quadrants(*size)), webp(photo(*other)))
    assert found
    assert found.score < 100


def test_large_pictures_are_compared_at_a_bounded_size() -> None:
    stripes = pyvips.Image.identity(ushort=True).crop(0, 0, 4 * MAX_COMPARED_SIDE, 1) % 2 * 255
    striped = stripes.cast("uchar").embed(0, 0, stripes.width, 64, extend="repeat")
    found = compare(png(striped), png((striped * 0 + 127.5).cast("uchar")))
    assert found
    assert found.score > 90  # at their own size one has black and white stripes, and the other is grey


@pytest.mark.parametrize("is_before", [True, False])
def test_transparency_that_is_lost_or_won_is_a_change(is_before: bool) -> None:
    opaque, transparent = webp(photo(300, 200)), webp(with_alpha(photo(300, 200)))
    found = compare(*((transparent, opaque) if is_before else (opaque, transparent)))
    assert found
    assert found.score < 60


def test_a_transparent_picture_can_become_a_crop_of_another_shape() -> None:
    found = compare(webp(with_alpha(photo(300, 200))), webp(photo(100, 100)))
    assert found
    assert found.is_other_crop


@pytest.mark.parametrize("format", ["webp", "gif"])
def test_an_animation_that_stops_is_marked_and_comes_first(format: str) -> None:
    moving = f'[renditions.small]\nwidth = 40\nformat = "{format}"\n'
    bucket = Bucket(moving, moving + "animated = false\n")
    for key, body in (("still.jpg", PHOTO), ("moving.gif", animation("gif"))):
        bucket.fill(key, body)
        bucket.look(key, body)
    assert bucket.visual_diff.changed == 1
    (change,) = bucket.visual_diff.largest
    assert (change.source, change.is_other_motion) == ("moving.gif", True)


def test_the_pages_of_a_document_are_no_motion() -> None:
    page = photo(60, 40)
    pages = page.join(page, "vertical")
    pages.set_type(pyvips.GValue.gint_type, "page-height", 40)
    document = bytes(pages.tiffsave_buffer())
    assert compare(document, webp(page)) is None


def as_grey(picture: pyvips.Image) -> bytes:
    return png(picture.colourspace("b-w"))


def as_grey_with_alpha(picture: pyvips.Image) -> bytes:
    return png(with_alpha(picture).colourspace("b-w"))


def as_16_bits(picture: pyvips.Image) -> bytes:
    return png(picture.colourspace("rgb16"))


def as_16_bits_of_grey(picture: pyvips.Image) -> bytes:
    return png(picture.colourspace("grey16"))


def as_cmyk(picture: pyvips.Image) -> bytes:
    return jpeg(picture.icc_export(output_profile="cmyk"))


def as_turned(picture: pyvips.Image) -> bytes:
    return jpeg(picture.rot90(), orientation=8)


@pytest.mark.parametrize("store", [as_grey, as_grey_with_alpha, as_16_bits, as_16_bits_of_grey, as_cmyk, as_turned])
def test_stored_pictures_of_every_kind_are_compared_in_srgb(store: Callable[[pyvips.Image], bytes]) -> None:
    bucket = Bucket(SMALL, POORER)
    bucket.fill("a.jpg", PHOTO)
    bucket.put("small/a.jpg.webp", store(photo(200, 150)))
    visual_diff = bucket.look("a.jpg", PHOTO)
    assert counts(visual_diff) == (1, 1, 0)
    (change,) = visual_diff.largest
    assert not change.is_other_crop


def test_the_stored_object_is_looked_at_and_not_the_old_recipe() -> None:
    bucket = Bucket(SMALL, POORER)
    bucket.fill("a.jpg", PHOTO)
    bucket.put("small/a.jpg.webp", webp(quadrants(200, 150)))
    (change,) = bucket.look("a.jpg", PHOTO).largest
    assert change.score < 0
    assert change.before.bytes == len(webp(quadrants(200, 150)))


def test_a_rendition_that_is_gone_or_damaged_is_counted_as_missing() -> None:
    bucket = Bucket(LADDER, LADDER.replace("quality = 80", "quality = 20"))
    bucket.fill("a.jpg", PHOTO)
    del bucket.store.objects[ObjectRef("destination", "web-80/a.jpg")]
    whole = bucket.store.objects[ObjectRef("destination", "web-160/a.jpg")].read()
    bucket.put("web-160/a.jpg", whole[: len(whole) // 2])
    bucket.put("web-240/a.jpg", b"no image")
    bucket.put("web-320/a.jpg", b"")
    assert counts(bucket.look("a.jpg", PHOTO)) == (4, 4, 4)


def test_renditions_that_are_kept_are_not_read() -> None:
    more = '[renditions.large]\nwidth = 300\nformat = "webp"\n'
    bucket = Bucket(SMALL + more, POORER + more)
    bucket.fill("a.jpg", PHOTO)
    assert counts(bucket.look("a.jpg", PHOTO)) == (1, 1, 0)
    assert bucket.read == ["small/a.jpg.webp"]


def test_a_source_without_a_manifest_compares_nothing() -> None:
    bucket = Bucket(SMALL, POORER)
    assert counts(bucket.look("a.jpg", PHOTO)) == (0, 0, 0)


def test_a_manifest_of_another_version_of_the_source_compares_nothing() -> None:
    bucket = Bucket(SMALL, POORER)
    bucket.fill("a.jpg", jpeg(quadrants()))
    assert counts(bucket.look("a.jpg", PHOTO)) == (0, 0, 0)
    assert bucket.read == []


def test_the_five_largest_changes_are_kept_the_largest_first() -> None:
    bucket = Bucket(LADDER, LADDER.replace("quality = 80", "quality = 20"))
    bucket.fill("a.jpg", PHOTO)
    visual_diff = bucket.look("a.jpg", PHOTO)
    assert counts(visual_diff) == (8, 8, 0)
    scores = [change.score for change in visual_diff.largest]
    assert len(scores) == MAX_CHANGES == 5
    assert scores == sorted(scores)


def test_different_sources_come_before_more_of_the_same() -> None:
    ladder = LADDER.replace("80, 160, 240, 320", "40, 60, 80")
    bucket = Bucket(ladder, ladder.replace("quality = 80", "quality = 20"))
    for number in range(MAX_CHANGES + 1):
        # The finer the grain, the larger the change; the first source has the largest changes of all.
        body = jpeg(photo(80, 60, seed=number).gaussblur(0.1 + number / 3))
        bucket.fill(f"{number}.jpg", body)
        visual_diff = bucket.look(f"{number}.jpg", body)
        sources = [change.source for change in visual_diff.largest]
        assert len(sources) == MAX_CHANGES
        assert len(set(sources)) == min(number + 1, MAX_CHANGES)
    scores = [change.score for change in visual_diff.largest]
    assert scores == sorted(scores)
    assert "0.jpg" in sources
    assert counts(visual_diff) == (36, 36, 0)


def written(name: str, type_: str | None = "image/webp") -> MadeRendition:
    return MadeRendition(name=name, key=f"new/{name}.{type_}", bytes=1, width=1, height=1, type=type_)


def existing(name: str, type_: str | None = "image/webp") -> MadeRendition:
    return MadeRendition(name=name, key=f"old/{name}.{type_}", type=type_, width=1, height=1, bytes=1)


def paired(
    new: list[MadeRendition], old: list[MadeRendition], left_out: Sequence[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    asked = {*left_out, *((one.name, one.type) for one in new if one.type)}
    return [(one.key, other.key) for one, other in pairs(new, old, asked)]


def test_a_rendition_takes_the_place_of_the_one_with_its_name_and_type() -> None:
    new = [written("a", "image/avif"), written("a"), written("b")]
    old = [existing("b"), existing("a"), existing("a", "image/avif"), existing("c")]
    assert paired(new, old) == [
        ("new/a.image/avif", "old/a.image/avif"),
        ("new/a.image/webp", "old/a.image/webp"),
        ("new/b.image/webp", "old/b.image/webp"),
    ]


def test_a_new_format_takes_the_place_of_one_that_is_made_no_longer() -> None:
    new = [written("a", "image/avif"), written("a", "image/jpeg")]
    old = [existing("a", "image/webp"), existing("a", "image/jpeg")]
    assert paired(new, old) == [
        ("new/a.image/avif", "old/a.image/webp"),
        ("new/a.image/jpeg", "old/a.image/jpeg"),
    ]


def test_a_format_that_is_added_takes_no_place() -> None:
    new = [written("a", "image/avif"), written("a", "image/jpeg")]
    assert paired(new, [existing("a", "image/jpeg")]) == [("new/a.image/jpeg", "old/a.image/jpeg")]


def test_a_format_that_was_left_out_because_it_is_larger_gives_its_place_to_no_other() -> None:
    assert paired([written("a")], [existing("a", "image/avif")], left_out=[("a", "image/avif")]) == []


def test_what_stays_a_copy_has_no_pixels_of_its_own() -> None:
    assert paired([written("a", None)], [existing("a", "image/jpeg")]) == []
    assert paired([written("a")], [existing("a", None)]) == []  # of a source that could not be decoded


def test_a_copy_that_becomes_a_rendition_looks_different() -> None:
    assert paired([written("a")], [existing("a", "image/jpeg")]) == [("new/a.image/webp", "old/a.image/jpeg")]


def test_plan_json_has_the_changes() -> None:
    content = seen(SMALL, POORER, PHOTO).as_json()
    (change,) = json.loads(json.dumps(content))["largest"]
    assert content["compared"] == content["changed"] == 1
    assert content["missing"] == 0
    assert set(change) == {
        *("source", "rendition", "key", "before", "after"),
        *("score", "is_other_crop", "is_other_motion"),
    }
    assert change["before"]["quality"] == 80


class FakeStack:
    """A source in S3, with the renditions of an old recipe."""

    def __init__(self, s3: Any) -> None:
        self.s3 = s3
        self.etag = s3.put_object(Bucket="source", Key="a.jpg", Body=PHOTO, ContentType="image/jpeg")["ETag"].strip('"')
        self._old, self._new = parse_recipe(SMALL), parse_recipe(POORER)
        settings = Settings(destination_bucket="destination", recipe=self._old)
        event = SourceEvent(ref=ObjectRef("source", "a.jpg"), payload={})
        assert build_scaler(settings, S3Store(s3)).scale(event).error is None
        self.state: State | None = State(self.etag, fingerprint(self._old.plan_for("a.jpg")))

    def sample(self) -> tuple[VisualDiff, SampledSource]:
        """Render the source by the new recipe."""
        new = RecordedRecipe(self._new)
        plan = new.plan_for("a.jpg")
        assert plan
        comparer = Comparer(new, RecipeHistory([RecordedRecipe(self._old)]), lambda key: {})
        sampler = Sampler(self.s3, "source", "destination", self._new, vcpus=1)
        measured = sampler.measure(comparer.change(listed("a.jpg", self.etag), plan, self.state))
        assert measured
        return sampler.visual_diff, measured


@pytest.fixture
def stack(s3: Any) -> FakeStack:
    return FakeStack(s3)


def test_a_sampled_source_is_compared_with_its_renditions_in_s3(stack: FakeStack) -> None:
    visual_diff, measured = stack.sample()
    assert counts(visual_diff) == (1, 1, 0)
    assert visual_diff.largest[0].before.bytes == measured.before["small"]
    assert visual_diff.largest[0].after.bytes == measured.after["small"]


def test_a_source_that_was_replaced_since_it_was_listed_is_not_compared(stack: FakeStack) -> None:
    stack.s3.put_object(Bucket="source", Key="a.jpg", Body=jpeg(quadrants()), ContentType="image/jpeg")
    assert counts(stack.sample()[0]) == (0, 0, 0)


def test_a_rendition_that_is_gone_or_in_an_archive_does_not_stop_the_plan(stack: FakeStack) -> None:
    stack.s3.put_object(Bucket="destination", Key="small/a.jpg.webp", Body=PHOTO, StorageClass="GLACIER")
    assert counts(stack.sample()[0]) == (0, 0, 1)
    stack.s3.delete_object(Bucket="destination", Key="small/a.jpg.webp")
    assert counts(stack.sample()[0]) == (0, 0, 1)


@pytest.mark.parametrize(
    "body", [b"no json", b"[]", b'{"source": null}', b'{"renditions": null}', b'{"renditions": []}']
)
def test_a_damaged_manifest_does_not_stop_the_plan(stack: FakeStack, body: bytes) -> None:
    stack.s3.put_object(Bucket="destination", Key="manifests/a.jpg.json", Body=body)
    visual_diff, measured = stack.sample()
    assert counts(visual_diff) == (0, 0, 0)
    assert measured.before == {}


def test_what_others_stored_under_the_key_of_a_manifest_is_not_read(stack: FakeStack) -> None:
    stack.s3.put_object(Bucket="destination", Key="manifests/a.jpg.json", Body=b"no manifest")
    stack.state = None
    visual_diff, measured = stack.sample()
    assert counts(visual_diff) == (0, 0, 0)
    assert measured.before == {}


def eye_of(compared: int, changed: int, missing: int) -> VisualDiff:
    visual_diff = VisualDiff(lambda key: None)
    visual_diff.compared, visual_diff.changed, visual_diff.missing = compared, changed, missing
    return visual_diff


@pytest.mark.parametrize(
    ("counted", "sentence"),
    [
        ((0, 0, 0), None),
        ((0, 0, 2), "No rendition could be compared; 2 could not be read"),
        ((1, 0, 0), "1 rendition of the sample compared with what exists: none looks different"),
        ((9, 0, 1), "9 renditions of the sample compared with what exists: none looks different; 1 could not be read"),
        (
            (2000, 1500, 1),
            "2,000 renditions of the sample compared with what exists: 1,500 with other pixels; 1 could not be read. "
            "A score of 100 is identical, 90 looks identical, 70 slightly different",
        ),
    ],
)
def test_a_sentence_says_what_was_compared(counted: tuple[int, int, int], sentence: str | None) -> None:
    assert visual_diff_sentence(eye_of(*counted)) == sentence


def test_the_table_of_changes_says_what_each_rendition_was_and_becomes() -> None:
    bucket = Bucket(SMALL, OTHER_CROP.replace("80", "70"))
    key = "[red]a\x1b[2J:cat:.jpg"
    bucket.fill(key, PHOTO)
    table = visual_diff_table(bucket.look(key, PHOTO))
    assert table
    with out.capture() as capture:
        out.print(table)
    printed = capture.get()
    assert bucket.visual_diff.largest[0].score < 0
    for text in (
        "The largest visible changes",
        "[red]a\\x1b[2J:cat:.jpg",
        "200 x 150 webp q80, ",
        "200 x 200 webp q70, ",
        "below 0, other crop",
    ):
        assert text in printed


@pytest.mark.parametrize(
    ("value", "text"), [(-572.3, "below 0"), (-0.0, "0"), (63.4, "63"), (99.4, "99"), (99.8, "99.8"), (99.999, "99.9")]
)
def test_only_what_is_identical_has_a_score_of_100(value: float, text: str) -> None:
    assert score(value) == text


def test_without_changes_there_is_no_table_of_them() -> None:
    assert visual_diff_table(VisualDiff(lambda key: None)) is None


def test_a_crop_that_changes_in_all_sources_does_not_hide_the_other_renditions() -> None:
    both = SMALL.replace("200", "80") + SMALL.replace("small", "web").replace(
        "width = 200", "widths = [24, 28, 32, 40]"
    )
    bucket = Bucket(both, both.replace("quality = 80", "quality = 20").replace("width = 80", "width = 80\nheight = 36"))
    for number in range(MAX_CHANGES):
        body = jpeg(photo(80, 60, seed=number))
        bucket.fill(f"{number}.jpg", body)
        visual_diff = bucket.look(f"{number}.jpg", body)
    assert visual_diff.largest[0].is_other_crop
    assert sum(change.rendition == "small" for change in visual_diff.largest) == 1
    assert len({change.source for change in visual_diff.largest}) == MAX_CHANGES
