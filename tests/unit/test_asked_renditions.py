"""What the source's own metadata asks for: some of the renditions that the rules allow, or none."""

import json
from typing import Any

import pytest

from image_scaler.publisher import Provenance, is_superseded
from image_scaler.renditions.keys import HASH_DIGITS
from image_scaler.storage.base import ObjectRef
from image_scaler.telemetry import Telemetry
from image_scaler.upload import MAX_ASKED_CHARACTERS, asked_in, asked_renditions, asked_words
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.world import World

RECIPE = """
[renditions.resized]
[renditions.thumbnail]
width = 50
format = "webp"
[renditions.web]
widths = [100, 200]
[[rules]]
match = "avatars/**"
renditions = ["thumbnail"]
"""
REMOVE = 'on_source_delete = "remove"\n'
ALL = {"resized/a.jpg", "thumbnail/a.jpg.webp", "web-100/a.jpg", "web-200/a.jpg"}
MANIFEST = "manifests/a.jpg.json"
ONE, TWO = drawing.jpeg(drawing.photo(400, 300)), drawing.jpeg(drawing.photo(300, 400))


def upload(world: World, asked: str | None, body: bytes = ONE, key: str = "a.jpg") -> dict[str, Any]:
    return world.upload(key, body, metadata={} if asked is None else {"renditions": asked})


def made(world: World) -> set[str]:
    return {key for key in world.written if key != MANIFEST}


def manifest(world: World, key: str = MANIFEST) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(world.store.objects[ObjectRef("destination", key)].read())
    return content


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ("thumbnail", {"thumbnail/a.jpg.webp"}),
        ("web", {"web-100/a.jpg", "web-200/a.jpg"}),
        ("web thumbnail", ALL - {"resized/a.jpg"}),
        ("web,thumbnail, resized", ALL),
        ("resized", {"resized/a.jpg"}),
        ("none", set()),
        ("none thumbnail", {"thumbnail/a.jpg.webp"}),
        ("web-100", set()),
        ("unknown thumbnail", {"thumbnail/a.jpg.webp"}),
        ("unknown", set()),
        ("Thumbnail", set()),
        ("", ALL),
        (" ", ALL),
        (None, ALL),
    ],
)
def test_an_upload_gets_the_renditions_that_it_names_and_all_steps_of_a_ladder(
    asked: str | None, keys: set[str]
) -> None:
    world = World(RECIPE)
    assert world.handle(upload(world, asked))["statusCode"] == 200
    assert made(world) == keys
    assert {entry["key"] for entry in manifest(world)["renditions"]} == keys


def test_an_upload_never_gets_more_than_the_rules_allow() -> None:
    world = World(RECIPE)
    world.handle(upload(world, "web resized thumbnail", key="avatars/a.jpg"))
    assert world.written == ["manifests/avatars/a.jpg.json", "thumbnail/avatars/a.jpg.webp"]
    assert manifest(world, "manifests/avatars/a.jpg.json")["source"]["unknown"] == ["resized", "web"]


def test_a_rule_without_renditions_still_makes_nothing_at_all() -> None:
    world = World(RECIPE.replace('["thumbnail"]', "[]"))
    world.handle(upload(world, "thumbnail", key="avatars/a.jpg"))
    assert world.written == []


def test_the_manifest_says_what_was_asked_for_and_what_is_not_known() -> None:
    world = World(RECIPE)
    world.handle(upload(world, "web, thumbnial web"))
    source = manifest(world)["source"]
    assert (source["asked"], source["unknown"]) == (["thumbnial", "web"], ["thumbnial"])
    assert list(manifest(world)["ladders"]) == ["web"]
    world.handle(upload(world, None, key="b.jpg"))
    assert not {"asked", "unknown"} & manifest(world, "manifests/b.jpg.json")["source"].keys()


def test_an_upload_that_asks_for_nothing_is_not_even_downloaded() -> None:
    world = World(RECIPE)
    assert world.handle(upload(world, "none", b"no image"))["statusCode"] == 200
    source = manifest(world)["source"]
    assert (source["bytes"], source["width"], source["asked"]) == (8, None, [])
    assert manifest(world)["picture"] is None


def test_without_manifests_nothing_is_written_for_an_upload_that_asks_for_nothing() -> None:
    world = World("manifest = false\n" + RECIPE)
    assert world.handle(upload(world, "none"))["statusCode"] == 200
    assert world.written == []


