"""Sample images, drawn by arithmetic: the same pixels every time, and nobody else's rights in them."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Floats = NDArray[np.float32]
Colour = tuple[int, int, int]


def samples() -> dict[str, bytes]:
    """Return four images by key.

    A 12-megapixel photo whose key has a space and a plus, a portrait that EXIF turns upright, a still life,
    and a transparent PNG.
    """
    drawings: dict[str, Callable[[], bytes]] = {
        "travel/mountain lake + moon.jpg": _mountain_lake,
        "travel/balloons.jpg": _balloons,
        "kitchen/still-life.jpg": _still_life,
        "logo.png": _logo,
    }
    with ThreadPoolExecutor() as pool:
        return dict(zip(drawings, pool.map(lambda draw: draw(), drawings.values()), strict=True))


def _mountain_lake(width: int = 4032, height: int = 3024) -> bytes:
    """Draw hills behind hills in the mist after sunset, a moon, and a lake that mirrors them."""
    random = np.random.default_rng(7)
    shore = round(height * 0.66)
    scene = _gradient(
        (width, shore),
        [
            (0, (24, 34, 78)),
            (0.35, (74, 76, 138)),
            (0.62, (196, 122, 142)),
            (0.8, (247, 170, 128)),
            (1, (255, 214, 160)),
        ],
    )
    scene = _glow(scene, (0.36, 0.86), 0.55, (255, 196, 130), 0.75)
    draw = ImageDraw.Draw(scene)
    for x, y, size in zip(random.random(70), random.random(70) ** 2 * 0.42, random.random(70), strict=True):
        radius, light = 1 + 2.4 * size, round(120 + 120 * size)
        at = (x * width, y * shore)
        draw.ellipse((at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius), fill=(light, light, light + 15))
    scene = _glow(scene, (0.73, 0.24), 0.2, (214, 214, 255), 0.4)
    scene = _moon(scene, (round(width * 0.73), round(shore * 0.24)), width // 34)

    far, near = np.array((206, 138, 150)), np.array((13, 22, 38))
    layers = 6
    for layer in range(layers):
        depth = layer / (layers - 1)
        base = shore * (0.66 + 0.27 * depth**1.2)
        ridge = base - shore * (0.2 - 0.13 * depth) * _ridge(random, width, roughness=0.5 + 0.04 * layer)
        colour = far + (near - far) * depth**0.75
        mist = colour + (np.array((244, 176, 150)) - colour) * (0.5 * (1 - depth) ** 0.8)
        if layer >= layers - 2:
            ridge -= _firs(random, width, shore * (0.035 + 0.045 * (layer == layers - 1)), 0.55)
        _fill_below(scene, ridge, _whole(colour), _whole(mist), shore)

    picture = Image.new("RGB", (width, height))
    picture.paste(scene)
    water = height - shore
    mirrored = scene.crop((0, shore - round(water * 1.25), width, shore)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    picture.paste(_ripples(mirrored.resize((width, water)), random), (0, shore))
    return _jpeg(_grain(picture, random, 3.0))


def _balloons(width: int = 1800, height: int = 2400) -> bytes:
    """Draw hot-air balloons over dunes at dawn; the pixels lie on their side, and EXIF turns them upright."""
    random = np.random.default_rng(11)
    picture = _gradient(
        (width, height),
        [
            (0, (62, 120, 178)),
            (0.35, (140, 184, 210)),
            (0.58, (250, 219, 184)),
            (0.72, (255, 190, 138)),
            (1, (255, 180, 130)),
        ],
    )
    picture = _glow(picture, (0.24, 0.66), 0.5, (255, 244, 214), 0.9)
    for layer in range(5):
        depth = layer / 4
        ridge = height * (0.66 + 0.25 * depth) - height * 0.085 * _ridge(random, width, roughness=0.28)
        light = np.array((240, 178, 136)) + (np.array((136, 62, 42)) - np.array((240, 178, 136))) * depth
        _fill_below(picture, ridge, _whole(light), _whole(light * 0.72), height)
    for x, y, size, colours in (
        (0.78, 0.5, 0.05, ((92, 120, 160), (226, 214, 190))),
        (0.2, 0.42, 0.075, ((240, 180, 60), (196, 74, 60))),
        (0.86, 0.2, 0.1, ((60, 130, 140), (240, 226, 196))),
        (0.46, 0.24, 0.24, ((206, 54, 52), (250, 232, 200), (236, 148, 52))),
    ):
        _balloon(picture, (x * width, y * height), size * width, colours)
    sideways = _grain(picture, random, 2.5).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter clockwise
    return _jpeg(sideways, exif=exif)


def _still_life(width: int = 2400, height: int = 1600) -> bytes:
    """Draw fruit on a table, in soft light from the left."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(height)
    table = np.float32(0.62)
    wall = np.stack([0.29 - 0.15 * x, 0.31 - 0.15 * x, 0.31 - 0.13 * x], axis=-1) + 0.24 * _bump(
        x - 0.3, y - 0.3, 0.42
    )[..., None] * np.array((1.0, 0.86, 0.62), np.float32)
    wood_grain = (
        _smooth_noise(random, (height, width), (60, 5)) * 0.05 + _smooth_noise(random, (height, width), (240, 9)) * 0.03
    )
    light = np.clip(1.05 - 0.42 * x, 0, 2) * (0.72 + 0.5 * (y - table))
    wood = (np.array((0.50, 0.31, 0.19), np.float32) + wood_grain[..., None]) * light[..., None]
    edge = np.clip((y - table) * height / 5, 0, 1)[..., None]
    picture = wall * (1 - edge) + wood * edge
    fruit = (
        # x, y and radius as parts of the height; colour, its lit side's; how shiny; how rough
        (0.98, 0.60, 0.150, (0.36, 0.46, 0.12), (0.72, 0.78, 0.30), 0.32, 0.002),
        (0.60, 0.62, 0.205, (0.86, 0.38, 0.04), (1.00, 0.66, 0.16), 0.26, 0.011),
        (0.87, 0.755, 0.125, (0.30, 0.08, 0.22), (0.56, 0.24, 0.42), 0.22, 0.002),
        (0.40, 0.80, 0.085, (0.62, 0.06, 0.06), (0.92, 0.22, 0.16), 0.60, 0.0),
        (1.16, 0.80, 0.085, (0.80, 0.58, 0.06), (1.00, 0.86, 0.34), 0.36, 0.005),
    )
    for cx, cy, radius, *_ in fruit:
        ground = cy + radius * 0.93
        cast = _bump((x - cx - radius * 0.62) / 1.9, (y - ground) / 0.36, radius * 0.72)
        contact = _bump((x - cx - radius * 0.1) / 1.25, (y - ground) / 0.22, radius * 0.5)
        picture *= 1 - np.clip(0.62 * cast + 0.6 * contact, 0, 0.93)[..., None] * (0.2 + 0.8 * edge)
    towards = np.array((-0.58, -0.60, 0.55), np.float32)
    towards /= np.linalg.norm(towards)
    for cx, cy, radius, shade, lit, shine, rough in fruit:
        box = np.s_[
            max(0, round((cy - radius) * height) - 2) : round((cy + radius) * height) + 2,
            max(0, round((cx - radius) * height) - 2) : round((cx + radius) * height) + 2,
        ]
        u, v = (x[box] - cx) / radius, (y[box] - cy) / radius
        squared = u * u + v * v
        w = np.sqrt(np.clip(1 - squared, 0, 1))
        dents = _smooth_noise(random, u.shape, (u.shape[0] // 7, u.shape[1] // 7)) * rough * 3
        lambert = np.clip((u + dents) * towards[0] + (v + dents) * towards[1] + w * towards[2], 0, 1)
        half = (towards + np.array((0, 0, 1), np.float32)) / np.linalg.norm(towards + np.array((0, 0, 1)))
        glance = np.clip((u + dents) * half[0] + (v + dents) * half[1] + w * half[2], 0, 1)
        blotches = 1 + 0.10 * _smooth_noise(random, u.shape, (6, 6))
        mix = (lambert**0.85)[..., None]
        body = np.array(shade, np.float32) * 0.22 * (1 - mix) + np.array(lit, np.float32) * mix * blotches[..., None]
        body += np.array((0.42, 0.20, 0.08), np.float32) * (np.clip(v, 0, 1) ** 2 * (1 - w) * 0.35)[..., None]
        body += (shine * (glance**60 + 0.25 * glance**12))[..., None]
        body *= (0.55 + 0.45 * np.clip(1.25 - np.clip(v, 0, 1) ** 3, 0, 1))[..., None]
        cover = np.clip((1 - np.sqrt(squared)) * radius * height / 1.5, 0, 1)[..., None]
        picture[box] = picture[box] * (1 - cover) + body * cover
    picture *= (1 - 0.28 * ((x - width / height / 2) ** 2 + (y - 0.5) ** 2))[..., None]
    toned = 255 * np.clip(picture, 0, 1) ** np.float32(0.88)
    return _jpeg(_grain(Image.fromarray(toned.astype(np.uint8)), random, 2.5))


def _logo(side: int = 1200) -> bytes:
    """Draw one picture in three sizes, in front of each other, on nothing."""
    big = side * 2
    logo = Image.new("RGBA", (big, big))
    for x, y, size, start, end in (
        (0.06, 0.06, 0.62, (99, 102, 241), (59, 130, 246)),
        (0.34, 0.34, 0.46, (236, 72, 153), (168, 85, 247)),
        (0.60, 0.60, 0.34, (251, 191, 36), (249, 115, 22)),
    ):
        pixels = round(size * big)
        frame = _gradient((pixels, pixels), [(0, start), (1, end)])
        draw = ImageDraw.Draw(frame, "RGBA")
        draw.ellipse((pixels * 0.60, pixels * 0.16, pixels * 0.80, pixels * 0.36), fill=(255, 255, 255, 225))
        hill = [(0.0, 1.0), (0.0, 0.74), (0.30, 0.42), (0.52, 0.66), (0.68, 0.52), (1.0, 0.82), (1.0, 1.0)]
        draw.polygon([(px * pixels, py * pixels) for px, py in hill], fill=(255, 255, 255, 110))
        front = [(0.0, 1.0), (0.0, 0.88), (0.26, 0.70), (0.56, 0.90), (0.78, 0.76), (1.0, 0.94), (1.0, 1.0)]
        draw.polygon([(px * pixels, py * pixels) for px, py in front], fill=(255, 255, 255, 150))
        mask = Image.new("L", (pixels, pixels))
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, pixels - 1, pixels - 1), pixels * 0.16, fill=255)
        shadow = Image.new("L", (big, big))
        shadow.paste(mask, (round(x * big), round((y + 0.012) * big)))
        shadow = shadow.resize((side // 4, side // 4)).filter(ImageFilter.GaussianBlur(side / 130)).resize((big, big))
        logo.alpha_composite(
            Image.merge(
                "RGBA",
                [Image.new("L", (big, big), value) for value in (20, 20, 50)] + [shadow.point(lambda a: a * 0.35)],
            )
        )
        logo.paste(frame, (round(x * big), round(y * big)), mask)
    buffer = io.BytesIO()
    logo.resize((side, side), Image.Resampling.BOX).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _gradient(size: tuple[int, int], stops: list[tuple[float, Colour]]) -> Image.Image:
    """Return colours from top to bottom; each stop is a place from 0 to 1 and a colour."""
    places = np.linspace(0, 1, size[1])
    column = np.stack([np.interp(places, [at for at, _ in stops], [c[i] for _, c in stops]) for i in range(3)], axis=-1)
    return Image.fromarray(column.astype(np.uint8)[:, None, :]).resize(size)


def _glow(picture: Image.Image, at: tuple[float, float], reach: float, colour: Colour, strength: float) -> Image.Image:
    """Return the picture with light around a place, given in parts of its sides; `reach` is in parts of its width."""
    small = (240, max(1, round(240 * picture.height / picture.width)))
    y, x = np.mgrid[0 : small[1], 0 : small[0]].astype(np.float32) / 240
    light = _bump(x - at[0], y - at[1] * small[1] / 240, reach * 0.5) * strength
    mask = Image.fromarray((255 * np.clip(light, 0, 1)).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    picture.paste(Image.new("RGB", picture.size, colour), (0, 0), mask)
    return picture


def _bump(x: Floats, y: Floats, reach: float) -> Floats:
    """Return a soft round spot: 1 in its middle, and nothing from about twice its reach."""
    return np.exp(-(x * x + y * y) / np.float32(2 * reach * reach)).astype(np.float32)


def _moon(picture: Image.Image, at: tuple[int, int], radius: int) -> Image.Image:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32) / radius
    distance = np.sqrt(x * x + y * y)
    seas = _smooth_noise(np.random.default_rng(5), x.shape, (7, 7))
    light = np.clip(0.94 + 0.06 * x + 0.07 * np.clip(seas - 0.1, -1, 0.0) * 2, 0, 1)
    disc = (light[..., None] * np.array((255, 250, 236))).astype(np.uint8)
    # A crescent: the disc without another one beside it.
    lit = np.clip((np.hypot(x + 0.52, y + 0.16) - 0.94) * 9, 0.05, 1)
    mask = (255 * np.clip((1 - distance) * radius / 2, 0, 1) * lit).astype(np.uint8)
    picture.paste(Image.fromarray(disc), (at[0] - radius, at[1] - radius), Image.fromarray(mask))
    return picture


def _ridge(random: np.random.Generator, width: int, roughness: float) -> Floats:
    """Return heights from about -0.5 to 1 along a ridge: waves, each finer and lower than the one before."""
    x = np.linspace(0, 1, width, dtype=np.float32)
    heights = np.zeros(width, np.float32)
    for octave in range(8):
        points = random.normal(size=3 * 2**octave + 3)
        at = x * (len(points) - 1)
        left = np.minimum(at.astype(int), len(points) - 2)
        t = at - left
        t = t * t * (3 - 2 * t)
        heights += (points[left] * (1 - t) + points[left + 1] * t).astype(np.float32) * np.float32(roughness**octave)
    return heights * np.float32(0.55)


def _firs(random: np.random.Generator, width: int, height: float, density: float) -> Floats:
    """Return the outline of a row of firs, as heights above the ground."""
    outline = np.zeros(width, np.float32)
    x = 0.0
    while x < width:
        tall = height * random.uniform(0.35, 1.0)
        half = max(3.0, tall * random.uniform(0.17, 0.24))
        at = np.arange(max(0, int(x - half)), min(width, int(x + half)))
        if random.random() < density and len(at):
            slope = 1 - np.abs(at - x) / half
            branches = 0.10 * ((slope * 9) % 1.0) * (slope < 0.93)
            tree = tall * np.clip(slope - branches, 0, 1) ** 0.9
            outline[at] = np.maximum(outline[at], tree.astype(np.float32))
        x += half * random.uniform(0.5, 1.5)
    return outline


def _fill_below(picture: Image.Image, ridge: Floats, colour: Colour, bottom: Colour, until: int) -> None:
    """Fill all below a ridge, from one colour at its highest place to another at the bottom."""
    top = max(0, int(ridge.min()))
    mask = Image.new("L", (picture.width, until - top))
    points = [(x, float(y) - top) for x, y in enumerate(ridge)]
    ImageDraw.Draw(mask).polygon([*points, (picture.width, until), (0, until)], fill=255)
    picture.paste(_gradient(mask.size, [(0, colour), (1, bottom)]), (0, top), mask)


def _ripples(mirrored: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return a mirror image as water shows it: darker, and moved in rows that widen towards us."""
    pixels = np.asarray(mirrored)
    height = pixels.shape[0]
    depth = np.arange(height, dtype=np.float32) / height
    waves = np.sin(np.cumsum(260 / (height * (0.10 + depth)))) + 0.5 * random.normal(size=height)
    rows = np.clip(np.arange(height) + waves * (2 + 26 * depth), 0, height - 1).astype(int)
    shifts = (random.normal(size=height) * (1 + 7 * depth)).astype(int)
    shown = np.empty_like(pixels)
    for row in range(height):
        shown[row] = np.roll(pixels[rows[row]], shifts[row], axis=0)
    tint = np.array((0.80, 0.84, 0.94), np.float32)
    dim = (0.94 - 0.50 * depth)[:, None, None] * tint
    return Image.fromarray((shown * dim).astype(np.uint8))


def _balloon(picture: Image.Image, at: tuple[float, float], radius: float, colours: tuple[Colour, ...]) -> None:
    """Paint a striped balloon with its basket; `at` is the middle of its envelope."""
    size = round(radius * 1.1)
    y, x = np.mgrid[-size : round(radius * 1.75), -size : size + 1].astype(np.float32) / np.float32(radius)
    # A ball whose lower half narrows to a mouth.
    lower = np.clip(y, 0, None)
    half = np.where(
        y < 0, np.sqrt(np.clip(1 - y * y, 0, 1)), np.clip(np.cos(np.clip(lower / 1.32, 0, 1) * np.pi / 2), 0, 1) ** 0.8
    )
    half = np.where((y >= 0) & (y < 1.22), np.maximum(half, 0.16), half) * (y < 1.22)
    across = np.clip(x / np.maximum(half, 1e-3), -1, 1)
    stripe = ((np.arcsin(across) / np.pi + 0.5) * 12 + 0.5).astype(int) % len(colours)
    paint = np.array(colours, np.float32)[stripe]
    light = np.clip(0.50 - 0.50 * across * 0.9 - 0.14 * y + 0.34 * np.sqrt(np.clip(1 - across**2, 0, 1)), 0.26, 1.12)
    seams = 1 - 0.10 * (np.abs(((np.arcsin(across) / np.pi + 0.5) * 12 + 0.5) % 1 - 0.5) > 0.46)
    rows = 1 - 0.05 * (np.abs((y * 5) % 1 - 0.5) > 0.47)
    paint = paint * (light * seams * rows)[..., None]
    cover = np.clip((half - np.abs(x)) * radius, 0, 1)
    basket = (np.abs(x) < 0.13) & (y > 1.48) & (y < 1.66)
    ropes = (np.abs(np.abs(x) - 0.13 - 0.02 * (1.5 - y)) < 1.4 / radius) & (y >= 1.2) & (y <= 1.5)
    dark = (basket | ropes)[..., None]
    weave = 0.78 + 0.22 * (((x * 60).astype(int) + (y * 60).astype(int)) % 2)
    paint = np.where(dark, np.array((104, 66, 40), np.float32) * weave[..., None], paint)
    mask = np.maximum(cover, dark[..., 0])
    corner = (round(at[0]) - size, round(at[1]) - size)
    picture.paste(
        Image.fromarray(np.clip(paint, 0, 255).astype(np.uint8)), corner, Image.fromarray((mask * 255).astype(np.uint8))
    )


def _smooth_noise(random: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, int]) -> Floats:
    """Return noise of about -1 to 1 whose spots are one cell large, of so many cells down and across."""
    coarse = random.normal(size=(max(2, cells[0]), max(2, cells[1]))).astype(np.float32) / 2
    return np.asarray(Image.fromarray(coarse).resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _grain(picture: Image.Image, random: np.random.Generator, strength: float) -> Image.Image:
    """Return the picture with a film's grain, which also hides the steps of soft gradients."""
    pixels = np.asarray(picture, np.int16)
    tile = np.rint(random.normal(scale=strength, size=(509, 1021, 1))).astype(np.int16)
    height, width = pixels.shape[:2]
    noise = np.tile(tile, (-(-height // 509), -(-width // 1021), 1))[:height, :width]
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def _jpeg(picture: Image.Image, exif: Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, exif=exif or Image.Exif())
    return buffer.getvalue()


def _whole(colour: NDArray[np.floating]) -> Colour:
    red, green, blue = (round(float(value)) for value in colour)
    return red, green, blue
