"""PNG and AVIF files that say how their pixels are coded: by chunks, by `nclx`, and by what encoders rarely write."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pyvips
from PIL import Image

from image_scaler.images.colour import SRGB_CURVE, Chromaticities, make_profile

PQ, HLG = 16, 18
P3_CHRM: Chromaticities = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SRGB_CHRM: Chromaticities = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(chromaticities: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in chromaticities)))


def cicp(primaries: int, curve: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, curve, 0, 1]))


def clli(peak: int) -> bytes:
    return chunk(b"cLLI", struct.pack(">II", peak * 10_000, 100 * 10_000))


SRGB_CHUNK = chunk(b"sRGB", b"\0")


def png(pixels: np.ndarray, *chunks: bytes) -> bytes:
    """A PNG of 8 or 16 bits, grey or in colour, with chunks."""
    wide = pixels.dtype == np.uint16
    kind = {1: "grey16" if wide else "b-w"}.get(pixels.shape[2], "rgb16" if wide else "srgb")
    body = bytes(
        pyvips.Image.new_from_array(pixels).copy(interpretation=kind).pngsave_buffer(bitdepth=16 if wide else 8)
    )
    return body[:33] + b"".join(chunks) + body[33:]


def avif(pixels: np.ndarray, primaries: int = 1, curve: int = 13, **options: Any) -> bytes:
    """An AVIF of 8 bits of which `nclx` names the primaries and the curve."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", **({"quality": 100, "subsampling": "4:4:4"} | options))
    body = buffer.getvalue()
    at = body.index(b"colrnclx") + 8
    return body[:at] + struct.pack(">HH", primaries, curve) + body[at + 4 :]


def avif_without_nclx(pixels: np.ndarray, primaries: int, curve: int) -> bytes:
    """An AVIF of 90 x 60 pixels of which only AV1's sequence header names the primaries and the curve."""
    body = avif(pixels).replace(b"colrnclx", b"freenclx")
    codes = b"\x02\x1a\x0d"  # 1, 13 and 6, each one bit to the left
    assert body.count(codes) == 1
    return body.replace(codes, bytes([primaries << 1, curve << 1, codes[2]]))


def with_limited_alpha(body: bytes) -> bytes:
    """The AVIF of 90 x 60 pixels as if its alpha were from 16 to 235, and not from 0 to 255."""
    header = bytes.fromhex("18196cf6c2a0")  # AV1's sequence header of a grey picture; one bit is the range
    assert body.count(header) == 1
    return body.replace(header, header[:-1] + b"\x20")


def with_premultiplied_alpha(body: bytes) -> bytes:
    """The AVIF as if its colours were multiplied by its alpha."""
    reference = struct.pack(">I4sHHH", 14, b"prem", 1, 1, 2)
    changed = bytearray(body)
    for name in (b"meta", b"iref"):
        at = changed.index(name) - 4
        changed[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", changed, at)[0] + len(reference))
    at = changed.index(b"iloc") + 12
    for _ in range(2):  # the place of each item in the file, after its number and two others
        changed[at + 6 : at + 10] = struct.pack(">I", struct.unpack_from(">I", changed, at + 6)[0] + len(reference))
        at += 14
    at = changed.index(b"iref") + 8
    return bytes(changed[:at] + reference + changed[at:])


def with_upright_alpha(body: bytes) -> bytes:
    """The AVIF, which is turned or mirrored, as old encoders wrote it: with an alpha that is not."""
    properties = body[body.index(b"ipco") + 4 : body.index(b"ipma") - 4]
    names = []
    while properties:
        names.append(properties[4:8])
        properties = properties[int.from_bytes(properties[:4], "big") :]
    # The table has for each of the two items its number, a count, and the numbers of its properties, from 1 on.
    at = body.index(b"ipma") + 12
    at += 3 + body[at + 2]
    count = body[at + 2]
    kept = [0 if names[(each & 0x7F) - 1] in (b"irot", b"imir") else each for each in body[at + 3 : at + 3 + count]]
    return body[: at + 3] + bytes(kept) + body[at + 3 + count :]


def profile_of_p3() -> bytes:
    return make_profile(P3_CHRM, SRGB_CURVE)


def profile_of_srgb() -> bytes:
    return make_profile(SRGB_CHRM, SRGB_CURVE)
