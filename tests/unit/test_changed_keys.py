"""Of two sources, the one has the key now that an earlier recipe gave the other."""

from image_scaler.publisher import is_superseded
from image_scaler.storage.base import ObjectRef
from tests.support import drawing
from tests.support.world import World

JPEG, OTHER_JPEG = drawing.jpeg(), drawing.jpeg(drawing.photo(80, 60))


def left_in(world: World) -> list[str]:
    return [key for key in world.written if not key.startswith("recipes/")]


def test_a_removal_leaves_what_the_recipe_makes_of_another_source_now() -> None:
    table = 'on_source_delete = "remove"\n[renditions.t]\nwidth = 50\n'
    world = World(f'{table}key = "img/{{key}}"', keeps_history=True)
    world.handle(world.upload("products/a.jpg", JPEG))
    world.reconfigure(f'{table}key = "img/products/{{key}}"')
    world.handle(world.upload("a.jpg", JPEG))
    world.handle(world.delete("products/a.jpg"))
    assert left_in(world) == ["img/products/a.jpg", "manifests/a.jpg.json"]
    world.handle(world.delete("a.jpg"))
    assert left_in(world) == []


def test_a_version_of_another_source_is_not_marked() -> None:
    world = World('[renditions.t]\nwidth = 50\nkey = "t/{key}.{hash}"', keeps_history=True)
    world.handle(world.upload("a/b.jpg", JPEG))
    world.reconfigure('[renditions.t]\nwidth = 50\nkey = "t/a/{key}.{hash}"')
    world.handle(world.upload("b.jpg", OTHER_JPEG))
    world.handle(world.upload("a/b.jpg", OTHER_JPEG))
    assert not any(is_superseded(world.store.objects[ObjectRef("destination", key)]) for key in left_in(world))


def test_a_repeated_event_of_an_earlier_version_leaves_its_renditions_if_the_current_one_is_no_image() -> None:
    world = World('on_source_delete = "remove"\n[renditions.t]\nwidth = 50\n', keeps_history=True)
    event = world.upload("a.jpg", JPEG)
    world.handle(event)
    world.handle(world.upload("a.jpg", b"no image"))
    world.handle(event)
    assert left_in(world) == ["manifests/a.jpg.json", "rejected/a.jpg.json", "t/a.jpg"]
