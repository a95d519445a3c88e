"""Draw an overlay on the pixels of a rendition."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import pyvips

from image_scaler.exceptions import ImageTooLargeError, UnsupportedImageError
from image_scaler.images import decoding
from image_scaler.images.header import read_header
from image_scaler.images.vips import VIPS_ERRORS
from image_scaler.renditions.formats import OUTPUT_FORMATS
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.overlay import Overlay, OverlayImage, OverlayLayout

MAX_OVERLAY_PIXELS = 4_000_000
"""Of the image of an overlay: it stays in memory, with 16 MB at this size."""
_BYTES_PER_PIXEL = 16
"""Memory of an overlay while it is drawn: its pixels, and those of each size. Measured: 62 MB for 4 megapixels and
three sizes of up to 90 % of the rendition."""

_FORMATS = ", ".join(format.traits.title for format in OUTPUT_FORMATS)
_NO_LIMITS = Limits(source_bytes=10**10, pixels=10**10, buffered_pixels=10**10)
"""The limits of renditions.toml are for sources, and so are their messages."""


def open_overlay(body: bytes) -> OverlayImage:
    """Return the image of a file; all its pixels are decoded, so that no upload finds it damaged.

    Raises UnsupportedImageError, DamagedImageError or ImageTooLargeError.
    """
    other = UnsupportedImageError(f"it is none of {_FORMATS}: save it as a PNG, which keeps transparency")
    try:
        header = read_header(body, _NO_LIMITS)
    except UnsupportedImageError as error:
        raise error if error.code == "damaged" else other from error
    if header.format not in OUTPUT_FORMATS:
        raise other
    width, height = header.size
    if width * height > MAX_OVERLAY_PIXELS:
        raise ImageTooLargeError(f"it has {width:,} x {height:,} pixels but {MAX_OVERLAY_PIXELS:,} in all are allowed")
    file = OverlayImage(hashlib.sha256(body).hexdigest(), header.size, body)
    _decode(file)
    return file


def overlay_memory(overlays: Iterable[Overlay | None]) -> int:
    """Return how many bytes of memory the images of some overlays take."""
    files = {overlay.file for overlay in overlays if overlay}
    sizes = [(file.size or Size(1, 1), len(file.body)) for file in files]
    return sum(size.width * size.height * _BYTES_PER_PIXEL + length for size, length in sizes)


class OverlayPainter:
    """Draws the overlays on the renditions of one source.

    It keeps each overlay at each size: the frames and the formats of a rendition share it.
    """

    def __init__(self) -> None:
        self._prepared: dict[tuple[object, ...], pyvips.Image] = {}

    def draw(self, image: pyvips.Image, overlay: Overlay) -> pyvips.Image:
        """Return an image from `decoding.decode` or made of one, with the overlay on it; it gets no other alpha.

        The two are blended in the colours of the image: sRGB, or those of a profile that it keeps. A grey image becomes
        a coloured one if the overlay has colours.
        """
        drawn, layout = self._prepare(image, overlay)
        is_grey = drawn.bands < 3
        if not is_grey and image.bands < 3:
            image = image.colourspace("srgb")
        # Only what is below the overlay is blended: all other pixels stay as they are, and cost nothing.
        below = image.crop(layout.left, layout.top, *layout.size)
        blended = below.composite2(drawn, "over", compositing_space="b-w" if is_grey else "srgb")
        if not image.hasalpha():
            blended = blended[: image.bands]
        return image.insert(blended, layout.left, layout.top)

    def opacity(self, image: pyvips.Image, overlay: Overlay) -> pyvips.Image:
        """Return how opaque the overlay is on each pixel of an image, from 0 to 255."""
        drawn, layout = self._prepare(image, overlay)
        return (
            drawn[drawn.bands - 1].copy(interpretation="b-w").embed(layout.left, layout.top, image.width, image.height)
        )

    def _prepare(self, image: pyvips.Image, overlay: Overlay) -> tuple[pyvips.Image, OverlayLayout]:
        """Return the overlay as it is blended with an image, and its place."""
        drawn = _decode(overlay.file)
        is_grey = max(image.bands, drawn.bands) < 3
        layout = overlay.lay_out(Size(drawn.width, drawn.height), Size(image.width, image.height))
        profile = image.get("icc-profile-data") if image.get_typeof("icc-profile-data") else None
        key = (overlay.file, overlay.opacity, layout.size, is_grey, profile)
        if key not in self._prepared:
            self._prepared[key] = _prepare(drawn, layout.size, overlay.opacity, profile, is_grey=is_grey)
        return self._prepared[key], layout


@lru_cache(maxsize=8)
def _decode(file: OverlayImage) -> pyvips.Image:
    """Return the pixels of an image, with alpha: kept for the next source."""
    header = read_header(file.body, _NO_LIMITS)
    (image,) = decoding.decode(file.body, header, header.size)
    return image if image.hasalpha() else image.addalpha().copy_memory()


def _prepare(image: pyvips.Image, size: Size, opacity: float, profile: bytes | None, *, is_grey: bool) -> pyvips.Image:
    """Return the image of an overlay in memory, as it is blended: its size, its opacity, and its colours."""
    image = decoding.resize(image, size)
    if not is_grey and image.bands < 3:
        image = image.colourspace("srgb")
    if opacity < 1:
        image = (image * [*[1.0] * (image.bands - 1), opacity]).rint().cast("uchar")
    image = image.copy(interpretation="b-w" if is_grey else "srgb").copy_memory()
    return _convert_to(image, profile) if profile else image


def _convert_to(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """Return an image in sRGB in the colours of a profile; unchanged if libvips only converts from that."""
    try:
        lab = image.icc_import(input_profile="srgb").copy()
        lab.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
        return lab.icc_export(depth=8, black_point_compensation=True).copy_memory()
    except VIPS_ERRORS:
        return image
