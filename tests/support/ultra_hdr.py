"""JPEG files with a gain map, as phones and programs write them, and the light that a HDR display shows of them."""

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pillow_heif
import pyvips
from PIL import Image

from tests.support import drawing

XMP, ISO = b"http://ns.adobe.com/xap/1.0/\0", b"urn:iso:std:iso:ts:21496:-1\0"

Numbers = Mapping[str, float | Sequence[float]]
"""The numbers of a map by their names in XMP, in stops; three for red, green and blue, or one."""

NUMBERS: Numbers = {
    "GainMapMin": 0,
    "GainMapMax": 2.5,
    "Gamma": 1,
    "OffsetSDR": 1 / 64,
    "OffsetHDR": 1 / 64,
    "HDRCapacityMin": 0,
    "HDRCapacityMax": 2.5,
}
COLOURFUL: Numbers = {
    **NUMBERS,
    "GainMapMin": (-0.25, -0.3, -0.35),
    "GainMapMax": (2.25, 2.5, 2.75),
    "Gamma": (0.9, 0.8, 0.7),
}


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def xmp(numbers: Numbers, more: str = "") -> bytes:
    """XMP as Adobe's specification has it."""
    attributes, lists = "", ""
    for name, value in numbers.items():
        if isinstance(value, Sequence):
            items = "".join(f"<rdf:li>{number!r}</rdf:li>" for number in value)
            lists += f"<hdrgm:{name}><rdf:Seq>{items}</rdf:Seq></hdrgm:{name}>"
        else:
            attributes += f' hdrgm:{name}="{value!r}"'
    return described(
        f'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"{attributes} {more}', lists
    )


def described(attributes: str, content: str = "") -> bytes:
    """An XMP packet with one description."""
    return (
        XMP
        + (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about="" {attributes}>{content}</rdf:Description></rdf:RDF></x:xmpmeta>'
        ).encode()
    )


def iso(numbers: Numbers, flags: int = 0x40, version: int = 0) -> bytes:
    """A block of ISO 21496-1, with a million as the denominator of all numbers."""

    def pair(number: float) -> bytes:
        return struct.pack(">iI", round(number * 1_000_000), 1_000_000)

    names = ("GainMapMin", "GainMapMax", "Gamma", "OffsetSDR", "OffsetHDR")
    columns = [value if isinstance(value := numbers[name], Sequence) else [value] * 3 for name in names]
    flags |= 0x80
    head = ISO + struct.pack(">HHB", version, 0, flags)
    capacities = [float(numbers[name]) for name in ("HDRCapacityMin", "HDRCapacityMax")]  # type: ignore[arg-type]
    return head + b"".join(map(pair, capacities)) + b"".join(pair(column[i]) for i in range(3) for column in columns)


def joined(base: bytes, second: bytes, *blocks: bytes, order: str = ">", between: bytes = b"") -> bytes:
    """Two pictures in one file: a table in the first says where the second is. `blocks` are further APP segments."""
    head = base[:2] + b"".join(segment(0xE1 if block.startswith(XMP) else 0xE2, block) for block in blocks)
    head_size, table_size = len(head), 4 + 4 + 82
    size = len(base) - 2 + head_size + table_size
    place = size + len(between) - (head_size + 8)
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entries = struct.pack(f"{order}HHI4s", 0xB000, 7, 4, b"0100") + struct.pack(f"{order}HHII", 0xB001, 4, 1, 2)
    entries += struct.pack(f"{order}HHII", 0xB002, 7, 32, 50)
    pictures = struct.pack(f"{order}IIIHH", 0x030000, size, 0, 0, 0)
    pictures += struct.pack(f"{order}IIIHH", 0, len(second), place, 0, 0)
    table = b"MPF\0" + mark + struct.pack(f"{order}IH", 8, 3) + entries + bytes(4) + pictures
    return head + segment(0xE2, table) + base[2:] + between + second


def with_map(base: bytes, gain_map: bytes, *meanings: bytes, **options: Any) -> bytes:
    """A JPEG with a gain map, whose numbers are in `meanings`: from `xmp`, `iso`, or both."""
    blocks = b"".join(segment(0xE1 if block.startswith(XMP) else 0xE2, block) for block in meanings)
    declared = [ISO + bytes(4) if block.startswith(ISO) else xmp({}) for block in meanings]
    return joined(base, gain_map[:2] + blocks + gain_map[2:], *declared, **options)


def bright_sky(width: int = 320, height: int = 240) -> tuple[pyvips.Image, pyvips.Image]:
    """A picture of soft colours, and its gain from 0 to 255: most where a sun is, none at the bottom."""
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    colours = [0.45 + 0.35 * np.sin(2 * x + 3 * y + shift) for shift in (0.0, 1.2, 2.6)]
    sun = np.exp(-(((x - 0.7) / 0.16) ** 2) - ((y - 0.3) / 0.2) ** 2)
    gain = 0.75 * sun + 0.25 * (1 - y) * (0.5 + 0.5 * np.sin(9 * x))
    picture = np.clip(np.stack(colours, -1) + 0.25 * sun[..., None], 0, 1)
    return drawing.srgb((picture * 255).round().astype(np.uint8)), grey((gain * 255).round().astype(np.uint8))


