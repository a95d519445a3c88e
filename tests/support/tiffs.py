"""TIFF files with any tags: few programs write the unusual ones."""

import struct
import zlib

import numpy as np

WHITE_IS_ZERO, GREY, RGB, PALETTE, CMYK, YCBCR, LAB, ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
UINT, INT, FLOAT = 1, 2, 3
UNSPECIFIED, MULTIPLIED, ALPHA = 0, 1, 2
NONE, DEFLATE = 1, 8


def tiff(pixels: np.ndarray, photometric: int = RGB, compression: int = NONE, **tags: tuple[int, ...]) -> bytes:
    """Little-endian, in one strip. `tags` by their number, as `t338`, replace those that follow from the pixels."""
    height, width, samples = pixels.shape
    kind = {"u": UINT, "i": INT, "f": FLOAT}[pixels.dtype.kind]
    strip = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    strip = zlib.compress(strip) if compression == DEFLATE else strip
    entries: dict[int, tuple[int, ...]] = {
        256: (width,),
        257: (height,),
        258: (pixels.dtype.itemsize * 8,) * samples,
        259: (compression,),
        262: (photometric,),
        273: (8,),
        277: (samples,),
        278: (height,),
        279: (len(strip),),
        339: (kind,) * samples,
    }
    entries |= {int(name[1:]): values for name, values in tags.items()}
    end = 8 + len(strip)
    directory, extra = struct.pack("<H", len(entries)), b""
    extra_at = end + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            directory += struct.pack("<HHII", tag, 4, len(values), extra_at + len(extra))
            extra += packed
        else:
            directory += struct.pack("<HHI", tag, 4, 1) + packed
    return b"II*\0" + struct.pack("<I", end) + strip + directory + bytes(4) + extra
