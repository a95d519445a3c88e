"""Gain maps: what is read of a source, what a JPEG rendition has of it, and when it is dropped."""

import struct
from typing import Any

import msgspec
import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.images.attribution import Credits, read_credits
from image_scaler.images.containers import jpeg_segments
from image_scaler.images.gain_map import Window, _is_beyond
from image_scaler.images.gain_map_file import UnusableMapError, _Head, _other_pictures, find_gain_map
from image_scaler.images.overlay import open_overlay
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.limits import IDLE_MEMORY, Limits
from image_scaler.renditions.overlay import Overlay
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing, ultra_hdr
from tests.support.drawing import decoded
from tests.support.examples import examples
from tests.support.ultra_hdr import COLOURFUL, NUMBERS, described, iso, joined, source, with_map, xmp

SIZE = (160, 120)
PICTURE, GAIN = ultra_hdr.bright_sky(*SIZE)
BASE = drawing.jpeg(PICTURE)
MAP = bytes(GAIN.resize(0.5).jpegsave_buffer(Q=98))
HDR = 'format = "jpeg"\nhdr = "keep"\n'


LOGO = open_overlay(drawing.png(drawing.srgb(np.full((20, 60, 3), 255, np.uint8))))
PLACE = {"width": "25%", "position": "right", "margin": "20%"}
"""Near the sun."""
DRAWN = 'overlay = { image = "overlays/logo.png"' + "".join(f', {name} = "{text}"' for name, text in PLACE.items())


def render_all(body: bytes, table: str, limits: Limits | None = None) -> list[Rendition]:
    recipe = parse_recipe(f"[renditions.x]\n{table}", read_overlay=lambda name: LOGO)
    targets = recipe.plan_for("a.jpg").renditions
    return list(SourceImage(body, limits or Limits()).render(targets))


def render(body: bytes, table: str = HDR, limits: Limits | None = None) -> Rendition:
    (rendition,) = render_all(body, table, limits)
    return rendition


def hdr(body: bytes) -> ultra_hdr.Hdr:
    seen = ultra_hdr.seen(body)
    assert seen is not None
    return seen


@pytest.mark.parametrize("colourful", [False, True])
@pytest.mark.parametrize("notation", [xmp, iso])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_numbers_of_a_map_stay_in_either_notation(colourful: bool, notation: Any, order: str) -> None:
    numbers = COLOURFUL if colourful else NUMBERS
    both = hdr(source(*SIZE, colourful=colourful)).numbers
    body = source(*SIZE, notation(numbers), colourful=colourful, order=order)
    rendition = render(body, f"{HDR}width = 80")
    assert rendition.made.hdr is True
    assert hdr(rendition.body).numbers == {name: pytest.approx(value, abs=1e-6) for name, value in both.items()}
    found, kept = find_gain_map(body), find_gain_map(rendition.body)
    assert found
    assert kept
    assert found.gains == kept.gains


@pytest.mark.parametrize("colourful", [False, True])
def test_the_files_of_libultrahdr_are_read(colourful: bool) -> None:
    body = ultra_hdr.saved_by_libvips(source(*SIZE, colourful=colourful))
    rendition = render(body, f"{HDR}width = 80")
    assert rendition.made.hdr is True
    assert hdr(rendition.body).numbers == {
        name: pytest.approx(value, abs=1e-6) for name, value in hdr(body).numbers.items()
    }


def test_libvips_computes_the_light_that_the_tests_expect() -> None:
    body = render(source(*SIZE), f"{HDR}width = 100\nheight = 80").body
    light = ultra_hdr.light_by_libvips(body)
    assert np.abs(light - hdr(body).light).mean() < 0.003 * light.mean()


