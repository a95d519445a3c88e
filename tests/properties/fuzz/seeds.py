"""Whole images of every format that is read, to be damaged."""

import io
import struct
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pillow_heif
import pyvips
from PIL import Image

from tests.support import coded, drawing, tiffs, ultra_hdr

_LONGEST = 100_000
"""Longer files of the corpus are left out: their copies cost time and find nothing that short ones do not."""


class Seed(NamedTuple):
    name: str
    kind: str
    """jpeg, png, riff (WebP), gif, boxes (AVIF and HEIC), tiff, or other."""
    body: bytes


def kind_of(body: bytes) -> str:
    starts = {b"\xff\xd8": "jpeg", b"\x89PNG": "png", b"RIFF": "riff", b"GIF8": "gif", b"II*": "tiff", b"MM\0*": "tiff"}
    if body[4:8] == b"ftyp":
        return "boxes"
    return next((kind for start, kind in starts.items() if body.startswith(start)), "other")


@cache
def seeds(corpus: Path | None) -> tuple[Seed, ...]:
    """The drawn images, and those of the corpus if there is one; always in the same order."""
    bodies = _drawn()
    if corpus:
        files = sorted(path for path in corpus.rglob("*") if path.is_file() and path.parent != corpus)
        bodies |= {str(path.relative_to(corpus)): path.read_bytes() for path in files}
    return tuple(Seed(name, kind_of(body), body) for name, body in bodies.items() if 0 < len(body) <= _LONGEST)


def _drawn() -> dict[str, bytes]:
    photo, fields = drawing.photo(96, 64), drawing.quadrants(80, 60)
    grey, clear = photo.colourspace("b-w"), drawing.with_alpha(photo)
    p3 = photo.icc_transform("p3", input_profile="srgb")
    cmyk = photo.icc_transform("cmyk", input_profile="srgb")
    wide = photo.bandjoin([photo, photo])
    roll = _animation()
    said = _laden(photo)
    return {
        "plain.jpg": drawing.jpeg(photo),
        "progressive.jpg": drawing.jpeg(photo, interlace=True),
        "restarts.jpg": drawing.jpeg(photo, restart_interval=2),
        "grey.jpg": drawing.jpeg(grey),
        "cmyk.jpg": drawing.jpeg(cmyk),
        "laden.jpg": drawing.jpeg(said, orientation=6),
        "p3.jpg": drawing.jpeg(p3),
        "small.jpg": bytes(photo.jpegsave_buffer(Q=12)),
        "gain-map.jpg": ultra_hdr.source(96, 64, orientation=5),
        "colourful-gain-map.jpg": ultra_hdr.source(96, 64, colourful=True, order="<"),
        "plain.png": drawing.png(fields),
        "interlaced.png": bytes(photo.pngsave_buffer(interlace=True)),
        "alpha.png": drawing.png(clear),
        "grey-alpha.png": drawing.png(clear.colourspace("b-w")),
        "palette.png": bytes(photo.pngsave_buffer(palette=True)),
        "palette-alpha.png": bytes(clear.pngsave_buffer(palette=True, bitdepth=4)),
        "16-bit.png": drawing.png(photo.colourspace("rgb16")),
        "1-bit.png": bytes((grey > 127).pngsave_buffer(bitdepth=1)),
        "laden.png": drawing.png(said),
        "animated.png": _animated("png"),
        "plain.webp": bytes(photo.webpsave_buffer()),
        "lossless.webp": bytes(clear.webpsave_buffer(lossless=True)),
        "alpha.webp": bytes(clear.webpsave_buffer()),
        "laden.webp": bytes(said.webpsave_buffer()),
        "animated.webp": bytes(roll.webpsave_buffer()),
        "plain.gif": bytes(fields.gifsave_buffer()),
        "alpha.gif": bytes(clear.gifsave_buffer()),
        "interlaced.gif": bytes(photo.gifsave_buffer(interlace=True)),
        "animated.gif": bytes(roll.gifsave_buffer()),
        "plain.avif": bytes(photo.heifsave_buffer(compression="av1", effort=0)),
        "alpha.avif": bytes(clear.heifsave_buffer(compression="av1", effort=0)),
        "10-bit.avif": bytes(photo.colourspace("rgb16").heifsave_buffer(compression="av1", effort=0, bitdepth=10)),
        "laden.avif": bytes(said.heifsave_buffer(compression="av1", effort=0)),
        "animated.avif": _animated("avif"),
        "plain.heic": _heic(photo, "RGB"),
        "alpha.heic": _heic(clear, "RGBA"),
        "grey.heic": _heic(photo, "L"),
        "gain-map.heic": ultra_hdr.heic(photo, grey, b"Exif\0\0MM\0*"),
        "two.heic": _two_in_one_heic(photo, fields),
        "plain.tif": bytes(photo.tiffsave_buffer()),
        "lzw.tif": bytes(photo.tiffsave_buffer(compression="lzw", predictor="horizontal")),
        "jpeg.tif": bytes(photo.tiffsave_buffer(compression="jpeg", tile=True, tile_width=32, tile_height=32)),
        "fax.tif": bytes((grey > 127).tiffsave_buffer(compression="ccittfax4", bitdepth=1)),
        "zip-pyramid.tif": bytes(
            photo.tiffsave_buffer(compression="deflate", tile=True, tile_width=16, tile_height=16, pyramid=True)
        ),
        "16-bit.tif": bytes(photo.colourspace("rgb16").tiffsave_buffer(compression="deflate")),
        "lab.tif": bytes(photo.colourspace("lab").tiffsave_buffer()),
        "cmyk.tif": bytes(cmyk.tiffsave_buffer()),
        "nine-bands.tif": bytes(wide.copy(interpretation="multiband").tiffsave_buffer()),
        "laden.tif": bytes(said.tiffsave_buffer()),
        "big.tif": bytes(photo.tiffsave_buffer(bigtiff=True, compression="lzw")),
        **_coded(photo.numpy(), clear.numpy()),
        "colours.bmp": _bmp(photo),
        "palette.bmp": _bmp(photo, "P"),
        "1-bit.bmp": _bmp(photo, "1"),
        "run-length.bmp": _run_length_bmp(),
        "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0h9v9z"/></svg>',
    }


