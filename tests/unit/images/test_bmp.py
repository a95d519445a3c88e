"""BMP is read with Pillow, within the limits of all formats."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from image_scaler.exceptions import ImageTooLargeError, RejectedError
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.formats import Format
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import decoded


def bmp(mode: str = "RGB", width: int = 61, height: int = 43) -> tuple[bytes, np.ndarray]:
    """Return a BMP, and the pixels that it should have."""
    image = Image.fromarray(drawing.photo(width, height).numpy()).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "bmp")
    return buffer.getvalue(), np.asarray(image.convert("RGB"))


def raw(width: int, height: int, bits: int, compression: int, data: bytes) -> bytes:
    """Return a BMP with the four colours of GIF_COLOURS as its palette."""
    palette = b"".join(bytes([*colour[::-1], 0]) for colour in drawing.GIF_COLOURS) if bits <= 8 else b""
    start = 54 + len(palette)
    head = struct.pack("<IHHI", start + len(data), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
    return b"BM" + head + info + palette + data


def pixels(body: bytes) -> np.ndarray:
    targets = parse_recipe('[renditions.x]\nformat = "png"').plan_for("a.bmp").renditions
    source = SourceImage(body)
    (rendition,) = source.render(targets)
    assert (source.format, rendition.size) == (Format.BMP, source.size)
    return np.asarray(decoded(rendition.body).colourspace("srgb").numpy())


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_bmp_keeps_its_pixels(mode: str) -> None:
    body, expected = bmp(mode)
    assert (pixels(body) == expected).all()


def test_rows_may_be_stored_from_the_top() -> None:
    blue, red = bytes([255, 0, 0, 0]), bytes([0, 0, 255, 0])
    assert pixels(raw(1, -2, 24, 0, blue + red)).tolist() == [[[0, 0, 255]], [[255, 0, 0]]]


def test_the_fourth_byte_of_a_pixel_is_no_alpha() -> None:
    assert pixels(raw(1, 1, 32, 0, bytes([0, 0, 255, 0]))).tolist() == [[[255, 0, 0]]]


@pytest.mark.parametrize(
    ("bits", "compression", "data"),
    [(8, 1, bytes([3, 0, 3, 1, 0, 1])), (4, 2, bytes([0, 6, 0x00, 0x01, 0x11, 0, 0, 1]))],
)
def test_run_lengths_are_read(bits: int, compression: int, data: bytes) -> None:
    red, blue = list(drawing.GIF_COLOURS[0]), list(drawing.GIF_COLOURS[1])
    assert pixels(raw(6, 1, bits, compression, data)).tolist() == [[red] * 3 + [blue] * 3]


def test_the_limits_hold_for_bmp() -> None:
    body, _ = bmp()
    with pytest.raises(ImageTooLargeError, match=r"limits\.buffered_pixels"):
        SourceImage(body, Limits(buffered_pixels=2_000))
    with pytest.raises(ImageTooLargeError, match="raise memorySize"):
        SourceImage(raw(4000, 4000, 24, 0, b""), Limits(memory=200 * 1024**2))


def test_run_lengths_that_would_take_minutes_are_rejected() -> None:
    with pytest.raises(ImageTooLargeError, match="run-length"):
        SourceImage(raw(4000, 4000, 8, 1, b"\0\1"))
    with pytest.raises(RejectedError):
        SourceImage(raw(6, 1, 8, 1, b"\0\2\0\0" * 10_000))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-5, 5)])
def test_a_bmp_without_pixels_is_rejected(size: tuple[int, int]) -> None:
    with pytest.raises(RejectedError):
        SourceImage(raw(*size, 24, 0, bytes(100)))


def test_a_bmp_that_is_cut_off_is_rejected() -> None:
    body, _ = bmp()
    with pytest.raises(RejectedError, match="the file is cut off: the BMP ends early"):
        pixels(body[:-500])


def test_other_files_that_begin_with_bm_are_not_images() -> None:
    with pytest.raises(RejectedError, match="are not an image"):
        SourceImage(b"BMW is a maker of cars, and this is a text about it.")
