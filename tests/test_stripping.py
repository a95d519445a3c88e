"""Files without their metadata, the pixels as they are."""

import io
from random import Random

import pyvips
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from image_scaler.credits import NO_CREDITS, Credits
from image_scaler.renditions import Format
from image_scaler.stripping import strip
from tests import drawing
from tests.drawing import decoded
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds

known = st.sampled_from([NO_CREDITS, Credits("(c) Zoe"), Credits("\u00a9 Zoe", "Zoe", "Agency")])
STARTS = {Format.JPEG: b"\xff\xd8", Format.PNG: b"\x89PNG\r\n\x1a\n", Format.WEBP: b"RIFF\0\0\0\0WEBP"}
SECRETS = (b"Leaky", b"52/1", b"secret place", b"UserComment", b"<?php")


@settings(max_examples=400, deadline=None)
@given(body=st.binary(max_size=400), format=st.sampled_from(Format), orientation=st.integers(1, 8), known=known)
def test_no_bytes_can_make_it_fail(body: bytes, format: Format, orientation: int, known: Credits) -> None:
    for whole in (body, STARTS.get(format, b"") + body):
        assert isinstance(strip(whole, format, orientation, known), bytes | None)


@settings(max_examples=400, deadline=None)
@given(number=st.integers(0, 10**9), orientation=st.integers(1, 8), known=known)
def test_no_damage_can_make_it_fail(number: int, orientation: int, known: Credits) -> None:
    kinds = {"jpeg": Format.JPEG, "png": Format.PNG, "riff": Format.WEBP}
    candidates = [seed for seed in seeds(None) if seed.kind in kinds]
    _, body = mutated(Random(number), candidates)  # noqa: S311  the same for the same number
    for format in kinds.values():
        assert isinstance(strip(body, format, orientation, known), bytes | None)


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
    image = image.copy()
    for field, value in {
        "exif-ifd0-Make": "Leaky Camera",
        "exif-ifd3-GPSLatitude": "52/1 31/1 0/1",
        "exif-ifd2-UserComment": "<?php system('x')",
    }.items():
        image.set_type(pyvips.GValue.gstr_type, field, value)
    image.set_type(pyvips.GValue.blob_type, "xmp-data", b"<x:xmpmeta>secret place</x:xmpmeta>")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    if format == "webp":
        del options["interlace"]
    body = bytes(getattr(image, f"{format}save_buffer")(**options))
    assert b"Leaky" in body
    stripped = strip(body, Format(format), orientation, known)
    if format != "jpeg" and (orientation != 1 or any(known)):
        assert stripped is None  # these formats are then encoded anew
        return
    assert stripped is not None
    before, after = decoded(body), decoded(stripped)
    assert (before - after).abs().max() == 0
    assert (before.get_typeof("icc-profile-data"), after.get_typeof("exif-ifd0-Make")) == (
        after.get_typeof("icc-profile-data"),
        0,
    )
    for secret in SECRETS:
        assert secret not in stripped
    exif = Image.open(io.BytesIO(stripped)).getexif()
    assert not exif.get_ifd(0x8825)
    assert exif.keys() <= {0x0112, 0x013B, 0x8298}
    assert exif.get(0x0112, 1) == orientation
    assert strip(stripped, Format(format), orientation, known) == stripped
