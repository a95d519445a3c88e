"""JPEG files with a gain map: find the map of a source, and put one behind the picture of a rendition.

Such a file is a JPEG for displays without HDR, and a second JPEG, the gain map: how much brighter each place is on an
HDR display. The first has a table of both (MPF, CIPA DC-007). The second says what its pixels mean, in XMP (`hdrgm`,
Adobe) or in a block of ISO 21496-1. Renditions have both: programs from before 2025 read only XMP. iPhones wrote a map
of their own before there was a standard.

A source is an upload: its structure is followed, never searched, and everything in it is bounded.
"""

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from image_scaler.images.attribution import parse_xmp
from image_scaler.images.containers import jpeg_positions
from image_scaler.renditions.made import DroppedMap

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_PICTURES = 16
"""In the table of a source. A phone's file has up to five: the map, a preview, a depth map."""
MAX_HEAD_SEGMENTS = 1000
"""Before the pixels: a profile of 16 MB has 255."""
MAX_STOPS = 32
"""No gain, gamma or offset of a real map is above it: it is a factor of 4 billion."""
_MAX_DENOMINATOR = 10_000_000
"""Numbers of XMP become fractions with a numerator of 31 bits."""

_APP0, _APP1, _APP2, _APP15, _SCAN = 0xE0, 0xE1, 0xE2, 0xEF, 0xDA
_EXIF, _XMP, _MPF, _ISO = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"
_HDRGM = "{http://ns.adobe.com/hdr-gain-map/1.0/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"

Channels = tuple[Fraction, Fraction, Fraction]
"""A number for red, green and blue."""


class UnusableMapError(Exception):
    """There is a gain map that cannot be kept."""

    def __init__(self, reason: DroppedMap) -> None:
        """`reason`: what the manifest says."""
        super().__init__(reason.value)
        self.reason = reason


class Gains(NamedTuple):
    """What the pixels of a gain map mean; light is in stops (log2)."""

    min: Channels
    """The gain that black in the map means."""
    max: Channels
    """The gain that white in the map means."""
    gamma: Channels
    """A pixel from 0 to 1 to the power of 1 / gamma is the place between the two."""
    base_offset: Channels
    """Is added to the light of the picture before it is multiplied by the gain."""
    alternate_offset: Channels
    """Is subtracted afterwards."""
    base_headroom: Fraction
    """Up to this headroom a display shows the picture without the map."""
    alternate_headroom: Fraction
    """From this headroom on, a display shows all of the gain."""
    uses_base_colours: bool = True
    """Whether the gain is one of the primaries of the picture, and not of the map's own profile."""

    @property
    def is_grey(self) -> bool:
        """Whether all numbers are equal for red, green and blue."""
        return all(len(set(channels)) == 1 for channels in self[:5])

    def check(self) -> "Gains":
        """Return them; raises UnusableMapError if no reader could use them."""
        if self.base_headroom > self.alternate_headroom:
            raise UnusableMapError(DroppedMap.BASE_IS_HDR)
        numbers = [number for channels in self[:5] for number in channels]
        is_bounded = all(abs(number) <= MAX_STOPS for number in (*numbers, *self[5:7]))
        is_ordered = all(low <= high for low, high in zip(self.min, self.max, strict=True))
        is_positive = min(self.gamma) > 0 and min(*self.base_offset, *self.alternate_offset, self.base_headroom) >= 0
        if not (is_bounded and is_ordered and is_positive and self.base_headroom < self.alternate_headroom):
            raise UnusableMapError(DroppedMap.DAMAGED)
        return self


class GainMapFile(NamedTuple):
    """The gain map in a source."""

    jpeg: bytes
    gains: Gains
    codes: bytes | None = None
    """What the 256 values of its pixels have to become, so that `gains` say what they mean; None: they stay."""


_STRUCTURE_ERRORS = (struct.error, LookupError, ValueError, ArithmeticError)


def find_gain_map(body: bytes) -> GainMapFile | None:
    """Return the gain map of a JPEG; None if it has none. Raises UnusableMapError if it has one without a meaning."""
    has_map = False
    try:
        head = _read_head(body)
        has_map = bool(head.iso) or _HDRGM[1:-1].encode() in head.xmp
        for start, size in _other_pictures(body, head):
            jpeg = body[start : start + size]
            if (found := _read_second(jpeg, head.exif)) is not None:
                found.gains.check()
                return found
    except _STRUCTURE_ERRORS:  # else the second picture is something else, or the file is no JPEG
        if not has_map:
            return None
    if has_map:  # but the table does not lead to it, as in a file that is cut off
        raise UnusableMapError(DroppedMap.DAMAGED)
    return None


