"""Pictures of four kinds, on which encoders are judged: photographs, drawings, documents, screenshots.

Files of the corpus that IMAGE_CORPUS names, the samples, and pictures drawn here: a corpus has few screenshots.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image, ImageDraw, ImageFont

from bench.pictures import drawn
from bench.workplace import ROOT, SCRATCH

KINDS = ("photograph", "drawing", "document", "screenshot")
_FOLDER = SCRATCH / "gallery-1"

_FILES: dict[str, tuple[str, ...]] = {
    "photograph": (
        "perf/Canon EOS 5D.jpg",
        "perf/iphone_hdr_NO.jpg",
        "perf/medium_no_samp_2500x1786.jpg",
        "perf/vertical.jpg",
        "jpeg/2569067123_aca715a2ee_o.jpg",
        "jpeg/flower.png.im_q85_420_progr.jpg",
        "jpeg/orientation/Landscape_1.jpg",
        "jpeg/flowers.jpeg",
        "avif/hato.profile0.8bpc.yuv420.avif",
        "avif/avif-orientation-6.avif",
        "avif/fox.profile0.10bpc.yuv420.avif",
        "jpeg/icc/ultra-hdr.jpg",
        "webp/4.webp",
        "jpeg/icc/test_icc_prophoto.jpg",
        "jpeg/gps/DSCN0010.jpg",
        "jpeg/icc/Canon EOS 7D.jpg",
    ),
    "drawing": (
        "perf/speed_bench_prog.jpg",
        "perf/Exoplanet_Phase_Curve_(Diagram).png",
        "png/gopher-exif-orientation-cw90.png",
        "png/alpha-premultiply-1024x768-paper.png",
        "avif/pitm.avif",
        "bad/wrong-ext/ruby.gif",
    ),
    "document": ("tiff/G31D_MULTI.TIF",),
}
_SAMPLES = {"drawing": ("owl.jpg", "Lighthouse at dusk.JPG", "badge.png")}


@dataclass(frozen=True)
class Exhibit:
    """One picture, at its full size."""

    path: Path
    kind: str
    """One of `KINDS`."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.path.name


def gallery() -> list[Exhibit]:
    """Return all pictures, kind after kind; without IMAGE_CORPUS only the samples and those that are drawn."""
    return [exhibit for kind in KINDS for exhibit in _of_kind(kind)]


def halves(exhibits: Sequence[Exhibit]) -> tuple[list[Exhibit], list[Exhibit]]:
    """Return every other picture of each kind, and the others: curves are fitted to the first, judged on the second."""
    of_kinds = [[exhibit for exhibit in exhibits if exhibit.kind == kind] for kind in KINDS]
    return [e for of_kind in of_kinds for e in of_kind[::2]], [e for of_kind in of_kinds for e in of_kind[1::2]]


def _of_kind(kind: str) -> Iterator[Exhibit]:
    if folder := os.environ.get("IMAGE_CORPUS"):
        for name in _FILES.get(kind, ()):
            if (path := Path(folder) / name).exists():
                yield Exhibit(path, kind)
    for name in _SAMPLES.get(kind, ()):
        yield Exhibit(ROOT / "samples" / name, kind)
    if kind == "photograph":
        yield Exhibit(drawn(12).path, kind)
    for name, draw in _DRAWN.get(kind, {}).items():
        path = _FOLDER / f"{name}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}")
            draw().save(partial)
            partial.rename(path)
        yield Exhibit(path, kind)


_TEXT = (
    "the image is scaled once and every step of the ladder is made from the step above it so that a source is "
    "decoded only once for all of them a rendition has a name a width and a format it is stored next to its source "
    "until the source changes or is removed then the function makes it again or removes it too"
)
_WORDS = _TEXT.split()


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)  # Pillow's own, so that it looks alike everywhere
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("expected Pillow with FreeType but received one without")
    return font


def _text(random: np.random.Generator, draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], size: int) -> None:
    """Fill a box with lines of words."""
    left, top, right, bottom = box
    font = _font(size)
    for y in range(top, bottom - size, round(size * 1.45)):
        x: float = left
        while x < right:
            word = str(random.choice(_WORDS))
            width = font.getlength(word)
            if x + width > right:
                break
            draw.text((x, y), word, font=font, fill=(30, 32, 38))
            x += width + size * 0.3


