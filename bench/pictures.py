"""Test images: drawn by arithmetic, and photographs if IMAGE_CORPUS names some."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.workplace import SCRATCH, corpus

SIDES = {2: (1920, 1080), 12: (4032, 3024), 24: (6000, 4000), 35: (7216, 4856)}
"""Width and height in pixels by megapixels, as cameras have them."""

PHOTOGRAPHS = {
    2: "iphone_hdr_NO.jpg",
    12: "Canon EOS 5D.jpg",
    24: "vertical.jpg",
    35: "speed_bench_prog.jpg",
}
"""Photographs of the corpus by the megapixels that they represent."""

FRAMES = 12
_FOLDER = SCRATCH / "pictures-1"


@dataclass(frozen=True)
class Picture:
    """One test image in a file."""

    path: Path
    name: str
    """A label like `12 MP JPEG`."""
    origin: str
    """`drawn`, or the name of the photograph."""
    megapixels: float


def drawn(megapixels: int, kind: str = "jpeg") -> Picture:
    """Return the drawn picture of a size; `kind` is jpeg, progressive or png."""
    path = _FOLDER / f"drawn-{megapixels}-{kind}{'.png' if kind == 'png' else '.jpg'}"
    if not path.exists():
        scene = _camera(_scene().resize(SIDES[megapixels], Image.Resampling.LANCZOS))
        _save(_vips(scene), path, kind)
    width, height = SIDES[megapixels]
    return Picture(path, _name(megapixels, kind), "drawn", width * height / 1e6)


def photograph(megapixels: int, kind: str = "jpeg") -> Picture | None:
    """Return a photograph scaled to a number of pixels; None if no corpus is named."""
    folder = corpus()
    if folder is None or not (source := folder / PHOTOGRAPHS[megapixels]).exists():
        return None
    path = _FOLDER / f"photograph-{megapixels}-{kind}{'.png' if kind == 'png' else '.jpg'}"
    width, height = SIDES[megapixels]
    if not path.exists():
        image = pyvips.Image.new_from_file(str(source)).autorot()
        if image.get_typeof("icc-profile-data"):
            image = image.icc_transform("srgb")
        scale = (width * height / (image.width * image.height)) ** 0.5
        _save(image.resize(scale, kernel="lanczos3"), path, kind)
    return Picture(path, _name(megapixels, kind), source.name, width * height / 1e6)


def animation() -> Picture:
    """Return a drawn animated GIF of 960 x 540 pixels: a window that moves over the drawn scene."""
    path = _FOLDER / f"drawn-{FRAMES}-frames.gif"
    width, height = 960, 540
    if not path.exists():
        scene = _scene().resize((1800, 1212), Image.Resampling.LANCZOS)
        frames = [
            scene.crop((40 * n, 25 * n, 40 * n + width, 25 * n + height)).quantize(128, dither=Image.Dither.NONE)
            for n in range(FRAMES)
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=80, loop=0)
    return Picture(path, f"GIF, {FRAMES} frames of {width} x {height}", "drawn", width * height * FRAMES / 1e6)


def small() -> Picture:
    """Return a drawn JPEG of 800 x 600 pixels."""
    path = _FOLDER / "drawn-small.jpg"
    if not path.exists():
        _save(_vips(_camera(_scene().resize((800, 600), Image.Resampling.LANCZOS))), path, "jpeg")
    return Picture(path, "800 x 600 JPEG", "drawn", 0.48)


def _name(megapixels: int, kind: str) -> str:
    return f"{megapixels} MP " + {"jpeg": "JPEG", "progressive": "progressive JPEG", "png": "PNG"}[kind]


def _save(image: pyvips.Image, path: Path, kind: str) -> None:
    """Write a file as cameras do: JPEG of quality 90 with halved chroma, and no metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    if kind == "png":
        partial.write_bytes(image.pngsave_buffer(compression=6, keep="none"))
    else:
        partial.write_bytes(
            image.jpegsave_buffer(Q=90, subsample_mode="on", interlace=kind == "progressive", keep="none")
        )
    partial.rename(path)


