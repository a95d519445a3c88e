"""The engine of this repository, as the function runs it with its default memory: on one vCPU."""

import json
import sys
import time
from pathlib import Path

from image_scaler.images import vips
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_renditions


def main() -> None:
    """Make the ladder; see the package."""
    vips.configure(threads=1)
    source, format, widths, out = sys.argv[1:]
    if source == "-":
        return
    targets = parse_renditions(f'[renditions.r]\nwidths = [{widths}]\nformat = "{format}"').plan_for("photo").renditions
    started = time.perf_counter()
    renditions = list(SourceImage(Path(source).read_bytes()).render(targets))
    wall = time.perf_counter() - started
    for rendition in renditions:
        (Path(out) / f"{rendition.target.spec.width}.{format}").write_bytes(rendition.body)
    sys.stdout.write(json.dumps({"wall_ms": wall * 1000}))


if __name__ == "__main__":
    main()
