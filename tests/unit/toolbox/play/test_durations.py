"""What the function is likely to need: the base of play's dollars."""

import pytest

from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from toolbox.play.durations import ENCODING, decoding_ms, rendition_ms

PHOTO = drawing.png(drawing.photo(200, 150))


def one(table: str, body: bytes = PHOTO) -> Rendition:
    (rendition,) = SourceImage(body).render(parse_recipe(f"[renditions.x]\n{table}").plan_for("a").renditions)
    return rendition


def test_every_output_format_has_a_figure_for_each_effort() -> None:
    assert ENCODING.keys() == set(OUTPUT_FORMATS)
    for format, by_effort in ENCODING.items():
        assert len(by_effort) == (format.traits.effort.max + 1 if format.traits.effort else 1)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ('format = "webp"\nwidth = 100', 'format = "webp"'),
        ('format = "webp"', 'format = "avif"'),
        ('format = "avif"\neffort = 2', 'format = "avif"'),
        ('format = "webp"', 'format = "webp"\nquality = "high"'),
        ('format = "webp"', 'format = "webp"\nlossless = true'),
        ('format = "png"', 'format = "png"\npalette = true'),
    ],
)
def test_more_work_takes_longer(less: str, more: str) -> None:
    assert 0 < rendition_ms(one(less), 1) < rendition_ms(one(more), 1)


def test_the_estimate_is_the_same_at_every_try_and_proportional_to_the_pixels() -> None:
    assert rendition_ms(one('format = "jpeg"'), 1) == rendition_ms(one('format = "jpeg"'), 1)
    half = rendition_ms(one('format = "jpeg"\nwidth = 100'), 1)
    assert rendition_ms(one('format = "jpeg"'), 1) == pytest.approx(4 * half)
    assert decoding_ms(Format.JPEG, 2_000_000) == pytest.approx(2 * decoding_ms(Format.JPEG, 1_000_000))


def test_each_frame_of_an_animation_counts_but_a_still_picture_of_it_is_one() -> None:
    body = drawing.gif(40, 30, *(drawing.GifPicture(0, 0, 40, 30, colour) for colour in range(3)))
    moving, still = one('format = "webp"\neffort = 2', body), one('format = "jpeg"', body)
    assert moving.made.animated
    assert rendition_ms(moving, 3) == pytest.approx(3 * rendition_ms(moving, 1))
    assert rendition_ms(still, 3) == rendition_ms(still, 1)
