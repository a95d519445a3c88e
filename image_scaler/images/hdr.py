"""HDR pictures (PQ and HLG, ITU-R BT.2100) -> 8-bit sRGB, as browsers show them on a display without HDR.

This is the tone mapping by reference white of SMPTE ST 2094-50, which Chromium uses: light up to the white of paper is
only dimmed, and what is brighter is compressed into the rest. It is at most 2 of 255 apart from Chromium 150 on drawn
patches of 0 to 10,000 cd/m2.
"""

import math
from collections.abc import Sequence

import pyvips

from image_scaler.images.coding import BT2020, HLG, SRGB, ColourCoding
from image_scaler.images.colour import invert, multiply, xyz_matrix

WHITE = 203.0
"""The light of white paper in cd/m2 (ITU-R BT.2408). All light is relative to it."""
_PQ_PEAK, _HLG_PEAK = 10_000 / WHITE, 1000 / WHITE
_BT2020_LUMINANCE = (0.2627, 0.678, 0.0593)
_STOPS = math.log2(1000 / WHITE)
"""From this many stops above white on, white is dimmed to half of its light."""
_BEND = 0.65
"""How far the curve above white bends."""


def to_sdr(image: pyvips.Image, coding: ColourCoding) -> pyvips.Image:
    """Return an HDR image of 8 or 16 bits in 8-bit sRGB, without the profile that it may have; alpha stays."""
    image = image.copy()
    image.remove("icc-profile-data")
    alpha = image[image.bands - 1] if image.hasalpha() else None
    if alpha and image.format == "ushort":
        alpha = alpha >> 8
    colours = image[:3] if image.bands >= 3 else image[0].bandjoin([image[0], image[0]])
    to_bt2020 = multiply(invert(xyz_matrix(BT2020)), xyz_matrix(coding.primaries))
    to_srgb = multiply(invert(xyz_matrix(SRGB)), xyz_matrix(BT2020))

    level = pyvips.Image.identity(ushort=image.format == "ushort")
    level = level / level.max()
    is_hlg = coding.hdr_curve == HLG
    light = _recomb(colours.maplut(_hlg_light(level) if is_hlg else _pq_light(level)), to_bt2020)
    if is_hlg:
        # Its light is that of the scene. A display makes the brighter brighter.
        light *= _above(_recomb(light, [_BT2020_LUMINANCE]), 1e-9) ** 0.2 * _HLG_PEAK
    top = _HLG_PEAK if is_hlg else _PQ_PEAK
    brightest = light[0].bandrank([light[1], light[2]], index=2)
    light *= (brightest * (65_535 / top)).cast("ushort").maplut(_factors(top, coding.peak / WHITE))
    sdr = _recomb(light, to_srgb).copy(interpretation="scrgb").colourspace("srgb")
    return sdr.bandjoin(alpha.cast("uchar")) if alpha else sdr


def _recomb(image: pyvips.Image, matrix: Sequence[Sequence[float]]) -> pyvips.Image:
    return image.recomb(pyvips.Image.new_from_list([list(row) for row in matrix]))


def _above(image: pyvips.Image, least: float) -> pyvips.Image:
    return (image > least).ifthenelse(image, least)


def _pq_light(level: pyvips.Image) -> pyvips.Image:
    """Return the light of each level (SMPTE ST 2084)."""
    root = level ** (1 / 78.84375)
    return (_above(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125) * _PQ_PEAK


def _hlg_light(level: pyvips.Image) -> pyvips.Image:
    """Return the light of each level in the scene, up to 1 (ARIB STD-B67)."""
    bright = (((level - 0.55991073) / 0.17883277).exp() + 0.28466892) / 12
    return (level <= 0.5).ifthenelse(level * level / 3, bright)


def _factors(top: float, peak: float) -> pyvips.Image:
    """Return by what to multiply a colour, for each light from 0 to `top` of its brightest part."""
    light = _above(pyvips.Image.identity(ushort=True) * (top / 65_535), 1e-6)
    if peak <= 1:
        return light * 0 + 1
    white = 1 - 0.5 * min(1.0, math.log2(peak) / _STOPS)
    # A quadratic Bezier curve from (1, white) by a point between to (peak, 1), solved for the light.
    middle_x, middle_y = 1 + _BEND * (1 / white - 1), white + _BEND * (1 - white)
    a, b, c = 1 - 2 * middle_x + peak, 2 * (middle_x - 1), 1 - light
    place = 2 * c / (-b - _above(b * b - 4 * a * c, 0) ** 0.5)
    compressed = (1 - place) * (1 - place) * white + 2 * place * (1 - place) * middle_y + place * place
    return (light <= 1).ifthenelse(white, (light >= peak).ifthenelse(1, compressed) / light)
