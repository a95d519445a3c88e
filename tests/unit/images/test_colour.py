"""Colour profiles: sRGB is recognised by its numbers."""

import struct
from collections.abc import Mapping

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.images.colour import is_complete, is_srgb
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.examples import examples

PRIMARIES = {b"rXYZ": (0.4361, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7142)}
CURVE_OF_SRGB = struct.pack(
    ">4s4xHxx5i", b"para", 3, *(round(n * 65536) for n in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)
CURVE_OF_SRGB_WITH_OFFSETS = b"para\0\0\0\0\0\4\0\0" + CURVE_OF_SRGB[12:] + bytes(8)
"""The form in which Skia, hence Android and Chrome, writes it."""
LINEAR = struct.pack(">4s4xI", b"curv", 0)


def table_of_srgb(count: int) -> bytes:
    levels = (number / (count - 1) for number in range(count))
    light = (level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels)
    return struct.pack(f">4s4xI{count}H", b"curv", count, *(round(value * 65535) for value in light))


def profile(curve: bytes, primaries: Mapping[bytes, tuple[float, ...]] = PRIMARIES, name: bytes = b"sRGB") -> bytes:
    """A matrix profile of version 2, complete enough for lcms."""
    text = struct.pack(">4s4xI", b"desc", len(name) + 1) + name + bytes(1 + 4 + 4 + 2 + 1 + 67)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none\0", b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    tags |= {key: xyz(values) for key, values in primaries.items()}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    at, directory, data = 132 + 12 * len(tags), b"", b""
    for key, tag in tags.items():
        directory += struct.pack(">4sII", key, at + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4xB3x4s4s4s12x4s28x3i48x", at + len(data), 2, b"mntr", b"RGB ", b"XYZ ", b"acsp", 63190, 65536, 54061
    )
    return header + struct.pack(">I", len(tags)) + directory + data


def xyz(values: tuple[float, ...]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in values))


@pytest.mark.parametrize(
    "curve", [CURVE_OF_SRGB, CURVE_OF_SRGB_WITH_OFFSETS, *map(table_of_srgb, (20, 182, 256, 1024, 4096))]
)
def test_srgb_is_recognised_by_its_numbers_whatever_its_name(curve: bytes) -> None:
    assert is_srgb(profile(curve, name=b"c2"))


@pytest.mark.parametrize("name", ["srgb", "p3"])
def test_only_srgb_of_the_built_in_profiles_of_libvips_is_srgb(name: str) -> None:
    image = drawing.photo(8, 8).icc_transform(name, input_profile="srgb")
    assert is_srgb(image.get("icc-profile-data")) is (name == "srgb")


def test_adobe_rgb_and_a_gamma_of_2_2_are_not_srgb() -> None:
    adobe_rgb = {
        b"rXYZ": (0.6097, 0.3111, 0.0195),
        b"gXYZ": (0.2053, 0.6257, 0.0609),
        b"bXYZ": (0.1492, 0.0632, 0.7446),
    }
    gamma = struct.pack(">4s4xIH", b"curv", 1, 0x0233)
    table = struct.pack(">4s4xI256H", b"curv", 256, *(round(65535 * (level / 255) ** 2.2) for level in range(256)))
    for curve in (gamma, table):
        assert not is_srgb(profile(curve))
        assert not is_srgb(profile(curve, adobe_rgb))
    assert not is_srgb(profile(CURVE_OF_SRGB, adobe_rgb))
    assert not is_srgb(profile(table_of_srgb(1024), adobe_rgb))


def test_lookup_tables_take_precedence_over_srgb_numbers() -> None:
    assert not is_srgb(profile(CURVE_OF_SRGB).replace(b"cprt", b"A2B0"))


def test_a_linear_or_a_wide_profile_is_not_srgb_whatever_its_name() -> None:
    assert not is_srgb(profile(LINEAR, name=b"sRGB IEC61966-2.1 (Linear RGB Profile)"))
    assert not is_srgb(profile(struct.pack(">4s4xIH", b"curv", 1, 0x0100)))
    assert not is_srgb(profile(CURVE_OF_SRGB, PRIMARIES | {b"rXYZ": (0.5151, 0.2412, -0.0011)}))


@examples(60)
@given(at=st.integers(0, 400), new=st.binary(min_size=1, max_size=8), length=st.integers(0, 700))
def test_a_damaged_profile_does_not_raise(at: int, new: bytes, length: int) -> None:
    intact = profile(CURVE_OF_SRGB)
    damaged = (intact[:at] + new + intact[at + len(new) :])[:length]
    assert is_srgb(damaged) in (True, False)
    assert is_complete(damaged) in (True, False)


def test_colours_of_a_linear_profile_with_the_name_srgb_become_srgb() -> None:
    image = (pyvips.Image.black(40, 30, bands=3) + 55).cast("uchar").copy(interpretation="srgb")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile(LINEAR))
    targets = parse_recipe('[renditions.x]\nwidth = 20\nformat = "png"').plan_for("a.png").renditions
    (rendition,) = SourceImage(bytes(image.pngsave_buffer(keep="icc"))).render(targets)
    assert abs(decoded(rendition.body)(5, 5)[0] - 128) <= 2
