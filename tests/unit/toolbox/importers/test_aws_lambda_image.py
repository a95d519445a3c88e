"""What each field of aws-lambda-image's config.json becomes."""

import json
from typing import Any

import pytest

from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe
from toolbox.console import CommandError
from toolbox.importers.aws_lambda_image import import_recipe
from toolbox.importers.imported_recipe import ImportedRecipe


def imported(config: dict[str, Any]) -> ImportedRecipe:
    found = import_recipe(json.dumps(config))
    found.check()
    return found


def table(resize: dict[str, Any], **config: Any) -> dict[str, Any]:
    found = imported({"resizes": [{"size": 300, "directory": "./s", **resize}], **config})
    assert found.differences == []
    (only,) = found.renditions.values()
    return only


def recipe(config: dict[str, Any]) -> Recipe:
    found = imported(config)
    assert found.differences == []
    return parse_recipe(found.text())


def refused(resize: dict[str, Any]) -> str:
    return imported({"resizes": [{"size": 300, "directory": "./s", **resize}]}).differences[0]


@pytest.mark.parametrize(
    ("size", "box"),
    [
        (300, {"width": 300, "without_enlargement": False}),
        ("x300", {"height": 300, "without_enlargement": False}),
        ("300x200", {"width": 300, "height": 200, "fit": "inside", "without_enlargement": False}),
        ("300x200^", {"width": 300, "height": 200, "fit": "outside", "without_enlargement": False}),
        ("300x200!", {"width": 300, "height": 200, "fit": "fill", "without_enlargement": False}),
        ("300x200>", {"width": 300, "height": 200, "fit": "inside", "without_enlargement": True}),
    ],
)
def test_a_geometry_is_a_size_and_a_fit_that_enlarges(size: Any, box: dict[str, Any]) -> None:
    found = table({"size": size})
    assert found.items() >= box.items()
    assert found.keys() - box.keys() == {"quality", "progressive", "palette", "key"}


@pytest.mark.parametrize("size", ["50%", "300x200<", "10000@", "300!", "x200^", "300x200^!", "big"])
def test_a_geometry_without_a_counterpart_is_refused(size: str) -> None:
    assert refused({"size": size}) == f"resizes[0].size: there is no option for {size!r}"


@pytest.mark.parametrize(
    ("gravity", "position"),
    [
        ({"gravity": "Center"}, "centre"),
        ({"gravity": "North"}, "top"),
        ({"gravity": "NorthEast"}, "right top"),
        ({}, "left top"),
    ],
)
def test_a_crop_to_the_size_covers_it(gravity: dict[str, str], position: str) -> None:
    found = table({"size": "600x400^", "crop": "600x400", **gravity})
    assert found.items() >= {"fit": "cover", "position": position, "width": 600, "height": 400}.items()


@pytest.mark.parametrize(("size", "crop"), [("600x400^", "600x400+1+0"), ("600x400", "600x400"), ("600x400^", "9x9")])
def test_other_crops_are_refused(size: str, crop: str) -> None:
    assert refused({"size": size, "crop": crop}).startswith("resizes[0].crop")


def test_a_gravity_that_is_not_known_is_refused() -> None:
    assert refused({"size": "6x4^", "crop": "6x4", "gravity": "Forget"}).startswith("resizes[0].gravity")


def test_a_format_has_its_quality_and_its_extension() -> None:
    jpeg = {"format": "jpeg", "quality": 75, "progressive": True, "key": "{dir}s/{stem}.jpg"}
    assert table({"format": "jpg"}).items() >= jpeg.items()
    assert table({"format": "jpeg", "quality": 90})["quality"] == 90
    png = table({"format": "png"})
    assert png["palette"] is True
    assert png.keys().isdisjoint({"quality", "progressive"})
    assert refused({"format": "webp"}).startswith("resizes[0].format")


def test_a_background_is_a_colour_in_hexadecimal_and_needs_jpeg() -> None:
    assert table({"background": "white", "format": "jpg"})["background"] == "#ffffff"
    assert table({"background": "#f00", "format": "jpg"})["background"] == "#ff0000"
    assert refused({"background": "white"}).startswith("resizes[0].background: transparent PNGs")
    assert refused({"background": "octarine", "format": "jpg"}).startswith("resizes[0].background")


