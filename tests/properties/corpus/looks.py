"""Whether two pictures look alike, by another decoder than the engine's: Pillow."""

import io
import warnings

import numpy as np
from PIL import Image, ImageCms, ImageFilter, ImageOps

from image_scaler.renditions.geometry import Size

_GRID = 24
"""The side of the square that pictures are compared at: upside down shows there, an encoder's grain does not."""
_COARSE = 8
"""The same for icons, of which halving the resolution of colours leaves little."""


class CannotReadError(Exception):
    """Pillow cannot read the picture."""


def opened(body: bytes, draft: int | None = None) -> Image.Image:
    """The first frame, as it is stored; with `draft`, a JPEG only as large as that calls for."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(body))
            if draft:
                image.draft(None, (draft, draft))
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise CannotReadError(str(error)) from error
    return image


def glance(body: bytes, size: Size, *, hard_alpha: bool = False) -> np.ndarray:
    """The first frame upright, in sRGB, on white, blurred and small; `size` is that of the source.

    With `hard_alpha` a pixel is transparent or it is not, as in GIF.
    """
    image = ImageOps.exif_transpose(opened(body, draft=8 * _GRID))
    info = image.info
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) / 257).astype(np.uint8))
    if profile := info.get("icc_profile"):
        image = _in_srgb(image, profile)
    elif (gamma := info.get("gamma")) and "srgb" not in info:
        image = _without_gamma(image, gamma)
    if image.mode != "RGB":
        clear = image.convert("RGBA")
        if hard_alpha:
            clear.putalpha(clear.getchannel("A").point(lambda alpha: 255 if alpha >= 128 else 0))
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), clear).convert("RGB")
    side = _GRID if min(size) > 64 else _COARSE
    small = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(0.7)), dtype=float)


def _without_gamma(image: Image.Image, gamma: float) -> Image.Image:
    """The picture of a PNG whose levels are light to the power of gamma, in sRGB."""
    if abs(1 / gamma - 2.2) < 0.05:
        return image
    light = [(level / 255) ** (1 / gamma) for level in range(256)]
    levels = [12.92 * each if each <= 0.0031308 else 1.055 * each ** (1 / 2.4) - 0.055 for each in light]
    table = [round(255 * level) for level in levels]
    clear = image.convert("RGBA")
    return clear.point(table * 3 + list(range(256)))


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    try:
        colours = ImageCms.profileToProfile(
            image.convert("RGB") if alpha else image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode="RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    assert colours
    if alpha:
        colours.putalpha(alpha)
    return colours


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """How far two glances are apart, on average over places and colours: 0 to 255."""
    return float(np.abs(one - other).mean())


def is_turned_otherwise(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether one would be nearer to the other if it stood in one of the seven other ways."""
    asis = difference(one, other)
    turned = [np.rot90(side, turns) for side in (one, one.transpose(1, 0, 2)) for turns in range(4)][1:]
    return min(difference(way, other) for way in turned) < asis - 0.5


_HARMLESS = {
    *(0x013B, 0x8298),  # artist and copyright, which are kept
    *(0x0112, 0x011A, 0x011B, 0x0128, 0x0213),  # orientation, resolution, where the samples of colour lie
    *(0x8769, 0x9000, 0x9101, 0xA000, 0xA001, 0xA002, 0xA003),  # versions of the format, width and height
}


def private_data(body: bytes) -> list[str]:
    """Return the metadata in a rendition that should have been removed."""
    image = opened(body)
    exif = image.getexif()
    found = [f"EXIF {tag:#06x}" for tag in exif if tag not in _HARMLESS]
    found += [f"EXIF {tag:#06x}" for tag in exif.get_ifd(0x8769) if tag not in _HARMLESS]
    found += [f"GPS {tag}" for tag in exif.get_ifd(0x8825)]
    return found + [word for word in ("<?php", "GPSLatitude", "xpacket", "SerialNumber") if word.encode() in body]


def milliseconds(body: bytes) -> int:
    """How long an animation lasts; the number of its frames may differ, as equal ones are put together."""
    image = opened(body)
    total = 0
    for frame in range(getattr(image, "n_frames", 1)):
        image.seek(frame)
        image.load()
        total += image.info.get("duration") or 100  # what browsers make of 0
    return total
