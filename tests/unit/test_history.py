"""What is kept for `image-scaler plan`."""

import hashlib
import json

import pytest

from image_scaler.history import (
    read_recipe_record,
    recipe_key,
    recipe_record,
    rejection_fingerprint,
    rejection_key,
)
from image_scaler.images.overlay import open_overlay
from image_scaler.publisher import Provenance
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import FailureQueues, build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef
from tests.support import drawing
from tests.support.world import World

MEMORY = 10**9
TOML = "[renditions.small]\nwidth = 20\n"
SMALL = parse_recipe(TOML)
LOGO, OTHER_LOGO = (drawing.png(drawing.quadrants(side, 10)) for side in (20, 30))
WITH_LOGO = TOML + 'overlay = { image = "overlays/logo.png" }'
RECIPE = ObjectRef("destination", recipe_key(SMALL))
REJECTED = ObjectRef("destination", rejection_key("a.jpg"))


class Kept(World):
    """A world whose scaler keeps a history, as the function does."""

    def reconfigure(self, renditions: str, logo: bytes = LOGO) -> None:
        recipe = parse_recipe(renditions, read_overlay=lambda name: open_overlay(logo))
        settings = Settings(destination_bucket="destination", recipe=recipe, memory=MEMORY, keeps_history=True)
        self.scaler = build_scaler(settings, self.store, queues=FailureQueues(self.queue))


def test_the_recipe_is_kept_once_before_anything_is_written() -> None:
    world = Kept(TOML)
    world.handle(world.upload("a.jpg"))
    record = json.loads(world.store.objects[RECIPE].read())
    assert record["toml"] == TOML
    assert record["recipes"] == [spec.fingerprint for spec in SMALL.specs]
    order = [ref.key for ref in world.store.objects if ref.bucket == "destination"]
    assert order == [RECIPE.key, "small/a.jpg", "manifests/a.jpg.json"]
    del world.store.objects[RECIPE]
    world.handle(world.upload("b.jpg"))
    assert RECIPE not in world.store.objects  # this execution environment has written it


def test_another_environment_with_the_same_recipe_leaves_it() -> None:
    world = Kept(TOML)
    world.handle(world.upload("a.jpg"))
    world.reconfigure(TOML)
    assert world.handle(world.upload("b.jpg"))["statusCode"] == 200


def test_a_rejection_is_kept_with_its_version_recipe_and_reason_until_the_source_is_removed() -> None:
    world = Kept('on_source_delete = "remove"\n' + TOML)
    record = world.upload("a.jpg", b"no image")
    world.handle(record)
    kept = world.store.objects[REJECTED]
    provenance = Provenance.of(kept)
    assert provenance is not None
    assert provenance.source_etag == record["s3"]["object"]["eTag"]
    assert provenance.fingerprint == rejection_fingerprint(SMALL, MEMORY) != rejection_fingerprint(SMALL, MEMORY + 1)
    error = json.loads(kept.read())["error"]
    assert (error["type"], error["code"]) == ("UnsupportedImageError", "not_an_image")
    world.handle(world.delete("a.jpg"))
    assert world.written == []


def test_a_rejected_source_whose_key_leaves_no_room_for_a_record_has_none() -> None:
    world = Kept("manifest = false\n" + TOML)
    key = "x" * 1010 + ".jpg"
    assert world.handle(world.upload(key, b"no image"))["statusCode"] == 500
    assert world.written == []


def test_a_recipe_with_an_overlay_is_kept_with_the_hash_of_its_image_and_read_without_the_file() -> None:
    recipe = parse_recipe(WITH_LOGO, read_overlay=lambda name: open_overlay(LOGO))
    record = json.loads(recipe_record(recipe))
    assert record["overlays"] == {"overlays/logo.png": hashlib.sha256(LOGO).hexdigest()}
    assert read_recipe_record(record).id == recipe.id
    assert read_recipe_record(record).specs[0].fingerprint == record["recipes"][0]
    assert "overlays" not in json.loads(recipe_record(SMALL))


def test_a_record_without_the_hash_of_an_overlay_cannot_be_read() -> None:
    with pytest.raises(KeyError):
        read_recipe_record({"toml": WITH_LOGO})


def test_what_an_earlier_overlay_was_drawn_on_is_removed_with_its_source() -> None:
    table = WITH_LOGO.replace("width", 'key = "{name}/{key}/{hash}"\nwidth')
    world = Kept(f'on_source_delete = "remove"\n{table}')
    world.handle(world.upload("a.jpg"))
    world.reconfigure(f'on_source_delete = "remove"\n{table}', OTHER_LOGO)
    world.handle(world.upload("a.jpg"))
    assert len([key for key in world.written if key.startswith("small/")]) == 2
    world.reconfigure('on_source_delete = "remove"\n[renditions.other]')
    world.handle(world.delete("a.jpg"))
    assert {key.partition("/")[0] for key in world.written} == {"recipes"}


def test_another_logo_replaces_the_renditions_when_their_source_is_processed() -> None:
    world = Kept(WITH_LOGO)
    record = world.upload("a.jpg")
    bodies = []
    for logo in (LOGO, OTHER_LOGO, OTHER_LOGO):
        world.reconfigure(WITH_LOGO, logo)
        world.handle(record)
        bodies.append(world.store.objects[ObjectRef("destination", "small/a.jpg")])
    assert bodies[0].read() != bodies[1].read()
    assert bodies[1] is bodies[2]


def test_the_id_of_a_recipe_ignores_comments_and_is_another_one_for_anything_that_is_made_or_rejected() -> None:
    same = parse_recipe("# a comment\n" + TOML)
    others = [
        "[renditions.small]\nwidth = 21",
        "[renditions.small]\nwidth = 20\nkey = 'x/{key}'",
        "[renditions.other]\nwidth = 20",
        "manifest = false\n" + TOML,
        TOML + "[limits]\npixels = 1000",
        TOML + "[inputs]\nsvg = true",
        TOML + "[[rules]]\nmatch = 'a'\nrenditions = []",
        TOML + "[[rules]]\nmatch = 'b'\nrenditions = []",
    ]
    assert same.id == SMALL.id
    assert len({SMALL.id, *(parse_recipe(other).id for other in others)}) == len(others) + 1