def test_what_a_rendition_says_in_xmp_is_what_it_says_in_iso() -> None:
    body = render(source(*SIZE, colourful=True)).body
    without = (
        body.replace(ultra_hdr.ISO, b"x" * len(ultra_hdr.ISO)),
        body.replace(ultra_hdr.XMP, b"x" * len(ultra_hdr.XMP)),
    )
    by_xmp, by_iso = map(find_gain_map, without)
    assert by_xmp
    assert by_iso
    assert by_xmp.gains == by_iso.gains
    assert by_xmp.gains.max == (2.25, 2.5, 2.75)


def test_the_table_and_the_xmp_of_a_rendition_lead_to_its_map() -> None:
    body = render(source(*SIZE)).body
    found = find_gain_map(body)
    assert found
    assert body.endswith(found.jpeg)
    assert f'Item:Length="{len(found.jpeg)}"'.encode() in body


def test_credits_and_a_map_are_in_one_xmp_packet() -> None:
    credits = 'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Credit="Agency"'
    body = joined(BASE, MAP[:2] + ultra_hdr.segment(0xE1, xmp(NUMBERS)) + MAP[2:], xmp({}, credits))
    rendition = render(body)
    assert rendition.made.hdr is True
    packets = [payload for marker, payload, _ in jpeg_segments(rendition.body) if payload.startswith(ultra_hdr.XMP)]
    assert len(packets) == 1
    assert read_credits({"xmp-data": packets[0]}) == Credits(credit="Agency")
    assert ultra_hdr.seen(rendition.body)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_without_a_map_or_without_the_option_not_one_byte_changes(format: Format) -> None:
    plain = (
        f'formats = ["{format}", "jpeg"]\nwidth = 90' if format is not Format.JPEG else 'format = "jpeg"\nwidth = 90'
    )
    kept = f'{plain}\nhdr = "keep"'
    with_it, without = source(*SIZE), drawing.jpeg(PICTURE, subsample_mode="off")
    expected = [rendition.body for rendition in render_all(without, plain)]
    assert [rendition.body for rendition in render_all(without, kept)] == expected
    assert [rendition.body for rendition in render_all(with_it, plain)] == expected
    *others, jpeg = [rendition.body for rendition in render_all(with_it, kept)]
    assert [*others] == expected[:-1]
    assert jpeg != expected[-1]
    assert all(rendition.made.hdr is msgspec.UNSET for rendition in render_all(without, kept))


def test_a_map_is_neither_enlarged_nor_sharpened_nor_chroma_subsampled() -> None:
    body = source(*SIZE, colourful=True)
    large = hdr(render(body, f"{HDR}width = 320\nwithout_enlargement = false\nsharpen = true").body).gain_map
    assert (large.width, large.height) == (80, 60)
    found = find_gain_map(body)
    assert found
    difference = np.abs(decoded(found.jpeg).numpy().astype(int) - large.numpy())
    assert difference.mean() < 2
    frames = [payload for marker, payload, _ in jpeg_segments(render(body).body) if marker == 0xC0]
    (frame,) = [
        payload for marker, payload, _ in jpeg_segments(find_gain_map(render(body).body).jpeg) if marker == 0xC0
    ]  # type: ignore[union-attr]
    assert frames[0][7] == 0x22, "the picture has fewer colours than pixels"
    assert frame[7] == 0x11


def test_trim_cuts_the_map_as_its_picture() -> None:
    left, top, frame = 31, 22, (240, 180)
    framed = PICTURE.embed(left, top, *frame, extend="background", background=[255, 255, 255])
    gain = GAIN.embed(left, top, *frame).resize(0.5)
    body = with_map(
        drawing.jpeg(framed, subsample_mode="off"), bytes(gain.jpegsave_buffer(Q=98)), xmp(NUMBERS), iso(NUMBERS)
    )
    whole, trimmed = hdr(body), render(body, f"{HDR}trim = true")
    assert trimmed.made.hdr is True
    width, height = trimmed.size
    assert abs(width - SIZE[0]) <= 2
    x, y = left + (SIZE[0] - width) // 2, top + (SIZE[1] - height) // 2
    expected = whole.light[y : y + height, x : x + width]
    assert np.abs(hdr(trimmed.body).light - expected).mean() < 0.03 * expected.mean()


