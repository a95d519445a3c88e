"""Which files are rejected, and the reasons that people read."""

import pytest

from image_scaler.exceptions import DamagedImageError, RejectedError, UnsupportedImageError
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import YELLOW, corners, decoded, is_near

ROWS = 320


def render(body: bytes) -> Rendition:
    (rendition,) = SourceImage(body).render(parse_recipe('[renditions.x]\nformat = "png"').plan_for("a").renditions)
    return rendition


@pytest.mark.parametrize("missing", [1, 2, 3, 8, 50])
def test_a_jpeg_that_lost_its_last_bytes_is_read(missing: int) -> None:
    image = decoded(render(drawing.jpeg(drawing.quadrants(480, ROWS))[:-missing]).body)
    assert is_near(tuple(image(479, ROWS - 40)), YELLOW)
    assert is_near(corners(image.crop(0, 0, 480, ROWS - 40))["right bottom"], YELLOW)


def test_a_progressive_jpeg_may_lack_its_end_marker_only() -> None:
    body = drawing.jpeg(drawing.photo(480, ROWS), interlace=True)
    assert decoded(render(body[:-2]).body).numpy().tolist() == decoded(render(body).body).numpy().tolist()
    with pytest.raises(DamagedImageError, match="cut off"):
        render(body[:-1000])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lost_more_than_its_last_rows_is_rejected(share: float, progressive: bool) -> None:
    body = drawing.jpeg(drawing.photo(480, ROWS), interlace=progressive)
    with pytest.raises(DamagedImageError, match="the file is cut off: the JPEG ends early"):
        render(body[: int(len(body) * share)])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"%PDF-1.7\n", "this is a PDF, which is not read: upload a JPEG"),
        (b"8BPS\0\1", "this is a Photoshop file"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "this is a JPEG XL image"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "this is a video"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "this is a raw photograph"),
        (b"PK\3\4\x14\0", "this is a ZIP archive or an office document"),
        (b"<!DOCTYPE html><title>404</title>", "this is a web page"),
        (b"\n<html><body>Not found</body>", "this is a web page"),
        (b"Dear reader", "its 11 bytes are not an image (JPEG, PNG"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "the file is cut off: the JPEG ends early"),
        (drawing.png()[:30], "the file is cut off: the PNG ends early"),
        (b"II*\0\x08\0\0\0\0\0", "the TIFF is damaged: its header cannot be read"),
    ],
)
def test_the_reason_says_what_the_file_is(body: bytes, why: str) -> None:
    with pytest.raises(UnsupportedImageError) as refusal:
        SourceImage(body)
    assert str(refusal.value).startswith(why)


@pytest.mark.parametrize(
    ("body", "limits", "code"),
    [
        (b"", {}, "empty"),
        (b"Dear reader", {}, "not_an_image"),
        (b"%PDF-1.7\n", {}, "unsupported"),
        (drawing.png()[:30], {}, "damaged"),
        (drawing.jpeg()[:2000], {}, "damaged"),
        (drawing.png(), {"source_bytes": 10}, "too_large"),
        (drawing.png(), {"pixels": 10}, "too_many_pixels"),
    ],
)
def test_the_reason_has_a_code_for_programs(body: bytes, limits: dict[str, int], code: str) -> None:
    with pytest.raises(RejectedError) as refusal:
        list(
            SourceImage(body, Limits(**limits)).render(
                parse_recipe("[renditions.x]\nwidth = 9").plan_for("a").renditions
            )
        )
    assert refusal.value.code == code


def test_what_libvips_said_is_a_detail_for_the_log() -> None:
    for body in (b"Dear reader", drawing.png()[:-200]):
        with pytest.raises(RejectedError) as refusal:
            render(body)
        assert "vips" not in str(refusal.value).lower()
        assert "vips" in refusal.value.detail.lower()