def test_cache_control_is_that_of_the_resize_else_of_the_file() -> None:
    assert table({"cacheControl": "no-store"}, cacheControl="max-age=7")["cache_control"] == "no-store"
    assert table({}, cacheControl="max-age=7")["cache_control"] == "max-age=7"
    assert "cache_control" not in table({"cacheControl": None}, cacheControl="max-age=7")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"directory": "./resized/small"}, "a/b/resized/small/photo.JPG"),
        ({"directory": "."}, "a/b/photo.JPG"),
        ({"directory": "small"}, "small/photo.JPG"),
        ({"directory": "small/x/"}, "small/x/photo.JPG"),
        ({"prefix": "resized-", "directory": "./s"}, "a/b/s/resized-photo.JPG"),
        ({"suffix": "_medium"}, "a/b/photo_medium.JPG"),
        ({"suffix": "{x}"}, "a/b/photo{x}.JPG"),
        ({"suffix": "_m", "format": "jpg"}, "a/b/photo_m.jpg"),
        ({"suffix": "_m", "format": "jpg", "keepExtension": True}, "a/b/photo_m.JPG"),
    ],
)
def test_keys_are_the_same(options: dict[str, Any], key: str) -> None:
    (target,) = recipe({"resizes": [{"size": 300, **options}]}).plan_for("a/b/photo.JPG").targets
    assert target.key == key


def test_extensions_that_were_replaced_by_jpg_are_noted() -> None:
    assert imported({"resizes": [{"size": 3}]}).notes[0].startswith("keepExtension")
    assert imported({"keepExtension": True, "resizes": [{"size": 3}]}).notes == []


@pytest.mark.parametrize("directory", ["../small", ".."])
def test_a_folder_above_that_of_the_source_is_refused(directory: str) -> None:
    assert refused({"directory": directory}).startswith("resizes[0].directory")


def test_a_template_is_refused() -> None:
    assert refused({"template": {"pattern": "*path", "output": "x"}}).startswith("resizes[0].template")


def test_a_table_has_the_name_of_the_last_folder_or_the_suffix_or_the_size() -> None:
    resizes = [
        {"size": 1, "directory": "./x/Small"},
        {"size": 2, "suffix": "_medium"},
        {"size": "300x200!", "suffix": "", "directory": "./"},
        {"size": 4, "directory": "./y/small"},
    ]
    assert list(imported({"resizes": resizes}).renditions) == ["small", "medium", "300x200", "small-2"]


def test_a_backup_is_a_copy() -> None:
    found = imported({"backup": {"directory": "./original", "move": True}, "cacheControl": "max-age=1"})
    assert found.renditions == {"original": {"key": "{dir}original/{stem}{source_ext}"}}
    assert [note.partition(":")[0] for note in found.notes] == ["backup.move", "backup.cacheControl", "keepExtension"]
    assert found.differences == []


def test_a_backup_without_the_folders_of_the_source_is_refused() -> None:
    (difference,) = imported({"backup": {"directory": "original"}}).differences
    assert "two sources could share the key of rendition original" in difference


def test_reduce_encodes_without_a_size() -> None:
    found = imported({"reduce": {"directory": "./reduced", "quality": 90}})
    assert found.differences == []
    assert found.renditions == {
        "reduced": {"quality": 90, "progressive": True, "palette": True, "key": "{dir}reduced/{stem}{source_ext}"}
    }


def test_one_bucket_is_noted_and_several_are_refused() -> None:
    assert imported({"bucket": "b", "resizes": [{"size": 3, "bucket": "b"}]}).differences == []
    (difference,) = imported({"bucket": "b", "resizes": [{"size": 3, "bucket": "c"}]}).differences
    assert difference == "bucket: there is one destination bucket, and not 2"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bucket", "b"),
        ("acl", "public-read"),
        ("orientation", True),
        ("changeExtension", True),
        ("jpegOptimizer", "jpegoptim"),
        ("optimizers", {}),
        ("cacheControl", None),
    ],
)
def test_a_field_that_changes_no_picture_is_noted(field: str, value: Any) -> None:
    found = imported({"resizes": [{"size": 300, "format": "jpg", "directory": "./s", field: value}]})
    assert [note.partition(":")[0] for note in found.notes] == [f"resizes[0].{field}"]
    assert found.differences == []


def test_a_field_that_is_not_known_is_refused() -> None:
    assert refused({"blur": 3}) == "resizes[0].blur: this field is not known"
    assert imported({"resize": []}).differences[0] == "resize: this field is not known"


def test_a_resize_without_a_size_made_nothing() -> None:
    found = imported({"resizes": [{"directory": "./a"}, {"size": 3, "directory": "./b"}]})
    assert list(found.renditions) == ["b"]
    assert found.notes[0].startswith("resizes[0].size")


@pytest.mark.parametrize("text", ["{", "[]", '{"resizes": [3]}', '{"reduce": true}'])
def test_what_is_no_config_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        import_recipe(text)