class _Head(NamedTuple):
    """What is known of a JPEG before its pixels."""

    exif: bytes = b""
    xmp: bytes = b""
    iso: bytes = b""
    mpf: int = 0
    """The place of its table of pictures; 0 without one."""


def _read_head(body: bytes) -> _Head:
    """Return the parts of a JPEG that concern gain maps."""
    head = _Head()
    for count, (marker, start, end, _) in enumerate(jpeg_positions(body)):
        if marker == _SCAN or count == MAX_HEAD_SEGMENTS:
            break
        if marker == _APP1 and not head.exif and body.startswith(_EXIF, start):
            head = head._replace(exif=body[start + len(_EXIF) : end])
        elif marker == _APP1 and not head.xmp and body.startswith(_XMP, start):
            head = head._replace(xmp=body[start + len(_XMP) : end])
        elif marker == _APP2 and not head.iso and body.startswith(_ISO, start):
            head = head._replace(iso=body[start + len(_ISO) : end])
        elif marker == _APP2 and not head.mpf and body.startswith(_MPF, start):
            head = head._replace(mpf=start + len(_MPF))
    return head


# The table of pictures (CIPA DC-007 5.2): a TIFF directory, from whose first byte all places are counted.

_ENTRIES, _ENTRY_BYTES = 0xB002, 16


