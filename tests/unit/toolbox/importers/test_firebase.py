"""What each parameter of Firebase's extension Resize Images becomes."""

from typing import Any

import pytest

from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe
from toolbox.console import CommandError
from toolbox.importers.firebase import import_recipe
from toolbox.importers.imported_recipe import ImportedRecipe

UPLOADS = ["photo.JPG", "images/2024/my photo.png", "a.b/x.y.webp"]


def imported(*params: str) -> ImportedRecipe:
    found = import_recipe("\n".join(params))
    found.check()
    return found


def recipe(*params: str) -> Recipe:
    """The recipe of parameters that all have a counterpart."""
    found = imported(*params)
    assert found.differences == []
    return parse_recipe(found.text())


def table(*params: str) -> dict[str, Any]:
    found = imported(*params)
    assert found.differences == []
    (only,) = found.renditions.values()
    return only


@pytest.mark.parametrize(("type_", "path"), [("false", ""), ("false", "thumbs"), ("webp", "/a/b/"), ("jpeg", "thumbs")])
def test_keys_are_the_same(type_: str, path: str) -> None:
    found = recipe("IMG_SIZES=200x200, 640x480", f"IMAGE_TYPE={type_}", f"RESIZED_IMAGES_PATH={path}")
    for upload in UPLOADS:
        folder, slash, name = upload.rpartition("/")
        stem, _, extension = name.rpartition(".")
        inner = path.strip("/") + "/" if path else ""
        ending = extension if type_ == "false" else type_
        keys = [f"{folder}{slash}{inner}{stem}_{size}.{ending}" for size in ("200x200", "640x480")]
        assert [target.key for target in found.plan_for(upload).targets] == keys


def test_without_parameters_a_picture_is_fitted_into_200_by_200_and_not_enlarged() -> None:
    assert table() == {
        "width": 200,
        "height": 200,
        "fit": "inside",
        "quality": 80,
        "key": "{dir}{stem}_200x200{source_ext}",
    }
    (spec,) = recipe().specs
    assert spec.without_enlargement  # type: ignore[union-attr]


def test_each_size_has_a_table() -> None:
    assert list(imported("IMG_SIZES=200x200,400x300").renditions) == ["200x200", "400x300"]


@pytest.mark.parametrize("size", ["200", "0x5", "axb", "50%"])
def test_what_is_no_size_is_refused(size: str) -> None:
    assert imported(f"IMG_SIZES={size}").differences[0] == f"IMG_SIZES: {size!r} is not a width and a height"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ('{"fit": "cover"}', {"fit": "cover"}),
        ('{"fit": "cover", "position": "centre"}', {"position": "centre"}),
        ('{"fit": "cover", "position": "northwest"}', {"position": "left top"}),
        ('{"fit": "cover", "gravity": 4}', {"position": "left"}),
        ('{"fit": "cover", "position": 17}', {"position": "attention"}),
        ('{"withoutEnlargement": false}', {"without_enlargement": False, "fit": "inside"}),
        ('{"fit": "contain", "background": "white"}', {"background": "#ffffff"}),
        ('{"fit": "contain", "background": {"r": 255, "g": 0, "b": 16, "alpha": 0}}', {"background": "#ff001000"}),
    ],
)
def test_sharp_options_that_have_a_counterpart(options: str, expected: dict[str, Any]) -> None:
    assert table(f"SHARP_OPTIONS={options}").items() >= expected.items()


@pytest.mark.parametrize(
    "options", ['{"kernel": "nearest"}', '{"position": 99}', '{"background": "nocolour"}', '{"fit": "x"}']
)
def test_sharp_options_without_a_counterpart_are_refused(options: str) -> None:
    assert imported(f"SHARP_OPTIONS={options}").differences


def test_sharp_options_that_change_no_picture_are_noted() -> None:
    assert imported('SHARP_OPTIONS={"fastShrinkOnLoad": false}').notes[0].startswith("SHARP_OPTIONS.fastShrinkOnLoad")