DETAILED = with_map(drawing.jpeg(drawing.photo(*SIZE)), MAP, xmp(NUMBERS), iso(NUMBERS))


@pytest.mark.parametrize("option", ['quality = "high"', "sharpen = true", "progressive = true", "max_bytes = 4_000"])
def test_what_is_done_to_the_picture_alone_does_not_move_the_map(option: str) -> None:
    crop = f'{HDR}width = 80\nheight = 90\nposition = "right"\n'
    plain, changed = (hdr(render(DETAILED, crop + more).body).gain_map for more in ("", option))
    assert np.array_equal(changed.numpy(), plain.numpy())
    left = hdr(render(DETAILED, crop.replace("right", "left")).body).gain_map
    assert not np.array_equal(left.numpy(), plain.numpy())


def test_a_crop_after_trim_is_one_of_what_is_left() -> None:
    framed = drawing.photo(*SIZE).embed(40, 30, 240, 180, extend="background", background=[255, 255, 255])
    gain = GAIN.embed(40, 30, 240, 180)
    body = with_map(drawing.jpeg(framed, subsample_mode="off"), bytes(gain.jpegsave_buffer(Q=98)), xmp(NUMBERS))
    alone = with_map(drawing.jpeg(drawing.photo(*SIZE)), bytes(GAIN.jpegsave_buffer(Q=98)), xmp(NUMBERS))
    crop = f'{HDR}width = 60\nheight = 100\nposition = "right"\n'
    trimmed, expected = (
        hdr(render(file, crop + more).body).gain_map for file, more in ((body, "trim = true"), (alone, ""))
    )
    assert np.abs(trimmed.numpy().astype(int) - expected.numpy()).mean() < 3


@pytest.mark.parametrize("table", ["max_bytes = 5_000", 'quality = "visually_lossless"\nmax_bytes = 5_000'])
def test_max_bytes_counts_the_map(table: str) -> None:
    without = render(DETAILED, f'format = "jpeg"\n{table}').made
    rendition = render(DETAILED, HDR + table)
    assert rendition.made.hdr is True
    assert 4_500 < len(rendition.body) == rendition.made.bytes <= 5_000
    assert rendition.made.quality is not None
    assert without.quality is not None
    assert rendition.made.quality < without.quality


def test_a_crop_that_ends_at_the_edge_is_within_the_picture_in_spite_of_rounding() -> None:
    trimmed = Window((105 - 87) / 105, 0, 87 / 105, 1)
    cropped = Window((87 - 23) / 87, 0, 23 / 87, 1).within(trimmed)
    assert cropped.left + cropped.width > 1
    assert not _is_beyond(cropped)


def test_a_table_of_pictures_cannot_name_more_bytes_than_there_are() -> None:
    body = drawing.jpeg()
    names = b"".join(struct.pack(">IIIHH", 0, 2000, place, 0, 0) for place in range(1, 16))
    entries = struct.pack(">HHII", 0xB002, 7, 256, 50) * 3
    table = b"MM\0*" + struct.pack(">IH", 8, 3) + entries + bytes(4) + bytes(16) + names
    hostile = body + table + b"\xff\xd8" * 2000
    found = list(_other_pictures(hostile, _Head(mpf=len(body))))
    assert sum(length for _, length in found) <= len(hostile)
    assert len(set(found)) == len(found)


def test_a_map_that_needs_more_than_half_of_max_bytes_is_dropped() -> None:
    made = render(DETAILED, f"{HDR}max_bytes = 3_000").made
    assert (made.hdr, made.hdr_dropped) == (False, "max_bytes")


