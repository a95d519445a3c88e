"""The recipe of `image-scaler play`: mistakes with their lines, and what an edit changes."""

from pathlib import Path

import pytest
import pyvips

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Point, Size
from image_scaler.renditions.toml import parse_recipe
from tests import ROOT
from tests.support import drawing
from tests.unit.toolbox.play.playing import RECIPE
from toolbox.play.draft import Draft, read_draft, set_value

SIZE = Size(1200, 800)
LADDER = '[renditions.web]\nwidths = [200, 400, 800]\nformats = ["avif", "webp"]\n'


def recipe(text: str) -> Draft:
    read, mistakes = read_draft(text, Path())
    assert mistakes == []
    assert read
    return read


def keys(text: str, size: Size | None = SIZE, focal_point: Point | None = None) -> dict[str, str]:
    return dict(recipe(text).cache_keys("photo.jpg", size, focal_point))


def changed(before: str, after: str) -> set[str]:
    """The columns that an edit renders again, or for the first time."""
    old = keys(before)
    return {column for column, key in keys(after).items() if old.get(column) != key}


def test_a_searched_quality_is_rendered_again_with_the_steps_that_it_begins_from() -> None:
    searched = LADDER + 'quality = "high"\n'
    other = "[renditions.small]\nwidth = 90\n"
    narrower = searched.replace("[200, 400, 800]", "[100, 400, 800]")
    web = {f"web-{width}.{format}" for width in (100, 400, 800) for format in ("avif", "webp")}
    assert changed(searched + other, narrower + other) >= web
    assert changed(searched + other, searched + other.replace("90", "91")) == {"small"}


def test_an_edit_of_the_shipped_thumbnail_leaves_the_ladder_alone_and_the_other_way_round() -> None:
    shipped = (ROOT / "renditions.toml").read_text(encoding="utf-8")
    assert changed(shipped, shipped.replace("height = 320", "height = 300")) == {"thumbnail.webp"}
    assert changed(shipped, shipped.rstrip().removesuffix('"high"') + '"medium"') == {
        f"web-{width}.{format}" for width in (640, 1280, 1920) for format in ("avif", "webp")
    }


def test_a_step_that_may_leave_out_a_format_is_rendered_as_a_whole() -> None:
    compared = LADDER + "skip_larger = true\n"
    assert changed(compared, compared.replace('"webp"]', '"webp", "jpeg"]')) >= {"web-200.avif", "web-200.webp"}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[renditions.a]\nwidth = \n", [2]),
        ("[renditions.a]\nwidth = 1\nwidth = 2\n", [3]),
        ('[renditions.a]\nformat = "webp', [2]),
        ("", [1]),
        ("# a comment\n[limits]\n", [1]),
        ("manifst = true\n[renditions.a]\n", [1]),
        ("[renditions.a]\n[limit]\n", [2]),
        ("[renditions.a]\n\n  width = 0 # none\n", [3]),
        ("[renditions.a]\nwidth = 5\nwidths = [5]\n", [3]),
        ("[renditions.A]\nwidth = 5\n", [1]),
        ("[renditions.a]\nwidths = [\n  5,\n  0,\n]\n", [2]),
        ("[renditions.a]\nwidth = 0\n[renditions.b]\nhight = 1\n[limits]\npixels = 0\n", [2, 4, 6]),
        (
            '[renditions.a]\n[[rules]]\nmatch = "x"\nrenditions = ["a"]\n[[rules]]\nmatch = "y"\nrenditions = ["b"]\n',
            [7],
        ),
        ('[renditions.a]\nwidth = 1\n[renditions.b]\nkey = "a/{key}"\nwidth = 2\n', [4]),
        ('[renditions.a]\nwidth = 1\nkey = "manifests/{key}"\n', [3]),
        ("renditions.a.width = 0\n", [1]),
        ("[renditions]\na = {width = 0}\n", [2]),
        ("[renditions.a]\nfit = 'cover'\n", [2]),
        ("[renditions.a]\nformat = 'png'\neffort = 3\n", [3]),
    ],
)
def test_each_mistake_has_its_line(text: str, lines: list[int]) -> None:
    read, mistakes = read_draft(text, Path())
    assert read is None
    assert [mistake.line for mistake in mistakes] == lines


def test_the_sentence_of_a_mistake_is_that_of_check() -> None:
    with pytest.raises(ConfigError) as raised:
        parse_recipe("[renditions.a]\nwidht = 1\n")
    assert list(map(str, read_draft("[renditions.a]\nwidht = 1\n", Path())[1])) == [str(raised.value)]


