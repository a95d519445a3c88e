"""Stripping: the metadata of a file is removed, its compressed pixels stay."""

import io
import struct
import tracemalloc
import zlib
from random import Random

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from image_scaler.images.attribution import NO_CREDITS, Credits
from image_scaler.images.containers import gif_with_xmp
from image_scaler.images.stripping import MAX_PARTS, strip
from image_scaler.renditions.formats import Format
from tests.properties.fuzz.mutations import mutated
from tests.properties.fuzz.seeds import seeds
from tests.support import drawing
from tests.support.examples import examples

any_credits = st.sampled_from([NO_CREDITS, Credits("(c) Zoe"), Credits("\u00a9 Zoe", "Zoe", "Agency")])
FORMATS = {"jpeg": Format.JPEG, "png": Format.PNG, "riff": Format.WEBP, "gif": Format.GIF}
"""By the kind of a seed."""
STARTS = {
    Format.JPEG: b"\xff\xd8",
    Format.PNG: b"\x89PNG\r\n\x1a\n",
    Format.WEBP: b"RIFF\0\0\0\0WEBP",
    Format.GIF: b"GIF89a\1\0\1\0\0\0\0",
}
SECRETS = (b"Leaky", b"52/1", b"secret place", b"UserComment")
SECRET = b"52.5200N-SERIAL"


def photographed(image: pyvips.Image, orientation: int = 1) -> pyvips.Image:
    """The image with the metadata of a camera."""
    exif = {"ifd0-Make": "Leaky Camera", "ifd3-GPSLatitude": "52/1 31/1 0/1", "ifd2-UserComment": "at home"}
    image = drawing.saying(image, exif, "<x:xmpmeta>secret place</x:xmpmeta>")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image


def roll(frames: int) -> pyvips.Image:
    """The frames of an animation."""
    image = pyvips.Image.arrayjoin([drawing.photo(24, 16, seed) for seed in range(frames)], across=1).copy()
    image.set_type(pyvips.GValue.gint_type, "page-height", 16)
    image.set_type(pyvips.GValue.array_int_type, "delay", [50, 100, 150, 200][:frames])
    return image


def assert_same_pixels(one: bytes, other: bytes, **options: int) -> None:
    before, after = (pyvips.Image.new_from_buffer(body, "", fail_on="error", **options) for body in (one, other))
    assert (before.width, before.height, before.bands) == (after.width, after.height, after.bands)
    assert (before - after).abs().max() == 0
    for field in ("icc-profile-data", "n-pages", "delay", "loop"):
        assert (before.get_typeof(field) and before.get(field)) == (after.get_typeof(field) and after.get(field)), field


@examples(30)
@given(
    format=st.sampled_from(["jpeg", "png", "webp"]),
    options=st.fixed_dictionaries({"Q": st.integers(1, 100), "interlace": st.booleans()}),
    has_alpha=st.booleans(),
    has_profile=st.booleans(),
    orientation=st.integers(1, 8),
    credits=any_credits,
)
def test_pixels_profile_and_credits_are_kept_and_a_gps_position_is_removed(
    format: str, options: dict[str, object], has_alpha: bool, has_profile: bool, orientation: int, credits: Credits
) -> None:
    image = drawing.photo(48, 32)
    if has_profile:
        image = image.icc_transform("p3", input_profile="srgb")
    if has_alpha and format != "jpeg":
        image = drawing.with_alpha(image)
    if format == "webp":
        del options["interlace"]
    body = bytes(getattr(photographed(image, orientation), f"{format}save_buffer")(**options))
    assert b"Leaky" in body
    stripped = strip(body, Format(format), orientation, credits)
    if format != "jpeg" and orientation != 1:
        assert stripped is None  # the pixels of these formats have to be turned
        return
    assert stripped is not None
    assert_same_pixels(body, stripped)
    for secret in SECRETS:
        assert secret not in stripped
    kept = Image.open(io.BytesIO(stripped))
    exif = kept.getexif()
    assert not exif.get_ifd(0x8825)
    assert exif.keys() <= {0x0112, 0x013B, 0x8298}
    assert exif.get(0x0112, 1) == orientation
    # A PNG's credits are in its XMP too, and Pillow reads text in EXIF as Latin-1.
    assert exif.get(0x8298, "").encode("latin-1") == credits.copyright.encode()
    assert exif.get(0x013B, "") == credits.artist
    assert credits.credit.encode() in stripped
    assert strip(stripped, Format(format), orientation, credits) == stripped


