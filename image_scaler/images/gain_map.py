"""The gain map of a source -> the gain map of a rendition: turned, cropped and scaled as its picture is.

A map covers its whole picture, with fewer pixels or as many. A crop seldom begins at a pixel of the map, so the map is
sampled between its pixels: a map of a quarter of the size that is cropped to whole pixels would be up to two pixels of
the picture apart from it. Its pixels are no colours. They are never converted, sharpened or enlarged, and its numbers
stay.
"""

from functools import cached_property
from typing import NamedTuple

import pyvips

from image_scaler.exceptions import DamagedImageError, ImageTooLargeError, UnsupportedImageError
from image_scaler.images import decoding, stripping
from image_scaler.images.attribution import NO_CREDITS
from image_scaler.images.colour import is_complete
from image_scaler.images.gain_map_file import GainMapFile, UnusableMapError, find_gain_map, read_apple_map, wrap_map
from image_scaler.images.header import Header, read_header
from image_scaler.images.heic import open_auxiliary
from image_scaler.images.vips import VIPS_ERRORS, open_buffer
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.made import DroppedMap

MAP_QUALITY = 85
"""Of the JPEG of a map.

With 76 the light of three photographs is up to 11 % further from their source's (of one in full size 63 %), and
renditions have 1 to 16 % fewer bytes. With 92 it is up to 10 % nearer, and they have 2 to 19 % more.
"""

MAX_COLOUR_SPREAD = 0.1
"""Up to so many stops a gain may differ between red, green and blue if the picture is converted to other primaries.

Three photographs with numbers for each channel have 0.03 to 0.07 stops in the mean: from Display P3 to sRGB, their
light is wrong by 0.4 to 0.6 % then, a fifth of what encoding does to it.
"""

MAX_SPREAD_SIDE = 256
"""The longest side in pixels at which that is looked at."""

MAX_PROFILE_BYTES = 64 * 1024
"""Of the profile of a map, which is in each rendition. One of primaries and a curve has less than 4 kB."""

MAP_BYTES = 12.0
"""Peak memory in bytes per pixel of a map at the largest scale; measured with three channels: 8 to 11."""


HEIC_MAP = "urn:com:apple:photo:2020:aux:hdrgainmap"
"""The kind of auxiliary picture that is the gain map of an iPhone's HEIC."""
MAX_SHAPE_DIFFERENCE = 1.1
"""By so much the aspect ratio of such a map may differ from that of its picture: else it is not turned as that is."""


