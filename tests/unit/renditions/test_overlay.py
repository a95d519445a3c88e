"""Overlays: which sizes and places they get, and what renditions.toml may say of them."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.geometry import Position, Size
from image_scaler.renditions.overlay import Overlay, OverlayImage, OverlayLayout, Place
from image_scaler.renditions.spec import RenditionSpec
from image_scaler.renditions.toml import parse_recipe

LOGO = OverlayImage("0" * 64, Size(600, 200))
TABLE = '[renditions.a]\nwidth = 400\noverlay = { image = "overlays/logo.png"%s }\n'


def overlay(options: str = "", file: OverlayImage = LOGO) -> Overlay:
    (spec,) = parse_recipe(TABLE % options, read_overlay=lambda name: file).specs
    assert isinstance(spec, RenditionSpec)
    assert spec.overlay
    return spec.overlay


def lay_out(options: str, own: Size, rendition: Size) -> OverlayLayout:
    return overlay(options).lay_out(own, rendition)


def test_without_more_words_it_is_in_the_lower_right_corner() -> None:
    assert lay_out("", Size(600, 200), Size(1000, 500)) == (Size(150, 50), 1000 - 150 - 20, 500 - 50 - 20)


@pytest.mark.parametrize(
    ("position", "left", "top"),
    [
        ("left top", 20, 20),
        ("top", 400, 20),
        ("right top", 780, 20),
        ("left", 20, 200),
        ("centre", 400, 200),
        ("right", 780, 200),
        ("left bottom", 20, 380),
        ("bottom", 400, 380),
        ("right bottom", 780, 380),
        ("top left", 20, 20),
        ("bottom right", 780, 380),
        ("center", 400, 200),
    ],
)
def test_it_has_nine_places_at_the_margin(position: str, left: int, top: int) -> None:
    placed = lay_out(f', width = "20%", position = "{position}"', Size(600, 300), Size(1000, 500))
    assert placed == (Size(200, 100), left, top)


def test_its_places_are_the_positions_that_do_not_depend_on_the_pixels() -> None:
    assert set(get_args(Place)) == set(Position) - {Position.ATTENTION, Position.ENTROPY}


def test_it_is_never_enlarged() -> None:
    placed = lay_out(', width = "50%", margin = "0%", position = "left top"', Size(100, 40), Size(1000, 500))
    assert placed == (Size(100, 40), 0, 0)


def test_it_stays_within_the_margins() -> None:
    assert lay_out(', width = "100%", margin = "5%"', Size(2000, 100), Size(1000, 500)).size == Size(900, 45)


def test_in_a_low_picture_it_is_as_high_as_the_margins_leave_room_for() -> None:
    placed = lay_out(', width = "50%", margin = "2%", position = "centre"', Size(600, 600), Size(1000, 100))
    assert placed == (Size(60, 60), 470, 20)


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.sampled_from(["1%", "15%", "99.99%", "100%"]),
    st.sampled_from(["0%", "2%", "33.3%", "50%"]),
    st.sampled_from(get_args(Place)),
)
def test_it_is_always_within_the_rendition_and_never_enlarged(
    own: tuple[int, int], rendition: tuple[int, int], width: str, margin: str, position: Place
) -> None:
    drawn = Overlay(image="overlays/a.png", width=width, margin=margin, position=position, file=LOGO)
    size, left, top = drawn.lay_out(Size(*own), Size(*rendition))
    assert 1 <= size.width <= own[0]
    assert 1 <= size.height <= own[1]
    assert 0 <= left <= rendition[0] - size.width
    assert 0 <= top <= rendition[1] - size.height


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (', width = "0%"', "a text from 1% to 100% for renditions.a.overlay.width but received '0%' (a text)"),
        (', width = "101%"', "a text from 1% to 100% for renditions.a.overlay.width but received '101%' (a text)"),
        (", width = 15", "a text from 1% to 100% for renditions.a.overlay.width but received 15"),
        (', width = "15"', "for renditions.a.overlay.width but received '15' (a text)"),
        (', margin = "51%"', "a text from 0% to 50% for renditions.a.overlay.margin but received '51%' (a text)"),
        (", opacity = 0", "a number from 0.01 to 1 for renditions.a.overlay.opacity but received 0"),
        (", opacity = 80", "a number from 0.01 to 1 for renditions.a.overlay.opacity but received 80"),
        (', position = "attention"', "one of centre, top, right top, right, right bottom, bottom, left bottom, left,"),
        (", height = 3", "renditions.a.overlay has no field 'height'."),
        (", widht = 3", "Did you mean 'width'?"),
    ],
)
def test_a_wrong_value_is_refused_at_its_line(options: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        overlay(options)
    assert sentence in str(refusal.value)
    assert str(refusal.value).startswith("renditions.toml:3: ")


@pytest.mark.parametrize(
    "image",
    [
        *("logo.png", "/etc/passwd", "../logo.png", "overlays/../renditions.toml", "overlays/", "overlays", ""),
        *("overlays//a.png", "overlays\\\\a.png", "Overlays/a.png", "overlays/a/./b.png", "overlays/a\\u0000.png"),
        "overlays/.png",
    ],
)
def test_the_image_is_in_the_folder_of_overlays(image: str) -> None:
    asked = []
    with pytest.raises(ConfigError) as refusal:
        parse_recipe(
            f'[renditions.a]\nwidth = 4\noverlay = {{ image = "{image}" }}',
            read_overlay=lambda name: asked.append(name) or LOGO,  # type: ignore[func-returns-value]
        )
    assert "expected a file in overlays/ like overlays/logo.png for renditions.a.overlay.image" in str(refusal.value)
    assert asked == []


def test_an_overlay_is_a_table_with_an_image() -> None:
    for value, sentence in (
        ('"logo.png"', 'a table like { image = "overlays/logo.png"'),
        ("{}", "a file in overlays/ like overlays/logo.png for renditions.a.overlay.image but received none"),
    ):
        with pytest.raises(ConfigError) as refusal:
            parse_recipe(f"[renditions.a]\nwidth = 4\noverlay = {value}")
        assert sentence in str(refusal.value)


def test_a_copy_has_no_overlay() -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_recipe('[renditions.a]\noverlay = { image = "overlays/logo.png" }')
    assert "renditions.a.overlay needs a size, a format or a quality next to it" in str(refusal.value)


def test_all_steps_of_a_ladder_have_it() -> None:
    toml = '[renditions.a]\nwidths = [4, 8]\nformats = ["avif", "webp"]\noverlay = { image = "overlays/logo.png" }'
    specs = parse_recipe(toml, read_overlay=lambda name: LOGO).specs
    assert [isinstance(spec, RenditionSpec) and spec.overlay and spec.overlay.file for spec in specs] == [LOGO] * 4


def fingerprint(options: str = "", file: OverlayImage = LOGO) -> str:
    return parse_recipe(TABLE % options, read_overlay=lambda name: file).specs[0].fingerprint


def test_another_image_has_another_fingerprint_and_another_name_of_it_has_the_same() -> None:
    assert fingerprint() != parse_recipe("[renditions.a]\nwidth = 400").specs[0].fingerprint
    assert fingerprint() != fingerprint(file=OverlayImage("1" * 64, Size(600, 200)))
    renamed = parse_recipe((TABLE % "").replace("logo.png", "new.png"), read_overlay=lambda name: LOGO)
    assert renamed.specs[0].fingerprint == fingerprint()


def test_every_option_has_its_own_fingerprint_and_a_default_that_is_spelled_out_has_the_same() -> None:
    options = ['width = "16%"', 'position = "left"', 'margin = "3%"', "opacity = 0.9"]
    assert len({fingerprint(f", {option}") for option in options} | {fingerprint()}) == len(options) + 1
    spelled_out = ', width = "15.00%", position = "bottom right", margin = "2.0%", opacity = 1'
    assert fingerprint(spelled_out) == fingerprint()


def test_the_fingerprint_of_an_earlier_recipe_needs_only_the_hash_of_the_image() -> None:
    assert fingerprint(file=OverlayImage(LOGO.digest)) == fingerprint()