def test_a_searched_quality_is_that_of_the_picture_alone() -> None:
    body = source(320, 240)
    with_it, without = (
        render(body, f'format = "jpeg"\nquality = "high"\n{more}').made for more in ('hdr = "keep"', "")
    )
    assert (with_it.quality, with_it.score) == (without.quality, without.score)
    assert with_it.bytes > without.bytes


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_rendition_with_the_sources_own_pixels_has_its_own_map(orientation: int) -> None:
    base = drawing.photo(*SIZE).jpegsave_buffer(Q=30)
    image = pyvips.Image.new_from_buffer(base, "").copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    body = with_map(bytes(image.jpegsave_buffer(Q=30)), MAP, xmp(NUMBERS), iso(NUMBERS))
    rendition = render(body, f"{HDR}quality = 95")
    assert (rendition.made.quality, rendition.made.hdr) == (None, True)
    assert np.array_equal(hdr(rendition.body).light, hdr(body).light)
    assert decoded(rendition.body).autorot().width == (SIZE[1] if orientation == 6 else SIZE[0])


def test_the_sources_own_pixels_have_no_map_that_was_dropped() -> None:
    base = drawing.photo(*SIZE).icc_transform("p3", input_profile="srgb").jpegsave_buffer(Q=30)
    gain = GAIN.bandjoin([GAIN, 255 - GAIN]).copy(interpretation="srgb").resize(0.2)
    rendition = render(with_map(bytes(base), bytes(gain.jpegsave_buffer()), xmp(NUMBERS)), f"{HDR}quality = 95")
    assert (rendition.made.quality, rendition.made.hdr_dropped) == (None, "colours")
    assert ultra_hdr.seen(rendition.body) is None


def test_a_format_without_a_map_does_not_replace_a_jpeg_with_one() -> None:
    table = 'formats = ["jpeg", "webp"]\nwidths = [100]\nskip_larger = true\nhdr = "keep"'
    assert [rendition.is_larger for rendition in render_all(source(*SIZE), table)] == [False, False]


def gain_map(*blocks: bytes) -> bytes:
    return (
        MAP[:2]
        + b"".join(ultra_hdr.segment(0xE1 if b.startswith(ultra_hdr.XMP) else 0xE2, b) for b in blocks)
        + MAP[2:]
    )


def numbers(**changed: Any) -> bytes:
    return xmp({**NUMBERS, **changed})


HDR_BASE = {"HDRCapacityMin": 2, "HDRCapacityMax": 0}
CMYK = bytes(PICTURE.icc_transform("cmyk", input_profile="srgb").jpegsave_buffer())
WITH_ALPHA_TEXT = numbers(GainMapMax="much")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (gain_map(WITH_ALPHA_TEXT), "damaged"),
        (gain_map(numbers(GainMapMax=float("nan"))), "damaged"),
        (gain_map(numbers(GainMapMax=float("inf"))), "damaged"),
        (gain_map(numbers(GainMapMax=1e300)), "damaged"),
        (gain_map(numbers(GainMapMin=3)), "damaged"),
        (gain_map(numbers(Gamma=0)), "damaged"),
        (gain_map(numbers(OffsetSDR=-1)), "damaged"),
        (gain_map(numbers(Gamma=(1, 1))), "damaged"),
        (gain_map(xmp({"GainMapMin": 0})), "damaged"),
        (gain_map(iso(NUMBERS)[:60]), "damaged"),
        (gain_map(iso(NUMBERS, version=1)), "damaged"),
        (gain_map(iso(NUMBERS)[:33] + bytes(200)), "damaged"),
        (gain_map(numbers(HDRCapacityMax=0)), "damaged"),
        (gain_map(numbers())[: -len(MAP) // 2], "damaged"),
        (CMYK[:2] + gain_map(numbers())[2 : -len(MAP) + 2] + CMYK[2:], "damaged"),
        (gain_map(xmp(NUMBERS, 'hdrgm:BaseRenditionIsHDR="True"')), "base_is_hdr"),
        (gain_map(iso({**NUMBERS, **HDR_BASE})), "base_is_hdr"),
        (gain_map(iso(NUMBERS, flags=0x44)), "base_is_hdr"),
    ],
)
def test_a_map_without_a_meaning_is_dropped_with_the_reason(second: bytes, reason: str) -> None:
    rendition = render(joined(BASE, second))
    assert (rendition.made.hdr, rendition.made.hdr_dropped) == (False, reason)
    assert rendition.body == render(BASE).body


