"""The structure of AVIF and HEIC files (ISO/IEC 23008-12): what they say of their picture, and of its alpha.

Only what the decoders leave to their caller, or get wrong, is read. All functions raise ValueError, LookupError or
struct.error if the structure is damaged.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_ITEMS = 20_000
"""In one box of any kind, as in libheif. A photograph of 48 megapixels from a phone has 200 tiles."""

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
_MONOCHROME = 0x10
"""The bit for it in the third byte of `av1C`."""


class Codes(NamedTuple):
    """How colours are coded, by the code points of ITU-T H.273."""

    primaries: int = 2
    """2: unspecified."""
    curve: int = 2
    is_full_range: bool = True
    """Whether black is 0, and not 16 of 255."""


@dataclass(frozen=True)
class Item:
    """A picture in the file: what is shown, one of its tiles, or its alpha."""

    properties: Mapping[bytes, bytes] = field(default_factory=dict)
    """The content by name; those of colours (`colr`) by the name of their type: `nclx`, `prof`, `rICC`."""
    data: bytes = b""
    """The first bytes, of its first tile if it is made of tiles."""

    @property
    def is_monochrome(self) -> bool:
        """Whether it is an AV1 picture without colours."""
        return self.properties.get(b"av1C", bytes(3))[2] & _MONOCHROME != 0

    @property
    def codes(self) -> Codes:
        """The coding of its colours, which only the picture itself says if there is no `nclx`."""
        nclx = self.properties.get(b"nclx", b"")
        if len(nclx) >= 7:
            primaries, curve = struct.unpack_from(">HH", nclx)
            return Codes(primaries, curve, bool(nclx[6] & 0x80))
        return _read_av1_codes(self.data) if b"av1C" in self.properties else Codes()

    @property
    def turns(self) -> tuple[bytes, bytes]:
        """How it is turned and mirrored."""
        return self.properties.get(b"irot", b"\0"), self.properties.get(b"imir", b"")


@dataclass(frozen=True)
class HeifFile:
    """What is shown of a file."""

    picture: Item
    alpha: Item | None
    is_premultiplied: bool
    """Whether the colours are multiplied by alpha."""


def read_heif(body: bytes) -> HeifFile:
    """Read what the file says of its primary item and of the alpha of that."""
    start, end = _find(body, 0, len(body), b"meta")
    boxes = {name: (first, last) for name, first, last in _boxes(body, start + 4, end)}
    (primary,) = struct.unpack_from(">I" if body[boxes[b"pitm"][0]] else ">H", body, boxes[b"pitm"][0] + 4)
    properties = _read_properties(body, *boxes[b"iprp"])
    references = list(_references(body, *boxes[b"iref"])) if b"iref" in boxes else []

    def item(number: int) -> Item:
        tile = next((to for kind, source, to in references if kind == b"dimg" and source == number), number)
        data = _first_bytes(body, tile, boxes) if b"iloc" in boxes else b""
        return Item({**properties.get(tile, {}), **properties.get(number, {})}, data)

    alphas = (source for kind, source, to in references if kind == b"auxl" and to == primary)
    alpha = next((each for each in alphas if properties.get(each, {}).get(b"auxC", b"")[4:].startswith(_ALPHA)), None)
    return HeifFile(
        item(primary),
        None if alpha is None else item(alpha),
        (b"prem", primary, alpha) in references,
    )


def _boxes(body: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box, and the start and the end of its content."""
    for _ in range(MAX_ITEMS):
        if start + 8 > end:
            return
        length, name = struct.unpack_from(">I4s", body, start)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", body, start + 8), 16
        stop = start + length if length else end
        if (length and length < head) or stop > end:
            raise ValueError("a box is cut off")
        yield name, start + head, stop
        start = stop


def _find(body: bytes, start: int, end: int, name: bytes) -> tuple[int, int]:
    for found, first, last in _boxes(body, start, end):
        if found == name:
            return first, last
    raise ValueError(f"no box {name!r}")


def _read_properties(body: bytes, start: int, end: int) -> dict[int, dict[bytes, bytes]]:
    """Return the properties of each item."""
    known: list[tuple[bytes, bytes]] = []
    for name, first, last in _boxes(body, *_find(body, start, end, b"ipco")):
        content = body[first : min(last, first + 64)]  # a profile is longer, but only its presence counts
        known.append((content[:4], content[4:]) if name == b"colr" else (name, content))
    return {
        item: dict(known[index - 1] for index in indices if index)
        for name, first, last in _boxes(body, start, end)
        if name == b"ipma"
        for item, indices in _associations(body, first, last)
    }