@examples(12)
@given(frames=st.integers(1, 4), comment=st.binary(min_size=1, max_size=600), loop=st.integers(0, 5))
def test_a_gif_keeps_only_its_frames_their_delays_and_the_loop(frames: int, comment: bytes, loop: int) -> None:
    image = roll(frames)
    image.set_type(pyvips.GValue.gint_type, "loop", loop)
    plain = bytes(image.gifsave_buffer())
    stripped = strip(plain, Format.GIF, 1, NO_CREDITS)
    assert stripped is not None
    comment = comment.replace(b"\0", b"x")
    blocks = b"".join(
        bytes([len(part)]) + part for part in (comment[at : at + 255] for at in range(0, len(comment), 255))
    )
    at = 13 + 3 * (2 << (plain[10] & 7))
    commented = plain[:at] + b"\x21\xfe" + blocks + b"\0" + b"\x21\xff\x0bXMP DataXMP" + blocks + b"\0" + plain[at:]
    assert strip(commented + b"PK\x03\x04 an archive", Format.GIF, 1, NO_CREDITS) == stripped
    credited = strip(commented, Format.GIF, 1, Credits("(c) Zoe"))
    assert credited == gif_with_xmp(stripped, Credits("(c) Zoe").as_xmp())
    assert strip(credited, Format.GIF, 1, NO_CREDITS) == stripped
    assert_same_pixels(plain, stripped, n=-1)


@pytest.mark.parametrize("has_metadata", [False, True])
def test_an_animated_webp_keeps_its_frames_and_delays(has_metadata: bool) -> None:
    image = photographed(roll(3)) if has_metadata else roll(3)
    body = bytes(image.webpsave_buffer(Q=50))
    stripped = strip(body, Format.WEBP, 1, Credits("(c) Zoe"))
    assert stripped is not None
    assert_same_pixels(body, stripped, n=-1)
    assert not any(secret in stripped for secret in SECRETS)
    assert b"(c) Zoe" in stripped


def test_metadata_within_a_frame_of_a_webp_is_dropped() -> None:
    body = bytes(roll(3).webpsave_buffer(Q=50, keep="none"))
    at = body.index(b"ANMF")
    (length,) = struct.unpack("<I", body[at + 4 : at + 8])
    end, hidden = at + 8 + length, b"EXIF\x06\0\0\0Leaky "
    frame = b"ANMF" + struct.pack("<I", length + len(hidden)) + body[at + 8 : end] + hidden
    leaky = b"RIFF" + struct.pack("<I", len(body) - 8 + len(hidden)) + body[8:at] + frame + body[end:]
    assert strip(leaky, Format.WEBP, 1, NO_CREDITS) == strip(body, Format.WEBP, 1, NO_CREDITS) == body


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(payload)) + payload


def jpeg_with(parts: bytes, *, after_pixels: bool = False) -> bytes:
    body = drawing.jpeg(drawing.photo(48, 32), keep="none")
    return body[:-2] + parts + body[-2:] if after_pixels else body[:2] + parts + body[2:]


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_with(chunk: bytes, *, before: bytes = b"IDAT") -> bytes:
    body = bytes(drawing.photo(48, 32).pngsave_buffer(keep="none"))
    at = body.index(before) - 4
    return body[:at] + chunk + body[at:]


def webp_with(name: bytes, content: bytes) -> bytes:
    chunks = bytes(drawing.photo(48, 32).webpsave_buffer(keep="none"))[12:]
    inner = b"WEBP" + chunks + name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


P3 = drawing.photo(8, 8).icc_transform("p3", input_profile="srgb").get("icc-profile-data")
VIDEO = b"\0\0\0\x18ftypmp42" + SECRET
SECOND_PICTURE = drawing.jpeg(drawing.saying(drawing.photo(48, 32), {"ifd0-Make": SECRET.decode()}))


