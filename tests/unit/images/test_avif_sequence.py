"""An animated AVIF is read as one; the expected pixels and delays are those of Chromium's ImageDecoder."""

import io

import pytest
import pyvips
from PIL import Image

from image_scaler.exceptions import ImageTooLargeError, RejectedError
from image_scaler.images import decoding
from image_scaler.images.header import read_header
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.formats import Format
from image_scaler.renditions.limits import DEFAULT_LIMITS, Limits
from image_scaler.renditions.toml import parse_recipe
from tests.support.drawing import is_near

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


@pytest.mark.parametrize(("format", "frames"), [("webp", 3), ("gif", 3), ("avif", 1), ("jpeg", 1)])
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
