"""Images drawn for the tests: what each pixel should be is known."""

import math
import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyvips

from image_scaler.images.avif_sequence import is_sequence
from image_scaler.images.decoding import first_frame

RED, GREEN, BLUE, YELLOW = (220, 30, 30), (30, 160, 40), (30, 60, 220), (240, 220, 40)
QUADRANTS = {"left top": RED, "right top": GREEN, "left bottom": BLUE, "right bottom": YELLOW}


def quadrants(width: int = 400, height: int = 300) -> pyvips.Image:
    """Four fields of colour: a pixel in a corner tells which corner it was."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = YELLOW
    return srgb(pixels)


def photo(width: int = 1200, height: int = 800, seed: int = 7) -> pyvips.Image:
    """Soft shapes with fine grain: it compresses like a photograph."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    soft = srgb(coarse).resize(width / 12, vscale=height / 8, kernel="cubic").numpy().astype(np.int16)
    grain = random.integers(-12, 13, soft.shape, dtype=np.int16)
    return srgb(np.clip(soft + grain, 0, 255).astype(np.uint8))


def text(width: int, height: int) -> pyvips.Image:
    """Dark letters of one colour on a bright page."""
    pixels = np.full((height, width, 3), 250, np.uint8)
    random = np.random.default_rng(5)
    for line in range(20, height - 20, 14):
        for letter in range(20, width - 20, 6):
            if random.random() < 0.8:
                pixels[line : line + random.integers(4, 9), letter : letter + random.integers(1, 4)] = 30
    return srgb(pixels)


def transparent_print(width: int, height: int, ink: int) -> pyvips.Image:
    """Letters of one grey with soft edges, and nothing behind them."""
    letters = (text(width, height)[0] < 128).gaussblur(1)
    return (
        pyvips.Image.black(width, height, bands=3)
        .linear(1, ink)
        .bandjoin(letters)
        .cast("uchar")
        .copy(interpretation="srgb")
        .copy_memory()
    )


def face_under_a_sky(width: int = 960, height: int = 640, side: int = 96) -> pyvips.Image:
    """A smooth sky, with something full of fine detail on 1 or 2 % of the picture."""
    random = np.random.default_rng(3)
    sky = np.linspace((90, 140, 220), (190, 210, 240), height).reshape(height, 1, 3)
    pixels = np.clip(np.broadcast_to(sky, (height, width, 3)) + random.normal(0, 0.4, (height, width, 1)), 0, 255)
    detail = photo(side * 2, side * 2, seed=9).resize(0.5).numpy().astype(np.float64)
    detail += random.normal(0, 22, (side, side, 1))
    top, left = height - side - 64, width // 2
    pixels[top : top + side, left : left + side] = np.clip(detail, 0, 255)
    return srgb(pixels.astype(np.uint8))


def with_alpha(image: pyvips.Image) -> pyvips.Image:
    """The image, transparent in its left half."""
    alpha = np.full((image.height, image.width, 1), 255, np.uint8)
    alpha[:, : image.width // 2] = 0
    return image.bandjoin(pyvips.Image.new_from_array(alpha)).copy(interpretation="srgb")


def saying(image: pyvips.Image, exif: Mapping[str, str], xmp: str = "") -> pyvips.Image:
    """The image with EXIF, by libvips' names of its fields, and with XMP."""
    image = image.copy()
    for field, value in exif.items():
        image.set_type(pyvips.GValue.gstr_type, f"exif-{field}", value)
    if xmp:
        image.set_type(pyvips.GValue.blob_type, "xmp-data", xmp.encode())
    return image


def srgb(pixels: np.ndarray) -> pyvips.Image:
    return pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")


def jpeg(image: pyvips.Image | None = None, *, orientation: int | None = None, **options: object) -> bytes:
    image = (quadrants() if image is None else image).copy()
    if orientation:
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return bytes(image.jpegsave_buffer(Q=95, **options))


def png(image: pyvips.Image | None = None) -> bytes:
    return bytes((quadrants() if image is None else image).pngsave_buffer())


def decoded(body: bytes) -> pyvips.Image:
    if is_sequence(body):  # libvips reads no animated AVIF
        return first_frame(body)
    return pyvips.Image.new_from_buffer(body, "")


def corners(image: pyvips.Image) -> dict[str, tuple[int, ...]]:
    """The pixel near each corner."""
    x, y = max(0, image.width // 20), max(0, image.height // 20)
    places = {
        "left top": (x, y),
        "right top": (image.width - 1 - x, y),
        "left bottom": (x, image.height - 1 - y),
        "right bottom": (image.width - 1 - x, image.height - 1 - y),
    }
    return {place: tuple(round(band) for band in image(*at)) for place, at in places.items()}


def is_near(colour: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 12) -> bool:
    return len(colour) == len(expected) and all(
        abs(one - other) <= tolerance for one, other in zip(colour, expected, strict=True)
    )


class GifPicture(NamedTuple):
    """One picture of a drawn GIF, in one of GIF_COLOURS."""

    left: int
    top: int
    width: int
    height: int
    colour: int
    disposal: int = 1
    """What happens to it before the next one is shown: 1 nothing, 2 it is cleared, 3 what was there is restored."""


GIF_COLOURS = ((255, 0, 0), (0, 0, 255), (255, 255, 0), (0, 128, 0))


def gif(width: int, height: int, *pictures: GifPicture, background: int = 2) -> bytes:
    """A GIF with this logical screen, none of whose pixels is marked as transparent."""
    parts = [b"GIF89a", struct.pack("<2H3B", width, height, 0x81, background, 0), *map(bytes, GIF_COLOURS)]
    for left, top, wide, high, colour, disposal in pictures:
        parts.append(b"!\xf9\4" + bytes([disposal << 2, 10, 0, 0, 0]))
        parts.append(b"," + struct.pack("<4HBB", left, top, wide, high, 0, 2))
        # Codes of 3 bits: 4 forgets everything, so no code gets longer; then two pixels; 5 is the end.
        codes = [4, colour, colour] * math.ceil(wide * high / 2) + [5]
        data = sum(code << 3 * index for index, code in enumerate(codes)).to_bytes(
            math.ceil(len(codes) * 3 / 8), "little"
        )
        parts += (bytes([len(data[at : at + 255])]) + data[at : at + 255] for at in range(0, len(data), 255))
        parts.append(b"\0")
    return b"".join([*parts, b";"])
