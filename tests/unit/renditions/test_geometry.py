import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.renditions.geometry import Fit, Position, Size, box_of_shape, lay_out, offset

SIDES = st.integers(1, 20_000)
BOX_SIDES = st.none() | st.integers(1, 5_000)


@pytest.mark.parametrize(
    ("fit", "resize", "output"),
    [
        (Fit.COVER, (150, 100), (100, 100)),
        (Fit.CONTAIN, (100, 67), (100, 100)),
        (Fit.FILL, (100, 100), (100, 100)),
        (Fit.INSIDE, (100, 67), (100, 67)),
        (Fit.OUTSIDE, (150, 100), (150, 100)),
    ],
)
def test_600_x_400_into_a_box_of_100_x_100(fit: Fit, resize: tuple[int, int], output: tuple[int, int]) -> None:
    planned = lay_out(Size(600, 400), 100, 100, fit)
    assert (planned.resize, planned.output) == (resize, output)


@pytest.mark.parametrize(
    ("fit", "output"),
    [
        (Fit.CONTAIN, (100, 100)),
        (Fit.INSIDE, (40, 20)),
        (Fit.OUTSIDE, (40, 20)),
    ],
)
def test_without_enlargement_a_small_image_keeps_its_size(fit: Fit, output: tuple[int, int]) -> None:
    planned = lay_out(Size(40, 20), 100, 100, fit, without_enlargement=True)
    assert planned.resize == (40, 20)
    assert planned.output == output


@pytest.mark.parametrize(
    ("source", "box", "output"),
    [
        ((100, 75), (320, 320), (75, 75)),
        ((150, 50), (100, 100), (50, 50)),
        ((500, 200), (320, 320), (200, 200)),
        ((100, 75), (400, 100), (100, 25)),
        ((320, 320), (320, 320), (320, 320)),
        ((1, 1000), (320, 320), (1, 1)),
    ],
)
def test_without_enlargement_a_small_image_is_cropped_or_stretched_to_the_shape_of_the_box(
    source: tuple[int, int], box: tuple[int, int], output: tuple[int, int]
) -> None:
    cropped = lay_out(Size(*source), *box, Fit.COVER, without_enlargement=True)
    assert cropped.output == output
    assert lay_out(Size(*source), *box, Fit.FILL, without_enlargement=True) == (output, None, None)


@pytest.mark.parametrize(
    ("source", "fit", "outputs"),
    [
        ((600, 800), Fit.COVER, [(600, 338)] * 3),
        ((3000, 1000), Fit.COVER, [(640, 360), (1280, 720), (1778, 1000)]),
        ((100, 75), Fit.COVER, [(100, 56)] * 3),
        ((1, 1000), Fit.COVER, [(1, 1)] * 3),
        ((4000, 3000), Fit.CONTAIN, [(640, 360), (1280, 720), (1920, 1080)]),
        ((100, 75), Fit.CONTAIN, [(133, 75)] * 3),
    ],
)
def test_with_an_aspect_ratio_every_source_gets_the_shape_and_none_is_enlarged(
    source: tuple[int, int], fit: Fit, outputs: list[tuple[int, int]]
) -> None:
    for width, output in zip((640, 1280, 1920), outputs, strict=True):
        box = box_of_shape(Size(*source), width, 16 / 9, fit, without_enlargement=True)
        planned = lay_out(Size(*source), *box, fit, without_enlargement=True)
        assert planned.output == output
        assert planned.resize <= source


@given(source=st.builds(Size, SIDES, SIDES), width=st.integers(1, 5_000), ratio=st.floats(0.01, 100))
def test_a_crop_has_the_shape_to_a_pixel_is_within_the_source_and_as_large_as_it_may_be(
    source: Size, width: int, ratio: float
) -> None:
    box = box_of_shape(source, width, ratio, Fit.COVER, without_enlargement=True)
    planned = lay_out(source, *box, Fit.COVER, without_enlargement=True)
    assert planned.output == box
    assert abs(box.width - box.height * ratio) <= max(1, ratio) or 1 in box
    assert all(side <= whole for side, whole in zip(box, source, strict=True))
    assert box.width == width or abs(box.width - min(source.width, source.height * ratio)) <= 1


def test_a_layout_can_be_scaled_down_to_what_a_format_holds() -> None:
    panorama = lay_out(Size(20_000, 1_000), None, None)
    assert panorama.within(16_383).output == (16_383, 819)
    assert panorama.within(20_000) == panorama