def test_a_map_that_is_cut_off_is_dropped() -> None:
    made = render(source(*SIZE)[:-100]).made
    assert (made.hdr, made.hdr_dropped) == (False, "damaged")


@pytest.mark.parametrize(
    "second",
    [MAP, BASE, MAP[:-20], b"\xff\xd8\xff\xd9", gain_map(described("")), gain_map(ultra_hdr.XMP + b"<x:xmpmeta")],
)
def test_a_second_picture_that_is_no_map_is_ignored(second: bytes) -> None:
    rendition = render(joined(BASE, second))
    assert rendition.made.hdr is msgspec.UNSET
    assert rendition.body == render(BASE).body


def test_only_what_the_table_leads_to_is_a_map() -> None:
    assert render(BASE + gain_map(numbers())).made.hdr is msgspec.UNSET
    between = with_map(BASE, MAP, xmp(NUMBERS), between=bytes(100))
    assert render(between).made.hdr is True


def test_a_map_in_a_map_is_not_read() -> None:
    nested = joined(gain_map(numbers()), gain_map(numbers(GainMapMax=9, HDRCapacityMax=9)))
    assert hdr(render(joined(BASE, nested)).body).numbers["max-content-boost"] == [pytest.approx(2**2.5)] * 3


def test_a_map_beyond_the_limits_or_the_memory_is_dropped_and_the_picture_stays() -> None:
    small = bytes(PICTURE.resize(0.5).jpegsave_buffer())
    large = with_map(small, bytes(GAIN.jpegsave_buffer(interlace=True)), xmp(NUMBERS))
    made = render(large, HDR, Limits(pixels=10_000)).made
    assert (made.hdr, made.hdr_dropped) == (False, "too_large")
    huge = with_map(small, bytes(GAIN.resize(20).jpegsave_buffer(interlace=True)), xmp(NUMBERS))
    memory = Limits().in_memory(170 * 1024**2)
    assert render(small, HDR, memory).made.hdr is msgspec.UNSET
    made = render(huge, HDR, memory).made
    assert (made.hdr, made.hdr_dropped) == (False, "too_large")
    assert render(huge).made.hdr is True


def p3_source(*, colourful: bool) -> tuple[bytes, np.ndarray]:
    """A photograph in Display P3 with a gain map; and the picture in sRGB."""
    image = pyvips.Image.new_from_buffer(BASE, "")
    gain = GAIN.bandjoin([GAIN, 255 - GAIN]).copy(interpretation="srgb") if colourful else GAIN
    base = drawing.jpeg(image.icc_transform("p3", input_profile="srgb"), subsample_mode="off")
    found = bytes(gain.jpegsave_buffer(Q=98, subsample_mode="off"))
    return with_map(base, found, xmp(NUMBERS), iso(NUMBERS)), image.numpy()


def test_a_grey_map_is_right_for_a_picture_that_is_converted_to_srgb() -> None:
    body, picture = p3_source(colourful=False)
    rendition = render(body, f'{HDR}chroma_subsampling = "4:4:4"\nquality = 95')
    assert rendition.made.hdr is True
    seen = hdr(rendition.body)
    expected = ultra_hdr.lit(picture, GAIN, seen.numbers)
    assert np.abs(seen.light - expected).mean() < 0.02 * expected.mean()


