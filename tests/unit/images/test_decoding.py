"""Images that are valid, or nearly, and still unlike most."""

import io
import re
import struct
import tracemalloc
import zlib
from collections.abc import Callable

import msgspec
import numpy as np
import pillow_heif
import pytest
import pyvips
from PIL import Image

from image_scaler.exceptions import ImageTooLargeError, RejectedError, UnsupportedImageError
from image_scaler.images.attribution import NO_CREDITS
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.images.stripping import strip
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.limits import DEFAULT_LIMITS, MAX_SCANS, MAX_WEBP_FRAMES
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import QUADRANTS, RED, corners, decoded, is_near

TABLE = '[renditions.x]\nwidth = 20\nformat = "png"'


def render(body: bytes, table: str) -> Rendition:
    (rendition,) = SourceImage(body).render(parse_recipe(f"[renditions.x]\n{table}").plan_for("a.png").renditions)
    return rendition


def pixels(body: bytes) -> bytes:
    return render(body, 'width = 40\nformat = "png"').body


def test_a_png_may_name_its_texts_in_other_encodings_than_utf_8() -> None:
    body, chunk = drawing.png(), b"tEXtAuteur\xe9\0caf\xe9"
    body = body[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + body[33:]
    for format in OUTPUT_FORMATS:
        assert render(body, f'width = 40\nformat = "{format}"').size == (40, 30)


@pytest.mark.parametrize("bands", [2, 5, 9])
@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_of_many_bands_only_the_colours_and_one_alpha_are_used(bands: int, format: Format) -> None:
    grey = drawing.quadrants().colourspace("b-w")
    image = grey.bandjoin([grey] * (bands - 1))
    for interpretation in ("multiband", "b-w", "srgb"):
        body = bytes(image.copy(interpretation=interpretation).tiffsave_buffer())
        assert render(body, f'width = 40\nformat = "{format}"').size == (40, 30)


@pytest.mark.parametrize("bands", [2, 4, 5])
def test_bands_without_a_known_meaning_can_have_a_background(bands: int) -> None:
    grey = drawing.quadrants().colourspace("b-w")
    body = bytes(grey.bandjoin([grey] * (bands - 1)).copy(interpretation="multiband").tiffsave_buffer())
    table = 'width = 300\nheight = 50\nfit = "contain"\nformat = "png"'
    assert render(body, table).size == (300, 50)


def test_thousands_of_bands_are_rejected_before_they_are_decoded() -> None:
    grey = pyvips.Image.black(8, 8)
    body = bytes(grey.bandjoin([grey] * 999).tiffsave_buffer())
    with pytest.raises(ImageTooLargeError, match="the image has 1,000 values per pixel but 10 are allowed"):
        SourceImage(body)


def test_a_very_long_side_is_rejected_whatever_the_number_of_pixels() -> None:
    with pytest.raises(ImageTooLargeError, match="100,000 x 2 pixels but the longest side allowed is 65,535"):
        SourceImage(bytes(pyvips.Image.black(100_000, 2).pngsave_buffer()))


def progressive(scans: int) -> bytes:
    """Return a progressive JPEG with so many scans, or its usual ten."""
    body = drawing.jpeg(drawing.photo(48, 32), interlace=True)
    last, end = body.rindex(b"\xff\xda"), len(body) - 2
    return body[:end] + body[last:end] * (scans - body.count(b"\xff\xda")) + body[end:]


def with_preview(body: bytes, preview: bytes) -> bytes:
    """Return a JPEG with another file in its segments, as cameras embed a preview."""
    parts = [b"MPF\0" + preview[at : at + 60_000] for at in range(0, len(preview), 60_000)]
    return body[:2] + b"".join(b"\xff\xe2" + struct.pack(">H", len(part) + 2) + part for part in parts) + body[2:]


def webp_with_frames(count: int) -> bytes:
    """Return an animated WebP with so many frames, all alike."""
    film = drawing.photo(8, 8).copy()
    film.set_type(pyvips.GValue.gint_type, "page-height", 4)
    webp = bytes(film.webpsave_buffer())
    first, second = (found.start() for found in re.finditer(b"ANMF", webp))
    webp = webp[:first] + webp[first:second] * count
    return webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]


