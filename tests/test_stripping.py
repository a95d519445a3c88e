"""Files without their metadata, the pixels as they are."""

import io
import struct
import zlib
from random import Random

import pytest
import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_scaler.images.attribution import NO_CREDITS, Credits
from image_scaler.images.stripping import strip
from image_scaler.renditions.formats import Format
from tests import drawing
from tests.drawing import decoded
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds

known = st.sampled_from([NO_CREDITS, Credits("(c) Zoe"), Credits("\u00a9 Zoe", "Zoe", "Agency")])
STARTS = {
    Format.JPEG: b"\xff\xd8",
    Format.PNG: b"\x89PNG\r\n\x1a\n",
    Format.WEBP: b"RIFF\0\0\0\0WEBP",
    Format.GIF: b"GIF89a\1\0\1\0\0\0\0",
    Format.AVIF: b"\0\0\0\x10ftypavif\0\0\0\0\0\0\1\0meta\0\0\0\0",
}
SECRETS = (b"Leaky", b"52/1", b"secret place", b"UserComment", b"<?php")


@settings(max_examples=400, deadline=None)
@given(body=st.binary(max_size=400), format=st.sampled_from(Format), orientation=st.integers(1, 8), known=known)
def test_no_bytes_can_make_it_fail(body: bytes, format: Format, orientation: int, known: Credits) -> None:
    for whole in (body, STARTS.get(format, b"") + body):
        assert isinstance(strip(whole, format, orientation, known), bytes | None)


@settings(max_examples=400, deadline=None)
@given(number=st.integers(0, 10**9), orientation=st.integers(1, 8), known=known)
def test_no_damage_can_make_it_fail(number: int, orientation: int, known: Credits) -> None:
    kinds = {"jpeg": Format.JPEG, "png": Format.PNG, "riff": Format.WEBP, "gif": Format.GIF, "boxes": Format.AVIF}
    candidates = [seed for seed in seeds(None) if seed.kind in kinds]
    _, body = mutated(Random(number), candidates)  # noqa: S311  the same for the same number
    for format in kinds.values():
        assert isinstance(strip(body, format, orientation, known), bytes | None)


def laden(image: pyvips.Image, orientation: int = 1) -> pyvips.Image:
    """The image with what a camera says, and what an attacker adds."""
    exif = {
        "ifd0-Make": "Leaky Camera",
        "ifd3-GPSLatitude": "52/1 31/1 0/1",
        "ifd2-UserComment": "<?php system('x')",
    }
    image = drawing.saying(image, exif, "<x:xmpmeta>secret place</x:xmpmeta>")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return image


def assert_same_pixels(one: bytes, other: bytes) -> None:
    before, after = (pyvips.Image.new_from_buffer(body, "", fail_on="error") for body in (one, other))
    assert (before.width, before.height, before.bands) == (after.width, after.height, after.bands)
    assert (before - after).abs().max() == 0
    assert before.get_typeof("icc-profile-data") == after.get_typeof("icc-profile-data")


@settings(max_examples=150, deadline=None)
@given(
    format=st.sampled_from(["jpeg", "png", "webp"]),
    options=st.fixed_dictionaries({"Q": st.integers(1, 100), "interlace": st.booleans()}),
    has_alpha=st.booleans(),
    has_profile=st.booleans(),
    orientation=st.integers(1, 8),
    known=known,
)
def test_the_pixels_and_the_profile_stay_and_all_else_goes(
    format: str, options: dict[str, object], has_alpha: bool, has_profile: bool, orientation: int, known: Credits
) -> None:
    image = drawing.photo(48, 32)
    if has_profile:
        image = image.icc_transform("p3", input_profile="srgb")
    if has_alpha and format != "jpeg":
        image = drawing.with_alpha(image)
    if format == "webp":
        del options["interlace"]
    body = bytes(getattr(laden(image, orientation), f"{format}save_buffer")(**options))
    assert b"Leaky" in body
    stripped = strip(body, Format(format), orientation, known)
    if format != "jpeg" and orientation != 1:
        assert stripped is None  # these formats are then encoded anew
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
    # A PNG's credits stand in its XMP too, and Pillow reads text in EXIF as Latin-1.
    assert exif.get(0x8298, "").encode("latin-1") == known.copyright.encode()
    assert exif.get(0x013B, "") == known.artist
    assert known.credit.encode() in stripped
    assert strip(stripped, Format(format), orientation, known) == stripped