def test_a_name_without_effect_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(RECIPE)
    world.scaler._observe = Telemetry("image-scaler").observe
    world.handle(upload(world, "thumbnial Web web"))
    world.handle(upload(world, "web", key="b.jpg"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("unknown_renditions") for line in lines] == [["Web", "thumbnial"], None]


@pytest.mark.parametrize("repeats", [1, 2])
def test_with_removal_what_a_replaced_version_asked_for_goes(repeats: int) -> None:
    world = World(REMOVE + RECIPE)
    world.handle(upload(world, None, ONE))
    assert made(world) == ALL
    record = upload(world, "web", TWO)
    for _ in range(repeats):
        world.handle(record)
    assert made(world) == {"web-100/a.jpg", "web-200/a.jpg"}
    world.handle(upload(world, "none", TWO))
    assert made(world) == set()
    assert manifest(world)["renditions"] == []
    world.handle(upload(world, None, TWO))
    assert made(world) == ALL
    world.handle(world.delete("a.jpg"))
    assert world.written == []


def test_with_removal_and_without_manifests_it_goes_too() -> None:
    world = World("manifest = false\n" + REMOVE + RECIPE)
    for asked in ("web", "thumbnail", "none"):
        world.handle(upload(world, asked))
        expected = {"web": {"web-100/a.jpg", "web-200/a.jpg"}, "thumbnail": {"thumbnail/a.jpg.webp"}, "none": set()}
        assert made(world) == expected[asked]


def test_without_removal_it_stays_but_the_manifest_does_not_list_it() -> None:
    world = World(RECIPE)
    world.handle(upload(world, None, ONE))
    world.handle(upload(world, "thumbnail", TWO))
    assert made(world) == ALL
    assert [entry["key"] for entry in manifest(world)["renditions"]] == ["thumbnail/a.jpg.webp"]
    assert world.width_of("thumbnail/a.jpg.webp") == 50
    assert decoded(world.store.objects[ObjectRef("destination", "web-200/a.jpg")].read()).height == 150


def test_the_same_bytes_that_ask_for_something_else_are_another_version() -> None:
    world = World(REMOVE + RECIPE)
    first, second = upload(world, "web"), upload(world, "thumbnail")
    world.handle(second)
    world.handle(first)  # late
    assert made(world) == {"thumbnail/a.jpg.webp"}
    assert manifest(world)["source"]["asked"] == ["thumbnail"]


@pytest.mark.parametrize("removes", ["", REMOVE])
def test_keys_with_a_hash_are_marked_and_the_hash_does_not_depend_on_what_is_asked_for(removes: str) -> None:
    world = World(removes + RECIPE.replace("widths", 'key = "{name}/{width}/{key}/{hash}"\nwidths'))
    keys = []
    for asked in (None, "web", "none", "web"):
        world.handle(upload(world, asked))
        web = [ref for ref in world.store.objects if ref.key.startswith("web/")]
        keys.append({ref.key for ref in web})
        assert [is_superseded(world.store.objects[ref]) for ref in web] == [asked == "none"] * 2
    assert all(found == keys[0] for found in keys)
    assert all(len(key.rpartition("/")[2]) == HASH_DIGITS for key in keys[0])


def test_a_rejected_upload_that_asks_for_less_removes_nothing() -> None:
    world = World(REMOVE + RECIPE)
    world.handle(upload(world, None, ONE))
    world.handle(upload(world, "thumbnail", b"no image"))
    assert made(world) == ALL


def test_a_repeated_call_for_an_image_that_asks_for_less_renders_nothing_again() -> None:
    world = World(RECIPE)
    world.handle(upload(world, "thumbnail none"))
    for _ in range(2):
        assert world.scaler.handle({"bucket": "source", "keys": ["a.jpg"]})["statusCode"] == 200
        assert world.store.puts == 2  # of the upload itself


def test_only_the_manifest_has_it_in_its_metadata() -> None:
    world = World(RECIPE)
    world.handle(upload(world, "web none thumbnail"))
    stored = {key: Provenance.of(world.store.objects[ObjectRef("destination", key)]) for key in world.written}
    asked = {key: provenance.asked for key, provenance in stored.items() if provenance}
    assert asked == dict.fromkeys(made(world)) | {MANIFEST: "thumbnail web"}
    world.handle(upload(world, "none"))
    provenance = Provenance.of(world.store.objects[ObjectRef("destination", MANIFEST)])
    assert provenance
    assert provenance.asked == "none"
    assert asked_in(provenance.asked) == ()


@pytest.mark.parametrize(
    "value",
    [
        "x" * 2000,
        "a " * 1000,
        "ä ö",
        "=?UTF-8?B?w6Q=?=",
        "web\x00",
        "../web",
        "; rm -rf",
        "web" * 30,
        "\u20ac,",
        "-web",
    ],
)
def test_metadata_of_any_content_is_never_a_crash(value: str) -> None:
    world = World(RECIPE)
    assert world.handle(upload(world, value))["statusCode"] == 200
    assert manifest(world)["renditions"] == []


def test_very_many_names_are_cut_off_so_that_the_metadata_of_the_manifest_stays_small() -> None:
    names = asked_renditions({"renditions": " ".join(f"name-{number:03}" for number in range(250))})
    assert names
    assert MAX_ASKED_CHARACTERS - 9 < len(" ".join(names)) <= MAX_ASKED_CHARACTERS
    assert asked_in(" ".join(names)) == names


def test_words_are_separated_by_blanks_and_commas() -> None:
    assert asked_words({"renditions": " b,a\tb ,, none\nc"}) == ["a", "b", "c"]
    assert asked_words({}) == []
    assert asked_renditions({}) is None
