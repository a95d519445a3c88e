"""The corpus: real files, and what should become of each."""

import csv
import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from image_scaler.renditions.geometry import Size

VARIABLE = "IMAGE_CORPUS"


class Row(NamedTuple):
    """One file of the corpus."""

    file: str
    expected: str
    """`ok` or `reject`: what any sound scaler does (firmness `must`), or what most do."""
    firmness: str
    """`must`; `policy`: as the scaler's limits say; `either`: both are fine, but no crash."""
    loader: str
    size: Size | None
    """Upright, of one page; None if no header can be read."""
    pages: int
    flags: str

    @property
    def path(self) -> Path:
        folder = corpus()
        assert folder
        return folder / self.file

    @property
    def is_hostile(self) -> bool:
        return self.file.startswith("bad/")

    @property
    def is_svg(self) -> bool:
        return self.file.endswith((".svg", ".svgz"))


@cache
def corpus() -> Path | None:
    """Return the folder that holds the corpus; None if there is none."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named and (Path(named) / "MANIFEST.tsv").is_file() else None


@cache
def rows() -> tuple[Row, ...]:
    folder = corpus()
    if folder is None:
        return ()
    with (folder / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Row(
                file=row["file"],
                expected=row["expected"],
                firmness=row["firmness"],
                loader=row["libvips_loader"],
                size=Size(int(row["display_width"]), int(row["display_height"])) if row["display_width"] else None,
                pages=int(row["pages"] or 1),
                flags=row["flags"],
            )
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        )


OURS = {
    # The manifest says: only if SVG is switched on, which it is not by default.
    "bad/bomb/bug515-pattern-billion-laughs.svg": "reject",
    "svg/check.svg": "reject",
    "svg/logo.svg": "reject",
    "svg/logo.svgz": "reject",
    "svg/test.svg": "reject",
    # The manifest says: reject, unless HEVC can be decoded, which pillow-heif does.
    "heic/gopher-front.heif": "ok",
    "heic/image.heic": "ok",
    # As the manifest says, and why it is so here.
    "bad/bomb/uber.gif": "ok",  # 40,000 frames, of which limits.frames keeps 200
    "bad/corrupt/corrupt.jpg": "ok",  # libjpeg only warns: a fail_on of `error` lets it through
    "bad/crash/49065782-f0ebfd00-f216-11e8-9e9b-a86f3d5ea58a.jpg": "ok",  # likewise
    "bad/corrupt/xcsn0g01.png": "reject",  # damaged pixels are an error
    "bad/corrupt/xhdn0g08.png": "reject",  # likewise
    "bad/crash/b64876977.poc": "reject",  # cut off
    "bad/crash/poc3min.jpg": "reject",  # 152 megapixels: beyond limits.pixels, 100
    "bad/truncated/peacock.progressive.truncated.jpeg": "reject",
    "bad/truncated/truncated.gif": "reject",
    "bad/truncated/truncated.jpg": "reject",
    "bad/truncated/truncated.png": "reject",
    "bad/unsupported/colors-animated-8bpc.avif": "ok",  # an AVIF sequence is an animation
    "bad/unsupported/ojpeg-strip.tif": "reject",  # old-style JPEG in TIFF is no format that is read
}
"""The outcomes of the rows whose firmness is `policy`, under the default limits."""