def _page(seed: int, columns: int, *, is_scan: bool = False) -> Image.Image:
    """Return a page of text with a heading and a figure, or a grey and slightly turned scan of one."""
    random = np.random.default_rng(seed)
    width, height = 1654, 2339
    page = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(page)
    draw.text((140, 130), "How a ladder is made", font=_font(64), fill=(16, 24, 40))
    gap = 60
    column = (width - 280 - gap * (columns - 1)) // columns
    for index in range(columns):
        left = 140 + index * (column + gap)
        _text(random, draw, (left, 260, left + column, 1250), 26 if columns > 1 else 32)
        _text(random, draw, (left, 1720, left + column, height - 140), 26 if columns > 1 else 32)
    draw.rectangle((140, 1290, width - 140, 1680), outline=(90, 98, 112), width=3)
    values = random.uniform(0.15, 0.95, 14)
    for index, value in enumerate(values):
        left = 190 + index * 94
        colour = (15, 118, 110) if index % 3 else (180, 83, 9)
        draw.rectangle((left, 1650 - int(330 * value), left + 60, 1650), fill=colour)
    if not is_scan:
        return page
    turned = page.convert("L").rotate(0.6, Image.Resampling.BICUBIC, fillcolor=250)
    paper = np.asarray(turned, np.float32) * 0.88 + 18 + random.normal(0, 4, (height, width))
    return Image.fromarray(paper.clip(0, 255).astype(np.uint8)).convert("RGB")


def _window(seed: int, *, is_dark: bool) -> Image.Image:
    """Return a screenshot of a program: menus, a list, coloured code, small pictures."""
    random = np.random.default_rng(seed)
    width, height = 1920, 1200
    ground, bar, ink = ((24, 26, 31), (40, 44, 52), (205, 210, 220))
    if not is_dark:
        ground, bar, ink = ((252, 252, 253), (236, 239, 243), (40, 44, 52))
    window = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(window)
    draw.rectangle((0, 0, width, 44), fill=bar)
    for index, colour in enumerate(((255, 95, 87), (254, 188, 46), (40, 200, 64))):
        draw.ellipse((18 + 28 * index, 14, 34 + 28 * index, 30), fill=colour)
    draw.text((800, 12), "renditions.toml", font=_font(18), fill=ink)
    draw.rectangle((0, 44, 320, height), fill=bar)
    for index in range(38):
        y = 64 + index * 29
        draw.text((30 + 22 * int(random.integers(0, 3)), y), _name(random), font=_font(16), fill=ink)
    colours = ((198, 120, 221), (97, 175, 239), (152, 195, 121), (229, 192, 123), ink, ink)
    if not is_dark:
        colours = ((166, 38, 164), (64, 120, 242), (80, 161, 79), (193, 132, 1), ink, ink)
    font = _font(17)
    for index in range(46):
        y = 64 + index * 24
        draw.text((345, y), f"{index + 1:3d}", font=font, fill=(128, 134, 145))
        x: float = 400 + 32 * int(random.integers(0, 4))
        for _ in range(int(random.integers(0, 9))):
            word = str(random.choice(_WORDS))
            draw.text((x, y), word, font=font, fill=colours[int(random.integers(0, len(colours)))])
            x += font.getlength(word) + 8
    scene = Image.open(drawn(12).path)
    for index in range(4):
        left, top = int(random.integers(0, 2400)), int(random.integers(900, 1800))
        picture = scene.crop((left, top, left + 1280, top + 960)).resize((360, 270), Image.Resampling.LANCZOS)
        window.paste(picture, (1500, 70 + index * 282))
    return window


def _name(random: np.random.Generator) -> str:
    return "-".join(str(word) for word in random.choice(_WORDS, 2)) + str(random.choice([".jpg", ".png", ".toml"]))


