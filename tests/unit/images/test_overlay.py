"""What an overlay makes of the pixels of a rendition."""

from collections.abc import Sequence

import numpy as np
import pytest
import pyvips

from image_scaler.exceptions import ImageTooLargeError
from image_scaler.images import decoding
from image_scaler.images.header import read_header
from image_scaler.images.overlay import OverlayPainter, open_overlay
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.images.ssimulacra2 import Reference
from image_scaler.renditions.geometry import Point
from image_scaler.renditions.limits import IDLE_MEMORY, Limits
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import BLUE, GREEN, RED, YELLOW, decoded, is_near

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MAGENTA = (200, 0, 200)
MIDDLE = 'position = "centre", width = "50%", margin = "0%"'


def flat(colour: Sequence[int], width: int = 40, height: int = 20) -> pyvips.Image:
    """One colour: of one value a grey, of two a grey with alpha."""
    image = pyvips.Image.black(width, height, bands=len(colour)) + list(colour)
    return image.cast("uchar").copy(interpretation="srgb" if len(colour) > 2 else "b-w")


def render(
    body: bytes,
    logo: pyvips.Image | bytes,
    table: str = 'width = 100\nformat = "png"',
    overlay: str = MIDDLE,
    *,
    focal_point: Point | None = None,
    limits: Limits | None = None,
) -> Rendition:
    file = open_overlay(logo if isinstance(logo, bytes) else drawing.png(logo))
    options = f'overlay = {{ image = "overlays/logo.png", {overlay} }}' if overlay else ""
    recipe = parse_recipe(f"[renditions.x]\n{table}\n{options}", read_overlay=lambda name: file)
    source = SourceImage(body, limits) if limits else SourceImage(body)
    (rendition,) = source.render(recipe.plan_for("a.png").renditions, focal_point)
    return rendition


def pixels(rendition: Rendition) -> np.ndarray:
    return decoded(rendition.body).numpy()


def colour_at(rendition: Rendition, x: float, y: float) -> tuple[int, ...]:
    """The colour at a place from 0 to 1."""
    image = pixels(rendition)
    return tuple(int(value) for value in image[int(y * (image.shape[0] - 1)), int(x * (image.shape[1] - 1))])


def test_the_overlay_is_in_its_place_and_all_other_pixels_are_as_without_it() -> None:
    body = drawing.png(drawing.photo(200, 100))
    image = pixels(render(body, flat(MAGENTA, 60, 20)))
    plain = pixels(render(body, flat(MAGENTA), overlay=""))
    assert (image[17:33, 25:75] == MAGENTA).all()
    image[16:34, 25:75] = plain[16:34, 25:75]
    assert (image == plain).all()


def test_its_transparency_and_its_opacity_show_the_picture_below() -> None:
    body = drawing.png(flat(WHITE, 100, 100))
    logo = flat((0, 0, 0, 255)).insert(flat((0, 0, 0, 0), 20), 0, 0)
    for opacity, dark in ((1.0, 0), (0.8, 51), (0.5, 127)):
        rendition = render(body, logo, overlay=f"{MIDDLE}, opacity = {opacity}")
        assert colour_at(rendition, 0.4, 0.5) == WHITE
        assert is_near(colour_at(rendition, 0.6, 0.5), (dark,) * 3, 2)


def test_a_transparent_picture_stays_transparent_around_it() -> None:
    body = drawing.png(drawing.with_alpha(flat(BLUE, 100, 100)))
    rendition = render(body, flat((*MAGENTA, 128)))
    assert colour_at(rendition, 0.1, 0.1)[3] == 0
    assert colour_at(rendition, 0.4, 0.5) == (*MAGENTA, 128)
    assert is_near(colour_at(rendition, 0.6, 0.5), (115, 30, 210, 255), 3)


def test_a_jpeg_has_the_background_behind_a_transparent_picture_and_the_overlay_on_it() -> None:
    body = drawing.png(drawing.with_alpha(flat(BLUE, 100, 100)))
    rendition = render(body, flat(MAGENTA), 'width = 100\nformat = "jpeg"\nquality = 95\nbackground = "#00ff00"')
    assert is_near(colour_at(rendition, 0.1, 0.1), (0, 255, 0))
    assert is_near(colour_at(rendition, 0.45, 0.5), MAGENTA)


def test_a_picture_without_transparency_gets_none() -> None:
    assert decoded(render(drawing.png(flat(BLUE, 100, 100)), flat((*MAGENTA, 100))).body).bands == 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_it_is_upright_on_a_picture_that_was_stored_turned(orientation: int) -> None:
    upright = drawing.quadrants(200, 100)
    stored = {1: upright, 3: upright.rot180(), 6: upright.rot270(), 8: upright.rot90()}[orientation]
    rendition = render(drawing.jpeg(stored, orientation=orientation), drawing.quadrants(80, 40))
    for x, y, colour in ((0.4, 0.4, RED), (0.6, 0.4, GREEN), (0.4, 0.6, BLUE), (0.6, 0.6, YELLOW)):
        assert is_near(colour_at(rendition, x, y), colour)
    for x, y, colour in ((0.1, 0.1, RED), (0.9, 0.1, GREEN), (0.1, 0.9, BLUE), (0.9, 0.9, YELLOW)):
        assert is_near(colour_at(rendition, x, y), colour)