def test_a_map_of_three_channels_is_dropped_if_the_colours_are_converted() -> None:
    body, _ = p3_source(colourful=True)
    made = render(body).made
    assert (made.hdr, made.hdr_dropped) == (False, "colours")
    kept = render(body, f"{HDR}keep_profile = true")
    assert kept.made.hdr is True
    assert decoded(kept.body).get_typeof("icc-profile-data")


def test_a_map_with_primaries_of_its_own_keeps_its_profile() -> None:
    gain = GAIN.bandjoin([GAIN, GAIN]).copy(interpretation="srgb").icc_transform("p3", input_profile="srgb")
    found = bytes(gain.jpegsave_buffer(Q=98, subsample_mode="off"))
    body = with_map(drawing.jpeg(PICTURE.icc_transform("p3", input_profile="srgb")), found, iso(NUMBERS, flags=0))
    rendition = render(body, f"{HDR}width = 100\nheight = 100")
    assert rendition.made.hdr is True
    kept = hdr(rendition.body)
    assert kept.numbers["use-base-cg"] == 0
    assert kept.gain_map.get("icc-profile-data") == gain.get("icc-profile-data")


def test_a_map_of_a_picture_in_cmyk_is_dropped() -> None:
    made = render(with_map(CMYK, MAP, xmp(NUMBERS))).made
    assert (made.hdr, made.hdr_dropped) == (False, "colours")


def test_bars_have_no_gain() -> None:
    body = source(*SIZE, colourful=True)
    seen = hdr(render(body, f'{HDR}width = 120\nheight = 120\nfit = "contain"\nbackground = "#ffffff"').body)
    for bar in (seen.light[:12], seen.light[-12:]):
        assert bar == pytest.approx(1, abs=0.12), "next to the picture the encoder leaves traces of it"
        assert bar.mean() == pytest.approx(1, abs=0.01)
    assert seen.light.max() > 3


def test_a_map_that_has_gain_everywhere_is_dropped_next_to_bars() -> None:
    body = with_map(BASE, MAP, numbers(GainMapMin=0.5))
    made = render(body, f'{HDR}width = 120\nheight = 120\nfit = "contain"').made
    assert (made.hdr, made.hdr_dropped) == (False, "bars")
    assert render(body, f"{HDR}width = 120\nheight = 120").made.hdr is True


@pytest.mark.parametrize("colourful", [False, True])
@pytest.mark.parametrize("size", ["width = 120", 'width = 110\nheight = 110\nposition = "attention"', ""])
def test_an_overlay_has_no_gain_and_all_else_has_its_own(colourful: bool, size: str) -> None:
    body = source(*SIZE, colourful=colourful)
    with_logo, without = (render(body, f"{HDR}{size}\n{drawn}").body for drawn in (f"{DRAWN} }}", ""))
    seen, plain = hdr(with_logo).light, hdr(without).light
    height, width = seen.shape[:2]
    (inner, left, top) = Overlay(image="", file=LOGO, **PLACE).lay_out(Size(60, 20), Size(width, height))
    logo = np.s_[top + 2 : top + inner.height - 2, left + 2 : left + inner.width - 2]
    assert (plain / ultra_hdr.linear(decoded(without).numpy()))[logo].mean() > 1.4, "there is a gain"
    assert seen[logo] == pytest.approx(1, abs=0.3), "at its edges the encoder leaves traces of the picture"
    assert seen[logo].mean() == pytest.approx(1, abs=0.03)
    below = np.s_[top + inner.height + 10 :]
    assert np.abs(seen - plain)[below].mean() < 0.02


def test_half_an_overlay_keeps_half_of_the_gain_below_it() -> None:
    body, gains = source(*SIZE), []
    for opacity in (0.01, 0.5, 1):
        made = render(body, f"{HDR}{DRAWN}, opacity = {opacity} }}").body
        gain = hdr(made).light / ultra_hdr.linear(decoded(made).numpy())
        gains.append(float(gain[58:62, 100:116].mean()))
    assert gains[0] > gains[1] + 0.2 > gains[2] + 0.4
    assert gains[2] == pytest.approx(1, abs=0.05)


