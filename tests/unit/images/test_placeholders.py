"""ThumbHash and dominant colour. The expected hashes come from the JavaScript of ThumbHash's author, version 0.1.1."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.images.placeholders import dominant_colour, thumbhash

Pixel = tuple[int, int, int, int]


def rings(x: int, y: int) -> Pixel:
    return (x * x + y * y) % 256, x * x % 256, y * y % 256, 255


def holes(x: int, y: int) -> Pixel:
    return x * 7 % 256, y * 11 % 256, (x + y) * 5 % 256, x * y % 256


def picture(width: int, height: int, pixel: Callable[[int, int], Pixel]) -> bytes:
    return bytes(value for y in range(height) for x in range(width) for value in pixel(x, y))


@pytest.mark.parametrize(
    ("pixel", "width", "height", "expected"),
    [
        (holes, 32, 24, "ZNeFDIgWsImweIuV5wjqoX8EQwWWOamUBQ=="),
        (holes, 24, 32, "n8aFFAYWsFiLJ3pueOgHsYkPQwWWOamUBQ=="),
        (holes, 32, 32, "4QaGDQgWkJmHasDWl+H7ApvoIENQmII6SQ=="),
        (holes, 100, 60, "nweCC4QHVgSpumM2ZkCT+CEyQGVRFiU="),
        (holes, 7, 100, "2DWBCQIVpoenCHlnewBtmjB1cpmUWWk="),
        (rings, 32, 24, "mTgGPYgxdKlgd4dzd2iHi0N/+1xl"),
        (rings, 24, 32, "WUgGLQwwtmF3OHdId3eYqEFv/Vtm"),
        (rings, 32, 32, "WTgGNwogdKpgd4hyd0h3d4iKOvTHz1YG"),
        (rings, 100, 60, "XBgGJIREUxdwd3dzd3Nmf/xudw=="),
        (rings, 7, 100, "k8YGCQKEc0d3cYQGkH79BQY="),
    ],
)
def test_a_thumbhash_is_that_of_the_reference(
    pixel: Callable[[int, int], Pixel], width: int, height: int, expected: str
) -> None:
    assert base64.b64encode(thumbhash(width, height, picture(width, height, pixel))).decode() == expected


def test_a_thumbhash_of_one_colour_has_no_detail() -> None:
    hashed = thumbhash(31, 17, picture(31, 17, lambda x, y: (201, 33, 99, 255)))
    assert hashed[5:] == bytes(len(hashed) - 5)


@pytest.mark.parametrize(("width", "height", "length"), [(101, 1, 404), (0, 0, 0), (2, 2, 15)])
def test_an_array_that_is_not_a_small_picture_is_refused(width: int, height: int, length: int) -> None:
    with pytest.raises(ValueError, match="at most 100 x 100"):
        thumbhash(width, height, bytes(length))


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_any_picture_has_a_thumbhash_of_few_bytes(width: int, height: int, data: st.DataObject) -> None:
    rgba = data.draw(st.binary(min_size=4 * width * height, max_size=4 * width * height))
    assert 5 <= len(thumbhash(width, height, rgba)) <= 25
    colour = dominant_colour(rgba)
    assert (colour is None) == (not any(rgba[3::4]))


def test_the_dominant_colour_is_that_of_most_pixels_and_not_the_average() -> None:
    sky, sun = (60, 120, 220, 255), (250, 240, 40, 255)
    assert dominant_colour(picture(10, 10, lambda x, y: sun if x < 4 else sky)) == "#3c78dc"


def test_transparent_pixels_have_no_colour() -> None:
    logo = picture(10, 10, lambda x, y: (200, 0, 0, 255) if x == y else (0, 255, 0, 0))
    assert dominant_colour(logo) == "#c80000"
    assert dominant_colour(bytes(400)) is None
