"""AVIF pixels as they are meant: what libheif leaves to its caller."""

import pyvips

from image_scaler.images.heif import HeifFile
from image_scaler.images.vips import open_buffer

_ROTATION = b"\0\0\0\x09irot"
_NOT_TURNED = (b"\0", b"")
_ROTATIONS = ("d0", "d270", "d180", "d90")
"""Each by 90 degrees more, anticlockwise."""


def open_avif(body: bytes, file: HeifFile) -> pyvips.Image:
    """Return the picture with full range, and with colours that are not multiplied by alpha.

    The alpha of files from libavif before 0.8 is not turned with its picture: both are turned here.
    """
    picture, alpha = file.picture, file.alpha
    if alpha and alpha.turns == _NOT_TURNED != picture.turns:
        image = _turn(open_buffer(_without_rotation(body)), *picture.turns)
    else:
        image = open_buffer(body, access="sequential")
    if picture.is_monochrome and not picture.codes.is_full_range:
        image = _to_full_range(image, alpha=False)
    if not image.hasalpha() or alpha is None:
        return image
    if not alpha.codes.is_full_range:
        image = _to_full_range(image, alpha=True)
    return image.unpremultiply().cast(image.format) if file.is_premultiplied else image


def _to_full_range(image: pyvips.Image, *, alpha: bool) -> pyvips.Image:
    """Return the image with 16 of 255 as 0, and 235 as 255, in the colours or in alpha."""
    black, white = (4096, 60160) if image.format == "ushort" else (16, 235)
    gain = (65_535 if image.format == "ushort" else 255) / (white - black)
    stretched = [alpha == (image.hasalpha() and band == image.bands - 1) for band in range(image.bands)]
    scale = [gain if each else 1 for each in stretched]
    offset = [-black * gain if each else 0 for each in stretched]
    return (image.linear(scale, offset) + 0.5).cast(image.format).copy(interpretation=image.interpretation)


def _without_rotation(body: bytes) -> bytes:
    """Return the file with all rotations by 0 degrees."""
    parts = body.split(_ROTATION)
    return _ROTATION.join([parts[0], *(b"\0" + part[1:] for part in parts[1:])])


def _turn(image: pyvips.Image, rotation: bytes, mirror: bytes) -> pyvips.Image:
    """Return the image turned, of which libheif has only mirrored the colours."""
    flip = mirror and ("horizontal" if mirror[0] & 1 else "vertical")
    if flip:
        image = image[: image.bands - 1].flip(flip).bandjoin(image[image.bands - 1])
    image = image.rot(_ROTATIONS[rotation[0] & 3])
    return image.flip(flip) if flip else image