def test_a_map_that_has_gain_everywhere_is_dropped_under_an_overlay() -> None:
    body = with_map(BASE, MAP, numbers(GainMapMin=0.5))
    made = render(body, f"{HDR}{DRAWN} }}").made
    assert (made.hdr, made.hdr_dropped) == (False, "overlay")
    assert render(body, HDR).made.hdr is True


# iPhones

HEADROOM = 4.5


def apple(headroom: float | None = HEADROOM) -> bytes:
    """The XMP of an iPhone's map; the headroom is in it since iOS 17."""
    content = "<HDRGainMap:HDRGainMapVersion>131072</HDRGainMap:HDRGainMapVersion>"
    if headroom:
        content += f"<HDRGainMap:HDRGainMapHeadroom>{headroom}</HDRGainMap:HDRGainMapHeadroom>"
    return described('xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/"', content)


def noted(*values: tuple[int, float]) -> bytes:
    """EXIF with the notes of an iPhone: tags and their values."""
    place = 14 + 2 + 12 * len(values) + 4
    entries = [struct.pack(">HHII", tag, 10, 1, place + 8 * index) for index, (tag, _) in enumerate(values)]
    numbers = [struct.pack(">ii", round(value * 10_000), 10_000) for _, value in values]
    note = b"Apple iOS\0\0\1MM" + struct.pack(">H", len(values)) + b"".join(entries) + bytes(4) + b"".join(numbers)
    exif = struct.pack(">HHHIII", 1, 0x927C, 7, len(note), 44, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIII", 8, 1, 0x8769, 4, 1, 26, 0) + exif + note


def iphone(xmp: bytes, exif: bytes = b"") -> bytes:
    base = BASE[:2] + ultra_hdr.segment(0xE1, exif) + BASE[2:] if exif else BASE
    return joined(base, gain_map(xmp))


def test_a_map_of_an_iphone_becomes_one_that_every_program_reads() -> None:
    rendition = render(iphone(apple()), f'{HDR}chroma_subsampling = "4:4:4"\nquality = 95')
    assert rendition.made.hdr is True
    seen = hdr(rendition.body)
    assert seen.numbers["hdr-capacity-max"] == pytest.approx(HEADROOM)
    level = decoded(MAP).resize(2, kernel="linear").numpy()[..., None] / 255
    linear = np.where(level < 0.081, level / 4.5, ((level + 0.099) / 1.099) ** (1 / 0.45))
    expected = ultra_hdr.linear(decoded(BASE).numpy()) * (1 + (HEADROOM - 1) * linear)
    assert np.abs(seen.light - expected).mean() < 0.02 * expected.mean()


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        ([(33, 1.5), (48, 0.0)], 3.0),
        ([(33, 1.5), (48, 0.005)], 2.65),
        ([(33, 1.5), (48, 1.0)], 2.0),
        ([(33, 0.5), (48, 0.01)], 1.6),
        ([(33, 0.5), (48, 1.0)], 1.5),
        ([(33, 0.5)], 1.8),
        ([(48, 0.0)], 1.8),
    ],
)
def test_the_headroom_of_an_older_iphone_is_in_its_notes(values: list[tuple[int, float]], stops: float) -> None:
    seen = hdr(render(iphone(apple(None), noted(*values))).body)
    assert np.log2(seen.numbers["hdr-capacity-max"]) == pytest.approx(stops, abs=1e-4)


@pytest.mark.parametrize(
    "body",
    [
        iphone(apple(0.9)),
        iphone(apple(1e20)),
        iphone(apple(None)),
        iphone(apple(None), noted()),
        iphone(apple(None), noted((48, 30.0))),
        iphone(apple(None), noted((33, 1.0))[:-8]),
        iphone(apple(None), b"Exif\0\0II*\0" + b"\xff" * 40),
    ],
)
def test_an_iphones_map_without_a_headroom_is_dropped(body: bytes) -> None:
    made = render(body).made
    assert (made.hdr, made.hdr_dropped) == (False, "damaged")


