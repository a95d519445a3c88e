"""A ladder by the engine: `python ladder.py SOURCE FORMAT WIDTHS OUT`.

Without arguments it only starts.
"""

import sys
from pathlib import Path

from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe


def main() -> None:
    """Write each rendition to the folder OUT, by its width."""
    if len(sys.argv) == 1:
        return
    source, format, widths, out = sys.argv[1:]
    targets = parse_recipe(f'[renditions.r]\nwidths = [{widths}]\nformat = "{format}"').plan_for("photo").renditions
    for rendition in SourceImage(Path(source).read_bytes()).render(targets):
        (Path(out) / str(rendition.target.spec.width)).write_bytes(rendition.body)


if __name__ == "__main__":
    main()
