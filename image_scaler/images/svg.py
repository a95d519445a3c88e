"""The size of an SVG that names none: 300 x 150, as in browsers (CSS 2.2, 10.3.2)."""

import re

from image_scaler.images.refusals import SVG_ROOT

_DEFAULTS = {b"width": b"300", b"height": b"150"}
_ATTRIBUTE = re.compile(rb"\s*([\w:.-]+)\s*=\s*(\"[^\"<]*\"|'[^'<]*')")
MAX_ROOT_BYTES = 4096
"""How far the root element may be from the beginning, and how long its attributes may be."""


def with_size(body: bytes) -> bytes:
    """Return an SVG whose root element has a width and a height, or a viewBox; other files unchanged.

    libvips would show what is painted only, and librsvg resolves a percentage within that.
    """
    root = SVG_ROOT.match(body[:MAX_ROOT_BYTES])
    if root is None:
        return body
    start = at = root.end() - 1
    attributes: dict[bytes, bytes] = {}
    while found := _ATTRIBUTE.match(body, at, at + MAX_ROOT_BYTES):
        attributes[found[1]] = found[2]
        at = found.end()
    if b"viewBox" in attributes:
        return body
    for name, default in _DEFAULTS.items():
        if attributes.get(name, b"%").strip(b"\"' ").endswith(b"%"):
            attributes[name] = b'"' + default + b'"'
    return body[:start] + b"".join(b" %s=%s" % pair for pair in attributes.items()) + body[at:]