def _associations(body: bytes, at: int, end: int) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield the number of each item, and those of its properties, from 1 on."""
    version, is_wide, count = struct.unpack_from(">B2xBI", body, at)
    form, size, is_wide = (">IB", 5, is_wide & 1) if version else (">HB", 3, is_wide & 1)
    at += 8
    for _ in range(min(count, MAX_ITEMS)):
        item, places = struct.unpack_from(form, body, at)
        indices = struct.unpack_from(f">{places}{'H' if is_wide else 'B'}", body, at + size)
        at += size + places * (2 if is_wide else 1)
        if at > end:
            raise ValueError("a table is cut off")
        # The highest bit says whether the property is essential.
        yield item, [index & (0x7FFF if is_wide else 0x7F) for index in indices]


def _references(body: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each reference, and the numbers of its two items."""
    form, size = (">IH", 4) if body[start] else (">HH", 2)
    for kind, first, last in _boxes(body, start + 4, end):
        source, count = struct.unpack_from(form, body, first)
        first += struct.calcsize(form)
        if first + count * size > last:
            raise ValueError("a reference is cut off")
        for at in range(first, first + count * size, size):
            yield kind, source, int.from_bytes(body[at : at + size], "big")


def _first_bytes(body: bytes, number: int, boxes: Mapping[bytes, tuple[int, int]]) -> bytes:
    """Return the first bytes of an item; empty if it is made of others."""
    at, end = boxes[b"iloc"]
    version, sizes, more = struct.unpack_from(">B3xBB", body, at)
    offset_size, length_size, base_size = sizes >> 4, sizes & 15, more >> 4
    index_size = more & 15 if version else 0
    number_size = 4 if version == 2 else 2
    head = number_size + (2 if version else 0) + 2 + base_size + 2
    at += 6 + number_size
    (count,) = struct.unpack_from(">I" if version == 2 else ">H", body, at - number_size)
    for _ in range(min(count, MAX_ITEMS)):
        if at + head > end:
            raise ValueError("the table of items is cut off")
        (extents,) = struct.unpack_from(">H", body, at + head - 2)
        if int.from_bytes(body[at : at + number_size], "big") == number:
            method = body[at + number_size + 1] & 15 if version else 0
            if not extents or method > 1:
                return b""
            # The place is in the file or, with method 1, in a box of the header.
            places = (
                body[at + head - 2 - base_size : at + head - 2],
                body[at + head + index_size : at + head + index_size + offset_size],
            )
            start = sum(int.from_bytes(place, "big") for place in places) + (boxes[b"idat"][0] if method else 0)
            return body[start : start + 64]
        at += head + extents * (index_size + offset_size + length_size)
    return b""


class _Bits:
    """Reads numbers from bits."""

    def __init__(self, data: bytes) -> None:
        self._data = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def __call__(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("the sequence header is cut off")
        return self._data >> self._left & (1 << count) - 1


def _read_av1_codes(data: bytes) -> Codes:
    """Return what an AV1 picture says in its sequence header (AV1 5.5); the default if that cannot be read."""
    at = 0
    while len(data) > at + 1 and data[at] >> 3 & 15 != 1:  # the header of another unit, usually without content
        at += 2 + data[at + 1]
    if len(data) < at + 2:
        return Codes()
    bits = _Bits(data[at + 2 + (data[at] >> 2 & 1) :])
    try:
        profile, _, is_reduced = bits(3), bits(1), bits(1)
        if is_reduced:
            bits(5)
        elif not _skip_operating_points(bits):
            return Codes()
        bits(sum((bits(4) + 1, bits(4) + 1)))  # width and height
        if not is_reduced and bits(1):
            bits(7)
        bits(3)
        if not is_reduced:
            _skip_tools(bits)
        bits(3)
        return _read_colour_config(bits, profile)
    except ValueError:
        return Codes()


def _skip_operating_points(bits: _Bits) -> bool:
    """Skip the levels; False if there is something that no still picture has."""
    if bits(1):  # the times of frames
        return False
    has_delay = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if has_delay and bits(1):
            bits(4)
    return True


def _skip_tools(bits: _Bits) -> None:
    bits(4)
    has_order = bits(1)
    bits(2 * has_order)
    forces_tools = 2 if bits(1) else bits(1)
    if forces_tools and not bits(1):
        bits(1)
    bits(3 * has_order)


def _read_colour_config(bits: _Bits, profile: int) -> Codes:
    if bits(1) and profile == 2:
        bits(1)  # 12 bits
    is_monochrome = profile != 1 and bits(1)
    primaries, curve, matrix = (bits(8), bits(8), bits(8)) if bits(1) else (2, 2, 2)
    is_rgb = (primaries, curve, matrix) == (1, 13, 0) and not is_monochrome
    return Codes(primaries, curve, is_rgb or bool(bits(1)))
