"""What the engine makes of a drawn picture: test_engine.py compares its digests with the recorded ones.

`.venv/bin/python -m tests.support.engine` records those of this machine's architecture.
"""

import hashlib
import json
import platform
from pathlib import Path

import pyvips

from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.fingerprint import ENGINE_VERSION
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing

RECORDED = Path(__file__).with_name("engine_digests.json")
ARCHITECTURE = platform.machine()

# Every default that has an influence is spelled out: another default is another fingerprint, and no other engine.
FIXED = {
    "jpeg": 'format = "jpeg"\nquality = 70\nchroma_subsampling = "4:2:0"\nbackground = "#ffffff"',
    "png": 'format = "png"',
    "webp": 'format = "webp"\nquality = 70\neffort = 4',
    "avif": 'format = "avif"\nquality = 50\neffort = 3\nchroma_subsampling = "4:4:4"',
    "gif": 'format = "gif"\neffort = 3',
    "a crop, sharpened": 'format = "png"\nheight = 40\nfit = "cover"\nposition = "attention"\nsharpen = true',
}
SEARCHED = {
    format: f'format = "{format}"\nquality = {{ target = 70, min = 10, max = 95 }}\n{options}'
    for format, options in {
        "jpeg": 'chroma_subsampling = "4:2:0"',
        "webp": "effort = 4",
        "avif": 'effort = 3\nchroma_subsampling = "4:4:4"',
    }.items()
}

Digests = dict[str, str | list[int | None]]


def digests() -> Digests:
    """A digest of each rendition with a fixed quality, and the qualities that are found for a score."""
    picture = drawing.photo(240, 160)
    fixed = {name: _render(drawing.with_alpha(picture), f"width = 96\n{options}") for name, options in FIXED.items()}
    searched = {name: _render(picture, f"widths = [96, 160, 240]\n{options}") for name, options in SEARCHED.items()}
    return {name: hashlib.sha256(rendition.body).hexdigest() for name, (rendition,) in fixed.items()} | {
        f"{name}, searched": [rendition.made.quality for rendition in made] for name, made in searched.items()
    }


def _render(picture: pyvips.Image, table: str) -> list[Rendition]:
    targets = parse_recipe(f"[renditions.x]\n{table}").plan_for("a.png").renditions
    return list(SourceImage(drawing.png(picture)).render(targets))


def recorded() -> dict[str, Digests]:
    """The recorded digests by architecture; empty if they are of another version of the engine."""
    record = json.loads(RECORDED.read_text())
    return record["architectures"] if record["ENGINE_VERSION"] == ENGINE_VERSION else {}


def main() -> None:
    record = {"ENGINE_VERSION": ENGINE_VERSION, "architectures": recorded() | {ARCHITECTURE: digests()}}
    RECORDED.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
