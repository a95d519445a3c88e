"""Images that are valid, or nearly, and still unlike most."""

import struct
import zlib

import numpy as np
import pytest
import pyvips

from image_scaler.config import parse_renditions
from image_scaler.exceptions import ImageTooLargeError
from image_scaler.imaging import Rendition, SourceImage
from image_scaler.renditions import Format
from tests import drawing
from tests.drawing import QUADRANTS, RED, corners, decoded, is_near


def render(body: bytes, table: str) -> Rendition:
    (rendition,) = SourceImage(body).render(parse_renditions(f"[renditions.x]\n{table}").targets("a.png"))
    return rendition


def test_a_png_may_name_its_texts_in_other_encodings_than_utf_8() -> None:
    body, chunk = drawing.png(), b"tEXtAuteur\xe9\0caf\xe9"
    body = body[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + body[33:]
    for format in Format:
        assert render(body, f'width = 40\nformat = "{format}"').size == (40, 30)


@pytest.mark.parametrize("bands", [2, 5, 9])
@pytest.mark.parametrize("format", Format)
def test_of_many_bands_only_colours_and_one_alpha_are_looked_at(bands: int, format: Format) -> None:
    grey = drawing.quadrants().colourspace("b-w")
    image = grey.bandjoin([grey] * (bands - 1))
    for interpretation in ("multiband", "b-w", "srgb"):
        body = bytes(image.copy(interpretation=interpretation).tiffsave_buffer())
        assert render(body, f'width = 40\nformat = "{format}"').size == (40, 30)


@pytest.mark.parametrize("format", Format)
def test_a_profile_that_says_a_wrong_length_is_not_kept_but_applied(format: Format) -> None:
    image = drawing.quadrants().icc_transform("p3", input_profile="srgb").copy()
    profile = bytearray(image.get("icc-profile-data"))
    profile[0] = 0x80
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", bytes(profile))
    out = decoded(render(drawing.jpeg(image), f'width = 200\nkeep_profile = true\nformat = "{format}"').body)
    for place, colour in QUADRANTS.items():
        assert is_near(corners(out)[place][:3], colour, 20), place


@pytest.mark.parametrize("around", [(0, 0, 0, 0), (255, 255, 255, 0), (250, 250, 250, 255)])
@pytest.mark.parametrize("picture", [RED, (0, 0, 0)])
def test_trim_cuts_off_a_border_of_transparency_or_of_one_opaque_colour(
    around: tuple[int, ...], picture: tuple[int, ...]
) -> None:
    pixels = np.full((100, 150, 4), around, np.uint8)
    pixels[20:60, 30:110] = (*picture, 255)
    assert render(drawing.png(drawing.srgb(pixels)), 'format = "png"\ntrim = true').size == (80, 40)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (40, 2), (3, 3)])
def test_trim_leaves_the_smallest_images_as_they_are(size: tuple[int, int]) -> None:
    assert render(drawing.png(drawing.photo(*size)), 'format = "png"\ntrim = true').size == size


@pytest.mark.parametrize(("format", "longest"), [("jpeg", 65_500), ("webp", 16_383), ("avif", 16_384), ("gif", 65_535)])
def test_a_side_that_the_format_cannot_hold_is_rejected(format: str, longest: int) -> None:
    bodies = [
        drawing.png(pyvips.Image.black(width, 16, bands=3).copy(interpretation="srgb"))
        for width in (longest, longest + 1)
    ]
    assert render(bodies[0], f'format = "{format}"').size == (longest, 16)
    with pytest.raises(ImageTooLargeError, match=f"at most {longest:,} pixels a side"):
        render(bodies[1], f'format = "{format}"')


def test_a_narrow_image_is_not_enlarged_beyond_the_limit_of_pixels() -> None:
    body = drawing.png(drawing.quadrants(2, 400))
    box = 'width = 9000\nheight = 2\nfit = "outside"\nwithout_enlargement = false\nformat = "png"'
    with pytest.raises(ImageTooLargeError, match="9,000 x 1,800,000"):
        render(body, box)
