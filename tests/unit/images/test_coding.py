"""Colours that a PNG, an AVIF or a HEIC names without an ICC profile are those that a browser shows.

The expected values are Chromium 150's; tests/properties/browser/test_oracle.py compares with the browser itself.
"""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_scaler.exceptions import RejectedError
from image_scaler.images.colour import is_srgb
from image_scaler.images.header import read_header
from image_scaler.images.heif import read_heif
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.limits import DEFAULT_LIMITS
from image_scaler.renditions.toml import parse_recipe
from tests.support import coded
from tests.support.coded import HLG, P3_CHRM, PQ, SRGB_CHRM, SRGB_CHUNK, avif, chrm, cicp, clli, gama, png
from tests.support.drawing import decoded, is_near
from tests.support.examples import examples

SAND, BROWN = (200, 150, 100), (64, 32, 16)
SIZE = (60, 90)


def plain(colour: tuple[int, ...], dtype: type = np.uint8) -> np.ndarray:
    return np.full((*SIZE, len(colour)), colour, dtype)


def render(body: bytes, table: str = 'format = "png"') -> bytes:
    targets = parse_recipe(f"[renditions.x]\n{table}").plan_for("a.png").renditions
    (rendition,) = SourceImage(body).render(targets)
    return rendition.body


def shown(body: bytes, table: str = 'format = "png"') -> tuple[int, ...]:
    return tuple(round(value) for value in decoded(render(body, table))(45, 30))


PNG_CODINGS = {
    "Display P3": ([cicp(12, 13)], (209, 147, 91)),
    "BT.2020": ([cicp(9, 13)], (227, 142, 90)),
    "DCI-P3": ([cicp(11, 13)], (207, 148, 91)),
    "NTSC of 1953": ([cicp(4, 13)], (221, 146, 92)),
    "XYZ": ([cicp(10, 13)], (255, 45, 96)),
    "the curve of video": ([cicp(1, 1)], (197, 144, 91)),
    "a gamma of 2.8": ([cicp(1, 5)], (189, 131, 77)),
    "linear light": ([cicp(1, 8)], (229, 202, 168)),
    "sRGB": ([cicp(1, 13)], SAND),
    "a linear gamma": ([gama(1.0)], (229, 202, 168)),
    "a gamma of 1.6": ([gama(0.625)], (215, 174, 131)),
    "a gamma and primaries": ([gama(0.45455), chrm(P3_CHRM)], (210, 149, 91)),
    "cICP before all others": ([cicp(12, 13), SRGB_CHUNK, gama(1.0), chrm(SRGB_CHRM)], (209, 147, 91)),
    "sRGB before a gamma": ([SRGB_CHUNK, gama(1.0), chrm(P3_CHRM)], SAND),
    "the gamma that is written for sRGB": ([gama(0.45455)], SAND),
    "primaries without a gamma": ([chrm(P3_CHRM)], SAND),
    "no gamma": ([gama(0)], SAND),
    "impossible primaries": ([gama(1.0), chrm((0.0,) * 8)], SAND),
    "an unknown code point": ([cicp(99, 13), gama(1.0)], (229, 202, 168)),
    "a limited range, which no PNG has": ([coded.chunk(b"cICP", b"\x0c\x0d\0\0")], SAND),
}


@pytest.mark.parametrize("case", PNG_CODINGS)
@pytest.mark.parametrize("wide", [False, True])
def test_a_png_without_a_profile_has_the_colours_of_its_chunks(case: str, wide: bool) -> None:
    chunks, colour = PNG_CODINGS[case]
    pixels = plain(tuple(level * 257 for level in SAND), np.uint16) if wide else plain(SAND)
    assert is_near(shown(png(pixels, *chunks)), colour, 2)


