"""Pillow as its handbook shows it: `thumbnail`, which decodes JPEG at a fraction if it can; default efforts."""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, ImageSequence

QUALITY = {"jpeg": 80, "webp": 80, "avif": 50}


def main() -> None:
    """Make the ladder; see the package."""
    Image.init()
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
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": QUALITY[format]}
    with Image.open(io.BytesIO(body)) as image:
        if getattr(image, "n_frames", 1) > 1:
            frames = [_scaled(frame.convert("RGB"), width) for frame in ImageSequence.Iterator(image)]
            options |= {"save_all": True, "append_images": frames[1:], "duration": image.info["duration"], "loop": 0}
            frames[0].save(buffer, format, **options)
        else:
            scaled = ImageOps.exif_transpose(_scaled(image, width))
            scaled.save(buffer, format, **options)
    return buffer.getvalue()


def _scaled(image: Image.Image, width: int) -> Image.Image:
    image.thumbnail((width, 10_000_000), Image.Resampling.LANCZOS)
    return image


if __name__ == "__main__":
    main()