def test_an_iphones_map_is_converted_next_to_the_sources_own_pixels_too() -> None:
    body = joined(bytes(drawing.photo(*SIZE).jpegsave_buffer(Q=30)), gain_map(apple()))
    rendition = render(body, f"{HDR}quality = 95")
    assert (rendition.made.quality, rendition.made.hdr) == (None, True)
    converted = render(body, f"{HDR}quality = 20")
    assert np.abs(hdr(rendition.body).gain_map.numpy().astype(int) - hdr(converted.body).gain_map.numpy()).max() <= 8


NOTED = noted((33, 1.5), (48, 0.005))


def test_the_map_in_the_heic_of_an_iphone_is_kept() -> None:
    body = ultra_hdr.heic(PICTURE, GAIN, NOTED)
    seen = hdr(render(body, f'{HDR}chroma_subsampling = "4:4:4"\nquality = 95').body)
    headroom = 2**2.65
    assert seen.numbers["hdr-capacity-max"] == pytest.approx(headroom)
    level = GAIN.numpy()[..., None] / 255
    linear = np.where(level < 0.081, level / 4.5, ((level + 0.099) / 1.099) ** (1 / 0.45))
    expected = ultra_hdr.linear(PICTURE.numpy()) * (1 + (headroom - 1) * linear)
    assert np.abs(seen.light - expected).mean() < 0.03 * expected.mean()
    cropped = hdr(render(body, f'{HDR}width = 60\nheight = 90\nposition = "right"').body)
    assert (cropped.gain_map.width, cropped.gain_map.height) == (60, 90)
    assert render(body, 'format = "jpeg"').made.hdr is msgspec.UNSET


def test_the_map_of_a_heic_without_a_headroom_is_dropped() -> None:
    made = render(ultra_hdr.heic(PICTURE, GAIN, b"Exif\0\0MM\0*" + bytes(60))).made
    assert (made.hdr, made.hdr_dropped) == (False, "damaged")


def test_the_map_of_a_heic_that_does_not_fit_in_memory_is_dropped() -> None:
    body = ultra_hdr.heic(PICTURE, GAIN, NOTED)
    made = render(body, HDR, Limits().in_memory(IDLE_MEMORY + len(body) + 450_000)).made
    assert (made.hdr, made.hdr_dropped) == (False, "too_large")


def test_a_heic_without_a_map_is_rendered_as_ever() -> None:
    body = ultra_hdr.heic(PICTURE, GAIN, NOTED).replace(b"hdrgainmap", b"hdrgainmop")
    assert render(body).made.hdr is msgspec.UNSET


# Hostile files

SOURCES = [source(96, 64), source(96, 64, colourful=True, order="<"), iphone(apple(None), noted((33, 1.5), (48, 0.0)))]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A source of which some bytes are others, mostly in its tables and in what its map says."""
    body = bytearray(draw(st.sampled_from(SOURCES)))
    places = [
        at
        for mark in (b"MPF\0", ultra_hdr.ISO, ultra_hdr.XMP, b"Apple iOS", b"hdrgm:", b"\xff\xd8")
        for at in range(len(body))
        if body.startswith(mark, at)
    ]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.sampled_from(places)) + draw(st.integers(0, 120))
        new = draw(
            st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"]))
        )
        body[at : at + len(new)] = new
    return bytes(body[: draw(st.one_of(st.none(), st.integers(200, len(body))))])


@examples(150)
@given(damaged())
def test_a_damaged_map_is_kept_or_dropped_and_nothing_else_happens(body: bytes) -> None:
    try:
        found = find_gain_map(body)
    except UnusableMapError:
        return
    if found:
        assert found.gains.base_headroom < found.gains.alternate_headroom