def test_a_jpeg_of_hundreds_of_scans_and_a_webp_of_thousands_of_frames_are_rejected_before_they_are_read() -> None:
    assert SourceImage(progressive(1)).size == (48, 32)
    with pytest.raises(ImageTooLargeError, match=r"the file has more than the 100 scans that are allowed"):
        SourceImage(progressive(200))
    with pytest.raises(ImageTooLargeError, match=r"the file has more than the 10,000 frames that are allowed"):
        SourceImage(webp_with_frames(20_000))


def test_a_damaged_jpeg_with_hundreds_of_scans_is_rejected_before_it_is_read() -> None:
    with pytest.raises(ImageTooLargeError, match="more than the 100 scans"):
        SourceImage(progressive(200)[:-2])  # without the end of the image


def test_markers_that_libjpeg_skips_hide_no_scans() -> None:
    body = progressive(200)
    for marker in (b"\xff\x01", b"\xff\xd3", b"\xff\x00", b"\xff\xff", b"garbage"):
        for at in (2, body.rindex(b"\xff\xda")):
            with pytest.raises((ImageTooLargeError, UnsupportedImageError)):
                SourceImage(body[:at] + marker + b"\xff\xff" + body[at:])


def test_counting_millions_of_parts_takes_no_memory() -> None:
    body = b"\xff\xd8" + b"\xff\xda\0\2" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLargeError, match=r"more than the 100 scans that are allowed"):
            SourceImage(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.fixture(scope="module")
def video() -> bytes:
    """12 MB in which the marker of a scan, the end of an image and the name of a frame occur by chance, and often."""
    noise = np.random.default_rng(1).bytes(12_000_000)
    return noise + b"\xff\xda\xff\xd9ANMF" * 20_000


def test_a_motion_photo_is_the_picture_before_its_video(video: bytes) -> None:
    photo = drawing.photo(400, 300)
    assert video.count(b"\xff\xda") > 20_100
    for body in (
        drawing.jpeg(photo),
        drawing.jpeg(photo, interlace=True),
        drawing.jpeg(orientation=6),
    ):
        assert pixels(body + video) == pixels(body)
    webp = bytes(photo.webpsave_buffer())
    assert pixels(webp + video) == pixels(webp)


def test_scans_behind_a_motion_photos_picture_do_not_count_but_its_own_do(video: bytes) -> None:
    with pytest.raises(ImageTooLargeError, match="more than the 100 scans"):
        SourceImage(progressive(200) + video)


def test_an_mpo_file_is_its_first_picture() -> None:
    first, second = drawing.jpeg(drawing.photo(400, 300)), progressive(200)
    assert pixels(first + second) == pixels(first)


def test_a_jpeg_with_a_large_embedded_preview_is_the_picture_and_not_the_preview() -> None:
    for body in (drawing.jpeg(drawing.photo(400, 300)), progressive(1)):
        assert pixels(with_preview(body, progressive(200) * 20)) == pixels(body)


SURROUNDED = {
    "a video behind it": lambda body, video: body + video,
    "a second picture behind it": lambda body, video: body + progressive(200),
    "a preview before it": lambda body, video: with_preview(body, progressive(200) * 20),
}
"""Pictures with something else in their file, in which the bytes of markers occur hundreds of times."""


@pytest.fixture(params=SURROUNDED)
def surrounded(request: pytest.FixtureRequest, video: bytes) -> Callable[[bytes], bytes]:
    return lambda body: SURROUNDED[request.param](body, video)


@pytest.mark.parametrize("scans", [MAX_SCANS - 1, MAX_SCANS, MAX_SCANS + 1])
def test_a_picture_may_have_as_many_scans_as_are_allowed_whatever_else_is_in_its_file(
    surrounded: Callable[[bytes], bytes], scans: int
) -> None:
    body = progressive(scans)
    assert body.count(b"\xff\xda") == scans
    if scans > MAX_SCANS:
        with pytest.raises(ImageTooLargeError, match="more than the 100 scans"):
            SourceImage(surrounded(body))
    else:
        assert SourceImage(surrounded(body)).size == (48, 32)


@pytest.mark.parametrize("frames", [MAX_WEBP_FRAMES - 1, MAX_WEBP_FRAMES, MAX_WEBP_FRAMES + 1])
def test_a_webp_may_have_as_many_frames_as_are_allowed_whatever_is_behind_it(video: bytes, frames: int) -> None:
    body = webp_with_frames(frames) + video
    if frames > MAX_WEBP_FRAMES:
        with pytest.raises(ImageTooLargeError, match="more than the 10,000 frames"):
            SourceImage(body)
    else:
        assert SourceImage(body).size == (8, 4)


@pytest.mark.parametrize("below", [1, 0, -1])
def test_the_limit_of_bytes_counts_the_whole_file(surrounded: Callable[[bytes], bytes], below: int) -> None:
    body = surrounded(drawing.jpeg(drawing.photo(400, 300)))
    limits = msgspec.structs.replace(DEFAULT_LIMITS, source_bytes=len(body) + below)
    if below < 0:
        with pytest.raises(ImageTooLargeError, match=r"raise limits\.source_bytes"):
            SourceImage(body, limits)
    else:
        assert SourceImage(body, limits).size == (400, 300)


@pytest.mark.parametrize("below", [1, 0, -1])
@pytest.mark.parametrize("interlace", [False, True])
def test_the_limits_of_pixels_count_those_of_the_picture_alone(
    surrounded: Callable[[bytes], bytes], interlace: bool, below: int
) -> None:
    # The pictures of `surrounded` have more pixels than this one.
    body = surrounded(drawing.jpeg(drawing.photo(40, 30), interlace=interlace))
    name = "buffered_pixels" if interlace else "pixels"
    limits = msgspec.structs.replace(DEFAULT_LIMITS, **{name: 40 * 30 + below})
    if below < 0:
        with pytest.raises(ImageTooLargeError, match=rf"raise limits\.{name}"):
            SourceImage(body, limits)
    else:
        assert SourceImage(body, limits).size == (40, 30)


@pytest.mark.parametrize("interlace", [False, True])
def test_nothing_else_in_its_file_is_in_a_copy_without_metadata(
    surrounded: Callable[[bytes], bytes], interlace: bool
) -> None:
    body = drawing.jpeg(drawing.photo(400, 300), interlace=interlace)
    bare = strip(body, Format.JPEG, 1, NO_CREDITS)
    assert bare
    assert strip(surrounded(body), Format.JPEG, 1, NO_CREDITS) == bare


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xd8\xff\xfe\0\x20<svg xmlns='...'> in a comment",
        b"no image <svg></svg>",
        b"<!doctype html><html><svg></svg></html>",
        b"<!-- <svg> --><html></html>",
        b"<!--" * 1000,
        b"<?" * 2000 + b"<svg>",
    ],
)
def test_only_a_damaged_svg_is_called_one(body: bytes) -> None:
    with pytest.raises(UnsupportedImageError) as refusal:
        SourceImage(body)
    assert "SVG" not in str(refusal.value)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\xef\xbb\xbf",
        b"\n <?xml version='1.0'?>\n",
        b"<!-- Inkscape --><!-- 1.0 -->",
        b"<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'svg11.dtd' [ <!ENTITY a 'b'> ] >",
    ],
)
def test_an_svg_is_refused_with_how_to_allow_it(before: bytes) -> None:
    for root in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<svg:svg/>", b"<svg\n>"):
        with pytest.raises(UnsupportedImageError, match="svg = true"):
            SourceImage(before + root)


