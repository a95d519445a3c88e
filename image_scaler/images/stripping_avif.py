"""Blank the metadata of an AVIF image, and leave its pixels as they are, byte for byte.

An AVIF file is made of boxes (ISO/IEC 14496-12). One of them, `meta`, lists the items of the file and where the bytes
of each lie (ISO/IEC 23008-12): the pictures, and EXIF and XMP as items of their own. These are overwritten where they
are, so that nothing moves and nothing has to be counted anew.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_NO_EXIF = struct.pack(">I", 0) + b"II*\0" + struct.pack("<IHI", 8, 0, 0)
"""How an EXIF item says that there is nothing in it."""

_META = {b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"iref", b"idat"}
_REFERENCES = {b"auxl", b"dimg", b"prem", b"cdsc"}
"""From alpha to its picture, from a grid to its tiles, from metadata to its picture; not from a thumbnail."""
_PROPERTIES = {
    *(b"av1C", b"a1op", b"a1lx", b"lsel", b"ispe", b"pixi", b"colr", b"irot", b"imir"),
    *(b"clap", b"pasp", b"auxC", b"clli", b"mdcv", b"amve", b"cclv"),
}
"""Those that say how a picture is to be shown; any other may be text."""


class _Span(NamedTuple):
    """Some bytes of the file."""

    start: int
    end: int


def strip(body: bytes) -> bytes | None:
    """Return the file with nothing in it but the one picture that is shown.

    None where anything is found that is not known here, or that belongs to nothing. Raises struct.error, LookupError
    or ValueError for a file that is damaged.
    """
    boxes = list(_boxes(body, _Span(0, len(body))))
    metas = [span for name, span in boxes if name == b"meta"]
    if {name for name, _ in boxes} != {b"ftyp", b"meta", b"mdat"} or len(metas) != 1:
        return None
    inner = list(_boxes(body, _Span(metas[0].start + 4, metas[0].end)))
    meta = dict(inner)
    if len(meta) != len(inner) or not {b"pitm", b"iloc", b"iinf", b"iprp"} <= meta.keys() <= _META:
        return None
    containers = [span for name, span in _boxes(body, meta[b"iprp"]) if name == b"ipco"]
    if any(name not in _PROPERTIES for span in containers for name, _ in _boxes(body, span)):
        return None
    types = dict(_types(body, meta[b"iinf"]))
    pictures = {item for item, kind in types.items() if kind in (b"av01", b"grid")}
    if pictures - _shown(body, meta):
        return None
    stripped, claimed = bytearray(body), bytearray(len(body))
    for item, span in _places(body, meta):
        length = span.end - span.start
        if any(claimed[span.start : span.end]):
            return None  # items that share bytes: with one of them the other would be blanked
        claimed[span.start : span.end] = b"\1" * length
        if item not in pictures:
            blank = {b"Exif": _NO_EXIF[:length].ljust(length, b"\0"), b"mime": b" " * length}.get(types.get(item, b""))
            if blank is None:
                return None
            stripped[span.start : span.end] = blank
    held = [span for name, span in boxes if name == b"mdat"] + [span for name, span in inner if name == b"idat"]
    return bytes(stripped) if all(all(claimed[span.start : span.end]) for span in held) else None


def _boxes(body: bytes, within: _Span) -> Iterator[tuple[bytes, _Span]]:
    """Yield the name of each box, and where its content lies."""
    at = within.start
    while at < within.end:
        length, name = struct.unpack(">I4s", body[at : at + 8])
        if length < 8 or at + length > within.end:  # 0 and 1: a length that stands elsewhere
            raise ValueError(f"box {name!r} is {length} bytes long")
        yield name, _Span(at + 8, at + length)
        at += length


def _types(body: bytes, iinf: _Span) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the type of each item."""
    for name, span in _boxes(body, _Span(iinf.start + (6 if body[iinf.start] == 0 else 8), iinf.end)):
        layout = {2: ">4xHxx4s", 3: ">4xIxx4s"}.get(body[span.start])
        if name != b"infe" or layout is None:
            raise ValueError(f"{name!r} of an unknown version")
        yield struct.unpack_from(layout, body[span.start : span.end])


def _shown(body: bytes, meta: Mapping[bytes, _Span]) -> set[int]:
    """Return the items that are needed to show the primary one: itself, its tiles, and what is alpha to these."""
    at = meta[b"pitm"].start
    (primary,) = struct.unpack_from(">4xH" if body[at] == 0 else ">4xI", body, at)
    shown = {primary}
    if b"iref" in meta:
        at, end = meta[b"iref"]
        number = "H" if body[at] == 0 else "I"
        for name, span in _boxes(body, _Span(at + 4, end)):
            source, count = struct.unpack_from(f">{number}H", body, span.start)
            targets = struct.unpack_from(f">{count}{number}", body, span.start + struct.calcsize(f">{number}H"))
            if name not in _REFERENCES:
                raise ValueError(f"a reference {name!r}")
            shown |= {source, *targets} if name in (b"dimg", b"auxl") else set()
    return shown


def _places(body: bytes, meta: Mapping[bytes, _Span]) -> Iterator[tuple[int, _Span]]:
    """Yield where each item lies; an item of several pieces more than once."""
    at, end = meta[b"iloc"]
    version, sizes, more_sizes = struct.unpack_from(">B3xBB", body, at)
    widths = (sizes >> 4, sizes & 15, more_sizes >> 4, more_sizes & 15 if version else 0)
    at += 6

    def number(width: int) -> int:
        nonlocal at
        if at + width > end:
            raise ValueError("iloc is cut off")
        at += width
        return int.from_bytes(body[at - width : at], "big")

    id_width = 4 if version == 2 else 2
    for _ in range(number(id_width)):
        item = number(id_width)
        method = number(2) & 15 if version else 0
        if method > 1 or number(2) != 0:
            raise ValueError(f"item {item} lies in another file or item")
        base = number(widths[2]) + (meta[b"idat"].start if method == 1 else 0)
        for _ in range(number(2)):
            number(widths[3])
            start = base + number(widths[0])
            length = number(widths[1])
            if length == 0 or start + length > len(body):
                raise ValueError(f"item {item} has no end within the file")
            yield item, _Span(start, start + length)