def test_several_types_have_a_table_each_with_the_quality_that_sharp_gave_them() -> None:
    found = imported("IMAGE_TYPE=jpeg,webp,avif,png,gif", "RESIZED_IMAGES_PATH=t")
    assert found.differences == []
    qualities = {name: rendition.get("quality") for name, rendition in found.renditions.items()}
    assert qualities == {
        "200x200-jpeg": 80,
        "200x200-webp": 80,
        "200x200-avif": 50,
        "200x200-png": None,
        "200x200-gif": None,
    }


def test_tiff_is_refused() -> None:
    assert "IMAGE_TYPE: tiff is not written" in imported("IMAGE_TYPE=tiff,webp").differences


def test_output_options_are_noted_because_they_had_no_effect() -> None:
    found = imported('OUTPUT_OPTIONS={"jpeg": {"quality": 5}}', "IMAGE_TYPE=jpeg")
    assert found.notes[0].startswith("OUTPUT_OPTIONS: it had no effect")
    assert found.renditions["200x200"]["quality"] == 80


def test_animations_stay_animations_unless_they_were_not() -> None:
    assert "animated" not in table("IMAGE_TYPE=webp")
    assert table("IMAGE_TYPE=webp", "IS_ANIMATED=false")["animated"] is False
    assert table("IMAGE_TYPE=avif")["animated"] is False


def test_folders_become_rules_in_which_exclusion_comes_first() -> None:
    found = recipe("INCLUDE_PATH_LIST=/users/*/pictures,/public", "EXCLUDE_PATH_LIST=/users/private")
    for key, is_made in {
        "users/a/b/pictures/x.jpg": True,
        "public/x.jpg": True,
        "users/private/pictures/x.jpg": False,
        "x.jpg": False,
    }.items():
        assert bool(found.plan_for(key).targets) is is_made, key


def test_excluded_folders_alone_leave_all_others() -> None:
    found = recipe("EXCLUDE_PATH_LIST=/raw")
    assert found.plan_for("a/x.jpg").targets
    assert not found.plan_for("raw/x.jpg").targets


def test_a_star_within_a_folders_name_is_refused() -> None:
    assert imported("INCLUDE_PATH_LIST=/user*").differences[0].startswith("INCLUDE_PATH_LIST: there is no pattern")


def test_cache_control_is_that_of_the_parameter() -> None:
    assert table("CACHE_CONTROL_HEADER=max-age=7")["cache_control"] == "max-age=7"


@pytest.mark.parametrize(
    "param",
    [
        "IMG_BUCKET=b",
        "DELETE_ORIGINAL_FILE=on_success",
        "MAKE_PUBLIC=true",
        "REGENERATE_TOKEN=true",
        "FAILED_IMAGES_PATH=failed",
        "FUNCTION_MEMORY=1024",
        "PLACEHOLDER_IMAGE_PATH=x.png",
        "EVENTARC_CHANNEL=projects/a",
    ],
)
def test_a_parameter_that_changes_no_picture_is_noted(param: str) -> None:
    found = imported(param, "IMAGE_TYPE=webp")
    assert [note.partition(":")[0] for note in found.notes] == [param.partition("=")[0]]
    assert found.differences == []


@pytest.mark.parametrize("param", ["CONTENT_FILTER_LEVEL=BLOCK_ONLY_HIGH", "CUSTOM_FILTER_PROMPT=no cats", "NEW=1"])
def test_a_parameter_that_may_change_pictures_is_refused(param: str) -> None:
    assert imported(param).differences[0].startswith(param.partition("=")[0])


def test_a_folder_above_that_of_the_source_is_refused() -> None:
    assert imported("RESIZED_IMAGES_PATH=../thumbs").differences[0].startswith("RESIZED_IMAGES_PATH")


def test_the_original_type_next_to_another_one_is_refused_because_two_sources_could_share_a_key() -> None:
    assert "could both write one key" in imported("IMAGE_TYPE=false,webp").differences[0]


@pytest.mark.parametrize("text", ["IMG_SIZES", "SHARP_OPTIONS={", "SHARP_OPTIONS=[]"])
def test_what_is_no_file_of_parameters_is_refused(text: str) -> None:
    with pytest.raises(CommandError):
        import_recipe(text)


def test_comments_and_quotes_are_those_of_an_env_file() -> None:
    assert list(imported("# sizes", "", "IMG_SIZES='300x300'").renditions) == ["300x300"]