@pytest.mark.parametrize(("width", "height", "output"), [(300, None, (300, 200)), (None, 300, (450, 300))])
def test_one_side_gives_the_other_by_the_aspect_ratio(
    width: int | None, height: int | None, output: tuple[int, int]
) -> None:
    assert lay_out(Size(600, 400), width, height).output == output


def test_fill_with_one_side_keeps_the_other() -> None:
    assert lay_out(Size(600, 400), 300, None, Fit.FILL).output == (300, 400)


def test_without_a_box_the_image_keeps_its_size() -> None:
    assert lay_out(Size(600, 400), None, None) == ((600, 400), None, None)


@given(SIDES, SIDES, BOX_SIDES, BOX_SIDES, st.sampled_from(Fit), st.booleans())
def test_no_side_is_ever_below_one_pixel(
    width: int, height: int, box_width: int | None, box_height: int | None, fit: Fit, small: bool
) -> None:
    planned = lay_out(Size(width, height), box_width, box_height, fit, without_enlargement=small)
    assert all(side >= 1 for size in planned if size for side in size)


@given(SIDES, SIDES, st.integers(1, 5_000), st.integers(1, 5_000), st.sampled_from(Fit))
def test_each_fit_has_its_relation_to_the_box(width: int, height: int, box_w: int, box_h: int, fit: Fit) -> None:
    planned = lay_out(Size(width, height), box_w, box_h, fit)
    output = planned.output
    if fit in (Fit.COVER, Fit.CONTAIN, Fit.FILL):
        assert output == (box_w, box_h)
    elif fit is Fit.INSIDE:
        assert output.width <= box_w
        assert output.height <= box_h
        assert output.width == box_w or output.height == box_h
    else:
        assert output.width >= box_w
        assert output.height >= box_h
        assert output.width == box_w or output.height == box_h


@given(SIDES, SIDES, BOX_SIDES, BOX_SIDES, st.sampled_from(Fit))
def test_without_enlargement_no_side_is_scaled_up(
    width: int, height: int, box_w: int | None, box_h: int | None, fit: Fit
) -> None:
    resize = lay_out(Size(width, height), box_w, box_h, fit, without_enlargement=True).resize
    assert resize.width <= width
    assert resize.height <= height


@given(SIDES, SIDES, BOX_SIDES, BOX_SIDES, st.sampled_from([Fit.COVER, Fit.CONTAIN, Fit.INSIDE, Fit.OUTSIDE]))
def test_all_fits_but_fill_scale_both_sides_alike(
    width: int, height: int, box_w: int | None, box_h: int | None, fit: Fit
) -> None:
    resize = lay_out(Size(width, height), box_w, box_h, fit).resize
    # Each side is rounded by at most half a pixel, or up to the one pixel that it must have.
    scales = [
        ((resize.width - 0.5) / width, (resize.width + 0.5) / width),
        ((resize.height - 0.5) / height, (resize.height + 0.5) / height),
    ]
    overlap = max(low for low, _ in scales) <= min(high for _, high in scales) + 1e-9
    assert overlap or 1 in resize


@given(SIDES, SIDES, st.integers(1, 5_000), st.integers(1, 5_000), st.sampled_from(Fit), st.booleans())
def test_crop_is_within_the_scaled_image_and_canvas_around_it(
    width: int, height: int, box_w: int, box_h: int, fit: Fit, small: bool
) -> None:
    planned = lay_out(Size(width, height), box_w, box_h, fit, without_enlargement=small)
    if planned.crop:
        assert planned.crop.width <= planned.resize.width
        assert planned.crop.height <= planned.resize.height
    if planned.canvas:
        assert planned.canvas.width >= planned.resize.width
        assert planned.canvas.height >= planned.resize.height


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (Position.LEFT_TOP, (0, 0)),
        (Position.TOP, (25, 0)),
        (Position.RIGHT_TOP, (50, 0)),
        (Position.LEFT, (0, 10)),
        (Position.CENTRE, (25, 10)),
        (Position.RIGHT, (50, 10)),
        (Position.LEFT_BOTTOM, (0, 20)),
        (Position.BOTTOM, (25, 20)),
        (Position.RIGHT_BOTTOM, (50, 20)),
    ],
)
def test_a_position_places_the_smaller_box_in_the_larger(position: Position, expected: tuple[int, int]) -> None:
    assert offset(Size(150, 100), Size(100, 80), position) == expected