def _vips(picture: Image.Image) -> pyvips.Image:
    return pyvips.Image.new_from_array(np.asarray(picture)).copy(interpretation="srgb")


@cache
def _scene() -> Image.Image:
    """Return a scene of things in front of things, at the largest size.

    "Dead leaves": discs and boxes of every size hide each other, the smaller the more there are, which has
    the statistics of photographs (edges and detail at every scale, a 1/f spectrum); each has its own light
    and texture, and the upper part is a sky, for photographs have smooth areas too.
    """
    random = np.random.default_rng(12)
    width, height = SIDES[35]
    picture = Image.new("RGB", (width, height))
    sky = np.linspace(0, 1, height)[:, None] * (70, 50, 20) + (120, 160, 215)
    picture.paste(Image.fromarray(sky.astype(np.uint8)[:, None, :]).resize((width, height)))
    radii = np.sort((height * 0.004) / random.uniform(0.0004, 1, 26_000) ** 0.5)[::-1].clip(8, height * 0.16)
    order = random.permutation(len(radii))
    hues = np.array([(86, 104, 52), (134, 110, 74), (62, 74, 88), (168, 148, 120), (110, 60, 44), (40, 48, 36)])
    for place, radius in zip(order, radii[order], strict=True):
        x = random.uniform(0, width)
        # Denser towards the horizon.
        y = height * (0.30 + 0.75 * random.uniform() ** 0.8) + radius * 0.6
        light = random.normal(1, 0.28) * (1.1 - 0.35 * abs(x / width - 0.4))
        colour = (hues[place % len(hues)] + random.normal(0, 12, 3)) * light
        _leaf(picture, random, (x, y), float(radius), colour)
    return picture


def _leaf(
    picture: Image.Image,
    random: np.random.Generator,
    at: tuple[float, float],
    radius: float,
    colour: NDArray[np.float64],
) -> None:
    """Paint one thing: shaded from one side to the other, with a texture of its own."""
    side = max(4, int(2 * radius))
    fine = min(side, 160)
    texture = random.normal(0, random.uniform(1, 11), (fine, fine))
    cells = max(2, fine // int(random.integers(3, 12)))
    coarse = np.asarray(Image.fromarray(random.normal(0, 14, (cells, cells)).astype(np.float32)).resize((fine, fine)))
    shade = np.linspace(1.22, 0.7, fine)[:, None] if random.uniform() < 0.8 else np.linspace(0.8, 1.15, fine)[None, :]
    pixels = colour * shade[..., None] + (texture + coarse)[..., None]
    patch = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    if random.uniform() < 0.7:
        squeeze = random.uniform(0, 0.3) * side
        draw.ellipse((0, squeeze / 2, side - 1, side - 1 - squeeze / 2), fill=255)
    else:
        corners = random.uniform(0, 1, (4, 2)) * (side / 2) + np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * (side / 2)
        draw.polygon([(float(px), float(py)) for px, py in corners], fill=255)
    picture.paste(patch, (int(at[0] - radius), int(at[1] - radius)), mask)


def _camera(picture: Image.Image) -> Image.Image:
    """Return the picture as a sensor saw it: noise that grows with the light, mostly of brightness."""
    random = np.random.default_rng(5)
    result = np.asarray(picture).copy()
    for top in range(0, result.shape[0], 256):
        rows = result[top : top + 256].astype(np.float32)
        strength = 0.8 + 0.16 * np.sqrt(rows)
        noise = random.standard_normal((*rows.shape[:2], 1), np.float32) + 0.4 * random.standard_normal(
            rows.shape, np.float32
        )
        result[top : top + 256] = (rows + strength * noise + 0.5).clip(0, 255).astype(np.uint8)
    return Image.fromarray(result)