@pytest.mark.parametrize("text", ["[" * 50_000, "a = " + "[" * 50_000, "\0", "x" * 300_000, "\n" * 60_000])
def test_no_text_is_too_much(text: str) -> None:
    read, mistakes = read_draft(text, Path())
    assert read is None
    assert mistakes


def test_a_column_has_the_name_and_the_format_of_its_rendition() -> None:
    columns = recipe(RECIPE + LADDER).columns
    assert [column.id for column in columns] == [
        *("original", "card.webp", "large.webp"),
        *("web-200.avif", "web-200.webp", "web-400.avif", "web-400.webp", "web-800.avif", "web-800.webp"),
    ]
    assert {column.table for column in columns} == {"original", "card", "large", "web"}
    defaults = [format.traits.default_quality for format in (Format.WEBP, Format.WEBP, Format.AVIF)]
    assert [column.quality for column in columns[:4]] == [None, *defaults]
    assert [column.id for column in columns if column.has_focal_point] == ["card.webp"]


def test_an_edit_changes_its_own_column_only() -> None:
    assert changed(RECIPE, RECIPE + "quality = 70\n") == {"large.webp"}
    assert changed(RECIPE, RECIPE + "# a comment\n") == set()
    assert changed(RECIPE, RECIPE.replace("height = 120", "height = 100")) == {"card.webp"}
    assert changed(RECIPE, RECIPE + LADDER) >= {"web-200.avif", "web-800.webp"}


def test_a_size_changes_the_smaller_renditions_that_are_scaled_from_it_and_no_larger_ones() -> None:
    assert changed(LADDER, LADDER.replace("400", "500")) == {
        *("web-200.avif", "web-200.webp"),
        *("web-500.avif", "web-500.webp"),
    }


def test_the_limits_may_change_everything() -> None:
    assert changed(RECIPE, RECIPE + "[limits]\npixels = 10\n") == {"card.webp", "large.webp"}


def test_a_focal_point_changes_crops_only() -> None:
    before, after = keys(RECIPE), keys(RECIPE, focal_point=Point(0.1, 0.2))
    assert {column for column in before if before[column] != after[column]} == {"card.webp"}


def test_a_value_is_set_without_touching_anything_else() -> None:
    text = set_value(RECIPE, "card", "width", 200)
    assert text == RECIPE.replace("width = 120 # of the list", "width = 200 # of the list")
    with pytest.raises(ConfigError, match=r"cannot set width of renditions\.none"):
        set_value(RECIPE, "none", "width", 1)
    with pytest.raises(ConfigError, match="cannot set width"):
        set_value("[", "card", "width", 1)


def test_another_logo_or_another_place_of_it_renders_only_its_own_columns_again(tmp_path: Path) -> None:
    def keys_with(logo: pyvips.Image, text: str) -> set[tuple[str, str]]:
        (tmp_path / "overlays" / "logo.png").write_bytes(drawing.png(logo))
        read, mistakes = read_draft(text, tmp_path)
        assert (read is not None, mistakes) == (True, [])
        assert read
        return set(read.cache_keys("photo.jpg", SIZE, None).items())

    (tmp_path / "overlays").mkdir()
    text = LADDER + '[renditions.card]\nwidth = 90\noverlay = { image = "overlays/logo.png" }\n'
    before = keys_with(drawing.quadrants(20, 10), text)
    moved = keys_with(drawing.quadrants(20, 10), text.replace(" }", ', position = "left" }'))
    assert {column for column, _ in moved - before} == {"card"}
    assert {column for column, _ in keys_with(drawing.quadrants(30, 10), text) - before} == {"card"}


def test_a_logo_that_does_not_exist_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    text = '[renditions.card]\nwidth = 90\noverlay = { image = "overlays/logo.png" }\n'
    read, (mistake,) = read_draft(text, tmp_path)
    assert read is None
    assert mistake.line == 3
    assert "No such file" in str(mistake)


def test_a_column_names_its_overlay(tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "logo.png").write_bytes(drawing.png())
    read, _ = read_draft('[renditions.a]\nwidth = 90\noverlay = { image = "overlays/logo.png" }\n', tmp_path)
    assert read
    assert read.columns[0].description == "90 × any, overlay logo.png"  # noqa: RUF001  the sign of multiplication