def test_an_overlay_that_is_stored_turned_is_upright() -> None:
    logo = drawing.jpeg(drawing.quadrants(80, 40).rot270(), orientation=6)
    rendition = render(drawing.png(flat(WHITE, 200, 100)), logo)
    assert decoded(rendition.body).height == 50
    for x, y, colour in ((0.3, 0.35, RED), (0.7, 0.35, GREEN), (0.3, 0.65, BLUE), (0.7, 0.65, YELLOW)):
        assert is_near(colour_at(rendition, x, y), colour)


def test_it_is_drawn_after_a_crop() -> None:
    rendition = render(
        drawing.png(drawing.quadrants(200, 100)),
        flat(MAGENTA),
        'width = 50\nheight = 50\nformat = "png"',
        'position = "left top", width = "20%", margin = "0%"',
        focal_point=Point(1, 1),
    )
    image = pixels(rendition)
    assert (image[:5, :10] == MAGENTA).all()
    assert is_near(tuple(image[40, 40]), YELLOW)


@pytest.mark.parametrize("position", ["attention", "entropy"])
def test_a_crop_is_chosen_without_it(position: str) -> None:
    body = drawing.png(drawing.face_under_a_sky(480, 320, 48))
    table = f'width = 100\nheight = 100\nformat = "png"\nposition = "{position}"'
    image, plain = pixels(render(body, drawing.photo(40, 20), table)), pixels(render(body, flat(WHITE), table, ""))
    assert (image[:30] == plain[:30]).all()
    assert (image[70:] == plain[70:]).all()


def test_it_is_drawn_on_the_whole_of_a_letterbox() -> None:
    rendition = render(
        drawing.png(flat(BLUE, 100, 20)),
        flat(MAGENTA),
        'width = 100\nheight = 100\nfit = "contain"\nformat = "png"',
        'position = "top", width = "20%", margin = "0%"',
    )
    image = pixels(rendition)
    assert (image[0, 40:60] == MAGENTA).all()
    assert tuple(image[0, 0]) == WHITE
    assert tuple(image[50, 50]) == BLUE


def test_it_is_as_large_as_the_rendition_is_and_not_as_was_asked_for() -> None:
    rendition = render(drawing.png(flat(BLUE, 60, 30)), flat(MAGENTA, 200, 20), 'width = 1000\nformat = "png"')
    assert rendition.size == (60, 30)
    assert ((pixels(rendition) == MAGENTA).all(axis=2).sum(axis=1) == 30).sum() == 3


def test_a_grey_picture_stays_grey_under_a_grey_overlay() -> None:
    body = drawing.png(flat((200,), 100, 100))
    image = decoded(render(body, flat((20, 255))).body)
    assert image.bands == 1
    assert (image(50, 50), image(2, 2)) == ([20], [200])


@pytest.mark.parametrize("alpha", [(), (255,), (128,)])
def test_a_grey_picture_becomes_a_coloured_one_under_a_coloured_overlay(alpha: tuple[int, ...]) -> None:
    rendition = render(drawing.png(flat((200, *alpha), 100, 100)), flat(MAGENTA))
    assert colour_at(rendition, 0.5, 0.5)[:3] == MAGENTA
    assert colour_at(rendition, 0.01, 0.01)[:3] == (200, 200, 200)


def test_a_grey_overlay_is_grey_on_a_coloured_picture() -> None:
    rendition = render(drawing.png(flat(BLUE, 100, 100)), flat((70,)))
    assert colour_at(rendition, 0.5, 0.5) == (70, 70, 70)


def test_on_cmyk_it_has_its_own_colours() -> None:
    cmyk = flat(BLUE, 100, 100).icc_transform("cmyk", input_profile="srgb")
    rendition = render(cmyk.jpegsave_buffer(Q=95), flat(MAGENTA))
    assert colour_at(rendition, 0.5, 0.5) == MAGENTA


@pytest.mark.parametrize("keeps", ["true", "false"])
def test_in_a_wide_profile_that_is_kept_it_looks_as_in_srgb(keeps: str) -> None:
    wide = flat(GREEN, 100, 100).icc_transform("p3", input_profile="srgb")
    body = wide.pngsave_buffer(keep="icc")
    rendition = render(body, flat(MAGENTA), f'width = 100\nformat = "png"\nkeep_profile = {keeps}')
    image = decoded(rendition.body)
    assert bool(image.get_typeof("icc-profile-data")) == (keeps == "true")
    if keeps == "true":
        assert image(50, 50) != list(MAGENTA)  # in the numbers of the profile
        image = image.icc_transform("srgb", embedded=True)
    assert is_near(tuple(map(int, image(50, 50))), MAGENTA, 4)
    assert is_near(tuple(map(int, image(2, 2))), GREEN, 4)


