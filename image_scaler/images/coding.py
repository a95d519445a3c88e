"""How pixels are coded that have no ICC profile: the primaries and the curve that a PNG, an AVIF or a HEIC names.

Both are named by code points (ITU-T H.273), in PNG also by numbers (gAMA and cHRM). They mean what Chromium
150 shows, measured with drawn pictures of each code point.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from image_scaler.images.colour import SRGB_CURVE, Chromaticities, Curve, make_profile
from image_scaler.images.containers import png_header_chunks
from image_scaler.images.heif import HeifFile

_D65, _C = (0.3127, 0.329), (0.31, 0.316)
SRGB: Chromaticities = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
BT2020: Chromaticities = (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
_PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),  # NTSC of 1953
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),  # PAL
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # SMPTE 170M
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # SMPTE 240M
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),  # film
    9: BT2020,
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),  # XYZ
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # DCI-P3
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}


def _power(gamma: float) -> Curve:
    return (gamma, 1.0, 0.0, 1.0, 0.0)


_CURVES: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 11, 14, 15), _power(2.4)),  # of video, as its displays show it (BT.1886)
    4: _power(2.2),
    5: _power(2.8),
    7: (1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    8: _power(1.0),
    13: SRGB_CURVE,
    17: (2.6, (52.37 / 48) ** (1 / 2.6), 0.0, 1.0, 0.0),
}
_VIDEO_CURVES = (1, 6, 14, 15)
"""Those that AVIF and HEIC take over from video: browsers show them as sRGB's, which they do not in PNG."""

PQ, HLG = 16, 18
"""The curves of HDR: SMPTE ST 2084 and ARIB STD-B67."""
DEFAULT_PEAK = 1000.0


class ColourCoding(NamedTuple):
    """The meaning of pixels, unless they are in sRGB."""

    primaries: Chromaticities
    curve: Curve
    """Of a picture that is not HDR."""
    hdr_curve: int | None = None
    """PQ or HLG."""
    peak: float = DEFAULT_PEAK
    """The brightest light of an HDR picture, in cd/m2."""

    def profile(self, is_grey: bool) -> bytes:
        """Return a profile that says the same; empty if the values make no sense."""
        try:
            return make_profile(None if is_grey else self.primaries, self.curve)
        except (struct.error, ArithmeticError):
            return b""


def read_png_coding(body: bytes) -> ColourCoding | None:
    """Return what a PNG says, in the order of the specification: cICP, iCCP, sRGB, then gAMA and cHRM.

    None: it is sRGB, or has a profile, or says nothing.
    """
    try:
        chunks = png_header_chunks(body)
    except (ValueError, LookupError, struct.error):
        return None
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[2:] == b"\0\1" and _is_known(cicp[0], cicp[1]):
        coding = _code_points(cicp[0], cicp[1], _peak(chunks, b"cLLI", ">I", b"mDCV"))
        return ColourCoding(SRGB, SRGB_CURVE) if coding is None and b"iCCP" in chunks else coding
    gamma = _integers(chunks.get(b"gAMA", b""), 1)
    if b"iCCP" in chunks or b"sRGB" in chunks or gamma is None or gamma[0] == 0:
        return None
    exponent = 100_000 / gamma[0]
    chromaticities = _integers(chunks.get(b"cHRM", b""), 8)
    if chromaticities is None:
        # Programs that mean sRGB write a gamma of 1 / 2.2, the nearest power.
        return None if abs(exponent - 2.2) < 0.05 else ColourCoding(SRGB, _power(exponent))
    w_x, w_y, r_x, r_y, g_x, g_y, b_x, b_y = (number / 100_000 for number in chromaticities)
    return ColourCoding((w_x, w_y, r_x, r_y, g_x, g_y, b_x, b_y), _power(exponent))


def read_heif_coding(file: HeifFile) -> ColourCoding | None:
    """Return what an AVIF or a HEIC says; None: it is sRGB, or has a profile, or says nothing."""
    properties = file.picture.properties
    if b"prof" in properties or b"rICC" in properties:
        return None
    primaries, curve, _ = file.picture.codes
    curve = 13 if curve in _VIDEO_CURVES else curve
    peak = _peak(properties, b"clli", ">H", b"mdcv")
    return _code_points(primaries if primaries in _PRIMARIES else 1, curve if _is_known(1, curve) else 13, peak)


def _is_known(primaries: int, curve: int) -> bool:
    return primaries in _PRIMARIES and (curve in _CURVES or curve in (PQ, HLG))


def _code_points(primaries: int, curve: int, peak: float) -> ColourCoding | None:
    if curve in (PQ, HLG):
        return ColourCoding(_PRIMARIES[primaries], SRGB_CURVE, curve, peak)
    return None if (primaries, curve) == (1, 13) else ColourCoding(_PRIMARIES[primaries], _CURVES[curve])


def _peak(fields: Mapping[bytes, bytes], content: bytes, form: str, display: bytes) -> float:
    """Return the brightest light of the picture, or of the display that it was made on, in cd/m2."""
    unit = 1.0 if form == ">H" else 10_000.0  # PNG counts in 1/10,000
    if len(level := fields.get(content, b"")) == 2 * struct.calcsize(form):
        peak = struct.unpack_from(form, level)[0] / unit
        if peak:
            return float(peak)
    if len(mastering := fields.get(display, b"")) == 24:
        peak = struct.unpack_from(">I", mastering, 16)[0] / 10_000
        if peak:
            return float(peak)
    return DEFAULT_PEAK


def _integers(content: bytes, count: int) -> tuple[int, ...] | None:
    return struct.unpack(f">{count}I", content) if len(content) == 4 * count else None
