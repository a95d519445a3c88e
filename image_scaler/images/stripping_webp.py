"""A WebP (RFC 9649) without its metadata."""

import struct
from collections.abc import Iterator, Sequence

from image_scaler.images.attribution import Credits
from image_scaler.images.colour import is_whole

_ICC, _EXIF, _XMP = 1 << 5, 1 << 3, 1 << 2
"""Flags of VP8X."""
_STILL = ([b"VP8 "], [b"VP8L"], [b"ALPH", b"VP8 "])
"""The chunks that make one picture."""


def strip(body: bytes, known: Credits) -> bytes | None:
    """Return the file with pixels, colour profile and `known` alone.

    None where anything is found that is not known here. Raises struct.error, LookupError or ValueError for a file that
    is damaged.
    """
    exif, xmp = known.as_exif().removeprefix(b"Exif\0\0"), known.as_xmp()
    chunks = [
        (name, content)
        for name, content in _chunks(body[12 : 8 + struct.unpack("<I", body[4:8])[0]])
        if name in (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
    ]
    head = [chunk for chunk in chunks if chunk[0] in (b"VP8X", b"ICCP", b"ANIM")]
    rest = chunks[len(head) :]
    names, flags = [name for name, _ in head], 0
    if names not in ([], [b"VP8X"], [b"VP8X", b"ICCP"], [b"VP8X", b"ANIM"], [b"VP8X", b"ICCP", b"ANIM"]):
        return None
    if (any(known) and not head) or chunks[: len(head)] != head:
        return None
    for index, (name, content) in enumerate(head):
        if name == b"VP8X":
            flags = content[0] & ~(_EXIF | _XMP) | (_EXIF if exif else 0) | (_XMP if xmp else 0)
            head[index] = name, bytes([flags]) + content[1:]
        length = {b"VP8X": 10, b"ANIM": 6}.get(name, len(content))
        if len(content) != length or (name == b"ICCP" and not is_whole(content)):
            return None
    if bool(flags & _ICC) != (b"ICCP" in names):
        return None
    if b"ANIM" in names:
        if any(name != b"ANMF" for name, _ in rest):
            return None
        rest = [(name, _frame(content)) for name, content in rest]
    elif [name for name, _ in rest] not in _STILL:
        return None
    said = [(name, content) for name, content in ((b"EXIF", exif), (b"XMP ", xmp)) if content]
    inner = b"WEBP" + _written([*head, *rest, *said])
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def _frame(content: bytes) -> bytes:
    """Return a frame, which is sixteen bytes on it and then chunks again, with its picture alone."""
    chunks = [chunk for chunk in _chunks(content[16:]) if chunk[0] in (b"ALPH", b"VP8 ", b"VP8L")]
    if [name for name, _ in chunks] not in _STILL:
        raise ValueError("a frame without one picture")
    return content[:16] + _written(chunks)


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        name, length = struct.unpack("<4sI", body[at : at + 8])
        content = body[at + 8 : at + 8 + length]
        if len(content) < length:
            raise ValueError("cut off")
        yield name, content
        at += 8 + length + length % 2


def _written(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for name, content in chunks
    )
