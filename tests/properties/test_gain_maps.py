"""A rendition with a gain map shows the light of its source: turned, cropped and scaled, whatever the geometry is.

Its error is compared with that of encoding alone: of a file that is made afresh of the cropped picture and its light.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st

from image_scaler.images.gain_map import MAP_QUALITY
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.geometry import Fit, Point, Position, offset
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing, ultra_hdr
from tests.support.drawing import decoded
from tests.support.examples import FACTOR
from tests.support.ultra_hdr import linear

ALLOWED = 1.5
"""Twice is what is promised; in thousands of geometries it was 1.3 at most."""
SIZE = (320, 240)
"""Of the stored picture. libjpeg decodes other sizes than multiples of 8 up to half a pixel of the rendition apart."""


class Geometry(NamedTuple):
    fit: Fit
    position: Position
    focal_point: Point | None
    orientation: int
    width: int
    height: int | None
    without_enlargement: bool
    shrink: int
    """How many pixels of the picture each pixel of its map has, in each direction."""
    colourful: bool


def turned(light: np.ndarray, orientation: int) -> np.ndarray:
    """Rows of pixels, turned as EXIF says."""
    if orientation in (2, 4, 5, 7):
        light = light[:, ::-1]
    return np.rot90(light, {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0))


@cache
def source(orientation: int, shrink: int, colourful: bool) -> bytes:
    return ultra_hdr.source(*SIZE, shrink=shrink, orientation=orientation, colourful=colourful)


@cache
def light_of(orientation: int, shrink: int, colourful: bool) -> np.ndarray:
    hdr = ultra_hdr.seen(source(1, shrink, colourful))
    assert hdr
    return turned(hdr.light, orientation)


def scaled(light: np.ndarray, width: int, height: int) -> np.ndarray:
    image = pyvips.Image.new_from_array(np.ascontiguousarray(light, np.float32))
    return image.resize(width / image.width, vscale=height / image.height).numpy()


def error(light: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(light - expected).mean())


def encoded_alone(sdr: np.ndarray, expected: np.ndarray, hdr: ultra_hdr.Hdr) -> float:
    """The error of a file that is made of exactly this picture and this light, with a map of the same size."""
    targets = parse_recipe('[renditions.x]\nformat = "jpeg"').plan_for("a.png").renditions
    (rendition,) = SourceImage(drawing.png(drawing.srgb(sdr))).render(targets)
    low, high = (np.log2(hdr.numbers[f"{name}-content-boost"]) for name in ("min", "max"))
    offsets = (np.maximum(hdr.numbers[f"offset-{name}"], 1e-4) for name in ("hdr", "sdr"))
    bright, dark = (
        np.maximum(light, 0) + offset for light, offset in zip((expected, linear(sdr)), offsets, strict=True)
    )
    stops = np.log2(bright / dark)
    codes = np.clip((stops - low) / (high - low), 0, 1) ** hdr.numbers["gamma"] * 255
    gain_map = pyvips.Image.new_from_array(codes[..., : hdr.gain_map.bands].astype(np.float32))
    size = hdr.gain_map.width / gain_map.width, hdr.gain_map.height / gain_map.height
    gain_map = gain_map.resize(size[0], vscale=size[1], kernel="linear").rint().cast("uchar")
    gain_map = gain_map.copy(interpretation=hdr.gain_map.interpretation)
    encoded = decoded(gain_map.jpegsave_buffer(Q=MAP_QUALITY, subsample_mode="off"))
    return error(ultra_hdr.lit(decoded(rendition.body).numpy(), encoded, hdr.numbers), expected)


def place_of(part: np.ndarray, whole: np.ndarray) -> tuple[int, int]:
    """Left and top of a part, which is as wide or as high as the whole."""
    rows, columns = (whole.shape[axis] - part.shape[axis] + 1 for axis in (0, 1))
    places = [(left, top) for left in range(columns) for top in range(rows)]

    def distance(place: tuple[int, int]) -> float:
        left, top = place
        there = whole[top : top + part.shape[0], left : left + part.shape[1]]
        return float(np.abs(there.astype(np.int16) - part).mean())

    return min(places, key=distance)


def check(geometry: Geometry) -> float:
    fit, position, focal_point, orientation, width, height, without_enlargement, *drawn = geometry
    body, light = source(orientation, *drawn), light_of(orientation, *drawn)
    table = f'format = "jpeg"\nhdr = "keep"\nfit = "{fit}"\nposition = "{position}"\nwidth = {width}\n'
    table += f"height = {height}\n" if height else ""
    table += "" if without_enlargement else "without_enlargement = false\n"
    (target,) = parse_recipe(f'[renditions.x]\n{table}background = "#404040"').plan_for("a.jpg").renditions
    rendering = SourceImage(body).render([target], focal_point)
    (rendition,) = rendering
    hdr = ultra_hdr.seen(rendition.body)
    assert hdr is not None
    assert rendition.made.hdr is True
    sdr = rendering.original(target)[:3].numpy()
    plan = target.lay_out(SourceImage(body).size)
    if not plan.canvas:
        assert max(hdr.gain_map.width, hdr.gain_map.height) <= -(-max(SIZE) // geometry.shrink), "it is enlarged"
    expected = scaled(light, *plan.resize)
    if plan.crop:
        picture = pyvips.Image.new_from_buffer(body, "").autorot().numpy()
        whole = drawing.srgb(picture).resize(
            plan.resize.width / picture.shape[1], vscale=plan.resize.height / picture.shape[0]
        )
        left, top = place_of(sdr, whole.numpy())
        expected = expected[top : top + plan.crop.height, left : left + plan.crop.width]
    if plan.canvas:
        left, top = offset(plan.canvas, plan.resize, position)
        canvas = np.broadcast_to(linear(np.full((1, 1, 3), 0x40, np.uint8)), (*plan.canvas[::-1], 3)).copy()
        canvas[top : top + plan.resize.height, left : left + plan.resize.width] = expected
        expected = canvas
    return error(hdr.light, expected) / encoded_alone(sdr, expected, hdr)


geometries = st.builds(
    Geometry,
    st.sampled_from(Fit),
    st.sampled_from(Position),
    st.one_of(st.none(), st.builds(Point, st.floats(0, 1), st.floats(0, 1))),
    st.integers(1, 8),
    st.integers(60, 380),
    st.one_of(st.none(), st.integers(60, 380)),
    st.booleans(),
    st.sampled_from([1, 2, 4]),
    st.booleans(),
)


@pytest.mark.slow
@settings(max_examples=60 * FACTOR)
@given(geometries)
def test_the_light_of_a_rendition_is_that_of_its_source(geometry: Geometry) -> None:
    assert check(geometry) <= ALLOWED