def _coded(photo: np.ndarray, clear: np.ndarray) -> dict[str, bytes]:
    """Files whose samples mean something unusual."""
    turned = Image.Exif()
    turned[0x0112] = 7
    return {
        "p3.png": coded.png(photo, coded.cicp(12, 13)),
        "gamma.png": coded.png(photo, coded.gama(1.0), coded.chrm(coded.P3_CHRM)),
        "pq.png": coded.png(photo.astype(np.uint16) * 257, coded.cicp(9, coded.PQ), coded.clli(400)),
        "p3.avif": coded.avif(photo, 12),
        "hlg.avif": coded.avif(clear, 9, coded.HLG),
        "grey.avif": coded.avif(photo[..., 1], subsampling="4:0:0", range="limited"),
        "multiplied.avif": coded.with_premultiplied_alpha(coded.avif(clear)),
        "upright-alpha.avif": coded.with_upright_alpha(coded.avif(clear, exif=turned.tobytes())),
        "32-bit.tif": tiffs.tiff(photo.astype(np.uint32) << 24),
        "float-grey.tif": tiffs.tiff(photo[..., :1].astype(np.float32) / 255, tiffs.GREY),
        "lab-8-bit.tif": tiffs.tiff(photo, tiffs.LAB, tiffs.DEFLATE),
        "ycbcr.tif": tiffs.tiff(photo, tiffs.YCBCR, t530=(1, 1)),
        "extra.tif": tiffs.tiff(np.concatenate([photo, clear[..., :2]], -1), t338=(tiffs.UNSPECIFIED, tiffs.ALPHA)),
    }


def _laden(image: pyvips.Image) -> pyvips.Image:
    """The image with EXIF, GPS, XMP, IPTC and a colour profile."""
    exif = {
        "ifd0-Make": "Camera",
        "ifd0-Artist": "Zoe",
        "ifd0-Copyright": "(c) Zoe",
        "ifd2-UserComment": "comment",
        "ifd3-GPSLatitude": "52/1 31/1 0/1",
    }
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Credit="Agency"><dc:rights><rdf:Alt>'
        '<rdf:li xml:lang="x-default">(c) Zoe</rdf:li></rdf:Alt></dc:rights></rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    image = drawing.saying(image.icc_transform("p3", input_profile="srgb"), exif, xmp)
    image.set_type(pyvips.GValue.blob_type, "iptc-data", b"\x1c\x02\x50\x00\x03Zoe\x1c\x02\x74\x00\x07(c) Zoe")
    return image


def _animation() -> pyvips.Image:
    frames = [drawing.photo(48, 32, seed) for seed in range(4)]
    roll = pyvips.Image.arrayjoin([drawing.with_alpha(frame) for frame in frames], across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 32)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [50, 100, 150, 200])
    return roll


def _pillow(image: pyvips.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.numpy()))


def _animated(format: str) -> bytes:
    frames = [_pillow(drawing.photo(48, 32, seed)) for seed in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _bmp(image: pyvips.Image, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    _pillow(image).convert(mode).save(buffer, "bmp")
    return buffer.getvalue()


def _run_length_bmp() -> bytes:
    """A BMP of 96 x 64 pixels in stripes, with runs, single pixels, and rows that end early."""
    rows = [bytes([60, row % 4, 0, 5, 0, 1, 2, 3, 0, 0, 20 + row % 12, 2, 0, 0]) for row in range(64)]
    palette, data = bytes(range(16)), b"".join(rows) + b"\0\1"
    head = struct.pack("<IHHIIiiHHIIiiII", 70 + len(data), 0, 0, 70, 40, 96, 64, 1, 8, 1, len(data), 0, 0, 4, 0)
    return b"BM" + head + palette + data


def _heic(image: pyvips.Image, mode: str) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(_pillow(image).convert(mode)).save(buffer, quality=60)
    return buffer.getvalue()


def _two_in_one_heic(*images: pyvips.Image) -> bytes:
    buffer = io.BytesIO()
    heic = pillow_heif.HeifFile()
    for image in images:
        heic.add_from_pillow(_pillow(image))
    heic.save(buffer, quality=60)
    return buffer.getvalue()
