"""A cold start of ours: imports the handler, which builds the scaler, and makes one small rendition."""

import sys
from pathlib import Path


def main() -> None:
    """Make a WebP 320 pixels wide of the file that is named."""
    import handler
    from image_scaler.images.rendering import SourceImage
    from image_scaler.renditions.toml import parse_renditions

    [source] = sys.argv[1:]
    assert handler.scaler  # noqa: S101
    targets = parse_renditions('[renditions.r]\nwidth = 320\nformat = "webp"').plan_for("photo.jpg").renditions
    next(iter(SourceImage(Path(source).read_bytes()).render(targets)))


if __name__ == "__main__":
    main()
