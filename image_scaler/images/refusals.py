"""Say in words for people why a file is not an image that is read here."""

import re
import struct
from collections.abc import Callable, Iterable, Mapping

from image_scaler.exceptions import UnsupportedImageError
from image_scaler.images.containers import gif_blocks, jpeg_segments, media_boxes, png_chunks, webp_chunks
from image_scaler.renditions.formats import Format

_SUPPORTED = "JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP"

SVG_ROOT = re.compile(
    rb"(?:\xef\xbb\xbf)?(?>\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>)*+<(?:\w+:)?svg[\s/>]", re.DOTALL
)
"""An XML document whose root element is `svg`, after declarations, comments and a document type."""

_OTHERS = (
    (rb"%PDF-", "a PDF"),
    (rb"8BPS", "a Photoshop file (PSD)"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (rb"\0\0[\x01\x02]\0", "an icon (ICO)"),
    (rb"....ftyp(?:hev|msf)", "an animated HEIC"),
    (rb"....ftypcrx|FUJIFILMCCD-RAW|IIRO|IIU\0", "a raw photograph"),
    (rb"....(?:ftyp|moov|mdat|wide)|RIFF....AVI |\x1aE\xdf\xa3", "a video"),
    (rb"PK\x03\x04", "a ZIP archive or an office document"),
    (rb"\x1f\x8b", "a gzip file"),
    (rb"(?:\xef\xbb\xbf)?\s*<(?i:!doctype html|html)", "a web page (HTML)"),
)
"""How the files begin."""

PARTS: Mapping[Format, Callable[[bytes], Iterable[object]]] = {
    Format.JPEG: jpeg_segments,
    Format.PNG: png_chunks,
    Format.WEBP: webp_chunks,
    Format.GIF: gif_blocks,
    Format.AVIF: media_boxes,
    Format.HEIC: media_boxes,
}


def not_readable(body: bytes, detail: str) -> UnsupportedImageError:
    """Return the error of a file whose header cannot be read; `detail` is what the library said."""
    if SVG_ROOT.match(body[:4096]):
        return UnsupportedImageError(
            "SVG is read only if svg = true is set under [inputs] in renditions.toml, for trusted uploads; "
            "or this SVG is damaged",
            detail,
        )
    head = body[:64]
    with_magic = (format for format in Format if format.traits.magic)
    if format := next((one for one in with_magic if re.match(one.traits.magic, head, re.DOTALL)), None):
        return UnsupportedImageError(why_damaged(body, format, "its header cannot be read"), detail, code="damaged")
    if kind := next((kind for magic, kind in _OTHERS if re.match(magic, head, re.DOTALL)), None):
        return UnsupportedImageError(f"this is {kind}, which is not read: upload a {_SUPPORTED}", detail)
    message = f"its {len(body):,} bytes are not an image ({_SUPPORTED})"
    return UnsupportedImageError(message, detail, code="not_an_image")


def why_damaged(body: bytes, format: Format, otherwise: str = "its pixels cannot be decoded") -> str:
    """Return why the pixels of an image cannot be decoded: its file is cut off, or else `otherwise`."""
    title = format.traits.title
    if is_cut_off(body, format):
        return f"the file is cut off: the {title} ends early"
    return f"the {title} is damaged: {otherwise}"


def is_cut_off(body: bytes, format: Format) -> bool:
    """Return whether the parts of a file end before its end marker, or after the end of the file; False in a TIFF."""
    if format is Format.BMP:
        return int.from_bytes(body[2:6], "little") > len(body)
    if format not in PARTS:
        return False
    try:
        for _part in PARTS[format](body):
            pass
    except (ValueError, LookupError, struct.error):
        return True
    return False
