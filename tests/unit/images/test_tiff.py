"""TIFF: a right picture of whatever its samples are, or the reason why there is none."""

import struct
from contextlib import suppress

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.exceptions import RejectedError, UnsupportedImageError
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.toml import parse_recipe
from tests.support.drawing import decoded, is_near
from tests.support.examples import examples
from tests.support.tiffs import (
    ALPHA,
    CMYK,
    DEFLATE,
    GREY,
    ICC_LAB,
    LAB,
    MULTIPLIED,
    PALETTE,
    UNSPECIFIED,
    WHITE_IS_ZERO,
    YCBCR,
    tiff,
)

SAND = (200, 150, 100)
LAB_OF_SAND, YCBCR_OF_SAND = (166, 15, 33), (160, 95, 155)
PALETTE_OF_SAND = tuple(257 * SAND[at // 256] if at % 256 == 1 else 0 for at in range(3 * 256))


def plain(values: tuple[float, ...], dtype: type = np.uint8) -> np.ndarray:
    return np.broadcast_to(np.array(values, dtype), (40, 60, len(values)))


def render(body: bytes, table: str = 'format = "png"') -> pyvips.Image:
    targets = parse_recipe(f"[renditions.x]\n{table}").plan_for("a.png").renditions
    (rendition,) = SourceImage(body).render(targets)
    return decoded(rendition.body)


def shown(body: bytes, table: str = 'format = "png"') -> tuple[int, ...]:
    return tuple(round(value) for value in render(body, table)(20, 20))


PICTURES = {
    "RGB of 8 bits": (tiff(plain(SAND)), SAND),
    "RGB of 16 bits": (tiff(plain((51_400, 38_550, 25_700), np.uint16)), SAND),
    "RGB of 32 bits": (tiff(plain(tuple(level << 24 for level in SAND), np.uint32)), SAND),
    "grey of 32 bits": (tiff(plain((200 << 24,), np.uint32), GREY), (200,)),
    "grey of 32 bits in which white is 0": (tiff(plain((55 << 24,), np.uint32), WHITE_IS_ZERO), (200,)),
    "floating-point grey": (tiff(plain((0.5,), np.float32), GREY), (128,)),
    "floating-point grey of 16 bits": (tiff(plain((0.5,), np.float16), GREY), (128,)),
    "floating-point grey in which white is 0": (tiff(plain((0.25,), np.float32), WHITE_IS_ZERO), (191,)),
    "floating-point grey with alpha": (tiff(plain((0.5, 0.25), np.float32), GREY, t338=(ALPHA,)), (128, 64)),
    "a palette": (tiff(plain((1,)), PALETTE, t320=PALETTE_OF_SAND), SAND),
    "CIELab of 8 bits": (tiff(plain(LAB_OF_SAND), LAB), SAND),
    "CIELab of 8 bits, deflated": (tiff(plain(LAB_OF_SAND), LAB, DEFLATE), SAND),
    "CIELab of 8 bits with alpha": (tiff(plain((*LAB_OF_SAND, 128)), LAB, t338=(ALPHA,)), (*SAND, 128)),
    "blue in CIELab of 8 bits": (tiff(plain((82, 79, 256 - 108)), LAB), (0, 0, 255)),
    "CIELab of 16 bits": (tiff(plain((42_662, 15 * 256, 33 * 256), np.uint16), LAB), SAND),
    "CIELab as in ICC profiles": (tiff(plain((166, 143, 161)), ICC_LAB), SAND),
    "YCbCr, deflated": (tiff(plain(YCBCR_OF_SAND), YCBCR, DEFLATE, t530=(1, 1)), SAND),
    "YCbCr, not compressed": (tiff(plain(YCBCR_OF_SAND), YCBCR, t530=(1, 1)), SAND),
    "alpha": (tiff(plain((*SAND, 128)), t338=(ALPHA,)), (*SAND, 128)),
    "alpha by which the colours are multiplied": (tiff(plain((100, 75, 50, 128)), t338=(MULTIPLIED,)), (*SAND, 128)),
    "a fourth sample without a word on it": (tiff(plain((*SAND, 128))), (*SAND, 128)),
    "a fourth sample that is unspecified": (tiff(plain((*SAND, 0)), t338=(UNSPECIFIED,)), SAND),
    "a second sample that is unspecified": (tiff(plain((200, 0)), GREY, t338=(UNSPECIFIED,)), (200,)),
    "alpha before another sample": (tiff(plain((*SAND, 128, 7)), t338=(ALPHA, UNSPECIFIED)), (*SAND, 128)),
    "alpha after another sample": (tiff(plain((*SAND, 7, 128)), t338=(UNSPECIFIED, ALPHA)), (*SAND, 128)),
    "a spot colour after CMYK": (tiff(plain((10, 20, 30, 40, 0)), CMYK, t338=(UNSPECIFIED,)), (204, 193, 183)),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_tiff_is_shown_by_what_its_tags_say_of_its_samples(kind: str) -> None:
    body, colour = PICTURES[kind]
    assert is_near(shown(body), colour, 4)
    assert is_near(shown(body, 'format = "png"\nwidth = 45'), colour, 5)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_every_format_can_be_made_of_every_kind_of_samples(format: Format) -> None:
    for body, _ in PICTURES.values():
        assert render(body, f'format = "{format}"\nwidth = 30').width == 30


def bits(count: int, samples: int = 1) -> bytes:
    width = 60 * count * samples // 8
    return tiff(np.zeros((40, width, 1), np.uint8), GREY, t256=(60,), t258=(count,) * samples, t277=(samples,))


REFUSED = {
    "it has 12 bits per sample": bits(12),
    "it has 24 bits per sample": bits(24),
    "it has 64 bits per sample": tiff(plain((0.5,), np.float64), GREY),
    r"different numbers of bits \(5, 6, 5\)": tiff(plain(SAND), t258=(5, 6, 5)),
    "signed or complex numbers": tiff(plain((100,), np.int16), GREY),
    "floating-point numbers, which may mean light or levels": tiff(plain((0.7, 0.6, 0.4), np.float32)),
    "floating-point numbers are from 0.5 to 300": tiff(
        np.linspace(0.5, 300, 2400, dtype=np.float32).reshape(40, 60, 1), GREY
    ),
    "floating-point numbers are from nan": tiff(plain((np.nan,), np.float32), GREY),
    "32 bits per sample, which are read in grey and RGB only": tiff(plain((1, 2, 3, 4), np.uint32), CMYK),
    "YCbCr colours have more than 8 bits": tiff(plain((1, 2, 3), np.uint16), YCBCR, t530=(1, 1)),
    "coefficients of their own": tiff(plain(YCBCR_OF_SAND), YCBCR, t530=(1, 1), t529=(1, 2, 1, 4, 1, 4)),
    "of the kind 32803": tiff(plain((100,)), 32_803),
    "2 samples per pixel, which are less than its colours need": tiff(plain((1, 2))),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_tiff_that_would_be_wrong_is_rejected_with_the_reason(reason: str) -> None:
    with pytest.raises(UnsupportedImageError, match=f"this kind of TIFF is not supported: .*{reason}"):
        render(REFUSED[reason])


def test_an_unknown_compression_is_not_said_to_be_no_image() -> None:
    with pytest.raises(RejectedError, match="TIFF") as refusal:
        render(tiff(plain(SAND), compression=34_999))
    assert "not an image" not in str(refusal.value)


@examples(60)
@given(
    file=st.sampled_from([body for body, _ in PICTURES.values()]), tag=st.integers(0, 14), new=st.binary(max_size=12)
)
def test_a_damaged_tag_is_a_rejection_or_a_picture(file: bytes, tag: int, new: bytes) -> None:
    at = int.from_bytes(file[4:8], "little") + 2 + 12 * tag
    with suppress(RejectedError):
        assert render(file[:at] + new + file[at + len(new) :], 'width = 20\nformat = "png"')


def test_the_tags_of_a_file_of_other_bytes_or_of_more_than_4_gb_are_read_too() -> None:
    image = pyvips.Image.new_from_array(plain((*SAND, 0))).copy(interpretation="srgb")
    big = bytearray(image.tiffsave_buffer(bigtiff=True))
    assert big[2] == 43
    extra = big.index(struct.pack("<HHQ", 338, 3, 1)) + 12
    big[extra] = UNSPECIFIED
    assert is_near(shown(bytes(big)), SAND, 1)