def test_an_error_of_libvips_that_is_not_text_is_a_rejection() -> None:
    turned = drawing.photo(48, 32).copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    body = bytes(turned.heifsave_buffer(compression="av1", effort=0))
    at = body.index(b"irot")
    with pytest.raises(RejectedError):  # libheif quotes the property's name
        list(
            SourceImage(body[:at] + b"c\x80ap" + body[at + 4 :]).render(
                parse_recipe(TABLE).plan_for("a.avif").renditions
            )
        )
    with pytest.raises(RejectedError) as refusal:  # and what it said is not said again
        SourceImage(b"no image")
    assert "ap" not in str(refusal.value).partition(":")[2]


def test_a_background_far_larger_than_the_image_counts_as_pixels_of_every_frame() -> None:
    roll = pyvips.Image.new_from_array(np.repeat(np.arange(200, dtype=np.uint8), 4).reshape(400, 2))
    roll = roll.copy(interpretation="b-w")
    roll.set_type(pyvips.GValue.gint_type, "page-height", 2)
    with pytest.raises(ImageTooLargeError, match="the image has 4,000 x 4,000 x 200 frames pixels"):
        render(
            bytes(roll.webpsave_buffer(lossless=True)), 'width = 4000\nheight = 4000\nfit = "contain"\nformat = "webp"'
        )


