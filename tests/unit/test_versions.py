"""Keys with a hash: what a reader of the manifest finds, and when."""

import json

from image_scaler.pipeline import IMMUTABLE
from image_scaler.publisher import SUPERSEDED, is_superseded
from image_scaler.storage.base import ObjectRef, StoredObject
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.world import World

RENDITIONS = """
[renditions.copy]
key = "copy/{key}.{hash}"
[renditions.plain]
width = 20
[renditions.web]
widths = [30, 40]
key = "web/{width}/{key}.{hash}.{ext}"
format = "webp"
"""
ONE, TWO = drawing.png(drawing.photo(80, 60)), drawing.png(drawing.photo(60, 80))


def listed(world: World) -> list[str]:
    manifest = json.loads(world.store.objects[ObjectRef("destination", "manifests/a.png.json")].read())
    return [entry["key"] for entry in manifest["renditions"] if entry["name"] != "plain"]


def stored(world: World, key: str) -> StoredObject:
    return world.store.objects[ObjectRef("destination", key)]


def test_a_rendition_with_a_hash_in_its_key_may_be_cached_for_ever() -> None:
    world = World(RENDITIONS)
    world.handle(world.upload("a.png", ONE, cache_control="max-age=1"))
    assert {stored(world, key).cache_control for key in listed(world)} == {IMMUTABLE}
    assert stored(world, "plain/a.png").cache_control == "max-age=1"
    manifest = json.loads(stored(world, "manifests/a.png.json").read())
    assert all(entry["key"] in manifest["picture"] for entry in manifest["renditions"] if "web" in entry["name"])


def test_a_new_version_is_written_next_to_the_old_one_which_is_then_marked() -> None:
    world = World(RENDITIONS)
    world.handle(world.upload("a.png", ONE))
    old = listed(world)
    world.handle(world.upload("a.png", TWO))
    new = listed(world)
    assert len({*old, *new}) == 6
    for key in old:
        assert is_superseded(stored(world, key))
        assert world.store.tags[ObjectRef("destination", key)] == {SUPERSEDED: "true"}
    assert not any(is_superseded(stored(world, key)) for key in new)
    assert [decoded(stored(world, key).read()).width for key in old] == [80, 30, 40]


def test_a_version_that_comes_back_has_its_own_tags_again() -> None:
    world = World(RENDITIONS.replace('format = "webp"', 'format = "webp"\ntags = { project = "shop" }'))
    world.handle(world.upload("a.png", ONE))
    old = [ObjectRef("destination", key) for key in listed(world) if key.startswith("web/")]
    world.handle(world.upload("a.png", TWO))
    assert [world.store.tags[ref] for ref in old] == [{"project": "shop", SUPERSEDED: "true"}] * 2
    world.handle(world.upload("a.png", ONE))
    assert [world.store.tags[ref] for ref in old] == [{"project": "shop"}] * 2


def test_a_changed_recipe_marks_only_what_it_changes() -> None:
    world = World(RENDITIONS)
    record = world.upload("a.png", ONE)
    world.handle(record)
    old = listed(world)
    world.reconfigure(RENDITIONS.replace("widths = [30, 40]", "widths = [30, 40]\nquality = 50"))
    world.handle(record)
    assert [is_superseded(stored(world, key)) for key in old] == [False, True, True]
    assert listed(world)[0] == old[0]


def test_a_version_that_comes_back_loses_its_marks() -> None:
    world = World(RENDITIONS)
    for body in (ONE, TWO, ONE):
        world.handle(world.upload("a.png", body))
    assert not any(is_superseded(stored(world, key)) for key in listed(world))
    assert not any(world.store.tags.get(ObjectRef("destination", key)) for key in listed(world))


def test_another_focal_point_of_the_same_image_leads_to_other_keys() -> None:
    world = World(RENDITIONS)
    world.handle(world.upload("a.png", ONE, metadata={"focal-point": "0.1,0.1"}))
    old = listed(world)
    world.handle(world.upload("a.png", ONE, metadata={"focal-point": "0.9,0.9"}))
    assert not {*old} & {*listed(world)}


def test_an_uploaders_metadata_does_not_mark_a_copy() -> None:
    world = World(RENDITIONS)
    record = world.upload("a.png", ONE, metadata={SUPERSEDED: "true", "album": "x"})
    assert world.handle(record)["statusCode"] == 200
    assert stored(world, listed(world)[0]).metadata == {"album": "x"}


def test_all_listed_versions_go_with_their_source() -> None:
    world = World('on_source_delete = "remove"\n' + RENDITIONS)
    world.handle(world.upload("a.png", ONE))
    world.handle(world.delete("a.png"))
    assert world.written == []
