"""Whatever the source and the box: the rendition has the size that was planned."""

from hypothesis import given
from hypothesis import strategies as st

from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.geometry import Fit, Point, Position, Size, lay_out
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import decoded
from tests.support.examples import examples

sides = st.integers(1, 60)
boxes = st.none() | st.integers(1, 90)


def source(kind: str, size: Size, orientation: int) -> bytes:
    image = drawing.quadrants(*size)
    savers = {
        "JPEG": lambda: drawing.jpeg(image, orientation=orientation),
        "PNG": lambda: drawing.png(drawing.with_alpha(image)),
        "WebP": lambda: bytes(image.webpsave_buffer()),
        "GIF": lambda: bytes(image.gifsave_buffer()),
        "TIFF": lambda: bytes(image.colourspace("grey16").tiffsave_buffer()),
    }
    return savers[kind]()


@examples(50)
@given(
    kind=st.sampled_from(["JPEG", "JPEG", "PNG", "WebP", "GIF", "TIFF"]),
    stored=st.builds(Size, sides, sides),
    orientation=st.integers(1, 8),
    box=st.tuples(boxes, boxes),
    fit=st.sampled_from(Fit),
    position=st.sampled_from(Position),
    focal_point=st.none() | st.builds(Point, st.floats(0, 1), st.floats(0, 1)),
    without_enlargement=st.booleans(),
    sharpen=st.booleans(),
    formats=st.lists(st.sampled_from(OUTPUT_FORMATS), min_size=1, max_size=3, unique=True),
)
def test_a_rendition_has_the_size_that_geometry_plans(
    kind: str,
    stored: Size,
    orientation: int,
    box: tuple[int | None, int | None],
    fit: Fit,
    position: Position,
    focal_point: Point | None,
    without_enlargement: bool,
    sharpen: bool,
    formats: list[Format],
) -> None:
    body = source(kind, stored, orientation)
    is_turned = kind == "JPEG" and orientation >= 5
    upright = Size(stored.height, stored.width) if is_turned else stored
    lines = [
        f'fit = "{fit}"',
        f'position = "{position}"',
        f"without_enlargement = {str(without_enlargement).lower()}",
        f"sharpen = {str(sharpen).lower()}",
        *(f"{side} = {length}" for side, length in zip(("width", "height"), box, strict=True) if length),
    ]
    tables = [f'[renditions.{format}]\nformat = "{format}"\n' + "\n".join(lines) for format in formats]
    image = SourceImage(body)
    assert image.size == upright
    expected = lay_out(upright, *box, fit, without_enlargement=without_enlargement).output
    renditions = list(image.render(parse_recipe("\n".join(tables)).plan_for("a").renditions, focal_point))
    assert len(renditions) == len(formats)
    for rendition in renditions:
        out = decoded(rendition.body).autorot()
        assert rendition.size == (out.width, out.height) == expected