@pytest.mark.parametrize(
    ("format", "body"),
    [
        pytest.param(Format.JPEG, jpeg_with(jpeg_segment(0xE1, SECRET)), id="JPEG: EXIF"),
        pytest.param(Format.JPEG, jpeg_with(jpeg_segment(0xED, SECRET)), id="JPEG: Photoshop's IPTC"),
        pytest.param(Format.JPEG, jpeg_with(jpeg_segment(0xE2, b"MPF\0" + SECRET)), id="JPEG: index of pictures"),
        pytest.param(Format.JPEG, jpeg_with(jpeg_segment(0xFE, SECRET)), id="JPEG: comment"),
        pytest.param(Format.JPEG, jpeg_with(b"\xff" + jpeg_segment(0xE1, SECRET)), id="JPEG: filler before EXIF"),
        pytest.param(
            Format.JPEG,
            jpeg_with(jpeg_segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\5\1" + SECRET)),
            id="JPEG: thumbnail in JFIF",
        ),
        pytest.param(Format.JPEG, jpeg_with(jpeg_segment(0xE0, b"JFXX\0\x10" + SECRET)), id="JPEG: thumbnail in JFXX"),
        pytest.param(
            Format.JPEG, jpeg_with(jpeg_segment(0xFE, SECRET), after_pixels=True), id="JPEG: comment after the pixels"
        ),
        pytest.param(Format.JPEG, jpeg_with(b"") + VIDEO, id="JPEG: a video after the picture"),
        pytest.param(Format.JPEG, jpeg_with(b"") + SECOND_PICTURE, id="JPEG: a picture after the picture"),
        pytest.param(Format.PNG, png_with(png_chunk(b"tEXt", b"GPS\0" + SECRET)), id="PNG: text"),
        pytest.param(Format.PNG, png_with(png_chunk(b"eXIf", SECRET)), id="PNG: EXIF"),
        pytest.param(Format.PNG, png_with(png_chunk(b"iTXt", SECRET), before=b"IEND"), id="PNG: text after the pixels"),
        pytest.param(Format.PNG, png_with(png_chunk(b"caBX", SECRET)), id="PNG: an unknown chunk"),
        pytest.param(
            Format.PNG,
            png_with(png_chunk(b"iCCP", SECRET + b"\0\0" + zlib.compress(P3))),
            id="PNG: profile's name",
        ),
        pytest.param(
            Format.PNG,
            png_with(png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(P3) + SECRET)),
            id="PNG: after the profile",
        ),
        pytest.param(Format.PNG, png_with(b"") + VIDEO, id="PNG: a video after the picture"),
        pytest.param(Format.WEBP, webp_with(b"EXIF", SECRET), id="WebP: EXIF"),
        pytest.param(Format.WEBP, webp_with(b"what", SECRET), id="WebP: an unknown chunk"),
        pytest.param(Format.WEBP, webp_with(b"what", b"") + VIDEO, id="WebP: a video after the picture"),
    ],
)
def test_a_secret_is_dropped_and_the_pixels_stay(format: Format, body: bytes) -> None:
    assert SECRET in body
    stripped = strip(body, format, 1, NO_CREDITS)
    assert stripped is not None
    assert SECRET not in stripped
    assert_same_pixels(body, stripped)


