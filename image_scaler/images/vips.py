"""libvips as a whole: what it may load, how it computes, and what it says when it refuses."""

from typing import Any

import pyvips

from image_scaler.renditions.formats import Format

THREADS = 2
"""libvips' threads, the same on every machine: the encoder of AVIF cuts a picture into as many tiles, so that the bytes
depend on them. Two take 1.5 % more CPU than one, and on two processors 0.7 of the time; an AVIF grows by 0.2 %.
"""
pyvips.concurrency_set(THREADS)

# No operation is repeated within one image, so a cache of operations would only hold memory.
pyvips.cache_set_max(0)

# libvips offers every file to every loader that is not blocked, and the loaders of other formats (SVG, PDF, raw, ...)
# are not written for hostile input: CVE-2026-66066. So all are blocked before the first byte is read.
pyvips.operation_block_set("VipsForeignLoad", True)
for _format in Format:
    if _format.traits.loader and _format is not Format.SVG:
        pyvips.operation_block_set(f"VipsForeignLoad{_format.traits.loader.family}", False)

VIPS_ERRORS = (pyvips.Error, UnicodeDecodeError)
"""The exceptions that libvips' refusals become: its messages may quote the file, in bytes that are not UTF-8."""


def configure(*, allow_svg: bool = False) -> None:
    """Set libvips up for this process; to be called once, at start-up.

    `allow_svg`: no limit holds for SVG: 40 kB can cost 1.5 GB in the header alone (bug515-too-many-elements.svgz of
    librsvg).
    """
    pyvips.operation_block_set("VipsForeignLoadSvg", not allow_svg)


def open_buffer(body: bytes, **options: Any) -> pyvips.Image:
    """Return the image of a file, of which damaged pixels are an error; mere warnings are not.

    Real phones write JPEGs that libjpeg warns of.
    """
    return pyvips.Image.new_from_buffer(body, "", **({"fail_on": "error"} | options))


def reason(error: Exception) -> str:
    """Return libvips' message in one line, without its notes on seeking; `error` is one of VIPS_ERRORS."""
    words = str(error)
    if isinstance(error, UnicodeDecodeError):
        words = error.object.decode("utf-8", "backslashreplace")
        pyvips.vips_lib.vips_error_clear()  # pyvips did not get to it: every later error would repeat the message
    lines = (line.strip() for line in words.splitlines())
    return "; ".join(line for line in lines if line and not line.startswith("source: bad seek"))