def _site(seed: int) -> Image.Image:
    """Return a screenshot of a web page: a banner that fades, buttons, cards with text."""
    random = np.random.default_rng(seed)
    width, height = 1920, 1400
    fade = np.linspace(0, 1, width)[None, :, None] * (90, -40, 60) + (45, 110, 150)
    page = Image.new("RGB", (width, height), (248, 250, 252))
    page.paste(Image.fromarray(fade.clip(0, 255).astype(np.uint8)).resize((width, 420)), (0, 0))
    draw = ImageDraw.Draw(page)
    draw.text((160, 130), "Pictures of every size", font=_font(72), fill="white")
    draw.text((160, 230), "from one upload, in seconds", font=_font(34), fill=(226, 232, 240))
    draw.rounded_rectangle((160, 310, 420, 372), 12, fill=(251, 191, 36))
    draw.text((200, 324), "Try it now", font=_font(28), fill=(30, 41, 59))
    scene = Image.open(drawn(12).path)
    for index in range(3):
        left = 160 + index * 550
        draw.rounded_rectangle((left, 480, left + 500, 1320), 16, fill="white", outline=(226, 232, 240), width=2)
        at = int(random.integers(0, 2500)), int(random.integers(700, 1800))
        picture = scene.crop((*at, at[0] + 1500, at[1] + 900)).resize((496, 298), Image.Resampling.LANCZOS)
        page.paste(picture, (left + 2, 482))
        draw.text((left + 28, 810), f"Step {index + 1}", font=_font(34), fill=(15, 23, 42))
        _text(random, draw, (left + 28, 870, left + 472, 1300), 20)
    return page


def _evening() -> Image.Image:
    """Return a smooth sky with something small in it: an average over the picture hides what happens to that."""
    width, height = 2400, 1600
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    light = np.exp(-((x - 0.3) ** 2 * 6 + (y - 0.85) ** 2 * 9))
    sky = np.stack([40 + 150 * light + 40 * y, 50 + 80 * light + 50 * y, 95 + 30 * light - 30 * y], axis=2)
    noise = np.random.default_rng(3).normal(0, 0.8, (height, width, 1))
    picture = Image.fromarray((sky + noise).clip(0, 255).astype(np.uint8))
    scene = Image.open(drawn(12).path).crop((1200, 1000, 2700, 2000)).resize((300, 200), Image.Resampling.LANCZOS)
    picture.paste(scene, (1700, 1200))
    return picture


def _lines() -> Image.Image:
    """Return coloured curves on white, thin and smooth, as plots have them."""
    side, scale = (1600, 1100), 3
    plot = Image.new("RGB", (side[0] * scale, side[1] * scale), "white")
    draw = ImageDraw.Draw(plot)
    for tick in range(11):
        draw.line([(300, 300 + tick * 260), (4500, 300 + tick * 260)], fill=(229, 231, 235), width=3)
        draw.text((150, 270 + tick * 260), f"{100 - tick * 10}", font=_font(60), fill=(107, 114, 128))
    across = np.linspace(0, 1, 600)
    for index, colour in enumerate(((220, 38, 38), (37, 99, 235), (22, 163, 74), (147, 51, 234), (234, 88, 12))):
        down = 1600 + 900 * np.sin(across * (5 + 3 * index) + index) * np.exp(-across * index * 0.4)
        draw.line([(300 + 4200 * a, float(d)) for a, d in zip(across, down, strict=True)], fill=colour, width=9)
    return plot.resize(side, Image.Resampling.LANCZOS)


_DRAWN: dict[str, dict[str, Callable[[], Image.Image]]] = {
    "photograph": {"evening": _evening},
    "drawing": {"curves": _lines},
    "document": {
        "page-1": lambda: _page(1, 1),
        "page-2": lambda: _page(2, 2),
        "scan-1": lambda: _page(3, 2, is_scan=True),
        "scan-2": lambda: _page(4, 1, is_scan=True),
    },
    "screenshot": {
        "code-dark": lambda: _window(5, is_dark=True),
        "code-light": lambda: _window(6, is_dark=False),
        "site-1": lambda: _site(7),
        "site-2": lambda: _site(8),
    },
}


def pixels(exhibit: Exhibit, width: int) -> pyvips.Image | None:
    """Return a picture at a width, made without any haste; None if it is narrower than that."""
    from bench.quality import reference, upright

    image = upright(exhibit.path)
    if image.width < width:
        return None
    return reference(exhibit.path, width, max(1, round(image.height * width / image.width)))