@settings(max_examples=40, deadline=None)
@given(quality=st.integers(1, 100), has_alpha=st.booleans(), has_profile=st.booleans(), is_large=st.booleans())
def test_of_an_avif_the_exif_and_the_xmp_are_blanked(
    quality: int, has_alpha: bool, has_profile: bool, is_large: bool
) -> None:
    image = drawing.photo(300, 200) if is_large else drawing.photo(48, 32)
    if has_profile:
        image = image.icc_transform("p3", input_profile="srgb")
    if has_alpha:
        image = drawing.with_alpha(image)
    body = bytes(laden(image).heifsave_buffer(Q=quality, compression="av1", effort=0))
    assert b"Leaky" in body
    stripped = strip(body, Format.AVIF, 1, NO_CREDITS)
    assert stripped is not None
    assert_same_pixels(body, stripped)
    for secret in SECRETS:
        assert secret not in stripped
    assert not Image.open(io.BytesIO(stripped)).getexif()
    assert strip(stripped, Format.AVIF, 1, NO_CREDITS) == stripped
    assert strip(body, Format.AVIF, 1, Credits("(c) Zoe")) is None  # it has no room for that


def test_an_avif_that_holds_more_than_the_one_picture_is_not_kept() -> None:
    plain = bytes(drawing.photo(48, 32).heifsave_buffer(compression="av1", effort=0, keep="none"))
    assert strip(plain, Format.AVIF, 1, NO_CREDITS) == plain
    note = b"a note"
    free = struct.pack(">I4s", 8 + len(note), b"free") + note
    assert strip(plain + free, Format.AVIF, 1, NO_CREDITS) is None
    at = plain.index(b"mdat") - 4
    (length,) = struct.unpack(">I", plain[at : at + 4])
    longer = plain[:at] + struct.pack(">I", length + len(note)) + plain[at + 4 :] + note
    assert strip(longer, Format.AVIF, 1, NO_CREDITS) is None
    heic = next(seed.body for seed in seeds(None) if b"ftypheic" in seed.body[:16])
    assert strip(heic, Format.AVIF, 1, NO_CREDITS) is None


def test_an_avif_whose_items_share_bytes_is_not_kept() -> None:
    body = bytes(laden(drawing.photo(48, 32)).heifsave_buffer(compression="av1", effort=0))
    picture, exif, xmp = (body.index(start) for start in (b"\x12\x00\x0a", b"\0\0\0\6Exif", b"<x:xmpmeta"))
    assert picture < exif < xmp
    # The EXIF lies over the picture, and the XMP over all behind it: blanked, the picture would be damaged.
    moved = body.replace(struct.pack(">I", exif), struct.pack(">I", picture), 1)
    before, after = (struct.pack(">IHII", at, 1, 0, len(body) - at) for at in (xmp, exif))
    assert before in moved
    moved = moved.replace(before, after, 1)
    assert len(moved) == len(body)
    assert decoded(moved).width == 48
    assert strip(body, Format.AVIF, 1, NO_CREDITS) is not None
    assert strip(moved, Format.AVIF, 1, NO_CREDITS) is None


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 4), comment=st.binary(min_size=1, max_size=600), loop=st.integers(0, 5))
def test_of_a_gif_only_the_frames_their_times_and_the_loop_stay(frames: int, comment: bytes, loop: int) -> None:
    roll = pyvips.Image.arrayjoin([drawing.photo(24, 16, seed) for seed in range(frames)], across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 16)
    roll.set_type(pyvips.GValue.array_int_type, "delay", [50, 100, 150, 200][:frames])
    roll.set_type(pyvips.GValue.gint_type, "loop", loop)
    plain = bytes(roll.gifsave_buffer())
    stripped = strip(plain, Format.GIF, 1, Credits("(c) Zoe"))
    assert stripped is not None
    comment = comment.replace(b"\0", b"x")
    said = b"".join(
        bytes([len(part)]) + part for part in (comment[at : at + 255] for at in range(0, len(comment), 255))
    )
    at = 13 + 3 * (2 << (plain[10] & 7))
    laden_gif = plain[:at] + b"\x21\xfe" + said + b"\0" + b"\x21\xff\x0bXMP DataXMP" + said + b"\0" + plain[at:]
    assert strip(laden_gif + b"<?php system('x')", Format.GIF, 1, NO_CREDITS) == stripped
    before, after = (pyvips.Image.new_from_buffer(body, "", n=-1) for body in (plain, stripped))
    assert (before - after).abs().max() == 0
    for field in ("n-pages", "delay", "loop"):
        assert (before.get_typeof(field) and before.get(field)) == (after.get_typeof(field) and after.get(field)), field