@pytest.mark.parametrize("width", [4, 16, 64, 120])
def test_a_grey_heic_of_more_than_8_bits_keeps_its_grey(width: int) -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(np.full((64, width), 60_000, np.uint16))).save(buffer, quality=90)
    rendition = render(buffer.getvalue(), 'format = "png"')
    assert rendition.size == (width, 64)
    assert is_near(tuple(decoded(rendition.body)(width - 1, 63)), (234,), 3)


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_a_profile_that_says_a_wrong_length_is_not_kept_but_applied(format: Format) -> None:
    image = drawing.quadrants().icc_transform("p3", input_profile="srgb").copy()
    profile = bytearray(image.get("icc-profile-data"))
    profile[0] = 0x80
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", bytes(profile))
    out = decoded(render(drawing.jpeg(image), f'width = 200\nkeep_profile = true\nformat = "{format}"').body)
    for place, colour in QUADRANTS.items():
        assert is_near(corners(out)[place][:3], colour, 20), place


@pytest.mark.parametrize("around", [(0, 0, 0, 0), (255, 255, 255, 0), (250, 250, 250, 255)])
@pytest.mark.parametrize("picture", [RED, (0, 0, 0)])
def test_trim_cuts_off_a_border_of_transparency_or_of_one_opaque_colour(
    around: tuple[int, ...], picture: tuple[int, ...]
) -> None:
    pixels = np.full((100, 150, 4), around, np.uint8)
    pixels[20:60, 30:110] = (*picture, 255)
    assert render(drawing.png(drawing.srgb(pixels)), 'format = "png"\ntrim = true').size == (80, 40)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (40, 2), (3, 3)])
def test_trim_keeps_the_smallest_images(size: tuple[int, int]) -> None:
    assert render(drawing.png(drawing.photo(*size)), 'format = "png"\ntrim = true').size == size


@pytest.mark.parametrize(("format", "longest"), [("jpeg", 65_500), ("webp", 16_383), ("avif", 16_384)])
def test_a_rendition_is_no_larger_than_its_format_holds(format: str, longest: int) -> None:
    for width in (longest, longest + 30):
        body = drawing.png(pyvips.Image.black(width, 16, bands=3).copy(interpretation="srgb"))
        rendition = render(body, f'format = "{format}"')
        assert rendition.size == (longest, 16)
        assert (decoded(rendition.body).width, decoded(rendition.body).height) == (longest, 16)


def test_a_side_longer_than_any_format_holds_is_rejected() -> None:
    body = drawing.png(pyvips.Image.black(65_536, 16, bands=3).copy(interpretation="srgb"))
    with pytest.raises(ImageTooLargeError, match="longest side allowed is 65,535"):
        render(body, 'format = "gif"')


def test_a_narrow_image_is_not_enlarged_beyond_the_limit_of_pixels() -> None:
    body = drawing.png(drawing.quadrants(2, 400))
    box = 'width = 9000\nheight = 2\nfit = "outside"\nwithout_enlargement = false\nformat = "png"'
    with pytest.raises(ImageTooLargeError, match="9,000 x 1,800,000"):
        render(body, box)


@pytest.mark.parametrize(("saver", "is_buffered"), [("gifsave", True), ("webpsave", True), ("jpegsave", False)])
def test_the_memory_of_buffering_decoders_is_checked(saver: str, is_buffered: bool) -> None:
    body = bytes(getattr(drawing.quadrants(1000, 1000), f"{saver}_buffer")())
    limits = DEFAULT_LIMITS.in_memory(132 * 1024**2)
    if is_buffered:
        with pytest.raises(ImageTooLargeError, match="raise memorySize"):
            SourceImage(body, limits)
    else:
        assert SourceImage(body, limits).size == (1000, 1000)