AVIF_CODINGS = {
    "Display P3": (12, 13, (209, 147, 91), (69, 30, 12)),
    "BT.2020": (9, 13, (227, 142, 90), (78, 25, 11)),
    "BT.2020 with its curve of video, which browsers show as sRGB": (9, 1, (227, 142, 90), (78, 25, 11)),
    "a gamma of 2.2": (1, 4, (201, 151, 100), (62, 26, 7)),
    "linear light": (1, 8, (229, 202, 168), (137, 99, 71)),
    "unspecified": (2, 2, SAND, BROWN),
    "unknown code points": (77, 99, SAND, BROWN),
}


@pytest.mark.parametrize("case", AVIF_CODINGS)
def test_an_avif_without_a_profile_has_the_colours_of_its_nclx(case: str) -> None:
    primaries, curve, sand, brown = AVIF_CODINGS[case]
    assert is_near(shown(avif(plain(SAND), primaries, curve)), sand, 5)
    assert is_near(shown(avif(plain(BROWN), primaries, curve)), brown, 5)


def test_an_avif_without_nclx_has_the_colours_that_its_picture_names() -> None:
    assert is_near(shown(coded.avif_without_nclx(plain(SAND), 12, 13)), (209, 147, 90), 3)
    assert is_near(shown(coded.avif_without_nclx(plain((128, 128, 128)), 9, PQ)), (132, 132, 132), 3)
    assert is_near(shown(coded.avif_without_nclx(plain(SAND), 1, 13)), SAND, 3)


def test_a_profile_counts_before_nclx() -> None:
    profile = coded.profile_of_srgb()
    assert is_near(shown(avif(plain(SAND), 12, 8, icc_profile=profile)), SAND, 3)


def test_the_code_points_of_a_png_count_before_its_profile() -> None:
    profile = coded.chunk(b"iCCP", b"icc\0\0" + zlib.compress(coded.profile_of_p3()))
    assert is_near(shown(png(plain(SAND), profile)), (209, 147, 91), 2)
    assert is_near(shown(png(plain(SAND), profile, gama(1.0))), (209, 147, 91), 2)
    assert is_near(shown(png(plain(SAND), cicp(1, 13), profile)), SAND, 2)
    assert is_near(shown(png(plain(SAND), cicp(9, 13), profile)), (227, 142, 90), 2)
    assert is_near(shown(png(plain((128, 128, 128)), cicp(9, PQ), profile)), (132, 132, 132), 2)


def heic(colour: tuple[int, ...], primaries: int, curve: int) -> bytes:
    buffer = io.BytesIO()
    pixels = plain(tuple(level * 257 for level in colour), np.uint16)
    pillow_heif.from_bytes("RGB;16", SIZE[::-1], pixels.tobytes()).save(buffer, quality=95, chroma=444)
    body = buffer.getvalue()
    at = body.index(b"colrnclx") + 8
    return body[:at] + struct.pack(">HH", primaries, curve) + body[at + 4 :]


def test_a_heic_without_a_profile_has_the_colours_of_its_nclx() -> None:
    assert is_near(shown(heic(SAND, 12, 13)), (209, 147, 91), 4)
    assert is_near(shown(heic(SAND, 1, 13)), SAND, 3)


def pq(*light: float) -> tuple[int, ...]:
    """The levels of so much light in cd/m2, in 16 bits."""
    roots = [(each / 10_000) ** 0.1593017578125 for each in light]
    return tuple(round(65_535 * ((0.8359375 + 18.8515625 * r) / (1 + 18.6875 * r)) ** 78.84375) for r in roots)


PQ_PATCHES = [
    (pq(10, 10, 10), [], (43, 43, 43)),
    (pq(203, 203, 203), [], (187, 187, 187)),
    (pq(400, 400, 400), [], (223, 223, 223)),
    (pq(1000, 1000, 1000), [], (255, 255, 255)),
    (pq(203, 203, 203), [clli(400)], (229, 229, 229)),
    (pq(400, 400, 400), [clli(4000)], (207, 207, 207)),
    (pq(100, 100, 100), [clli(100)], (188, 188, 188)),
    (pq(800, 200, 100), [], (255, 107, 85)),
    (pq(50, 20, 200), [], (104, 54, 195)),
]