def grey(pixels: np.ndarray) -> pyvips.Image:
    return pyvips.Image.new_from_array(pixels).copy(interpretation="b-w")


def source(
    width: int = 320,
    height: int = 240,
    *meanings: bytes,
    shrink: int = 2,
    orientation: int | None = None,
    colourful: bool = False,
    **options: Any,
) -> bytes:
    """A drawn photograph with a gain map, by default in both notations, of which each side is `shrink` times less."""
    picture, gain = bright_sky(width, height)
    gain = gain.resize(1 / shrink, kernel="linear")
    if colourful:
        gain = gain.bandjoin([(gain * 0.8).cast("uchar"), (255 - gain).cast("uchar")]).copy(interpretation="srgb")
    numbers = COLOURFUL if colourful else NUMBERS
    gain_map = bytes(gain.jpegsave_buffer(Q=98, subsample_mode="off"))
    base = drawing.jpeg(picture, orientation=orientation, subsample_mode="off")
    return with_map(base, gain_map, *(meanings or (xmp(numbers), iso(numbers))), **options)


class Hdr(NamedTuple):
    """What libultrahdr reads of a file, and the light that is to be shown of it."""

    light: np.ndarray
    """Linear, in the primaries of the picture; 1 is white on a display without HDR."""
    gain_map: pyvips.Image
    numbers: dict[str, Any]


def linear(pixels: np.ndarray) -> np.ndarray:
    """The light of 8-bit sRGB."""
    light: np.ndarray = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb").colourspace("scrgb").numpy()
    return light


def lit(sdr: np.ndarray, gain_map: pyvips.Image, numbers: Mapping[str, Any]) -> np.ndarray:
    """The light of a picture on a display that shows all of its gain (ISO 21496-1, 6.2).

    libvips computes the same of a grey map; one of three channels it takes for colours in sRGB.
    """
    low, high = (np.log2(numbers[f"{name}-content-boost"]) for name in ("min", "max"))
    size = sdr.shape[1] / gain_map.width, sdr.shape[0] / gain_map.height
    codes = gain_map.cast("float").resize(size[0], vscale=size[1], kernel="linear").numpy()
    share = np.clip(codes.reshape(*sdr.shape[:2], -1) / 255, 0, 1) ** (1 / np.array(numbers["gamma"]))
    gain = 2 ** (low + (high - low) * share)
    lit: np.ndarray = (linear(sdr) + numbers["offset-sdr"]) * gain - numbers["offset-hdr"]
    return lit


@contextmanager
def _loader() -> Iterator[None]:
    """Allow libvips' own loader of such files, which the function does not use."""
    pyvips.operation_block_set("VipsForeignLoadUhdr", False)
    try:
        yield
    finally:
        pyvips.operation_block_set("VipsForeignLoadUhdr", True)


def seen(body: bytes) -> Hdr | None:
    """Read a file with libultrahdr; None if that finds no map."""
    with _loader():
        try:
            image = pyvips.Image.uhdrload_buffer(body)
        except pyvips.Error:
            return None
        numbers = {
            field.removeprefix("gainmap-"): image.get(field) for field in image.get_fields() if "gainmap-" in field
        }
        gain_map = pyvips.Image.new_from_buffer(numbers.pop("data"), "").copy_memory()
    return Hdr(lit(pyvips.Image.new_from_buffer(body, "").numpy(), gain_map, numbers), gain_map, numbers)


def light_by_libvips(body: bytes) -> np.ndarray:
    """The same light, as libvips computes it."""
    with _loader():
        light: np.ndarray = pyvips.Image.uhdrload_buffer(body).uhdr2scRGB().numpy()
    return light


def heic(picture: pyvips.Image, gain: pyvips.Image, exif: bytes) -> bytes:
    """A HEIC with the gain map of an iPhone: it is saved as alpha, and then called a map."""
    pixels = np.concatenate([picture.numpy(), gain.numpy().reshape(gain.height, gain.width, 1)], -1)
    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    file.info["exif"] = exif
    buffer = io.BytesIO()
    file.save(buffer, quality=95, chroma=444)
    body = bytearray(buffer.getvalue())
    alpha, gain_map = b"urn:mpeg:hevc:2015:auxid:1\0", b"urn:com:apple:photo:2020:aux:hdrgainmap\0"
    assert body.count(alpha) == 1
    longer = len(gain_map) - len(alpha)
    boxes = [body.index(name) - 4 for name in (b"meta", b"iprp", b"ipco", b"auxC")]
    items = body.index(b"iloc") + 12  # 18 bytes for each of three, with its place in the file after two numbers
    for at in (*boxes, *(items + 18 * number + 4 for number in range(3))):
        body[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", body, at)[0] + longer)
    return bytes(body.replace(alpha, gain_map))
