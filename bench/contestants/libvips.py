"""libvips with one `thumbnail` call per size, its encoders as it sets them; AVIF with effort 2 as sharp here."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pyvips


def main() -> None:
    """Make the ladder; see the package."""
    source, format, widths, out = sys.argv[1:]
    if source == "-":
        return
    started = time.perf_counter()
    body = Path(source).read_bytes()
    renditions = {width: _rendition(body, int(width), format) for width in widths.split(",")}
    wall = time.perf_counter() - started
    for width, rendition in renditions.items():
        (Path(out) / f"{width}.{format}").write_bytes(rendition)
    sys.stdout.write(json.dumps({"wall_ms": wall * 1000}))


def _rendition(body: bytes, width: int, format: str) -> bytes:
    options: dict[str, Any] = {"option_string": "n=-1"} if body.startswith(b"GIF8") else {}
    if pyvips.Image.new_from_buffer(body, "").get_typeof("icc-profile-data"):  # without one this would only cost time
        options["output_profile"] = "srgb"
    image = pyvips.Image.thumbnail_buffer(body, width, height=10_000_000, size="down", **options)
    match format:
        case "jpeg":
            return bytes(image.jpegsave_buffer(Q=80, keep="none"))
        case "webp":
            return bytes(image.webpsave_buffer(Q=80, keep="none"))
        case _:
            return bytes(image.heifsave_buffer(Q=50, compression="av1", effort=2, bitdepth=8, keep="none"))


if __name__ == "__main__":
    main()
