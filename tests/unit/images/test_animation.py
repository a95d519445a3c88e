import pytest
import pyvips

from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import BLUE, GREEN, RED, YELLOW, is_near

COLOURS = [RED, GREEN, BLUE, YELLOW]
DELAYS = [50, 100, 150, 200]


def animation(format: str, width: int = 120, height: int = 80) -> bytes:
    """Four frames of one colour each, played three times."""
    frames = [pyvips.Image.black(width, height, bands=3) + list(colour) for colour in COLOURS]
    roll = pyvips.Image.arrayjoin([frame.cast("uchar") for frame in frames], across=1).copy(interpretation="srgb")
    roll.set_type(pyvips.GValue.gint_type, "page-height", height)
    roll.set_type(pyvips.GValue.array_int_type, "delay", DELAYS)
    roll.set_type(pyvips.GValue.gint_type, "loop", 3)
    return bytes(roll.webpsave_buffer(lossless=True) if format == "webp" else roll.gifsave_buffer())


def render(body: bytes, table: str, limits: str = "") -> pyvips.Image:
    recipe = parse_recipe(f"[renditions.x]\n{table}\n{limits}")
    (rendition,) = SourceImage(body, recipe.limits).render(recipe.plan_for("a.gif").renditions)
    image = pyvips.Image.new_from_buffer(rendition.body, "", n=-1)
    frames = image.height // (image.get("page-height") if image.get_typeof("page-height") else image.height)
    assert rendition.size == (image.width, image.height // frames)
    return image


@pytest.mark.parametrize("source", ["gif", "webp"])
@pytest.mark.parametrize("format", ["gif", "webp"])
def test_an_animation_keeps_its_frames_delays_and_loops(source: str, format: str) -> None:
    image = render(animation(source), f'width = 60\nformat = "{format}"')
    assert (image.width, image.get("page-height"), image.get("n-pages")) == (60, 40, 4)
    assert image.get("delay") == DELAYS
    assert image.get("loop") == 3
    for number, colour in enumerate(COLOURS):
        assert is_near(tuple(image(30, number * 40 + 20))[:3], colour, 16)


@pytest.mark.parametrize("fit", ["cover", "contain", "fill"])
def test_every_frame_of_an_animation_is_scaled_separately(fit: str) -> None:
    image = render(animation("gif"), f'width = 50\nheight = 50\nfit = "{fit}"\nformat = "webp"')
    assert (image.width, image.get("page-height"), image.get("n-pages")) == (50, 50, 4)
    for number, colour in enumerate(COLOURS):
        assert is_near(tuple(image(25, number * 50 + 25))[:3], colour, 16)


@pytest.mark.parametrize("format", ["jpeg", "png", "avif"])
def test_other_formats_show_the_first_frame(format: str) -> None:
    recipe = parse_recipe(f'[renditions.x]\nwidth = 60\nformat = "{format}"')
    (rendition,) = SourceImage(animation("gif")).render(recipe.plan_for("a.gif").renditions)
    assert rendition.size == (60, 40)
    assert is_near(tuple(drawing.decoded(rendition.body)(30, 20)), RED, 16)


def test_an_animation_can_be_stopped_at_its_first_frame() -> None:
    image = render(animation("gif"), 'width = 60\nformat = "webp"\nanimated = false')
    assert image.height == 40
    assert is_near(tuple(image(30, 20)), RED, 16)


def test_frames_above_the_limit_are_dropped() -> None:
    image = render(animation("gif"), 'width = 60\nformat = "gif"', "[limits]\nframes = 3")
    assert image.get("n-pages") == 3
    assert image.get("delay") == DELAYS[:3]
