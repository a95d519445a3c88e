"""Overlays: a logo or a watermark on a rendition, its size and its place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from image_scaler.renditions.geometry import Position, Size, offset

OVERLAY_FOLDER = "overlays"
"""The folder of the images, next to renditions.toml; serverless.yml packages it with the function."""

Place = Literal["centre", "top", "right top", "right", "right bottom", "bottom", "left bottom", "left", "left top"]
"""The positions that do not depend on the pixels, spelled out for msgspec; a test compares them with Position."""

_FILE = rf"^{OVERLAY_FOLDER}(/(?!\.)[^/\\\x00-\x1f]+)+\Z"
_WIDTH = r"^(100|[1-9][0-9]?(\.[0-9]{1,2})?)%\Z"
_MARGIN = r"^(50|[1-4]?[0-9](\.[0-9]{1,2})?)%\Z"


class OverlayOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `overlay` of a rendition in renditions.toml."""

    image: Annotated[
        str,
        Meta(pattern=_FILE, description=f"a file in {OVERLAY_FOLDER}/ like {OVERLAY_FOLDER}/logo.png"),
    ]
    width: Annotated[str, Meta(pattern=_WIDTH, description="a text from 1% to 100%")] = "15%"
    """Of the rendition's width. The image is never enlarged, and never larger than the margins leave room for."""
    position: Annotated[Place, Meta(description=f"one of {', '.join(get_args(Place))}")] = "right bottom"
    margin: Annotated[str, Meta(pattern=_MARGIN, description="a text from 0% to 50%")] = "2%"
    """To each side, also of the rendition's width."""
    opacity: Annotated[float, Meta(ge=0.01, le=1, description="a number from 0.01 to 1")] = 1.0


@dataclass(frozen=True)
class OverlayImage:
    """The image of an overlay."""

    digest: str
    """The SHA-256 of its file, in hexadecimal."""
    size: Size | None = None
    """In pixels, when upright; None for an earlier recipe, which nothing is rendered with."""
    body: bytes = field(default=b"", compare=False, repr=False)
    """Its file."""


ReadOverlay = Callable[[str], OverlayImage]
"""Returns the image that renditions.toml names; raises ConfigError with the reason if it cannot be used."""


class OverlayLayout(NamedTuple):
    """The size of an overlay on a rendition, and its place there, in pixels."""

    size: Size
    left: int
    top: int


class Overlay(OverlayOptions, frozen=True, kw_only=True):
    """What is drawn on a rendition."""

    file: OverlayImage

    @property
    def meaning(self) -> tuple[object, ...]:
        """What the bytes of a rendition depend on: the content of the image, not its name."""
        return self.file.digest, _share(self.width), self.position, _share(self.margin), self.opacity

    def width_on(self, rendition_width: int) -> int:
        """Return the width that is asked for, in pixels of a rendition."""
        return max(1, round(rendition_width * _share(self.width)))

    def lay_out(self, own: Size, rendition: Size) -> OverlayLayout:
        """Return size and place of the image, which has the size `own` in its file, on a rendition of this size."""
        margin = round(rendition.width * _share(self.margin))
        across, down = (min(margin, (side - 1) // 2) for side in rendition)
        room = Size(rendition.width - 2 * across, rendition.height - 2 * down)
        width = min(self.width_on(rendition.width), own.width, room.width)
        height = max(1, round(own.height * width / own.width))
        if height > room.height:
            width, height = max(1, round(width * room.height / height)), room.height
        left, top = offset(room, Size(width, height), Position(self.position))
        return OverlayLayout(Size(width, height), left + across, top + down)


def _share(percentage: str) -> float:
    """Return a percentage as a share: 0.15 for `15%`."""
    return round(float(percentage.removesuffix("%")) / 100, 4)
