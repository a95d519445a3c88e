"""The size of an SVG, if SVG is allowed; the expected sizes are those of an <img> in Chromium."""

from collections.abc import Iterator

import pytest

from image_scaler.images import vips
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.support.drawing import corners, decoded

HALVES = '<rect width="50%" height="100%" fill="#f00"/><rect x="50%" width="50%" height="100%" fill="#00f"/>'


@pytest.fixture(autouse=True)
def svg() -> Iterator[None]:
    vips.configure(allow_svg=True)
    yield
    vips.configure()


def document(attributes: str, before: str = "") -> bytes:
    return f'{before}<svg {attributes} xmlns="http://www.w3.org/2000/svg">{HALVES}</svg>'.encode()


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ("", (300, 150)),
        ('width="100"', (100, 150)),
        ("height='80'", (300, 80)),
        ('width="100%" height="100%"', (300, 150)),
        ('width="40" height="30"', (40, 30)),
        ('viewBox="0 0 200 100"', (200, 100)),
        ('data-note="a > b" ', (300, 150)),
    ],
)
@pytest.mark.parametrize("before", ["", "<?xml version='1.0'?>\n<!-- width= -->"])
def test_a_missing_size_is_that_of_browsers(attributes: str, size: tuple[int, int], before: str) -> None:
    targets = parse_recipe('[renditions.x]\nformat = "png"').plan_for("a.svg").renditions
    source = SourceImage(document(attributes, before))
    assert source.size == size
    (rendition,) = source.render(targets)
    found = corners(decoded(rendition.body))
    assert (found["left top"][:3], found["right bottom"][:3]) == ((255, 0, 0), (0, 0, 255))
