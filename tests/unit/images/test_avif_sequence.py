"""Animated AVIF is read and written; tests/properties/browser compares with Chromium's ImageDecoder."""

import io
import time

import pytest
import pyvips
from PIL import Image

from image_scaler.exceptions import ImageTooLargeError, RejectedError
from image_scaler.images import decoding
from image_scaler.images.header import read_header
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.limits import DEFAULT_LIMITS, Limits
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import BLUE, GREEN, RED, YELLOW, is_near
from tests.unit.images.test_animation import animation

COLOURS = [(255, 0, 0, 255), (0, 0, 255, 128), (0, 128, 0, 255)]
DELAYS = [50, 100, 150]


def animated_avif(width: int = 60, height: int = 40) -> bytes:
    first, *others = (Image.new("RGBA", (width, height), colour) for colour in COLOURS)
    buffer = io.BytesIO()
    first.save(buffer, "AVIF", save_all=True, append_images=others, duration=DELAYS)
    return buffer.getvalue()


def test_all_frames_are_read_with_their_delays() -> None:
    body = animated_avif()
    header = read_header(body, DEFAULT_LIMITS)
    assert (header.format, header.size, header.frames, header.delays) == (Format.AVIF, (60, 40), 3, DELAYS)
    frames = decoding.decode(body, header, header.size, 3)
    for frame, colour in zip(frames, COLOURS, strict=True):
        assert is_near(tuple(decoding.rgba(frame.crop(30, 20, 1, 1))), colour, 4)


@pytest.mark.parametrize(("format", "frames"), [("webp", 3), ("gif", 3), ("jpeg", 1)])
def test_it_stays_an_animation_in_formats_that_have_them(format: str, frames: int) -> None:
    targets = parse_recipe(f'[renditions.x]\nwidth = 30\nformat = "{format}"').plan_for("a.avif").renditions
    (rendition,) = SourceImage(animated_avif()).render(targets)
    image = pyvips.Image.new_from_buffer(rendition.body, "", **({"n": -1} if frames > 1 else {}))
    assert (image.width, image.height) == (30, 20 * frames)
    if frames > 1:
        assert image.get("delay") == DELAYS


def test_the_limits_hold_for_it() -> None:
    body = animated_avif(200, 100)
    assert SourceImage(body, Limits(frames=2)).frames == 2
    with pytest.raises(ImageTooLargeError, match="200 x 100 x 3 frames"):
        SourceImage(body, Limits(pixels=50_000))
    with pytest.raises(ImageTooLargeError, match="raise memorySize"):
        SourceImage(body, Limits(memory=130 * 1024**2))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_part_of_it_is_rejected(share: float) -> None:
    body = animated_avif()
    targets = parse_recipe('[renditions.x]\nformat = "webp"').plan_for("a.avif").renditions
    with pytest.raises(RejectedError, match="the file is cut off: the AVIF ends early"):
        list(SourceImage(body[: int(len(body) * share)]).render(targets))


def write(body: bytes, table: str = "", key: str = "a.gif") -> Rendition:
    targets = parse_recipe(f'[renditions.x]\nformat = "avif"\n{table}').plan_for(key).renditions
    (rendition,) = SourceImage(body).render(targets)
    assert rendition.made.type == "image/avif"
    return rendition


def frames_of(rendition: Rendition) -> list[pyvips.Image]:
    header = read_header(rendition.body, DEFAULT_LIMITS)
    assert rendition.made.animated is (header.frames > 1)
    assert header.size == rendition.size
    return decoding.decode(rendition.body, header, header.size, header.frames)


@pytest.mark.parametrize("source", ["gif", "webp"])
def test_an_animation_is_written_with_its_frames_delays_and_plays(source: str) -> None:
    rendition = write(animation(source), "width = 60")
    header = read_header(rendition.body, DEFAULT_LIMITS)
    assert (header.delays, header.loop) == ([50, 100, 150, 200], 3)
    for frame, colour in zip(frames_of(rendition), [RED, GREEN, BLUE, YELLOW], strict=True):
        assert is_near(tuple(frame(30, 20)), colour, 8)


