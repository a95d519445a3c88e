"""How much of a picture is left in a rendition: SSIM against an unhurried reference."""

import math
from dataclasses import dataclass
from pathlib import Path

import pyvips

RADIUS = 5
_GAUSS = [math.exp(-(x * x) / (2 * 1.5**2)) for x in range(-RADIUS, RADIUS + 1)]
_WINDOW = pyvips.Image.new_from_array([_GAUSS], scale=sum(_GAUSS))


@dataclass(frozen=True)
class Similarity:
    """Mean SSIM of two pictures: 1 if they are equal."""

    luma: float
    chroma: float
    """The mean of both colour differences (Cb and Cr)."""


def similarity(one: pyvips.Image, other: pyvips.Image) -> Similarity:
    """Return the SSIM of two 8-bit sRGB pictures of one size.

    As Wang et al. 2004 define it: an 11 x 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, no border,
    on luma (and colour differences) of the gamma-encoded values, as in JPEG (BT.601, full range).
    """
    values = _ssim(_planes(one), _planes(other)).stats()
    luma, blue, red = (values.getpoint(4, band + 1)[0] for band in range(3))
    return Similarity(luma, (blue + red) / 2)


def reference(source: Path, width: int, height: int) -> pyvips.Image:
    """Return a picture at a size, made without any haste.

    All its pixels are decoded, turned upright and converted to sRGB; then one step of Lanczos 3, as wide as
    the reduction asks for, in gamma-encoded values as all contestants scale.
    """
    image = upright(source)
    scaled = image.reduce(image.width / width, image.height / height, kernel="lanczos3", gap=0)
    if (scaled.width, scaled.height) != (width, height):
        raise ValueError(f"expected {width} x {height} pixels but received {scaled.width} x {scaled.height}")
    return scaled.copy_memory()


def upright(source: Path) -> pyvips.Image:
    """Return all pixels of a file in 8-bit sRGB, upright, without an alpha channel."""
    image = pyvips.Image.new_from_file(str(source)).autorot()
    if image.get_typeof("icc-profile-data"):
        image = image.icc_transform("srgb")
    image = image.colourspace("srgb").cast("uchar")
    return (image.flatten(background=[255, 255, 255]) if image.hasalpha() else image).copy_memory()


def _planes(image: pyvips.Image) -> pyvips.Image:
    """Return luma and both colour differences of an sRGB picture."""
    if image.bands == 1:
        image = image.bandjoin([image, image])
    return image.recomb(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]],
    )


def _blur(image: pyvips.Image) -> pyvips.Image:
    return image.convsep(_WINDOW, precision="float")


def _ssim(x: pyvips.Image, y: pyvips.Image) -> pyvips.Image:
    """Return the map of SSIM, without the border that is narrower than the window."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x * mean_x + _blur(y * y) - mean_y * mean_y
    covariance = _blur(x * y) - mean_x * mean_y
    ssim = ((mean_x * mean_y * 2 + c1) * (covariance * 2 + c2)) / (
        (mean_x * mean_x + mean_y * mean_y + c1) * (variances + c2)
    )
    return ssim.crop(RADIUS, RADIUS, x.width - 2 * RADIUS, x.height - 2 * RADIUS)
