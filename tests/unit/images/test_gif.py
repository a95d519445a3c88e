"""The frames of a GIF are what browsers show; the expected pixels are those of Chromium's ImageDecoder."""

import pytest
import pyvips

from image_scaler.exceptions import RejectedError
from image_scaler.images import decoding
from image_scaler.images.header import read_header
from image_scaler.renditions.limits import DEFAULT_LIMITS
from tests.support.drawing import GIF_COLOURS, GifPicture, gif

RED, BLUE, YELLOW, GREEN = range(4)
WHOLE = (0, 0, 60, 40)
TRANSPARENT = None


def frames(body: bytes) -> list[pyvips.Image]:
    header = read_header(body, DEFAULT_LIMITS)
    decoded = decoding.decode(body, header, header.size, header.frames)
    assert {(frame.width, frame.height) for frame in decoded} == {header.size}
    return decoded


def colour(frame: pyvips.Image, x: int, y: int) -> int | None:
    red, green, blue, alpha = decoding.rgba(frame.crop(x, y, 1, 1))
    return GIF_COLOURS.index((red, green, blue)) if alpha else TRANSPARENT


@pytest.mark.parametrize(("width", "height"), [(800, 600), (640, 480), (2500, 100), (61, 41)])
def test_the_logical_screen_is_the_size(width: int, height: int) -> None:
    first, second = frames(gif(width, height, GifPicture(10, 10, 20, 20, RED), GifPicture(0, 0, 5, 5, BLUE)))
    assert (first.width, first.height) == (width, height)
    assert [colour(first, x, 15) for x in (5, 15, 40)] == [TRANSPARENT, RED, TRANSPARENT]
    assert [colour(second, x, 2) for x in (2, 15)] == [BLUE, TRANSPARENT]


def test_a_first_picture_beyond_the_screen_enlarges_it() -> None:
    first, _ = frames(gif(60, 40, GifPicture(50, 30, 20, 20, RED), GifPicture(0, 0, 20, 20, BLUE)))
    assert (first.width, first.height) == (70, 50)


def test_a_later_picture_is_cut_at_the_edge_of_the_screen() -> None:
    _, second = frames(gif(60, 40, GifPicture(0, 0, 20, 20, RED), GifPicture(50, 30, 20, 20, BLUE)))
    assert (second.width, second.height, colour(second, 55, 35)) == (60, 40, BLUE)


def test_a_screen_of_no_size_has_that_of_the_first_picture() -> None:
    first, _ = frames(gif(0, 0, GifPicture(0, 0, 20, 10, RED), GifPicture(10, 5, 20, 20, BLUE)))
    assert (first.width, first.height) == (20, 10)


@pytest.mark.parametrize(
    ("disposal", "left_behind"), [(0, YELLOW), (1, YELLOW), (2, TRANSPARENT), (3, RED), (4, RED), (5, YELLOW)]
)
def test_a_picture_leaves_behind_what_its_disposal_says(disposal: int, left_behind: int | None) -> None:
    pictures = GifPicture(*WHOLE, RED), GifPicture(10, 10, 20, 20, YELLOW, disposal), GifPicture(40, 20, 5, 5, BLUE)
    _, second, third = frames(gif(60, 40, *pictures))
    assert colour(second, 15, 20) == YELLOW
    assert [colour(third, x, 22) for x in (15, 42, 3)] == [left_behind, BLUE, RED]


@pytest.mark.parametrize("disposal", [2, 3])
def test_before_the_first_picture_there_is_nothing(disposal: int) -> None:
    _, second = frames(gif(60, 40, GifPicture(*WHOLE, RED, disposal), GifPicture(10, 10, 20, 20, BLUE)))
    assert [colour(second, x, 20) for x in (3, 15)] == [TRANSPARENT, BLUE]


def test_the_end_marker_may_be_missing() -> None:
    assert len(frames(gif(60, 40, GifPicture(*WHOLE, RED), GifPicture(*WHOLE, BLUE))[:-1])) == 2


def test_a_picture_that_is_cut_off_is_rejected() -> None:
    body = gif(60, 40, GifPicture(*WHOLE, RED), GifPicture(*WHOLE, BLUE))
    with pytest.raises(RejectedError):
        frames(body[: len(body) // 4])