def test_an_animated_avif_stays_one_with_its_transparency() -> None:
    rendition = write(animated_avif(), "width = 30", "a.avif")
    for frame, colour in zip(frames_of(rendition), COLOURS, strict=True):
        assert is_near(tuple(decoding.rgba(frame.crop(15, 10, 1, 1))), colour, 8)
    assert read_header(rendition.body, DEFAULT_LIMITS).loop == 0


def test_grey_frames_stay_grey() -> None:
    roll = pyvips.Image.arrayjoin([pyvips.Image.black(40, 30) + level for level in (20, 120, 220)], across=1)
    roll = roll.cast("uchar").copy(interpretation="b-w")
    roll.set_type(pyvips.GValue.gint_type, "page-height", 30)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [100] * 3)
    frames = frames_of(write(bytes(roll.gifsave_buffer())))
    assert [round(frame[0].avg(), -1) for frame in frames] == [20, 120, 220]


@pytest.mark.parametrize("options", ["quality = 20", "effort = 0", 'chroma_subsampling = "4:2:0"', "max_bytes = 2_000"])
def test_the_options_of_still_avif_count(options: str) -> None:
    body = moving_photo(6)
    plain, other = write(body, "width = 90"), write(body, f"width = 90\n{options}")
    assert len(frames_of(other)) == 6
    assert other.body != plain.body
    assert len(other.body) < len(plain.body) or options == "effort = 0"
    assert len(other.body) <= 2_000 or not options.startswith("max_bytes")


def moving_photo(frames: int, width: int = 120, height: int = 90) -> bytes:
    picture = drawing.photo(width + 2 * frames, height)
    roll = pyvips.Image.arrayjoin([picture.crop(2 * i, 0, width, height) for i in range(frames)], across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", height)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [100] * frames)
    return bytes(roll.webpsave_buffer(Q=90))


def test_the_same_frames_give_the_same_bytes() -> None:
    first = write(animation("gif"))
    time.sleep(1.1)  # libavif writes the second into the file
    assert write(animation("gif")).body == first.body


@pytest.mark.parametrize("options", ["animated = false", "lossless = true"])
def test_an_avif_shows_the_first_frame(options: str) -> None:
    assert len(frames_of(write(animation("gif"), options))) == 1


@pytest.mark.parametrize(("size", "frames"), [(Size(1920, 1080), 15), (Size(1000, 1000), 32)])
def test_an_animation_within_the_bounds_is_written_whole(size: Size, frames: int) -> None:
    spec = parse_recipe('[renditions.x]\nformat = "avif"').plan_for("a.gif").renditions[0].spec
    assert spec.frames_in(Format.AVIF, size, frames) == frames
    assert spec.frames_in(Format.AVIF, size, frames + 1) == 1
    assert spec.frames_in(Format.WEBP, size, frames + 1) == frames + 1


def test_an_animation_beyond_the_bounds_is_a_still_avif_next_to_a_webp_that_moves() -> None:
    body = animation("gif", 2100, 1010)
    table = '[renditions.x]\nwidths = [100, 2100]\nformats = ["avif", "webp"]'
    made = [r.made for r in SourceImage(body).render(parse_recipe(table).plan_for("a.gif").renditions)]
    assert {(one.type, one.width): one.animated for one in made} == {
        ("image/avif", 2100): False,
        ("image/webp", 2100): True,
        ("image/avif", 100): True,
        ("image/webp", 100): True,
    }


def test_the_credits_and_the_profile_are_kept() -> None:
    exif = Image.Exif()
    exif[0x013B], exif[0x8298] = "Ada", "(c) Ada"
    first, *others = (Image.new("RGB", (60, 40), colour[:3]) for colour in COLOURS)
    buffer = io.BytesIO()
    profile = bytes(pyvips.Image.profile_load("p3"))
    first.save(buffer, "WEBP", save_all=True, append_images=others, exif=exif, icc_profile=profile, lossless=True)
    written = Image.open(io.BytesIO(write(buffer.getvalue(), "keep_profile = true").body))
    assert written.info["icc_profile"] == profile
    assert b"Ada" in written.info["xmp"]
    assert written.getexif()[0x013B] == "Ada"
    bare = Image.open(io.BytesIO(write(buffer.getvalue(), "keep_copyright = false").body))
    assert not {"exif", "xmp", "icc_profile"} & bare.info.keys()
