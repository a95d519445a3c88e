"""Every picture as a browser shows it: the engine's pixels next to those that Chromium draws for the source.

The drawn pictures always run; the files of IMAGE_CORPUS, as in tests/properties/corpus, if there are any.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.formats import Format
from image_scaler.renditions.toml import parse_recipe
from tests.properties.browser.seeing import Still, Viewer, made, made_animation, viewer
from tests.properties.corpus.manifest import corpus, rows
from tests.support import coded, drawing
from tests.support.chromium import chromium
from tests.support.coded import HLG, PQ, avif, chrm, cicp, clli, gama, png

ALIKE = 8.0
"""How far the means of a block may be apart, of 255."""
READ = (".avif", ".gif", ".jpeg", ".jpg", ".png", ".webp")
"""The files that both read. HEIC and TIFF are compared with Pillow, in tests/properties/corpus."""

RIGHT_AND_DIFFERENT = {
    "jpeg/Channel_digital_image_CMYK_color_no_profile.jpg": "CMYK without a profile: a browser shows 255 - ink, "
    "programs for print use the profile of a press, as this engine does",
    "reported/jpeg-cmyk-without-adobe.jpg": "likewise",
    "reported/gif-without-palette.gif": "no colours are defined: a browser shows black",
    "reported/known-message-not-an-image.jpg": "it is not an image",
    "reported/jpeg-last-8-bytes-missing.jpg": "a browser leaves out the last row of blocks, this engine shows what is "
    "there of it",
}
"""Files of which the engine's picture is right although the browser's is another, with the reason."""
NOT_COMPARED = {
    "reported/png-idat-crc.png": "it is rejected for a damaged checksum",
    "reported/avif-premultiplied-alpha.avif": "some builds of Chromium 150 take this alpha for one in limited range, "
    "some show what this engine shows; Pillow and libheif have the same alpha",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Viewer]:
    with chromium("--force-color-profile=srgb") as program, viewer(program) as shown:
        yield shown


def difference(one: Still, other: Still) -> float:
    assert one.size == other.size
    return float(np.abs(one.blocks - other.blocks).max())


def files() -> list[str]:
    folder = corpus()
    if folder is None:
        return []
    named = [row.file for row in rows() if not row.is_hostile and not row.is_svg]
    named += [f"reported/{path.name}" for path in sorted((folder / "reported").glob("*"))]
    return [name for name in named if name.lower().endswith(READ)]


def path_of(name: str) -> Path:
    folder = corpus()
    assert folder
    return folder / name


@pytest.mark.parametrize("name", files())
def test_a_file_of_the_corpus_is_shown_as_in_a_browser(browser: Viewer, name: str) -> None:
    if name in NOT_COMPARED:
        pytest.skip(NOT_COMPARED[name])
    body = path_of(name).read_bytes()
    seen = browser.still(body)
    if name in RIGHT_AND_DIFFERENT:
        assert seen is None or difference(seen, made(body)) > ALIKE, "it is alike now: remove it from the list"
        return
    assert seen
    assert difference(seen, made(body)) <= ALIKE


def animations() -> list[str]:
    return [row.file for row in rows() if row.pages > 1 and row.file.startswith(("gif/", "webp/"))]


@pytest.mark.parametrize("name", animations())
def test_an_animation_of_the_corpus_moves_as_in_a_browser(browser: Viewer, name: str) -> None:
    check_animation(browser, path_of(name).read_bytes(), name.partition("/")[0])


def check_animation(browser: Viewer, body: bytes, kind: str) -> None:
    seen, own = browser.animation(body, f"image/{kind}"), made_animation(body)
    assert sum(own.delays) == pytest.approx(sum(seen.delays), abs=1)
    starts = np.cumsum([0, *seen.delays])
    for index, frame in enumerate(seen.frames):
        middle = starts[index] + seen.delays[index] / 2
        assert np.abs(own.at(middle) - frame).max() <= ALIKE, index


# Drawn pictures, one or more of each kind


def palette(*, alpha: bool = False) -> np.ndarray:
    """Fields of many colours, from dark to bright; the left half may be transparent."""
    levels = np.array([0, 20, 64, 128, 200, 255], np.uint8)
    red, green, blue = np.meshgrid(levels, levels, levels, indexing="ij")
    fields = np.stack([red, green, blue], -1).reshape(12, 18, 3).repeat(5, 0).repeat(5, 1)
    if not alpha:
        return fields
    opaque = np.full((60, 90, 1), 255, np.uint8)
    opaque[10:50, :40] = 0
    return np.concatenate([fields, opaque], -1)


WIDE = palette().astype(np.uint16) * 257
GREY = palette()[..., 1]


def multiplied() -> np.ndarray:
    pixels = palette(alpha=True)
    return pixels * (pixels[..., 3:] > 0)


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return avif(palette(alpha=True), exif=exif.tobytes())


def limited_alpha() -> bytes:
    pixels = palette(alpha=True)
    pixels[..., 3] = np.linspace(16, 235, 90)
    return coded.with_limited_alpha(avif(pixels))


def saved(saver: str, image: pyvips.Image | None = None, **options: object) -> bytes:
    return bytes(getattr(drawing.srgb(palette()) if image is None else image, saver)(**options))


def in_p3() -> pyvips.Image:
    return drawing.srgb(palette()).icc_transform("p3", input_profile="srgb")


DRAWN: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved("jpegsave_buffer", Q=95),
    "JPEG, progressive": lambda: saved("jpegsave_buffer", Q=95, interlace=True),
    "JPEG, grey": lambda: saved("jpegsave_buffer", drawing.srgb(palette()).colourspace("b-w"), Q=95),
    "JPEG, turned": lambda: drawing.jpeg(orientation=6),
    "JPEG in Display P3": lambda: saved("jpegsave_buffer", in_p3(), Q=95),
    "WebP with alpha": lambda: saved("webpsave_buffer", drawing.srgb(palette(alpha=True)), lossless=True),
    "WebP in Display P3": lambda: saved("webpsave_buffer", in_p3(), lossless=True),
    "GIF with alpha": lambda: saved("gifsave_buffer", drawing.srgb(palette(alpha=True))),
    "PNG": lambda: png(palette()),
    "PNG of 16 bits": lambda: png(WIDE),
    "PNG with alpha": lambda: png(palette(alpha=True)),
    "PNG with a palette": lambda: saved("pngsave_buffer", palette=True),
    "PNG in Display P3 by its profile": lambda: saved("pngsave_buffer", in_p3()),
    "PNG, cICP: Display P3": lambda: png(palette(), cicp(12, 13)),
    "PNG, cICP: BT.2020 with the curve of video": lambda: png(WIDE, cicp(9, 1)),
    "PNG, cICP before all others": lambda: png(palette(), cicp(12, 13), coded.SRGB_CHUNK, gama(1.0)),
    "PNG, sRGB before gAMA": lambda: png(palette(), coded.SRGB_CHUNK, gama(1.0)),
    "PNG, gAMA: linear": lambda: png(palette(), gama(1.0)),
    "PNG, gAMA: linear grey": lambda: png(GREY[..., None], gama(1.0)),
    "PNG, gAMA: 1 / 2.2": lambda: png(palette(), gama(0.45455)),
    "PNG, gAMA and cHRM": lambda: png(palette(), gama(0.45455), chrm(coded.P3_CHRM)),
    "PNG, cHRM alone": lambda: png(palette(), chrm(coded.P3_CHRM)),
    "PNG in PQ": lambda: png(WIDE, cicp(9, PQ)),
    "PNG in PQ with its brightest light": lambda: png(WIDE, cicp(9, PQ), clli(400)),
    "PNG in PQ of Display P3": lambda: png(palette(), cicp(12, PQ)),
    "PNG in HLG": lambda: png(WIDE, cicp(9, HLG)),
    "AVIF": lambda: avif(palette()),
    "AVIF, nclx: Display P3": lambda: avif(palette(), 12, 13),
    "AVIF, nclx: BT.2020": lambda: avif(palette(), 9, 1),
    "AVIF, nclx: a gamma of 2.2": lambda: avif(palette(), 1, 4),
    "AVIF, Display P3 without nclx": lambda: coded.avif_without_nclx(palette(), 12, 13),
    "AVIF, nclx and a profile": lambda: avif(palette(), 9, PQ, icc_profile=coded.profile_of_srgb()),
    "AVIF in PQ": lambda: avif(palette(), 9, PQ),
    "AVIF in HLG": lambda: avif(palette(), 9, HLG),
    "AVIF, grey in limited range": lambda: avif(GREY, subsampling="4:0:0", range="limited"),
    "AVIF, colours in limited range": lambda: avif(palette(), range="limited"),
    "AVIF, alpha in limited range": limited_alpha,
    "AVIF, colours multiplied by alpha": lambda: coded.with_premultiplied_alpha(avif(multiplied())),
    "AVIF, turned": lambda: turned(6),
    "AVIF, turned without its alpha": lambda: coded.with_upright_alpha(turned(6)),
    "AVIF, turned and mirrored without its alpha": lambda: coded.with_upright_alpha(turned(7)),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_drawn_picture_is_shown_as_in_a_browser(browser: Viewer, kind: str) -> None:
    body = DRAWN[kind]()
    seen = browser.still(body)
    assert seen
    assert difference(seen, made(body)) <= ALIKE


@pytest.mark.parametrize("format", [Format.GIF, Format.WEBP])
def test_a_drawn_animation_moves_as_in_a_browser(browser: Viewer, format: Format) -> None:
    roll = drawing.srgb(np.concatenate([np.roll(palette(alpha=True), 7 * turn, 1) for turn in range(5)])).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 60)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [40, 100, 0, 250, 60])
    check_animation(browser, saved(f"{format}save_buffer", roll), format)


def moving_avif(body: bytes) -> bytes:
    targets = parse_recipe('[renditions.x]\nformat = "avif"\nquality = 80').plan_for("a.gif").renditions
    (rendition,) = SourceImage(body).render(targets)
    assert rendition.made.animated
    return rendition.body


def check_moving_avif(browser: Viewer, body: bytes, kind: str) -> None:
    seen, source = browser.animation(moving_avif(body), "image/avif"), browser.animation(body, f"image/{kind}")
    assert seen.delays == source.delays
    assert seen.repetitions == source.repetitions
    for index, (frame, own) in enumerate(zip(seen.frames, source.frames, strict=True)):
        assert np.abs(own - frame).max() <= ALIKE, index


@pytest.mark.parametrize("loop", [0, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_browser_plays_an_animated_avif_as_its_source(browser: Viewer, alpha: bool, loop: int) -> None:
    fields = [np.roll(palette(alpha=alpha), 7 * turn, 1) for turn in range(5)]
    roll = drawing.srgb(np.concatenate(fields)).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 60)
    roll.set_type(pyvips.GValue.gint_type, "loop", loop)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [40, 100, 0, 250, 60])
    check_moving_avif(browser, saved("webpsave_buffer", roll, lossless=True), "webp")


@pytest.mark.parametrize("name", animations())
def test_a_browser_plays_an_animated_avif_of_the_corpus_as_its_source(browser: Viewer, name: str) -> None:
    check_moving_avif(browser, path_of(name).read_bytes(), name.partition("/")[0])
