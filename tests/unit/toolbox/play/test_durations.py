"""What the function is likely to need: the base of play's dollars."""

import threading
from pathlib import Path

import pytest

from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.made import MadeRendition
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from toolbox.play.cells import cells
from toolbox.play.draft import read_draft
from toolbox.play.durations import ENCODING, decoding_ms, rendition_ms
from toolbox.play.messages import Decoded, Request
from toolbox.play.pictures import Picture, Result
from toolbox.play.worker import work

PHOTO = drawing.png(drawing.photo(200, 150))


def one(table: str, body: bytes = PHOTO, key: str = "a.png") -> Rendition:
    (rendition,) = SourceImage(body).render(parse_recipe(f"[renditions.x]\n{table}").plan_for(key).renditions)
    return rendition


def decoding(folder: Path, recipe: str, body: bytes) -> float:
    """What the process that renders says of the source."""
    (folder / "source").write_bytes(body)
    request = Request(
        operation="render",
        path=str(folder / "source"),
        key="a.gif",
        recipe=recipe,
        recipe_folder=str(folder),
        columns=(),
        focal_point=None,
        folder=str(folder),
    )
    (message,) = (each for each in work(request, threading.Event()) if isinstance(each, Decoded))
    return message.function_ms


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
        ('format = "webp"\nquality = "high"', 'format = "webp"\nquality = "high"\nmax_bytes = 2000'),
        ('format = "jpeg"', 'format = "jpeg"\nmax_bytes = 2000'),
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


def test_a_palette_is_that_of_a_png_alone() -> None:
    body = drawing.jpeg()
    plain, asked = (one(table, body, "a.jpg") for table in ("width = 90", "width = 90\npalette = true"))
    assert rendition_ms(asked, 1) == rendition_ms(plain, 1)


def test_all_frames_that_are_shown_are_decoded_and_none_for_a_copy(tmp_path: Path) -> None:
    body = drawing.gif(40, 30, *(drawing.GifPicture(0, 0, 40, 30, colour) for colour in range(3)))
    still = decoding(tmp_path, '[renditions.x]\nformat = "jpeg"', body)
    assert still > 0
    assert decoding(tmp_path, '[renditions.x]\nformat = "webp"', body) == pytest.approx(3 * still)
    assert decoding(tmp_path, "[renditions.x]", body) == 0


def test_steps_that_a_small_source_cannot_fill_count_once() -> None:
    draft, _ = read_draft('[renditions.x]\nwidths = [100, 200, 300]\nformat = "webp"', Path())
    picture = Picture("1", "a.png", Path("a.png"), bytes=9, is_temporary=False, size=Size(200, 150), format="png")
    for key, width in zip(picture.cache_keys(draft).values(), (100, 200, 200), strict=True):
        made = MadeRendition(name="x", key="x", bytes=width, width=width, height=9, type="image/webp")
        picture.results[key] = Result(status="made", made=made, function_ms=5)
    assert [cell["function_ms"] for cell in cells(picture, draft).values()] == [5, 5, 0]