def test_what_hides_in_a_frame_of_a_webp_goes() -> None:
    roll = pyvips.Image.arrayjoin([drawing.photo(24, 16, seed) for seed in range(3)], across=1).copy()
    roll.set_type(pyvips.GValue.gint_type, "page-height", 16)
    body = bytes(roll.webpsave_buffer(Q=50, keep="none"))
    at = body.index(b"ANMF")
    (length,) = struct.unpack("<I", body[at + 4 : at + 8])
    end, hidden = at + 8 + length, b"EXIF\x06\0\0\0Leaky "
    frame = b"ANMF" + struct.pack("<I", length + len(hidden)) + body[at + 8 : end] + hidden
    laden_webp = b"RIFF" + struct.pack("<I", len(body) - 8 + len(hidden)) + body[8:at] + frame + body[end:]
    assert strip(laden_webp, Format.WEBP, 1, NO_CREDITS) == strip(body, Format.WEBP, 1, NO_CREDITS) == body


@pytest.mark.parametrize("code", [b"<?php", b"<?PHP", b"<script>"])
def test_pixels_that_spell_code_are_encoded_anew(code: bytes) -> None:
    body = drawing.jpeg(drawing.photo(48, 32))
    at = len(body) // 2
    assert strip(body, Format.JPEG, 1, NO_CREDITS) is not None
    assert strip(body[:at] + code + body[at:], Format.JPEG, 1, NO_CREDITS) is None


SMUGGLED = b"52.5200N-SERIAL"


def jpeg_with(parts: bytes, *, after_pixels: bool = False) -> bytes:
    body = drawing.jpeg(drawing.photo(48, 32), keep="none")
    return body[:-2] + parts + body[-2:] if after_pixels else body[:2] + parts + body[2:]


def png_with(name: bytes, content: bytes, *, before: bytes = b"IDAT") -> bytes:
    body = bytes(drawing.photo(48, 32).pngsave_buffer(keep="none"))
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    at = body.index(before) - 4 if before else len(body)
    return body[:at] + chunk + body[at:]


