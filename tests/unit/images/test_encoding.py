"""The effect of each field of a rendition on its pixels and bytes."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
import pyvips
from PIL import Image, ImageDraw, ImageFont

from image_scaler.exceptions import DamagedImageError, ImageTooLargeError, UnsupportedImageError
from image_scaler.images import vips
from image_scaler.images.attribution import read_credits
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Point
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import BLUE, QUADRANTS, RED, YELLOW, corners, decoded, is_near


def render(body: bytes, table: str, key: str = "a.png", focal_point: Point | None = None) -> Rendition:
    (rendition,) = SourceImage(body).render(
        parse_recipe(f"[renditions.x]\n{table}").plan_for(key).renditions, focal_point
    )
    return rendition


@pytest.mark.parametrize(
    ("point", "colours"),
    [((0.0, 0.0), {RED}), ((1.0, 1.0), {YELLOW}), ((0.1, 0.9), {BLUE}), ((0.5, 0.5), set(QUADRANTS.values()))],
)
def test_cover_keeps_the_part_around_the_focal_point(point: tuple[float, float], colours: set[tuple[int, ...]]) -> None:
    body = drawing.png(drawing.quadrants(800, 100))
    tall = drawing.png(drawing.quadrants(100, 800))
    seen = set()
    for source in (body, tall):
        image = decoded(render(source, "width = 100\nheight = 100", focal_point=Point(*point)).body)
        assert (image.width, image.height) == (100, 100)
        seen |= {tuple(colour) for colour in corners(image).values()}
    assert any(is_near(colour, expected) for colour in seen for expected in colours)
    assert all(any(is_near(c, wanted) for c in seen) for wanted in colours)


def test_trim_cuts_off_a_border_of_one_colour_before_scaling() -> None:
    framed = drawing.quadrants(200, 100).embed(40, 30, 300, 200, extend="background", background=[250, 250, 250])
    rendition = render(drawing.png(framed), "width = 100\ntrim = true")
    assert rendition.size == (100, 50)
    for place, colour in QUADRANTS.items():
        assert is_near(corners(decoded(rendition.body))[place], colour), place


def test_trim_keeps_an_image_of_one_colour() -> None:
    plain = drawing.srgb(np.full((40, 60, 3), 90, np.uint8))
    assert render(drawing.png(plain), "width = 30\ntrim = true").size == (30, 20)


def test_sharpen_makes_edges_steeper() -> None:
    body = drawing.png(drawing.quadrants(900, 600))
    soft, sharp = (decoded(render(body, f"width = 300\nsharpen = {on}").body) for on in ("false", "true"))

    def steepness(image: pyvips.Image) -> float:
        return float(image.colourspace("b-w").cast("float").conv(laplacian).abs().max())

    laplacian = pyvips.Image.new_from_list([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    assert steepness(sharp) > steepness(soft) * 1.2


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_max_bytes_gives_the_best_quality_that_fits(format: str) -> None:
    body = drawing.png(drawing.photo(360, 240))
    free = render(body, f'width = 240\nformat = "{format}"').body
    budget = len(free) * 2 // 3
    kept = render(body, f'width = 240\nformat = "{format}"\nmax_bytes = {budget}').body
    assert budget * 0.8 < len(kept) <= budget
    assert render(body, f'width = 240\nformat = "{format}"\nmax_bytes = {len(free)}').body == free


def test_max_bytes_below_every_quality_gives_the_lowest_quality() -> None:
    body = drawing.png(drawing.photo(300, 200))
    assert render(body, 'width = 200\nformat = "webp"\nmax_bytes = 10').body == (
        render(body, 'width = 200\nformat = "webp"\nquality = 1').body
    )


def test_progressive_jpeg_and_interlaced_png() -> None:
    for format in ("jpeg", "png"):
        plain, progressive = (
            decoded(render(drawing.png(), f'width = 90\nformat = "{format}"\nprogressive = {on}').body)
            for on in ("false", "true")
        )
        assert plain.get_typeof("interlaced") == 0
        assert progressive.get("interlaced") == 1


STANDARD_TABLE = bytes.fromhex("00 01 05 01 01 01 01 01 01 00 00 00 00 00 00 00")
"""The lengths of the codes in the table for DC luminance of ITU-T T.81, annex K.3."""


@pytest.mark.parametrize(
    ("draw", "table", "has_its_own"),
    [
        pytest.param(drawing.photo, "width = 1000", False, id="large and full of detail"),
        pytest.param(drawing.photo, "width = 400", True, id="small"),
        pytest.param(lambda: drawing.quadrants(1600, 1200), "width = 1000", True, id="large and smooth"),
        pytest.param(drawing.photo, "width = 1000\nprogressive = true", True, id="progressive"),
        pytest.param(drawing.photo, "width = 1000\nmax_bytes = 90000", True, id="with a budget"),
    ],
)
def test_a_jpeg_gets_its_own_huffman_tables_if_they_are_worth_their_time(
    draw: Callable[[], pyvips.Image], table: str, has_its_own: bool
) -> None:
    rendition = render(drawing.jpeg(draw()), table + '\nformat = "jpeg"')
    assert (STANDARD_TABLE in rendition.body) is not has_its_own


def test_chroma_subsampling() -> None:
    body = drawing.png()
    for said, got in (
        ("", "4:2:0"),
        ('chroma_subsampling = "4:4:4"', "4:4:4"),
        ('chroma_subsampling = "4:2:0"', "4:2:0"),
    ):
        image = decoded(render(body, f'width = 90\nformat = "jpeg"\nquality = 95\n{said}').body)
        assert image.get("jpeg-chroma-subsample") == got


@pytest.mark.parametrize("format", ["webp", "avif"])
def test_lossless_keeps_every_pixel(format: str) -> None:
    image = drawing.photo(200, 100)
    out = decoded(render(drawing.png(image), f'format = "{format}"\nlossless = true').body)
    assert (out - image).abs().max() == 0


def test_a_palette_makes_a_png_of_at_most_256_colours() -> None:
    body = drawing.png(drawing.photo(200, 100))
    full, palette = (render(body, f'width = 150\nformat = "png"\npalette = {on}').body for on in ("false", "true"))
    assert len(palette) < len(full) / 2
    pixels = decoded(palette).numpy().reshape(-1, 3)
    assert len(np.unique(pixels, axis=0)) <= 256


def test_more_effort_makes_smaller_files() -> None:
    body = drawing.png(drawing.photo(450, 300))
    for format, low, high in (("webp", 0, 6), ("avif", 0, 4)):
        sizes = [len(render(body, f'width = 300\nformat = "{format}"\neffort = {e}').body) for e in (low, high)]
        assert sizes[1] < sizes[0], format


def test_a_png_of_a_photograph_is_filtered_and_one_of_print_is_not() -> None:
    random = np.random.default_rng(3)
    page = Image.new("RGB", (400, 300), "white")
    for top in range(5, 290, 18):
        words = " ".join("".join(map(chr, random.integers(97, 123, 6))) for _ in range(8))
        ImageDraw.Draw(page).text((6, top), words, font=ImageFont.load_default(13), fill=(20, 20, 20))
    printed = drawing.srgb(np.asarray(page))
    for image, better, worse in ((drawing.photo(400, 300), "all", "none"), (printed, "none", "all")):
        sizes = {name: len(image.pngsave_buffer(compression=6, filter=name, keep="none")) for name in (better, worse)}
        assert sizes[better] < sizes[worse]
        assert len(render(drawing.png(image), 'width = 400\nformat = "png"').body) <= sizes[better]


@pytest.mark.parametrize(
    ("format", "small", "large"), [("webp", 5, 2), pytest.param("avif", 4, 3, marks=pytest.mark.slow)]
)
def test_a_small_image_gets_more_effort_than_a_large_one_unless_it_says_how_much(
    format: str, small: int, large: int
) -> None:
    for width, effort, other in ((600, small, large), (800, large, small)):
        body = drawing.png(drawing.photo(width, width * 2 // 3))
        default, same, not_same = (
            render(body, f'format = "{format}"\nquality = 20\n{line}').body
            for line in ("", f"effort = {effort}", f"effort = {other}")
        )
        assert default == same != not_same


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_at_its_own_size_and_format_an_image_never_gets_larger_and_keeps_its_pixels(format: str) -> None:
    image = drawing.saying(drawing.photo(300, 200), {"ifd0-Make": "Leaky Camera"})
    saver = {
        "jpeg": ("jpegsave_buffer", {"Q": 20}),
        "png": ("pngsave_buffer", {"compression": 9}),
        "webp": ("webpsave_buffer", {"Q": 10, "effort": 6}),
    }
    name, options = saver[format]
    body = bytes(getattr(image, name)(**options))
    out = render(body, "quality = 100" if format != "png" else "progressive = true", key=f"a.{format}").body
    assert len(out) <= len(body)
    assert b"Leaky Camera" in body
    assert b"Leaky Camera" not in out
    assert (decoded(out) - decoded(body)).abs().max() == 0


def test_a_rotated_jpeg_whose_pixels_are_kept_is_upright() -> None:
    upright = drawing.quadrants()
    turned = upright.rot270().copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    body = bytes(turned.jpegsave_buffer(Q=30))
    rendition = render(body, "quality = 100", key="a.jpg")
    assert len(rendition.body) <= len(body)
    image = decoded(rendition.body).autorot()
    assert rendition.size == (image.width, image.height) == (400, 300)
    for place, colour in QUADRANTS.items():
        assert is_near(corners(image)[place], colour, 30), place


def photographed(format: str) -> bytes:
    """An image with everything in it that a camera and an agency leave there."""
    exif = {
        "ifd0-Make": "Leaky Camera",
        "ifd0-Artist": "Zoe Photographer",
        "ifd0-Copyright": "(c) 2026 Zoe",
        "ifd3-GPSLatitude": "52/1 31/1 0/1",
        "ifd2-BodySerialNumber": "SN12345",
        "ifd2-UserComment": "<?php system('x')",
    }
    xmp = (
        '<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Credit="Æther &amp; Co" '
        'xmlns:x2="x" x2:Place="secret place"/></rdf:RDF></x:xmpmeta>'
    )
    image = drawing.saying(drawing.quadrants(), exif, xmp)
    savers = {"jpeg": "jpegsave_buffer", "png": "pngsave_buffer", "webp": "webpsave_buffer"}
    return bytes(getattr(image, savers[format])())


SECRETS = (b"Leaky", b"SN12345", b"secret place", b"<?php", b"GPS")


@pytest.mark.parametrize("source", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_only_copyright_artist_and_credit_remain_of_the_metadata(source: str, format: str) -> None:
    image = decoded(render(photographed(source), f'width = 100\nformat = "{format}"').body)
    fields = {name: str(image.get(name)) for name in image.get_fields()}
    assert fields["exif-ifd0-Copyright"].startswith("(c) 2026 Zoe ")
    assert fields["exif-ifd0-Artist"].startswith("Zoe Photographer ")
    packet = image.get("xmp-data").decode()
    assert "<photoshop:Credit>Æther &amp; Co</photoshop:Credit>" in packet
    everything = b"".join(
        value if isinstance(value, bytes) else str(value).encode() for value in map(image.get, image.get_fields())
    )
    for secret in SECRETS:
        assert secret not in everything


def test_a_gif_has_the_credits_and_nothing_else_of_the_metadata() -> None:
    body = render(photographed("jpeg"), 'width = 100\nformat = "gif"').body
    found = read_credits({}, body)
    assert (found.copyright, found.artist, found.credit) == ("(c) 2026 Zoe", "Zoe Photographer", "Æther & Co")
    for secret in SECRETS:
        assert secret not in body


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif", "gif"])
def test_keep_copyright_false_removes_the_copyright(format: str) -> None:
    body = render(photographed("jpeg"), f'width = 100\nkeep_copyright = false\nformat = "{format}"').body
    for secret in (*SECRETS, b"Zoe", b"Exif", b"xmpmeta"):
        assert secret not in body
    assert not any(name.startswith(("exif", "xmp", "iptc")) for name in decoded(body).get_fields())


def test_a_profile_can_be_kept_rather_than_converted() -> None:
    p3 = drawing.quadrants().icc_transform("p3", input_profile="srgb")
    body = drawing.png(p3)
    image = decoded(render(body, 'width = 200\nformat = "png"\nkeep_profile = true').body)
    assert image.get("icc-profile-data") == decoded(body).get("icc-profile-data")
    assert is_near(tuple(image(20, 20)), tuple(round(band) for band in decoded(body)(20, 20)), 2)


def test_a_broken_profile_is_ignored() -> None:
    image = drawing.quadrants().copy()
    profile = pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb").icc_transform("p3", input_profile="srgb")
    damaged = bytearray(profile.get("icc-profile-data"))
    damaged[128:400] = b"\xff" * 272
    for broken in (bytes(damaged), b"no profile at all" * 20):
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", broken)
        body = bytes(image.jpegsave_buffer(Q=95))
        out = decoded(render(body, "width = 200").body)
        for place, colour in QUADRANTS.items():
            assert is_near(corners(out)[place], colour, 14), place


def test_renditions_of_equal_size_and_format_have_the_same_bytes() -> None:
    targets = (
        parse_recipe("[renditions.web]\nwidths = [640, 1280]\n[renditions.huge]\nwidth = 9000")
        .plan_for("a.png")
        .targets
    )
    bodies = [rendition.body for rendition in SourceImage(drawing.png()).render(targets)]
    assert len(bodies) == 3
    assert bodies[0] is bodies[1] is bodies[2]


def test_the_error_of_a_limit_has_its_name_the_value_and_how_to_raise_it() -> None:
    body = drawing.jpeg(drawing.photo(400, 300), interlace=True)
    cases = {
        "the source has [0-9,]+ bytes but the limit is 1,000: raise limits.source_bytes in renditions.toml": Limits(
            source_bytes=1000
        ),
        "the image has 400 x 300 pixels but the limit is 100,000: raise limits.pixels in": Limits(pixels=100_000),
        "but the limit is 9,000 for an image that must be held in memory completely: raise limits.buffered_pixels": (
            Limits(buffered_pixels=9_000)
        ),
        "400 x 300 pixels need about 131 MB but the function has 130 MB: raise memorySize": Limits(
            memory=130 * 1024**2
        ),
    }
    for sentence, limits in cases.items():
        with pytest.raises(ImageTooLargeError, match=sentence):
            SourceImage(body, limits)


def test_frames_count_as_pixels() -> None:
    roll = pyvips.Image.black(100, 100 * 50).copy(interpretation="b-w")
    noise = (roll + pyvips.Image.gaussnoise(100, 5000)).cast("uchar").copy()
    noise.set_type(pyvips.GValue.gint_type, "page-height", 100)
    with pytest.raises(ImageTooLargeError, match=r"100 x 100 x 50 frames"):
        SourceImage(bytes(noise.gifsave_buffer()), Limits(pixels=400_000))


def test_svg_is_read_only_if_it_is_allowed() -> None:
    rectangle = b'<rect width="80" height="40" fill="#dc1e1e"/>'
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40">' + rectangle + b"</svg>"
    with pytest.raises(UnsupportedImageError):
        SourceImage(svg)
    vips.configure(allow_svg=True)
    try:
        rendition = render(svg, 'width = 40\nformat = "png"')
        assert rendition.size == (40, 20)
        assert is_near(tuple(decoded(rendition.body)(20, 10))[:3], RED, 2)
    finally:
        vips.configure()
    with pytest.raises(UnsupportedImageError):
        SourceImage(svg)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_heic_is_read(mode: str) -> None:
    picture = Image.fromarray(drawing.quadrants(201, 133).numpy()).convert(mode)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture).save(buffer, quality=95)
    source = SourceImage(buffer.getvalue())
    assert (source.format, source.size) == (Format.HEIC, (201, 133))
    out = decoded(render(buffer.getvalue(), 'width = 100\nformat = "png"').body)
    assert (out.width, out.height) == (100, 66)
    plain = io.BytesIO()
    picture.save(plain, "png")
    reference = decoded(render(plain.getvalue(), "width = 100").body)
    for place, colour in corners(reference).items():
        assert is_near(corners(out)[place][: len(colour)], colour, 20), place


def test_a_cut_off_heic_is_rejected() -> None:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(drawing.photo(300, 200).numpy())).save(buffer)
    with pytest.raises((DamagedImageError, UnsupportedImageError)):
        render(buffer.getvalue()[: len(buffer.getvalue()) // 2], "width = 50")


def test_bytes_after_the_end_of_a_jpeg_are_dropped() -> None:
    body = bytes(drawing.photo(120, 90).jpegsave_buffer(Q=15)) + b"PK\x03\x04 a hidden archive"
    out = render(body, "quality = 100", key="a.jpg").body
    assert b"hidden" not in out
    assert struct.unpack(">H", out[-2:]) == (0xFFD9,)
