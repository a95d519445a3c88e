"""Damage to image files: to any bytes, and to the parts that each format is made of."""

import re
import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

from tests.properties.fuzz.seeds import Seed, kind_of

_NUMBERS = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFE,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    2**32 - 1,
)
_CONTAINERS = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"iref": 12, b"dinf": 8}
"""Boxes that hold boxes, and how long their own header is."""


def mutated(random: Random, seeds: Sequence[Seed]) -> tuple[str, bytes]:
    """Return the name of a seed, and its bytes after one to three mutations."""
    seed = random.choice(seeds)
    body = seed.body
    for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
        # Of the same kind, if there is another: its parts then mean something in their new place.
        other = random.choice([one for one in seeds if one.kind == seed.kind])
        body = random.choice(_MUTATIONS)(random, body, other.body) or body
    if kind_of(body) == "png" and random.random() < 0.8:
        body = _with_right_checksums(body)
    if kind_of(body) == "riff" and len(body) >= 8 and random.random() < 0.8:
        body = body[:4] + struct.pack("<I", len(body) - 8) + body[8:]
    return seed.name, body


def _flip_bits(random: Random, body: bytes, _: bytes) -> bytes:
    changed = bytearray(body)
    for _bit in range(random.choice((1, 1, 2, 4, 8, 32))):
        changed[_place(random, body)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(random: Random, body: bytes, _: bytes) -> bytes:
    at = _place(random, body)
    new = random.choice((random.randbytes(random.randint(1, 16)), bytes([random.choice((0, 255))]) * 8))
    return body[:at] + new + body[at + len(new) :]


def _truncate(random: Random, body: bytes, _: bytes) -> bytes:
    return body[: max(1, _place(random, body))]


def _insert(random: Random, body: bytes, other: bytes) -> bytes:
    at, start = _place(random, body), _place(random, other)
    new = random.choice((random.randbytes(random.randint(1, 64)), other[start : start + random.randint(1, 2000)]))
    return body[:at] + new + body[at:]


def _delete(random: Random, body: bytes, _: bytes) -> bytes:
    at = _place(random, body)
    return body[:at] + body[at + random.choice((1, 2, 4, 16, 200)) :]


def _splice(random: Random, body: bytes, other: bytes) -> bytes:
    at = _place(random, body)
    return body[:at] + other[at + random.choice((0, 0, 1, len(other) - len(body))) :]


def _set_a_number(random: Random, body: bytes, _: bytes) -> bytes:
    """Write a size that is often mistaken over any bytes, or over one of the file's own fields of length."""
    width = random.choice((1, 2, 4, 8))
    fields = _lengths(body)
    at, width = random.choice(fields) if fields and random.random() < 0.7 else (_place(random, body), width)
    number = random.choice((*_NUMBERS, len(body), random.getrandbits(32))) & (2 ** (8 * width) - 1)
    if random.random() < 0.4 and at + width <= len(body):
        number = (int.from_bytes(body[at : at + width], "big") + random.choice((-1, 1, 2, -16))) % 2 ** (8 * width)
    return body[:at] + number.to_bytes(width, random.choice(("big", "big", "little"))) + body[at + width :]


def _rearrange(random: Random, body: bytes, other: bytes) -> bytes:
    """Repeat, leave out, exchange or borrow parts of the file."""
    parts, theirs = _parts(body), _parts(other)
    at, to = random.randrange(len(parts)), random.randrange(len(parts))
    match random.randrange(5):
        case 0:
            parts.insert(to, parts[at])
        case 1:
            parts[at : at + 1] = [parts[at]] * random.choice((2, 3, 50))
        case 2:
            del parts[at]
        case 3:
            parts[at], parts[to] = parts[to], parts[at]
        case 4:
            parts.insert(at, random.choice(theirs))
    return b"".join(parts)


_MUTATIONS: tuple[Callable[[Random, bytes, bytes], bytes], ...] = (
    _flip_bits,
    _flip_bits,
    _overwrite,
    _truncate,
    _insert,
    _delete,
    _splice,
    _set_a_number,
    _set_a_number,
    _rearrange,
    _rearrange,
)


def _place(random: Random, body: bytes) -> int:
    """Return a place in the file, now and then one near its beginning."""
    return random.randrange(min(len(body), random.choice((300, len(body), len(body), len(body)))))


def _parts(body: bytes) -> list[bytes]:
    """Split the file at its segments, chunks or boxes; the parts joined are the file."""
    cuts = [0, *sorted({at for at in _CUTS.get(kind_of(body), _no_cuts)(body) if 0 < at < len(body)}), len(body)]
    return [body[start:end] for start, end in pairwise(cuts)]


def _lengths(body: bytes) -> list[tuple[int, int]]:
    """Return the offsets and sizes, in bytes, of the length fields in the file."""
    match kind_of(body):
        case "jpeg":
            frames = [(match.start() + skip, 2) for match in re.finditer(rb"\xff[\xc0-\xc2]", body) for skip in (5, 7)]
            return frames + [(at + 2, 2) for at in _jpeg_cuts(body)]
        case "png":
            return [(16, 4), (20, 4)] + [(at, 4) for at in _png_cuts(body)]
        case "riff":
            return [(4, 4)] + [(at + 4, 4) for at in _riff_cuts(body)]
        case "gif":
            return [(6, 2), (8, 2)] + [(at + skip, 2) for at in _gif_cuts(body) for skip in (1, 5, 7)]
        case "boxes":
            sizes = [(match.start() + skip, 4) for match in re.finditer(rb"ispe", body) for skip in (8, 12)]
            return sizes + [(at, 4) for at in _box_cuts(body)]
        case "tiff":
            return [(at + skip, 4) for at in _tiff_entries(body) for skip in (0, 4, 8)]
    return []


def _no_cuts(body: bytes) -> list[int]:
    return list(range(0, len(body), max(1, len(body) // 10)))


def _jpeg_cuts(body: bytes) -> list[int]:
    cuts, at = [], 2
    while at + 4 <= len(body) and body[at] == 0xFF:
        cuts.append(at)
        scan = body[at + 1] == 0xDA
        at += 2 + int.from_bytes(body[at + 2 : at + 4], "big")
        if scan:  # up to the next marker that is none of its own
            found = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]").search(body, at)
            at = found.start() if found else len(body)
    return cuts


def _png_cuts(body: bytes) -> list[int]:
    cuts, at = [], 8
    while at + 8 <= len(body):
        cuts.append(at)
        at += 12 + int.from_bytes(body[at : at + 4], "big")
    return cuts


def _riff_cuts(body: bytes) -> list[int]:
    cuts, at = [], 12
    while at + 8 <= len(body):
        cuts.append(at)
        length = int.from_bytes(body[at + 4 : at + 8], "little")
        # The parts of an animation's frame are parts themselves.
        at += 24 if body[at : at + 4] == b"ANMF" else 8 + length + length % 2
    return cuts


def _gif_cuts(body: bytes) -> list[int]:
    return [match.start() for match in re.finditer(rb"\x21[\xf9\xff\xfe]|\x00\x2c", body)]


def _box_cuts(body: bytes) -> list[int]:
    cuts, at = [], 0
    while at + 8 <= len(body):
        cuts.append(at)
        length = int.from_bytes(body[at : at + 4], "big")
        at += _CONTAINERS.get(body[at + 4 : at + 8], length if length >= 8 else len(body))
    return cuts


def _tiff_entries(body: bytes) -> list[int]:
    order = "little" if body[:2] == b"II" else "big"
    at = int.from_bytes(body[4:8], order)
    count = int.from_bytes(body[at : at + 2], order)
    return [at + 2 + 12 * number for number in range(count) if at + 14 + 12 * number <= len(body)]


_CUTS: dict[str, Callable[[bytes], list[int]]] = {
    "jpeg": _jpeg_cuts,
    "png": _png_cuts,
    "riff": _riff_cuts,
    "gif": _gif_cuts,
    "boxes": _box_cuts,
    "tiff": _tiff_entries,
}


def _with_right_checksums(body: bytes) -> bytes:
    """Return the PNG with checksums that fit, as otherwise nothing but these would be looked at."""
    fixed = bytearray(body)
    for at in _png_cuts(body):
        end = at + 8 + int.from_bytes(body[at : at + 4], "big")
        if end + 4 <= len(body):
            fixed[end : end + 4] = struct.pack(">I", zlib.crc32(body[at + 4 : end]))
    return bytes(fixed)