@pytest.mark.parametrize(("levels", "chunks", "colour"), PQ_PATCHES)
def test_pq_is_mapped_to_the_range_of_srgb_by_its_brightest_light(
    levels: tuple[int, ...], chunks: list[bytes], colour: tuple[int, ...]
) -> None:
    assert is_near(shown(png(plain(levels, np.uint16), cicp(9, PQ), *chunks)), colour, 2)


@pytest.mark.parametrize(
    ("primaries", "levels", "colour"),
    [
        (9, (0.5, 0.5, 0.5), (99, 99, 99)),
        (9, (0.8, 0.2, 0.2), (239, 0, 28)),
        (9, (0.9, 0.6, 0.4), (255, 87, 62)),
        (12, (0.2, 0.7, 0.3), (0, 162, 46)),
    ],
)
def test_hlg_is_mapped_to_the_range_of_srgb(primaries: int, levels: tuple[float, ...], colour: tuple[int, ...]) -> None:
    pixels = plain(tuple(round(level * 65_535) for level in levels), np.uint16)
    assert is_near(shown(png(pixels, cicp(primaries, HLG))), colour, 2)


def test_hdr_is_read_from_avif_and_heic_too_and_may_be_grey_or_have_alpha() -> None:
    assert is_near(shown(avif(plain((128, 128, 128)), 9, PQ)), (132, 132, 132), 3)
    assert is_near(shown(avif(plain((128, 128, 128)), 9, HLG)), (99, 99, 99), 3)
    assert is_near(shown(heic((128, 128, 128), 9, PQ)), (132, 132, 132), 3)
    assert is_near(shown(avif(plain((128, 128, 128, 64)), 9, PQ)), (132, 132, 132, 64), 3)
    assert is_near(shown(png(plain((128 * 257,), np.uint16), cicp(9, PQ)))[:1], (132,), 3)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_no_rendition_of_a_hdr_source_is_hdr(format: Format) -> None:
    body = png(plain(pq(203, 203, 203), np.uint16), cicp(9, PQ))
    for keep_profile in ("false", "true"):
        out = render(body, f'format = "{format}"\nkeep_profile = {keep_profile}\nwidth = 90')
        assert is_near(tuple(round(each) for each in decoded(out)(45, 30))[:1], (187,), 4)
        assert b"cICP" not in out


def test_with_keep_profile_a_rendition_has_a_profile_that_says_the_same() -> None:
    for body in (png(plain(SAND), cicp(12, 13)), avif(plain(SAND), 12)):
        out = decoded(render(body, 'format = "webp"\nlossless = true\nkeep_profile = true'))
        assert is_near(tuple(out(45, 30)), SAND, 2)
        converted = out.icc_transform("srgb", embedded=True)
        assert is_near(tuple(round(each) for each in converted(45, 30)), (209, 147, 91), 3)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_greys_are_converted_with_keep_profile_too_as_not_every_format_has_profiles_for_them(format: Format) -> None:
    out = decoded(render(png(plain((128,)), gama(1.0)), f'format = "{format}"\nkeep_profile = true'))
    assert is_near(tuple(round(level) for level in out(45, 30))[:1], (188,), 3)
    assert not out.get_typeof("icc-profile-data")


def test_colours_in_srgb_are_not_converted() -> None:
    untouched = [
        png(plain(SAND)),
        png(plain(SAND), SRGB_CHUNK),
        png(plain(SAND), gama(0.45455)),
        png(plain(SAND), cicp(1, 13)),
        avif(plain(SAND)),
    ]
    assert [read_header(body, DEFAULT_LIMITS).coding for body in untouched] == [None] * len(untouched)


def test_a_made_profile_of_srgb_is_known_as_srgb() -> None:
    assert is_srgb(coded.profile_of_srgb())


# What encoders of AVIF rarely write


