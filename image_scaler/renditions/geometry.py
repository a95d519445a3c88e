"""Sizes and crops: arithmetic only, with sharp's definitions of the fit modes."""

import enum
import math
from typing import NamedTuple


class Fit(enum.StrEnum):
    """How an image fits a box of width x height, if both are given."""

    COVER = "cover"
    """Has the size of the box: scaled until it covers the box; the rest is cut off."""
    CONTAIN = "contain"
    """Has the size of the box: scaled until it is within the box; the rest is background."""
    FILL = "fill"
    """Has the size of the box: stretched, so the aspect ratio is lost."""
    INSIDE = "inside"
    """Keeps its aspect ratio: as large as possible with no side larger than the box."""
    OUTSIDE = "outside"
    """Keeps its aspect ratio: as small as possible with no side smaller than the box."""


class Position(enum.StrEnum):
    """The part that `cover` keeps, and the place of the image in `contain`."""

    CENTRE = "centre"
    TOP = "top"
    RIGHT_TOP = "right top"
    RIGHT = "right"
    RIGHT_BOTTOM = "right bottom"
    BOTTOM = "bottom"
    LEFT_BOTTOM = "left bottom"
    LEFT = "left"
    LEFT_TOP = "left top"
    ATTENTION = "attention"
    """Keeps what draws the eye: edges, saturated colours, skin tones."""
    ENTROPY = "entropy"
    """Keeps what holds the most information."""


class Size(NamedTuple):
    """Width and height in pixels, both at least 1."""

    width: int
    height: int


class Layout(NamedTuple):
    """The steps from an image to a rendition, in this order; None if a step is not needed."""

    resize: Size
    """The whole image is scaled to this size."""
    crop: Size | None
    """It is cropped to this size."""
    canvas: Size | None
    """It is put on a background of this size."""

    @property
    def output(self) -> Size:
        """The size of the result."""
        return self.canvas or self.crop or self.resize

    def within(self, max_side: int) -> "Layout":
        """Return the layout, scaled down if a side of its output is longer than `max_side`."""
        scale = max_side / max(self.output)
        if scale >= 1:
            return self
        crop, canvas = (size and _scale(size, scale) for size in (self.crop, self.canvas))
        return Layout(_scale(self.resize, scale), crop, canvas)


def lay_out(
    source: Size,
    width: int | None,
    height: int | None,
    fit: Fit = Fit.COVER,
    *,
    without_enlargement: bool = False,
) -> Layout:
    """Return the steps by which an image of size `source` (upright) fits the box.

    If one side of the box is given, the other follows from the aspect ratio (under `fill` it is unchanged); with none
    the image keeps its size. Sides round to the nearest pixel and are never below 1. With
    `without_enlargement` no side is scaled up: of a source that is too small `cover` and `fill` give the largest size
    with the shape of the box, as imgproxy's `fill-down`; `contain` still gives the box. All else is as in sharp's
    `resize`.
    """
    if without_enlargement and width and height and fit in (Fit.COVER, Fit.FILL):
        box = min(1.0, source.width / width, source.height / height)
        width, height = _side(width * box), _side(height * box)
    scale_x, scale_y = _scales(source, width, height, fit)
    if without_enlargement:
        scale_x, scale_y = min(scale_x, 1.0), min(scale_y, 1.0)
    resize = Size(_side(source.width * scale_x), _side(source.height * scale_y))
    if width is None or height is None:
        return Layout(resize, None, None)
    if fit is Fit.COVER:
        crop = Size(min(width, resize.width), min(height, resize.height))
        return Layout(resize, crop if crop != resize else None, None)
    if fit is Fit.CONTAIN:
        canvas = Size(width, height)
        return Layout(resize, None, canvas if canvas != resize else None)
    return Layout(resize, None, None)


def box_of_shape(source: Size, width: int, ratio: float, fit: Fit, *, without_enlargement: bool) -> Size:
    """Return the box for `cover` or `contain` with an aspect ratio: always of this shape, up to `width` wide.

    With `without_enlargement` it is no larger than the source needs: under `cover` the largest crop of this shape,
    under `contain` the smallest box around the source. So the steps of a ladder that are too large for it are equal.
    """
    if not without_enlargement:
        return Size(width, _side(width / ratio))
    limit = min if fit is Fit.COVER else max
    exact = min(float(width), limit(float(source.width), source.height * ratio))
    box = Size(_side(exact), _side(exact / ratio))
    if fit is Fit.COVER:  # rounded up, a side could be longer than the source's
        return Size(min(box.width, source.width), min(box.height, source.height))
    return box


def _scales(source: Size, width: int | None, height: int | None, fit: Fit) -> tuple[float, float]:
    x = width / source.width if width else None
    y = height / source.height if height else None
    if x is None and y is None:
        return 1.0, 1.0
    if fit is Fit.FILL:
        return x or 1.0, y or 1.0
    if x is None or y is None:
        both = x or y or 1.0
    elif fit in (Fit.COVER, Fit.OUTSIDE):
        both = max(x, y)
    else:
        both = min(x, y)
    return both, both


def _scale(size: Size, scale: float) -> Size:
    return Size(_side(size.width * scale), _side(size.height * scale))


def _side(length: float) -> int:
    return max(1, math.floor(length + 0.5))


class Point(NamedTuple):
    """A place in an image: from 0 to 1, from left to right and from top to bottom."""

    x: float
    y: float


_ALONG = {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}


def offset_around(outer: Size, inner: Size, point: Point) -> tuple[int, int]:
    """Return left and top, in pixels from 0, of `inner` in `outer`, its middle as near to `point` as possible."""
    left, top = (
        min(max(0, math.floor(place * long - short / 2 + 0.5)), long - short)
        for place, long, short in zip(point, outer, inner, strict=True)
    )
    return left, top


def offset(outer: Size, inner: Size, position: Position) -> tuple[int, int]:
    """Return left and top, in pixels from 0, of `inner` in `outer` at one of the nine places.

    `outer` is at least as large as `inner`. `attention` and `entropy` depend on the pixels, which are
    not known here: they mean the centre.
    """
    words = position.value.split()
    across = next((_ALONG[word] for word in words if word in ("left", "right")), 0.5)
    down = next((_ALONG[word] for word in words if word in ("top", "bottom")), 0.5)
    return (
        math.floor((outer.width - inner.width) * across + 0.5),
        math.floor((outer.height - inner.height) * down + 0.5),
    )