class Window(NamedTuple):
    """A part of a picture, in shares of its width and height; it may go beyond its edges."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def within(self, outer: "Window") -> "Window":
        """Return the window of a picture in which this is one of the part `outer`."""
        return Window(
            outer.left + self.left * outer.width,
            outer.top + self.top * outer.height,
            self.width * outer.width,
            self.height * outer.height,
        )


WHOLE = Window()


def open_gain_map(body: bytes, picture: Header, limits: Limits) -> "GainMap | None":
    """Return the gain map of a source whose header is `picture`; None if it has none. Its pixels are not decoded yet.

    Raises UnusableMapError if it has one that cannot be kept in any rendition.
    """
    try:
        found = _find(body, picture, limits)
        if found is None:
            return None
        header = read_header(found.jpeg, limits)
        gain_map = GainMap(found, header, picture.orientation)
    except ImageTooLargeError as error:
        raise UnusableMapError(DroppedMap.TOO_LARGE) from error
    except (DamagedImageError, UnsupportedImageError, *VIPS_ERRORS) as error:
        raise UnusableMapError(DroppedMap.DAMAGED) from error
    if picture.is_cmyk:
        raise UnusableMapError(DroppedMap.COLOURS)
    if not gain_map.has_usable_profile:
        raise UnusableMapError(DroppedMap.COLOURS)
    if header.format is not Format.JPEG or gain_map.bands not in (1, 3):
        raise UnusableMapError(DroppedMap.DAMAGED)
    return gain_map


def _find(body: bytes, picture: Header, limits: Limits) -> GainMapFile | None:
    """Return the gain map of a file, as a JPEG."""
    if picture.format is Format.JPEG:
        return find_gain_map(body)
    if picture.format is not Format.HEIC:
        return None

    def check(size: Size) -> None:
        limits.check_pixels(*size, 1, must_buffer=True)
        limits.check_memory(*size, 1, Format.HEIC.traits.decoding_bytes, len(body))

    image = open_auxiliary(body, HEIC_MAP, check)
    if image is None:
        return None
    shapes = [size.width / size.height for size in (Size(image.width, image.height), picture.size)]
    if image.bands != 1 or image.format != "uchar" or max(shapes) > MAX_SHAPE_DIFFERENCE * min(shapes):
        raise UnusableMapError(DroppedMap.DAMAGED)
    return read_apple_map(bytes(image.jpegsave_buffer(Q=100, keep="none")), picture.fields.get("exif-data", b""))


class GainMap:
    """A gain map, for the renditions of its picture."""

    def __init__(self, file: GainMapFile, header: Header, orientation: int) -> None:
        """See `open_gain_map`; raises VIPS_ERRORS. `orientation` is that of the picture, and counts for the map too."""
        self._file = file
        self._orientation = orientation
        self._must_buffer = header.must_buffer
        image = open_buffer(file.jpeg)
        self._stored = Size(image.width, image.height)
        self.bands = image.bands
        """How many values each pixel has."""
        has_profile = not file.gains.uses_base_colours and image.get_typeof("icc-profile-data")
        self._profile = image.get("icc-profile-data") if has_profile else None

    @property
    def has_usable_profile(self) -> bool:
        """Whether it needs no profile of its own, or has one that is whole and no larger than is allowed."""
        return self._profile is None or (is_complete(self._profile) and len(self._profile) <= MAX_PROFILE_BYTES)

    @property
    def size(self) -> Size:
        """Its size when upright."""
        return Size(*self._stored[::-1]) if self._orientation >= 5 else self._stored

    def scaled_size(self, scale: tuple[float, float]) -> Size:
        """Return its size when it is scaled as its picture, but not enlarged."""
        width, height = (max(1, round(side * min(1.0, by))) for side, by in zip(self.size, scale, strict=True))
        return Size(width, height)

    def memory(self, scale: tuple[float, float]) -> int:
        """Return the peak memory in bytes to make the map of a rendition at a scale."""
        width, height = self.scaled_size(scale)
        decoder = self._stored.width * self._stored.height * Format.JPEG.traits.decoding_bytes
        return round((decoder if self._must_buffer else 0) + width * height * MAP_BYTES)

    def needs_base_colours(self) -> bool:
        """Return whether it is wrong for a picture that was converted to other primaries; raises UnusableMapError.

        A gain that is equal for red, green and blue is right for all of them: it commutes with the conversion.
        """
        try:
            return self._profile is None and self._colour_spread > MAX_COLOUR_SPREAD
        except VIPS_ERRORS as error:
            raise UnusableMapError(DroppedMap.DAMAGED) from error

    @cached_property
    def _colour_spread(self) -> float:
        """Return by how many stops the gains of red, green and blue are apart, in the mean of all pixels."""
        level = pyvips.Image.identity() / 255
        tables = [
            level ** float(1 / gamma) * float(high - low) + float(low)
            for low, high, gamma in zip(*self._file.gains[:3], strict=True)
        ]
        scale = min(1.0, MAX_SPREAD_SIDE / max(self._stored))
        gains = self._decode((scale, scale)).maplut(tables[0].bandjoin(tables[1:]))
        highest, lowest = (gains[0].bandrank([gains[1], gains[2]], index=index) for index in (2, 0))
        return float((highest - lowest).avg())

    def _decode(self, scale: tuple[float, float]) -> pyvips.Image:
        """Return the map in memory, upright, at a scale; raises VIPS_ERRORS.

        It is decoded for each rendition, and not scaled from that of a larger one: it has few pixels as a rule.
        """
        size = self.scaled_size(scale)
        stored = Size(*size[::-1]) if self._orientation >= 5 else size
        image = decoding.resize(self._translate(decoding.open_jpeg(self._file.jpeg, self._stored, stored)), stored)
        pixels = pyvips.Image.new_from_memory(image.write_to_memory(), *stored, self.bands, "uchar")
        return decoding.turn_upright(pixels.copy(interpretation=image.interpretation), self._orientation)

    def encode(self, window: Window, scale: tuple[float, float], covered: pyvips.Image | None = None) -> bytes:
        """Return the map of a rendition that shows a window of the picture at a scale, for `gain_map_file.join`.

        What is beyond the edges of the picture gets no gain, and so does what is covered by something that is drawn on
        the rendition: `covered` is how opaque that is on each of its pixels, from 0 to 255. Raises UnusableMapError if
        that is not possible, or if the map is damaged.
        """
        background = self._no_gain(DroppedMap.BARS) if _is_beyond(window) else None
        no_gain = None if covered is None else self._no_gain(DroppedMap.OVERLAY)
        try:
            image = self._decode(scale)
            image = image if window == WHOLE else _cut(image, window, background)
            if covered is not None:
                mask = decoding.resize(covered, Size(image.width, image.height))
                image = mask.ifthenelse(no_gain, image, blend=True)
            return self._save(image)
        except VIPS_ERRORS as error:
            raise UnusableMapError(DroppedMap.DAMAGED) from error

    def as_stored(self) -> bytes | None:
        """Return the map with its own pixels, not turned, like `encode`; None if it cannot be read."""
        if self._file.codes:
            try:
                return self._save(self._translate(open_buffer(self._file.jpeg)))
            except VIPS_ERRORS:
                return None
        stripped = stripping.strip(self._file.jpeg, Format.JPEG, 1, NO_CREDITS)
        return stripped and wrap_map(stripped, self._file.gains)

    def _translate(self, image: pyvips.Image) -> pyvips.Image:
        """Return the map with pixels that mean what its numbers say."""
        if self._file.codes is None:
            return image
        return image.maplut(pyvips.Image.new_from_memory(self._file.codes, 256, 1, 1, "uchar"))

    def _save(self, image: pyvips.Image) -> bytes:
        if self._profile:
            image = image.copy()
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", self._profile)
        jpeg = image.jpegsave_buffer(
            Q=MAP_QUALITY, subsample_mode="off", optimize_coding=True, keep="icc" if self._profile else "none"
        )
        return wrap_map(bytes(jpeg), self._file.gains)

    def _no_gain(self, needed_for: DroppedMap) -> list[int]:
        """Return the pixel that means no gain; raises UnusableMapError with what it is needed for if there is none."""
        gains, pixel = self._file.gains, []
        for low, high, gamma in zip(gains.min, gains.max, gains.gamma, strict=True):
            if not low <= 0 <= high:
                raise UnusableMapError(needed_for)
            pixel.append(round(255 * float(-low / (high - low)) ** float(gamma)) if high > low else 0)
        if self.bands < len(set(pixel)):
            raise UnusableMapError(needed_for)
        return pixel[: self.bands]


def _is_beyond(window: Window) -> bool:
    rounding = 1e-9
    right, bottom = window.left + window.width, window.top + window.height
    return min(window.left, window.top) < -rounding or max(right, bottom) > 1 + rounding


def _cut(image: pyvips.Image, window: Window, background: list[int] | None) -> pyvips.Image:
    """Return what is within a window, in as many pixels as it has in the image."""
    left, width = window.left * image.width, window.width * image.width
    top, height = window.top * image.height, window.height * image.height
    size = Size(max(1, round(width)), max(1, round(height)))
    steps = [width / size.width, height / size.height]
    first = [left + steps[0] / 2 - 0.5, top + steps[1] / 2 - 0.5]
    edge = {"extend": "copy"} if background is None else {"extend": "background", "background": background}
    places = pyvips.Image.xyz(*size) * steps + first
    return image.mapim(places, interpolate=pyvips.Interpolate.new("bicubic"), **edge)