def ramps() -> np.ndarray:
    """Colours from top to bottom, alpha from the left to the right."""
    pixels = np.zeros((*SIZE, 4), np.uint8)
    pixels[..., :3] = SAND
    pixels[:20, :30, :3] = (250, 20, 20)
    pixels[..., 3] = np.linspace(0, 200, SIZE[1])[None] + np.linspace(0, 50, SIZE[0])[:, None]
    return pixels


def far(one: bytes, other: np.ndarray) -> float:
    """The mean difference of a rendition from the pixels, both multiplied by alpha."""
    made = decoded(one).numpy().astype(float)
    expected = other.astype(float)
    for pixels in (made, expected):
        pixels[..., :3] *= pixels[..., 3:] / 255
    return float(np.abs(made - expected).mean())


def test_grey_in_limited_range_is_stretched() -> None:
    grey = np.linspace(0, 255, SIZE[1]).astype(np.uint8)[None].repeat(SIZE[0], 0)
    out = decoded(render(avif(grey, subsampling="4:0:0", range="limited"))).numpy()
    assert np.abs(out[30, :, 0].astype(int) - grey[30]).max() <= 3


def test_alpha_in_limited_range_is_stretched() -> None:
    pixels = ramps()
    limited = pixels.copy()
    limited[..., 3] = pixels[..., 3] * (219 / 255) + 16
    assert far(render(coded.with_limited_alpha(avif(limited))), pixels) < 1.5


def test_colours_that_are_multiplied_by_alpha_are_divided_by_it() -> None:
    pixels = ramps()
    multiplied = pixels.copy()
    multiplied[..., :3] = pixels[..., :3] * (pixels[..., 3:] / 255)
    body = coded.with_premultiplied_alpha(avif(multiplied))
    assert far(render(body), pixels) < 1.5
    on_white = decoded(render(body, 'format = "jpeg"\nbackground = "#ffffff"\nquality = 95'))(85, 30)
    alpha = pixels[30, 85, 3] / 255
    assert is_near(tuple(on_white), tuple(round(255 - (255 - level) * alpha) for level in SAND), 4)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_alpha_is_turned_with_its_picture_also_if_the_file_forgets_that(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = avif(ramps(), exif=exif.tobytes())
    forgetful = coded.with_upright_alpha(body)
    assert forgetful != body
    assert np.array_equal(decoded(render(forgetful)).numpy(), decoded(render(body)).numpy())


# Hostile files

FILES = [
    png(plain(SAND), cicp(12, 13), gama(1.0), chrm(P3_CHRM), clli(400)),
    png(plain(SAND, np.uint16), cicp(9, PQ), clli(400)),
    avif(plain(SAND), 9, PQ),
    coded.with_premultiplied_alpha(avif(ramps())),
]


@examples(60)
@given(file=st.sampled_from(FILES), at=st.integers(0, 700), new=st.binary(min_size=1, max_size=8))
def test_damage_to_what_a_file_says_of_its_colours_is_a_rejection_or_a_picture(
    file: bytes, at: int, new: bytes
) -> None:
    with suppress(RejectedError):
        assert render(file[:at] + new + file[at + len(new) :], 'width = 20\nformat = "png"')


def test_tables_that_claim_billions_of_entries_are_left_at_once() -> None:
    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content) + 8) + name + content

    counts = b"\xff" * 6
    iloc = box(b"iloc", bytes(4) + b"\0\0\xff\xff" + (bytes(4) + b"\xff\xff") * 70_000)
    iprp = box(b"iprp", box(b"ipco", box(b"free", b"") * 70_000) + box(b"ipma", bytes(4) + counts))
    iref = box(b"iref", bytes(4) + box(b"dimg", bytes(2) + counts) * 70_000)
    body = box(b"meta", bytes(4) + box(b"pitm", bytes(4) + b"\0\1") + iprp + iref + iloc)
    with pytest.raises((ValueError, LookupError, struct.error)):
        read_heif(body)