def test_an_overlay_in_a_wide_profile_is_converted_to_srgb() -> None:
    logo = flat(MAGENTA).icc_transform("p3", input_profile="srgb").pngsave_buffer(keep="icc")
    assert is_near(colour_at(render(drawing.png(flat(BLUE, 100, 100)), logo), 0.5, 0.5), MAGENTA, 4)


@pytest.mark.parametrize("format", ["webp", "gif", "avif"])
def test_every_frame_of_an_animation_has_it(format: str) -> None:
    colours = [RED, GREEN, BLUE, WHITE]
    roll = pyvips.Image.arrayjoin([flat(colour, 80, 80) for colour in colours], across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 80)
    rendition = render(roll.gifsave_buffer(), flat(MAGENTA), f'width = 80\nformat = "{format}"')
    assert rendition.made.animated
    header = read_header(rendition.body, Limits())
    frames = decoding.decode(rendition.body, header, header.size, header.frames)
    assert len(frames) == 4
    for frame, colour in zip(frames, colours, strict=True):
        assert is_near(tuple(map(int, frame(40, 40)))[:3], MAGENTA, 16)
        assert is_near(tuple(map(int, frame(4, 4)))[:3], colour, 16)


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "gif"])
def test_a_rendition_of_the_size_and_the_format_of_its_source_has_it(format: str) -> None:
    savers = {"avif": lambda: flat(BLUE, 100, 100).heifsave_buffer(compression="av1", Q=10)}
    body = savers.get(format, lambda: getattr(flat(BLUE, 100, 100), f"{format}save_buffer")())()
    rendition = render(body, drawing.photo(60, 60), f'format = "{format}"')
    assert not is_near(colour_at(rendition, 0.5, 0.5)[:3], BLUE, 60)


def test_the_score_is_of_the_picture_with_it() -> None:
    body, logo = drawing.jpeg(drawing.photo(300, 200)), drawing.face_under_a_sky(240, 160, 64)
    table, overlay = 'width = 200\nformat = "webp"\nquality = "high"', 'width = "96%", margin = "0%"'
    with_it, without = render(body, logo, table, overlay), render(body, logo, table, "")
    assert with_it.made.score is not None
    assert 68 <= with_it.made.score <= 76
    assert with_it.made.quality != without.made.quality
    original = decoded(render(body, logo, 'width = 200\nformat = "png"', overlay).body)
    assert abs(Reference(original).score(decoded(with_it.body)).overall - with_it.made.score) < 0.5


def test_the_original_for_a_score_has_it() -> None:
    file = open_overlay(drawing.png(flat(MAGENTA)))
    toml = f'[renditions.x]\nwidth = 100\noverlay = {{ image = "overlays/logo.png", {MIDDLE} }}'
    targets = parse_recipe(toml, read_overlay=lambda name: file).plan_for("a.png").renditions
    rendering = SourceImage(drawing.png(flat(BLUE, 100, 100))).render(targets)
    assert rendering.original(targets[0])(50, 50) == list(MAGENTA)
    assert rendering.preview().rgba[:4] == bytes((*BLUE, 255))
    middle = len(rendering.preview().rgba) // 2 + 4 * 16
    assert rendering.preview().rgba[middle : middle + 4] == bytes((*BLUE, 255))  # a placeholder is without it


def test_equal_sizes_share_one_scaled_overlay() -> None:
    file = open_overlay(drawing.png(drawing.photo(300, 200)))
    toml = f'[renditions.x]\nwidth = 1\noverlay = {{ image = "overlays/logo.png", {MIDDLE} }}'
    overlay = parse_recipe(toml, read_overlay=lambda name: file).plan_for("a.png").renditions[0].spec.overlay
    assert overlay
    painter = OverlayPainter()
    drawn = [painter.draw(flat(colour, 200, 150), overlay).crop(60, 60, 50, 30) for colour in (BLUE, RED)]
    assert (drawn[0].numpy() == drawn[1].numpy()).all()
    assert len(painter._prepared) == 1


def test_the_memory_of_overlays_counts() -> None:
    body, logo = drawing.png(flat(BLUE, 100, 100)), drawing.png(flat(MAGENTA, 2000, 1000))
    enough = IDLE_MEMORY + 1_000_000
    assert render(body, logo, overlay="", limits=Limits(memory=enough))
    with pytest.raises(ImageTooLargeError):
        render(body, logo, limits=Limits(memory=enough))
    assert render(body, logo, limits=Limits(memory=enough + 32_000_000))
