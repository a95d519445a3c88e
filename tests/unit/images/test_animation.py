import pytest
import pyvips

from image_scaler.exceptions import ImageTooLargeError
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


@pytest.mark.parametrize("format", ["jpeg", "png"])
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


LONG = "[limits]\npixels = 200_000\nbuffered_pixels = 50_000"


@pytest.mark.parametrize("source", ["gif", "webp"])
def test_only_one_frame_of_an_animation_counts_as_held(source: str) -> None:
    body = animation(source, 200, 150)
    assert render(body, 'width = 100\nformat = "webp"', LONG).get("n-pages") == 4
    with pytest.raises(ImageTooLargeError, match=r"limits\.buffered_pixels"):
        render(animation(source, 400, 150), "width = 100", LONG)


@pytest.mark.parametrize("source", ["gif", "webp"])
def test_all_frames_of_an_animation_count_as_pixels(source: str) -> None:
    with pytest.raises(ImageTooLargeError, match=r"300 x 160 x 4 frames pixels but .*limits\.pixels"):
        render(animation(source, 300, 160), "width = 100", "[limits]\npixels = 190_000")


def test_the_memory_of_an_animation_is_that_of_one_frame_and_of_all_scaled_ones() -> None:
    body, recipe = animation("gif", 1000, 800), parse_recipe('[renditions.x]\nformat = "webp"\nwidth = 1000')
    megabytes = 130 + 18 * 0.8
    targets = recipe.plan_for("a.gif").renditions
    source = SourceImage(body, recipe.limits.in_memory(round((megabytes + 1) * 1024**2)))
    with pytest.raises(ImageTooLargeError, match="1,000 x 800 x 4 frames pixels need about 171 MB"):
        source.render(targets)
    source = SourceImage(body, recipe.limits.in_memory(180 * 1024**2))
    assert len(list(source.render(targets))) == 1


def test_a_still_picture_does_not_make_an_animation_needless() -> None:
    recipe = parse_recipe('[renditions.x]\nwidths = [60]\nformats = ["gif", "webp", "jpeg"]\nskip_larger = true')
    made = {str(r.target.format): r for r in SourceImage(animation("gif")).render(recipe.plan_for("a.gif").renditions)}
    assert len(made["jpeg"].body) < len(made["webp"].body)
    assert not made["webp"].is_larger
    assert [made[format].made.animated for format in ("gif", "webp", "jpeg")] == [True, True, False]


@pytest.mark.parametrize("quality", ["", 'quality = "high"'])
def test_a_webp_of_a_gif_is_without_loss_if_it_would_be_larger_than_the_gif(quality: str) -> None:
    x, y = pyvips.Image.xyz(96, 96)[0], pyvips.Image.xyz(96, 96)[1]
    frames = [((x / 3).floor() + (y / 3).floor() + shift) % 2 * 255 for shift in range(3)]
    roll = pyvips.Image.arrayjoin(frames, across=1).cast("uchar").copy(interpretation="b-w")
    roll.set_type(pyvips.GValue.gint_type, "page-height", 96)
    body = bytes(roll.gifsave_buffer())
    targets = parse_recipe(f'[renditions.x]\nformat = "webp"\n{quality}').plan_for("a.gif").renditions
    (rendition,) = SourceImage(body).render(targets)
    assert len(rendition.body) < len(body)
    assert (rendition.made.animated, rendition.made.quality, rendition.made.score) == (True, None, None)
    shown = pyvips.Image.new_from_buffer(rendition.body, "", n=-1)
    assert (shown[0] - roll).abs().max() <= 1