@pytest.mark.parametrize(
    ("format", "body"),
    [
        pytest.param(Format.JPEG, jpeg_with(jpeg_segment(0xDC, b"\0\x20")), id="JPEG: unknown marker"),
        pytest.param(
            Format.JPEG, jpeg_with(jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + P3[:-9])), id="JPEG: damaged profile"
        ),
        pytest.param(
            Format.JPEG, jpeg_with(jpeg_segment(0xE2, b"ICC_PROFILE\0\1\2" + P3)), id="JPEG: incomplete profile"
        ),
        pytest.param(Format.JPEG, b"\xff\xd8\xff\xd9", id="JPEG: no picture"),
        pytest.param(Format.PNG, png_with(png_chunk(b"SeCr", b"")), id="PNG: unknown critical chunk"),
        pytest.param(Format.PNG, png_with(png_chunk(b"acTL", bytes(8))), id="PNG: animation"),
        pytest.param(
            Format.PNG, png_with(png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(SECRET))), id="PNG: damaged profile"
        ),
        pytest.param(Format.PNG, STARTS[Format.PNG] + png_chunk(b"IEND", b""), id="PNG: no picture"),
        pytest.param(Format.WEBP, webp_with(b"VP8L", SECRET), id="WebP: a second picture"),
        pytest.param(Format.WEBP, webp_with(b"ALPH", SECRET), id="WebP: alpha after the picture"),
        pytest.param(Format.WEBP, webp_with(b"ICCP", SECRET), id="WebP: damaged profile"),
        pytest.param(Format.GIF, STARTS[Format.GIF] + b"\x21\x01\x0c" + bytes(12) + b"\0\x3b", id="GIF: text to draw"),
        pytest.param(Format.GIF, STARTS[Format.GIF] + b"\x99\0\x3b", id="GIF: unknown block"),
    ],
)
def test_a_file_with_an_unknown_or_a_damaged_part_is_not_stripped(format: Format, body: bytes) -> None:
    assert strip(body, format, 1, NO_CREDITS) is None


def test_an_avif_is_not_stripped() -> None:
    body = bytes(drawing.photo(48, 32).heifsave_buffer(compression="av1", effort=0))
    assert strip(body, Format.AVIF, 1, NO_CREDITS) is None


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_file_is_not_stripped(kind: str) -> None:
    # A file that ends within its gain map still has a whole picture.
    files = ((seed.name, seed.body) for seed in seeds(None) if seed.kind == kind and "gain-map" not in seed.name)
    for name, body in files:
        for length in {*range(0, len(body), 7), len(body) - 1}:
            assert strip(body[:length], FORMATS[kind], 1, NO_CREDITS) is None, (name, length)


@examples(80)
@given(body=st.binary(max_size=400), format=st.sampled_from(Format), orientation=st.integers(1, 8), credits=any_credits)
def test_any_bytes_are_stripped_or_refused(body: bytes, format: Format, orientation: int, credits: Credits) -> None:
    for file in (body, STARTS.get(format, b"") + body):
        assert isinstance(strip(file, format, orientation, credits), bytes | None)


@examples(80)
@given(number=st.integers(0, 10**9), orientation=st.integers(1, 8), credits=any_credits)
def test_a_damaged_file_is_stripped_or_refused(number: int, orientation: int, credits: Credits) -> None:
    candidates = [seed for seed in seeds(None) if seed.kind in FORMATS]
    _, body = mutated(Random(number), candidates)  # noqa: S311  the same for the same number
    for format in FORMATS.values():
        assert isinstance(strip(body, format, orientation, credits), bytes | None)


def test_millions_of_parts_are_refused_without_reading_all_of_them() -> None:
    count = 10 * MAX_PARTS
    frame = bytes(16) + b"what\0\0\0\0" * count
    animation = b"VP8X\x0a\0\0\0\2" + bytes(9) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    for format, body in (
        (Format.JPEG, b"\xff\xd8" + b"\xff\xfe\0\2" * count),
        (Format.PNG, STARTS[Format.PNG] + png_chunk(b"tEXt", b"") * count),
        (Format.WEBP, b"RIFF" + struct.pack("<I", 4 + 8 * count) + b"WEBP" + b"what\0\0\0\0" * count),
        (Format.WEBP, b"RIFF" + struct.pack("<I", 4 + len(animation)) + b"WEBP" + animation),
        (Format.GIF, STARTS[Format.GIF] + b"\x21\xfe\0" * count),
    ):
        tracemalloc.start()
        try:
            assert strip(body, format, 1, NO_CREDITS) is None
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4 * len(body) + 500 * MAX_PARTS, format


def test_a_profile_that_inflates_without_end_is_refused() -> None:
    bomb = zlib.compress(bytes(64 * 1024**2))
    tracemalloc.start()
    try:
        assert strip(png_with(png_chunk(b"iCCP", b"icc\0\0" + bomb)), Format.PNG, 1, NO_CREDITS) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024**2