def png_of_rows_and(more: bytes) -> bytes:
    body = bytes(drawing.photo(48, 32).pngsave_buffer(keep="none", compression=0))
    at = body.index(b"IDAT")
    (length,) = struct.unpack(">I", body[at - 4 : at])
    rows = zlib.compress(zlib.decompress(body[at + 4 : at + 4 + length]) + more, 0)
    chunk = b"IDAT" + rows
    return body[: at - 4] + struct.pack(">I", len(rows)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + body[-12:]


def webp_with(name: bytes, content: bytes, *, first: bool = False) -> bytes:
    chunks = bytes(drawing.photo(48, 32).webpsave_buffer(keep="none"))[12:]
    added = name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    inner = b"WEBP" + (added + chunks if first else chunks + added)
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def test_only_what_stands_behind_the_last_row_of_a_png_makes_it_unfit() -> None:
    assert strip(png_of_rows_and(b""), Format.PNG, 1, NO_CREDITS) is not None
    assert strip(png_of_rows_and(b"x"), Format.PNG, 1, NO_CREDITS) is None


@settings(max_examples=100, deadline=None)
@given(
    width=st.integers(1, 20),
    height=st.integers(1, 20),
    bits=st.sampled_from([1, 2, 4, 8, 16]),
    bands=st.integers(1, 4),
    is_interlaced=st.booleans(),
)
def test_a_png_whose_rows_are_all_there_and_no_more_is_kept(
    width: int, height: int, bits: int, bands: int, is_interlaced: bool
) -> None:
    bits = bits if bands == 1 else max(bits, 8)
    image = pyvips.Image.black(width, height, bands=bands).copy(interpretation="b-w" if bands < 3 else "srgb")
    if bits == 16:
        image = image.cast("ushort").copy(interpretation="grey16" if bands < 3 else "rgb16")
    body = bytes(image.pngsave_buffer(bitdepth=bits, interlace=is_interlaced, keep="none"))
    assert body[24] == bits
    stripped = strip(body, Format.PNG, 1, NO_CREDITS)
    assert stripped is not None
    assert_same_pixels(body, stripped)


SEGMENT = struct.pack(">H", 2 + len(SMUGGLED)) + SMUGGLED


@pytest.mark.parametrize(
    ("format", "body"),
    [
        pytest.param(Format.JPEG, jpeg_with(b"\xff\xe1" + SEGMENT), id="JPEG: APP1"),
        pytest.param(Format.JPEG, jpeg_with(b"\xff\xfe" + SEGMENT), id="JPEG: comment"),
        pytest.param(Format.JPEG, jpeg_with(b"\xff\xff\xe1" + SEGMENT), id="JPEG: a fill byte before APP1"),
        pytest.param(Format.JPEG, jpeg_with(b"\xff\x01\xff\xe1" + SEGMENT), id="JPEG: TEM before APP1"),
        pytest.param(Format.JPEG, jpeg_with(b"\xff\xdb" + SEGMENT), id="JPEG: a table that is none"),
        pytest.param(Format.JPEG, jpeg_with(b"\xff\xdc" + SEGMENT), id="JPEG: DNL"),
        pytest.param(
            Format.JPEG,
            jpeg_with(b"\xff\xe2" + struct.pack(">H", 31) + b"ICC_PROFILE\0\1\1" + SMUGGLED),
            id="JPEG: a profile that is none",
        ),
        pytest.param(Format.JPEG, jpeg_with(b"\xff\xfe" + SEGMENT, after_pixels=True), id="JPEG: comment at the end"),
        pytest.param(Format.JPEG, jpeg_with(b"\xff\xc4" + SEGMENT, after_pixels=True), id="JPEG: table at the end"),
        pytest.param(Format.JPEG, jpeg_with(b"") + SMUGGLED, id="JPEG: behind it"),
        pytest.param(Format.PNG, png_with(b"tEXt", b"GPS\0" + SMUGGLED), id="PNG: text"),
        pytest.param(Format.PNG, png_with(b"gAMA", SMUGGLED), id="PNG: a gamma that is none"),
        pytest.param(Format.PNG, png_with(b"tRNS", SMUGGLED), id="PNG: transparency that is none"),
        pytest.param(Format.PNG, png_with(b"PLTE", SMUGGLED), id="PNG: a palette that is not used"),
        pytest.param(Format.PNG, png_with(b"iCCP", SMUGGLED + b"\0\0" + zlib.compress(b"x")), id="PNG: profile's name"),
        pytest.param(Format.PNG, png_with(b"IDAT", SMUGGLED, before=b"IEND"), id="PNG: behind the compressed pixels"),
        pytest.param(Format.PNG, png_of_rows_and(SMUGGLED), id="PNG: behind the last row"),
        pytest.param(Format.PNG, png_with(b"tEXt", SMUGGLED, before=b""), id="PNG: behind it"),
        pytest.param(Format.PNG, png_with(b"SeCr", SMUGGLED), id="PNG: an unknown critical chunk"),
        pytest.param(Format.WEBP, webp_with(b"EXIF", SMUGGLED), id="WebP: EXIF"),
        pytest.param(Format.WEBP, webp_with(b"what", SMUGGLED), id="WebP: an unknown chunk"),
        pytest.param(Format.WEBP, webp_with(b"VP8L", SMUGGLED), id="WebP: a second picture"),
        pytest.param(Format.WEBP, webp_with(b"ALPH", SMUGGLED), id="WebP: alpha behind the picture"),
        pytest.param(Format.WEBP, webp_with(b"VP8X", bytes(10) + SMUGGLED, first=True), id="WebP: a longer header"),
        pytest.param(Format.WEBP, webp_with(b"ICCP", SMUGGLED, first=True), id="WebP: a profile that is none"),
        pytest.param(Format.WEBP, webp_with(b"what", b"") + SMUGGLED, id="WebP: behind it"),
    ],
)
def test_nothing_can_be_smuggled_past_it(format: Format, body: bytes) -> None:
    assert SMUGGLED in body
    assert SMUGGLED not in (strip(body, format, 1, NO_CREDITS) or b"")
