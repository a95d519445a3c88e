"""TIFF: what its tags say of its samples (TIFF 6.0), and the pixels that libvips gets wrong without them."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import pyvips

from image_scaler.exceptions import UnsupportedImageError
from image_scaler.images.vips import open_buffer

MAX_TAGS = 1_000
MAX_VALUES = 16
"""Of one tag. The values that count are one for each sample, of which ten are allowed."""

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 258, 259, 262, 277
_EXTRA_SAMPLES, _SAMPLE_FORMAT, _COEFFICIENTS, _SUBSAMPLING, _REFERENCE = 338, 339, 529, 530, 532
_TYPES = {1: "B", 3: "H", 4: "I", 5: "II", 16: "Q"}

_WHITE_IS_ZERO, _GREY, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB, _ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
_COLOURS = {_WHITE_IS_ZERO: 1, _GREY: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3, _ICC_LAB: 3}
"""The samples of each kind of colours that is read. The others are raw data of cameras, masks, fax, and HDR."""
_GREYS = (_WHITE_IS_ZERO, _GREY)
_UNSIGNED, _FLOAT, _UNTYPED = 1, 3, 4
_JPEG = (6, 7)
_ALPHAS = (1, 2)
"""Extra samples that are alpha: colours are multiplied by the first kind. 0 is anything: a selection, a spot colour."""
_BT601 = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


@dataclass(frozen=True, kw_only=True)
class TiffFile:
    """What the tags say of the first picture."""

    tags: Mapping[int, tuple[int, ...]]
    photometric_at: int
    """The place in the file of the value that says what the samples are."""

    @property
    def _photometric(self) -> int:
        return self._one(_PHOTOMETRIC, _GREY)

    @property
    def _bits(self) -> tuple[int, ...]:
        return self.tags.get(_BITS, (1,))

    @property
    def _is_float(self) -> bool:
        return self._one(_SAMPLE_FORMAT, _UNSIGNED) == _FLOAT

    def _one(self, tag: int, default: int) -> int:
        return self.tags.get(tag, (default,))[0]

    def check(self) -> None:
        """Raise UnsupportedImageError if the pixels would be wrong."""
        if reason := self._refusal():
            raise UnsupportedImageError(f"this kind of TIFF is not supported: {reason}")

    def _refusal(self) -> str:
        kind, bits, samples = self._photometric, self._bits, self._one(_SAMPLES, 1)
        if len(set(bits)) > 1:
            return f"its samples have different numbers of bits ({', '.join(map(str, bits))})"
        if bits[0] not in (1, 2, 4, 8, 16, 32):
            return f"it has {bits[0]} bits per sample, and only 1, 2, 4, 8, 16 and 32 are read"
        if kind not in _COLOURS:
            return f"its colours are of the kind {kind}, which is neither grey, RGB, CMYK, YCbCr nor CIELab"
        if samples < _COLOURS[kind]:
            return f"it has {samples} samples per pixel, which are less than its colours need"
        if self._one(_SAMPLE_FORMAT, _UNSIGNED) not in (_UNSIGNED, _FLOAT, _UNTYPED):
            return "its samples are signed or complex numbers"
        if self._is_float and kind not in (*_GREYS, _LAB):
            return "its colours are floating-point numbers, which may mean light or levels"
        if bits[0] == 32 and not self._is_float and kind not in (*_GREYS, _RGB):
            return "it has 32 bits per sample, which are read in grey and RGB only"
        if self._one(_COMPRESSION, 1) in _JPEG:  # libjpeg converts YCbCr
            return ""
        if kind == _YCBCR and (bits[0] != 8 or not self._has_usual_ycbcr()):
            return "its YCbCr colours have more than 8 bits, or coefficients of their own"
        return "its CIELab colours have 32 bits" if kind == _ICC_LAB and bits[0] == 32 else ""

    def _has_usual_ycbcr(self) -> bool:
        coefficients, reference = self.tags.get(_COEFFICIENTS, ()), self.tags.get(_REFERENCE, ())
        usual = {_COEFFICIENTS: (0.299, 0.587, 0.114), _REFERENCE: (0, 255, 128, 255, 128, 255)}
        return all(
            len(pairs) == 2 * len(usual[tag])
            and all(
                abs(pairs[2 * index] - value * pairs[2 * index + 1]) <= 0.001 * pairs[2 * index + 1]
                for index, value in enumerate(usual[tag])
            )
            for tag, pairs in ((_COEFFICIENTS, coefficients), (_REFERENCE, reference))
            if pairs
        )

    @property
    def _is_lab_of_8_bits(self) -> bool:
        return self._photometric == _LAB and self._bits[0] == 8

    def readable(self, body: bytes) -> bytes:
        """Return the file as libvips reads it.

        It does not read CIELab of 8 bits, but gives the same samples unchanged if they are called RGB.
        """
        if not self._is_lab_of_8_bits:
            return body
        changed = bytearray(body)
        changed[self.photometric_at : self.photometric_at + 2] = struct.pack(_byte_order(body) + "H", _RGB)
        return bytes(changed)

    def open(self, body: bytes) -> pyvips.Image:
        """Return the picture in 8 or 16 bits, with alpha as its last band if a sample is marked as that.

        Raises UnsupportedImageError if it has numbers that cannot be shown.
        """
        body, kind = self.readable(body), self._photometric
        image = open_buffer(body, access="sequential")
        if image.bands != self._one(_SAMPLES, 1):
            return image  # libvips has converted it
        image = self._select(image)
        if self._one(_COMPRESSION, 1) in _JPEG:
            return image
        if image.format == "uint":
            return (image >> 16).cast("ushort").copy(interpretation="rgb16" if image.bands >= 3 else "grey16")
        if self._is_float and kind in _GREYS:
            return self._levels(image, open_buffer(body, access="sequential"))
        if kind == _YCBCR:
            return _with_alpha(_rgb_of_ycbcr(image), image)
        if kind == _ICC_LAB or self._is_lab_of_8_bits:
            return _with_alpha(_rgb_of_lab(image, is_signed=kind == _LAB), image)
        return image

    def _select(self, image: pyvips.Image) -> pyvips.Image:
        """Return the colours and, if there is one, alpha."""
        colours = _COLOURS[self._photometric]
        extra = image.bands - colours
        if extra < 1:
            return image
        # Programs that do not say what it is mean alpha.
        kinds = self.tags.get(_EXTRA_SAMPLES, (_ALPHAS[-1],))[:extra]
        alpha = next((colours + index for index, kind in enumerate(kinds) if kind in _ALPHAS), None)
        if extra == 1 and alpha:
            return image
        return image[:colours].bandjoin(image[alpha]) if alpha else image[:colours]

    def _levels(self, image: pyvips.Image, again: pyvips.Image) -> pyvips.Image:
        """Return floating-point grey from 0 to 1 in 16 bits. Only the pixels say whether it is."""
        extremes = again[0].stats()
        lowest, highest = extremes(0, 0)[0], extremes(1, 0)[0]
        if not (lowest >= -0.001 and highest <= 1.001):
            raise UnsupportedImageError(
                f"this kind of TIFF is not supported: its floating-point numbers are from {lowest:g} to {highest:g}, "
                "and only those from 0 to 1 are known to be levels"
            )
        if self._photometric == _WHITE_IS_ZERO:
            image = image.linear([-1, 1][: image.bands], [1, 0][: image.bands])
        return (image * 65_535 + 0.5).cast("ushort").copy(interpretation="grey16")


def _rgb_of_ycbcr(image: pyvips.Image) -> pyvips.Image:
    rgb = image[:3].linear([1, 1, 1], [0, -128, -128]).recomb(pyvips.Image.new_from_list([list(row) for row in _BT601]))
    return (rgb + 0.5).cast("uchar").copy(interpretation="srgb")


def _rgb_of_lab(image: pyvips.Image, *, is_signed: bool) -> pyvips.Image:
    """Return CIELab in sRGB: its a and b are signed, or have 128 in their middle (ICC)."""
    step = 256 if image.format == "ushort" else 1
    opponents = image[1:3]
    opponents = (opponents > 127).ifthenelse(opponents - 256, opponents) if is_signed else opponents / step - 128
    light = image[0] * (100 / (255 * step))
    return light.bandjoin(opponents).copy(interpretation="lab").colourspace("srgb")


def _with_alpha(colours: pyvips.Image, image: pyvips.Image) -> pyvips.Image:
    """Return 8-bit colours with the alpha of an image, if it has one."""
    if image.bands < 4:
        return colours
    alpha = image[3] >> 8 if image.format == "ushort" else image[3]
    return colours.bandjoin(alpha.cast("uchar"))


def is_tiff(body: bytes) -> bool:
    """Return whether a file begins like a TIFF, or like one of more than 4 GB."""
    return body[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(body: bytes) -> TiffFile | None:
    """Read the tags of the first picture; None if they are damaged."""
    order = _byte_order(body)
    is_big = 43 in body[2:4]
    try:
        (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), body, 8 if is_big else 4)
        (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), body, at)
        at += 8 if is_big else 2
        tags: dict[int, tuple[int, ...]] = {}
        photometric_at = 0
        for entry in range(at, at + (20 if is_big else 12) * min(count, MAX_TAGS), 20 if is_big else 12):
            tag, form, values = struct.unpack_from(order + ("HHQ" if is_big else "HHI"), body, entry)
            place = entry + (12 if is_big else 8)
            if form not in _TYPES:
                continue
            letters = _TYPES[form] * min(values, MAX_VALUES)
            if struct.calcsize(order + _TYPES[form]) * values > (8 if is_big else 4):
                (place,) = struct.unpack_from(order + ("Q" if is_big else "I"), body, place)
            tags.setdefault(tag, struct.unpack_from(order + letters, body, place))
            if tag == _PHOTOMETRIC:
                photometric_at = place
        return TiffFile(tags=tags, photometric_at=photometric_at) if all(tags.values()) else None
    except struct.error:
        return None


def _byte_order(body: bytes) -> str:
    return "<" if body[:1] == b"I" else ">"