def _other_pictures(body: bytes, head: _Head) -> Iterator[tuple[int, int]]:
    """Yield the place and the size of each picture after the first one, once, and no more bytes than there are."""
    if not head.mpf:
        return
    order = {b"MM\0*": ">", b"II*\0": "<"}.get(body[head.mpf : head.mpf + 4])
    if order is None:
        return
    (at,) = struct.unpack_from(f"{order}I", body, head.mpf + 4)
    (count,) = struct.unpack_from(f"{order}H", body, head.mpf + at)
    left, seen = len(body), set()
    for entry in range(min(count, MAX_PICTURES)):
        tag, _, size, place = struct.unpack_from(f"{order}HHII", body, head.mpf + at + 2 + 12 * entry)
        if tag != _ENTRIES:
            continue
        for number in range(1, min(size // _ENTRY_BYTES, MAX_PICTURES)):
            length, start = struct.unpack_from(f"{order}II", body, head.mpf + place + number * _ENTRY_BYTES + 4)
            first = head.mpf + start
            if (first, length) in seen or not start or first + length > len(body):
                continue
            seen.add((first, length))
            left -= length
            if left < 0:
                return
            if body.startswith(b"\xff\xd8", first):
                yield first, length


def _read_second(jpeg: bytes, exif: bytes) -> GainMapFile | None:
    """Return a second picture as a gain map; None if it is none. `exif` is that of the first picture."""
    head = _read_head(jpeg)
    try:
        if len(head.iso) > len(_VERSION):
            return GainMapFile(jpeg, _read_iso(head.iso))
        root = parse_xmp(head.xmp)
        if root is None:
            return None
        if (gains := _read_xmp(root)) is not None:
            return GainMapFile(jpeg, gains)
        headroom = _read_apple_headroom(root, exif)
        return None if headroom is None else _apple_map(jpeg, headroom)
    except _STRUCTURE_ERRORS as error:
        raise UnusableMapError(DroppedMap.DAMAGED) from error


# ISO 21496-1, annex C: fractions. The two lowest of these flags are libultrahdr's.

_IS_MULTICHANNEL, _USES_BASE_COLOURS, _HAS_ONE_DENOMINATOR, _IS_BACKWARD = 0x80, 0x40, 0x08, 0x04
_VERSION = bytes(4)
"""The lowest version that a reader must know, and that of the writer."""


def _read_iso(block: bytes) -> Gains:
    version, flags = struct.unpack_from(">H2xB", block)
    if version:
        raise ValueError("a later version of ISO 21496-1")
    if flags & _IS_BACKWARD:
        raise UnusableMapError(DroppedMap.BASE_IS_HDR)
    channels = 3 if flags & _IS_MULTICHANNEL else 1
    forms = "II" + "iiIii" * channels
    if flags & _HAS_ONE_DENOMINATOR:
        denominator, *numerators = struct.unpack_from(f">I{forms}", block, 5)
        numbers = [Fraction(numerator, denominator) for numerator in numerators]
    else:
        pairs = struct.unpack_from(">" + "".join(f"{form}I" for form in forms), block, 5)
        numbers = [Fraction(*pair) for pair in zip(pairs[::2], pairs[1::2], strict=True)]
    columns = [numbers[2 + index :: 5] for index in range(5)]
    return _gains(columns, *numbers[:2], uses_base_colours=bool(flags & _USES_BASE_COLOURS))


def _gains(
    columns: Iterable[Sequence[Fraction]], base: Fraction, alternate: Fraction, *, uses_base_colours: bool = True
) -> Gains:
    """Return the numbers from the columns of the channels, in the order of `Gains`, and from the two headrooms."""
    low, high, gamma, base_offset, alternate_offset = map(_three, columns)
    return Gains(low, high, gamma, base_offset, alternate_offset, base, alternate, uses_base_colours)


def _three(values: Sequence[Fraction]) -> Channels:
    """Return one value for each channel; raises ValueError if there are neither three nor one."""
    red, green, blue = values if len(values) == 3 else (*values, *values, *values)
    return red, green, blue


def _write_iso(gains: Gains) -> bytes:
    columns = list(zip(*gains[:5], strict=True))
    is_grey = len(set(columns)) == 1
    flags = (0 if is_grey else _IS_MULTICHANNEL) | (_USES_BASE_COLOURS if gains.uses_base_colours else 0)
    numbers = [gains.base_headroom, gains.alternate_headroom]
    numbers += [number for column in columns[: 1 if is_grey else 3] for number in column]
    return _VERSION + bytes([flags]) + b"".join(map(_write_fraction, numbers))


def _write_fraction(number: Fraction) -> bytes:
    if not (abs(number.numerator) < 2**31 and number.denominator < 2**32):
        number = number.limit_denominator(_MAX_DENOMINATOR)
    return struct.pack(">iI", number.numerator, number.denominator)


# XMP, in the words of Adobe's gain map specification

_NAMES = ("GainMapMin", "GainMapMax", "Gamma", "OffsetSDR", "OffsetHDR")
_CAPACITIES = ("HDRCapacityMin", "HDRCapacityMax")
_DEFAULTS = {"GainMapMin": 0.0, "Gamma": 1.0, "OffsetSDR": 1 / 64, "OffsetHDR": 1 / 64, "HDRCapacityMin": 0.0}


def _read_xmp(root: "Element") -> Gains | None:
    values = dict(_properties(root, _HDRGM))
    if "Version" not in values:
        return None
    if values.get("BaseRenditionIsHDR", [""])[0].strip().lower() == "true":
        raise UnusableMapError(DroppedMap.BASE_IS_HDR)

    def numbers(name: str) -> list[Fraction]:
        texts = values.get(name)
        return [_number(text) for text in texts] if texts else [_fraction(_DEFAULTS[name])]

    base, alternate = (numbers(name)[0] for name in _CAPACITIES)
    return _gains(map(numbers, _NAMES), base, alternate)


def _properties(root: "Element", namespace: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the values of each property in a namespace."""
    for element in root.iter(f"{_RDF}Description"):
        for name, value in element.items():
            if name.startswith(namespace):
                yield name.removeprefix(namespace), [value]
        for child in element:
            if child.tag.startswith(namespace):
                items = [item.text or "" for item in child.findall(f"*/{_RDF}li")]
                yield child.tag.removeprefix(namespace), items or [child.text or ""]


def _number(text: str) -> Fraction:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is infinite")
    return _fraction(number)


def _fraction(number: float) -> Fraction:
    return Fraction(number).limit_denominator(_MAX_DENOMINATOR)


def _write_xmp(gains: Gains) -> bytes:
    attributes, lists = ' hdrgm:Version="1.0"', ""
    for name, channels in zip(_NAMES, gains[:5], strict=True):
        texts = [_decimal(number) for number in channels]
        if len(set(texts)) == 1:
            attributes += f' hdrgm:{name}="{texts[0]}"'
        else:
            items = "".join(f"<rdf:li>{text}</rdf:li>" for text in texts)
            lists += f"<hdrgm:{name}><rdf:Seq>{items}</rdf:Seq></hdrgm:{name}>"
    for name, number in zip(_CAPACITIES, (gains.base_headroom, gains.alternate_headroom), strict=True):
        attributes += f' hdrgm:{name}="{_decimal(number)}"'
    attributes += ' hdrgm:BaseRenditionIsHDR="False"'
    return _packet(f"{attributes}>{lists}")


def _decimal(number: Fraction) -> str:
    """Return a number as XMP has it: without an exponent."""
    return f"{float(number):.12f}".rstrip("0").removesuffix(".")


def _packet(description: str, credits: bytes = b"") -> bytes:
    """Return an XMP packet with one more description than `credits` has."""
    credits = credits or (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b"</rdf:RDF></x:xmpmeta>"
    )
    namespace = f'xmlns:hdrgm="{_HDRGM[1:-1]}"'
    added = f'<rdf:Description rdf:about="" {namespace}{description}</rdf:Description></rdf:RDF>'
    before, _, after = credits.rpartition(b"</rdf:RDF>")
    return before + added.encode() + after


# iPhones, before ISO 21496-1: https://developer.apple.com/documentation/appkit/applying-apple-hdr-effect-to-your-photos

_APPLE = "{http://ns.apple.com/HDRGainMap/1.0/}"
_MAKER_NOTE = b"Apple iOS\0\0\1MM"
_EXIF_DIRECTORY, _EXIF_MAKER_NOTE, _HEADROOM, _GAIN = 0x8769, 0x927C, 33, 48


def read_apple_map(jpeg: bytes, exif: bytes) -> GainMapFile:
    """Return the map of an iPhone's HEIC, as a JPEG; raises UnusableMapError without notes on it in the EXIF block."""
    try:
        return _apple_map(jpeg, _noted_headroom(exif.removeprefix(_EXIF)))
    except _STRUCTURE_ERRORS as error:
        raise UnusableMapError(DroppedMap.DAMAGED) from error


def _apple_map(jpeg: bytes, headroom: float) -> GainMapFile:
    """Return a map that multiplies light by up to `headroom`; raises ValueError if that is no headroom."""
    if not 1 < headroom < 2**MAX_STOPS:
        raise ValueError("no headroom")
    return GainMapFile(jpeg, _apple_gains(headroom), _apple_codes(headroom))


def _read_apple_headroom(root: "Element", exif: bytes) -> float | None:
    """Return by how much a map of an iPhone multiplies light at most; None if it is no such map."""
    values = dict(_properties(root, _APPLE))
    if "HDRGainMapVersion" not in values:
        return None
    return float(values["HDRGainMapHeadroom"][0]) if "HDRGainMapHeadroom" in values else _noted_headroom(exif)


def _noted_headroom(exif: bytes) -> float:
    """Return the headroom that the camera's own notes lead to: up to iOS 17 it is nowhere else."""
    order = {b"MM\0*": ">", b"II*\0": "<"}[exif[:4]]
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    (_, at) = _directory(exif, order, at)[_EXIF_DIRECTORY]
    (_, at) = _directory(exif, order, at)[_EXIF_MAKER_NOTE]
    note = exif[at:]
    if not note.startswith(_MAKER_NOTE):
        raise ValueError("no notes of an iPhone")
    entries = _directory(note, ">", len(_MAKER_NOTE))
    headroom, gain = (_rational(note, entries.get(tag)) for tag in (_HEADROOM, _GAIN))
    if headroom is None and gain is None:
        raise ValueError("no headroom")
    gain = gain or 0.0
    if (headroom or 0.0) < 1:
        stops = 1.8 - 20 * gain if gain <= 0.01 else 1.601 - 0.101 * gain
    else:
        stops = 3.0 - 70 * gain if gain <= 0.01 else 2.303 - 0.303 * gain
    return float(2**stops)


def _directory(tiff: bytes, order: str, at: int) -> dict[int, tuple[int, int]]:
    """Return the type and the value of each entry of a TIFF directory, or the place of a value that is longer."""
    (count,) = struct.unpack_from(f"{order}H", tiff, at)
    entries = (struct.unpack_from(f"{order}HH4xI", tiff, at + 2 + 12 * number) for number in range(count))
    return {tag: (type_, value) for tag, type_, value in entries}


def _rational(note: bytes, entry: tuple[int, int] | None) -> float | None:
    signed_rational = 10
    if entry is None or entry[0] != signed_rational:
        return None
    numerator, denominator = struct.unpack_from(">ii", note, entry[1])
    return float(numerator / denominator)


def _apple_gains(headroom: float) -> Gains:
    zero, one, stops = Fraction(0), Fraction(1), _fraction(math.log2(headroom))
    return _gains(([zero], [stops], [one], [zero], [zero]), zero, stops)


def _apple_codes(headroom: float) -> bytes:
    """Return the 256 values of an iPhone's map as those of a map in stops.

    Its light is 1 + (headroom - 1) x pixel, and its pixels have the curve of ITU-R BT.709.
    """
    levels = (code / 255 for code in range(256))
    linear = (level / 4.5 if level < 0.081 else ((level + 0.099) / 1.099) ** (1 / 0.45) for level in levels)
    return bytes(round(255 * math.log2(1 + (headroom - 1) * light) / math.log2(headroom)) for light in linear)


# Renditions


def wrap_map(jpeg: bytes, gains: Gains) -> bytes:
    """Return the JPEG of a map, which has no metadata but a profile, with what its pixels mean."""
    start, others, rest = _take_apart(jpeg)
    meaning = _segment(_APP1, _XMP + _write_xmp(gains)) + _segment(_APP2, _ISO + _write_iso(gains))
    return start + meaning + b"".join(others) + rest


def join(base: bytes, gain_map: bytes) -> bytes:
    """Return a JPEG with a map behind it, from `wrap_map`; `base` has no metadata but credits and a profile."""
    start, others, rest = _take_apart(base)
    credits = next((segment[4 + len(_XMP) :] for segment in others if segment.startswith(_XMP, 4)), b"")
    head = start + b"".join(segment for segment in others if not segment.startswith(_XMP, 4))
    head += _segment(_APP1, _XMP + _packet(_container(len(gain_map)), credits)) + _segment(_APP2, _ISO + _VERSION)
    mpf_at = len(head) + 4 + len(_MPF)
    size = len(head) + len(_segment(_APP2, _table(0, 0, 0))) + len(rest)
    return head + _segment(_APP2, _table(size, len(gain_map), size - mpf_at)) + rest + gain_map


def _take_apart(jpeg: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Return the start of a JPEG with its JFIF segment, its other segments before the tables, and the rest."""
    start, others, at = jpeg[:2], [], 2
    for marker, first, end, _ in jpeg_positions(jpeg):
        if not _APP0 <= marker <= _APP15:
            break
        segment, at = _segment(marker, jpeg[first:end]), end
        if marker == _APP0:
            start += segment
        else:
            others.append(segment)
    return start, others, jpeg[at:]


def joined_bytes(gain_map: bytes) -> int:
    """Return how many bytes `join` adds to a base, at most: fewer if the base has credits."""
    minimal = b"\xff\xd8\xff\xd9"
    return len(join(minimal, gain_map)) - len(minimal)


def _container(length: int) -> str:
    """Return the properties that lead readers to the gain map (Google's GContainer)."""
    items = ('"Primary"', f'"GainMap" Item:Length="{length}"')
    lines = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Semantic={item}/></rdf:li>'
        for item in items
    )
    container = "http://ns.google.com/photos/1.0/container/"
    return (
        f' xmlns:Container="{container}" xmlns:Item="{container}item/" hdrgm:Version="1.0">'
        f"<Container:Directory><rdf:Seq>{lines}</rdf:Seq></Container:Directory>"
    )


def _table(base: int, gain_map: int, place: int) -> bytes:
    """Return the table of two pictures with these sizes, the second at a place relative to the table."""
    undefined, long_ = 7, 4
    entries = struct.pack(">HHI4s", 0xB000, undefined, 4, b"0100") + struct.pack(">HHII", 0xB001, long_, 1, 2)
    entries += struct.pack(">HHII", _ENTRIES, undefined, 2 * _ENTRY_BYTES, 50)
    primary = 0x030000
    pictures = struct.pack(">IIIHH", primary, base, 0, 0, 0) + struct.pack(">IIIHH", 0, gain_map, place, 0, 0)
    return _MPF + b"MM\0*" + struct.pack(">IH", 8, 3) + entries + bytes(4) + pictures


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
