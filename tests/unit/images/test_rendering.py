from collections.abc import Callable

import numpy as np
import pytest
import pyvips

from image_scaler.exceptions import DamagedImageError, ImageTooLargeError, UnsupportedImageError
from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
from tests.support.drawing import BLUE, GREEN, QUADRANTS, RED, YELLOW, corners, decoded, is_near


def render(body: bytes, table: str, key: str = "a.png") -> Rendition:
    (rendition,) = SourceImage(body).render(parse_recipe(f"[renditions.x]\n{table}").plan_for(key).renditions)
    return rendition


SAVERS: dict[str, Callable[[pyvips.Image], bytes]] = {
    "JPEG": drawing.jpeg,
    "PNG": drawing.png,
    "WebP": lambda image: image.webpsave_buffer(Q=95),
    "GIF": lambda image: image.gifsave_buffer(),
    "AVIF": lambda image: image.heifsave_buffer(Q=90, compression="av1", effort=0),
    "TIFF": lambda image: image.tiffsave_buffer(),
}


@pytest.mark.parametrize("source_format", SAVERS)
@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_every_source_format_becomes_every_output_format(source_format: str, format: str) -> None:
    body = SAVERS[source_format](drawing.quadrants())
    source = SourceImage(body)
    assert (source.format.traits.title, source.size) == (source_format, (400, 300))
    rendition = render(body, f'width = 200\nformat = "{format}"')
    image = decoded(rendition.body)
    assert rendition.size == (image.width, image.height) == (200, 150)
    loader = {"avif": "heifload_buffer"}.get(format, f"{format}load_buffer")
    assert image.get("vips-loader") == loader
    for place, colour in QUADRANTS.items():
        assert is_near(corners(image)[place][:3], colour, 20), place


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(orientation: int) -> None:
    # Each EXIF orientation says how the stored picture must be turned; so store it turned the other way.
    upright = drawing.quadrants()
    stored = {
        1: upright,
        2: upright.fliphor(),
        3: upright.rot180(),
        4: upright.flipver(),
        5: upright.rot90().fliphor(),
        6: upright.rot270(),
        7: upright.rot270().fliphor(),
        8: upright.rot90(),
    }[orientation]
    body = drawing.jpeg(stored, orientation=orientation)
    assert SourceImage(body).size == (400, 300)
    rendition = render(body, "width = 200")
    image = decoded(rendition.body)
    assert (image.width, image.height) == (200, 150)
    assert image.get_typeof("orientation") == 0
    for place, colour in QUADRANTS.items():
        assert is_near(corners(image)[place], colour), place


@pytest.mark.parametrize(
    ("position", "colours"),
    [
        ("left", [RED, RED, BLUE, BLUE]),
        ("right", [GREEN, GREEN, YELLOW, YELLOW]),
        ("centre", [RED, GREEN, BLUE, YELLOW]),
    ],
)
def test_cover_keeps_the_part_at_the_position(position: str, colours: list[tuple[int, ...]]) -> None:
    rendition = render(drawing.png(), f'width = 60\nheight = 150\nfit = "cover"\nposition = "{position}"')
    assert rendition.size == (60, 150)
    for colour, expected in zip(corners(decoded(rendition.body)).values(), colours, strict=True):
        assert is_near(colour, expected)


@pytest.mark.parametrize("position", ["attention", "entropy"])
def test_a_smart_crop_keeps_the_salient_part(position: str) -> None:
    plain = pyvips.Image.black(600, 200, bands=3).copy(interpretation="srgb") + 90
    eye_catcher = drawing.photo(100, 100)
    image = plain.insert(eye_catcher, 480, 50).cast("uchar").copy(interpretation="srgb")
    rendition = render(drawing.png(image), f'width = 200\nheight = 200\nposition = "{position}"')
    assert rendition.size == (200, 200)
    assert decoded(rendition.body).deviate() > 20


def test_contain_puts_the_image_on_its_background() -> None:
    image = decoded(render(drawing.png(), 'width = 200\nheight = 200\nfit = "contain"\nbackground = "#102030"').body)
    assert (image.width, image.height) == (200, 200)
    assert is_near(tuple(image(100, 5)), (0x10, 0x20, 0x30))
    assert is_near(tuple(image(20, 40)), RED)


def test_contain_can_leave_the_background_transparent() -> None:
    image = decoded(render(drawing.png(), 'width = 200\nheight = 200\nfit = "contain"\nbackground = "#ffffff00"').body)
    assert image(100, 5)[3] == 0
    assert image(20, 40)[3] == 255


def test_cover_of_a_small_source_is_its_largest_crop_of_the_asked_shape() -> None:
    image = decoded(render(drawing.png(drawing.quadrants(100, 75)), "width = 320\nheight = 320").body)
    assert (image.width, image.height) == (75, 75)
    assert is_near(corners(image)["left top"], RED)


def test_fill_stretches() -> None:
    image = decoded(render(drawing.png(), 'width = 50\nheight = 200\nfit = "fill"').body)
    assert (image.width, image.height) == (50, 200)
    assert is_near(corners(image)["right bottom"], YELLOW)


def test_without_enlargement_is_the_default_and_can_be_turned_off() -> None:
    assert render(drawing.png(), "width = 800").size == (400, 300)
    assert render(drawing.png(), "width = 800\nwithout_enlargement = false").size == (800, 600)


def test_a_format_alone_keeps_the_size() -> None:
    assert render(drawing.png(), 'format = "webp"').size == (400, 300)


def test_transparency_is_kept_if_the_format_has_it() -> None:
    body = drawing.png(drawing.with_alpha(drawing.quadrants()))
    for format in ("png", "webp", "avif"):
        image = decoded(render(body, f'width = 100\nformat = "{format}"').body)
        assert image.bands == 4
        assert image(10, 40)[3] <= 2
        assert image(90, 40)[3] >= 253


def test_transparency_becomes_the_background_in_jpeg() -> None:
    body = drawing.png(drawing.with_alpha(drawing.quadrants()))
    image = decoded(render(body, 'width = 100\nformat = "jpeg"\nbackground = "#00ff00"').body)
    assert is_near(tuple(image(10, 40)), (0, 255, 0))


def test_colours_do_not_bleed_out_of_transparent_pixels() -> None:
    pixels = np.full((300, 400, 4), (0, 0, 255, 255), np.uint8)
    pixels[:, :200] = (255, 0, 0, 0)  # red that nobody sees
    edge = decoded(render(drawing.png(drawing.srgb(pixels)), "width = 21").body)
    for x in range(21):
        red, _, blue, alpha = edge(x, 8)
        assert alpha < 10 or red < 30 < blue


def test_half_transparent_colours_are_neither_darkened_nor_lightened() -> None:
    image = (pyvips.Image.black(300, 200, bands=3) + list(RED)).bandjoin(128).cast("uchar").copy(interpretation="srgb")
    body = drawing.png(image)
    for width in (299, 200, 75):
        pixel = decoded(render(body, f'width = {width}\nformat = "png"').body)(width // 2, width // 3)
        assert is_near(tuple(pixel), (*RED, 128), 1)


def test_an_opaque_alpha_channel_is_removed() -> None:
    body = drawing.png(drawing.quadrants().addalpha())
    for format in ("png", "webp", "avif"):
        assert decoded(render(body, f'width = 100\nformat = "{format}"').body).bands == 3


def test_no_metadata_remains() -> None:
    exif = {
        "ifd0-Make": "Leaky Camera",
        "ifd3-GPSLatitude": "52/1 31/1 0/1",
        "ifd2-BodySerialNumber": "SN12345",
    }
    body = drawing.jpeg(drawing.saying(drawing.quadrants(), exif, "<x:xmpmeta>secret place</x:xmpmeta>"))
    assert b"Leaky Camera" in body
    assert b"secret place" in body
    for format in ("jpeg", "png", "webp", "avif"):
        for size in ("width = 100", "width = 400"):
            out = render(body, f'{size}\nformat = "{format}"').body
            for secret in (b"Leaky Camera", b"SN12345", b"secret place", b"Exif\x00\x00"):
                assert secret not in out
            assert not any(field.startswith("exif") for field in decoded(out).get_fields())


def test_colours_of_an_embedded_profile_become_srgb() -> None:
    # The same numbers mean a more saturated colour in Display P3 than in sRGB.
    p3 = drawing.srgb(drawing.quadrants().numpy()).icc_transform("p3", input_profile="srgb", embedded=False)
    body = drawing.png(p3)
    assert not is_near(tuple(decoded(body)(20, 20)), RED, 8)
    image = decoded(render(body, "width = 200").body)
    assert image.get_typeof("icc-profile-data") == 0
    for place, colour in QUADRANTS.items():
        assert is_near(corners(image)[place], colour, 8)


def test_grey_cmyk_and_16_bit_images_become_8_bit_srgb_or_grey() -> None:
    image = drawing.quadrants()
    bodies = {
        "grey": drawing.jpeg(image.colourspace("b-w")),
        "CMYK": bytes(image.icc_transform("cmyk", input_profile="srgb").jpegsave_buffer(Q=95)),
        "16 bit": drawing.png(image.colourspace("rgb16")),
        "16 bit grey": drawing.png(image.colourspace("grey16")),
    }
    for name, body in bodies.items():
        out = decoded(render(body, 'width = 100\nformat = "png"').body)
        assert (out.format, out.interpretation in ("srgb", "b-w")) == ("uchar", True), name
        expected = (image.colourspace("b-w") if "grey" in name else image)(20, 20)[0]
        assert abs(out(20, 20)[0] - expected) < 12, name


def test_quality_is_obeyed() -> None:
    body = drawing.jpeg(drawing.photo(480, 320))
    for format in ("jpeg", "webp", "avif"):
        low, high = (len(render(body, f'width = 240\nformat = "{format}"\nquality = {q}').body) for q in (30, 90))
        assert low < high * 0.6, format


def test_each_of_many_renditions_is_the_same_as_if_made_alone() -> None:
    body = drawing.jpeg(drawing.photo(1600, 1000))
    targets = (
        parse_recipe(
            """
        [renditions.web]
        widths = [100, 400, 800]
        formats = ["png"]
        [renditions.square]
        width = 300
        height = 300
        format = "png"
        [renditions.flat]
        width = 700
        height = 90
        fit = "fill"
        format = "png"
        [renditions.tall]
        width = 90
        height = 700
        fit = "fill"
        format = "png"
        """
        )
        .plan_for("a.jpg")
        .targets
    )
    together = {rendition.target: rendition for rendition in SourceImage(body).render(targets)}
    assert set(together) == set(targets)
    for target in targets:
        (alone,) = SourceImage(body).render([target])
        assert together[target].size == alone.size
        difference = (decoded(together[target].body) - decoded(alone.body)).abs()
        assert difference.avg() < 2.5, target.key


@pytest.mark.parametrize(
    "body", [b"", b"x", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4", b"\xff\xd8\xff"]
)
def test_a_file_that_is_not_an_image_is_rejected(body: bytes) -> None:
    with pytest.raises(UnsupportedImageError):
        SourceImage(body)


@pytest.mark.parametrize("source_format", ["JPEG", "PNG", "WebP", "GIF", "TIFF"])
def test_an_image_cut_off_in_the_middle_is_rejected_before_anything_is_made(source_format: str) -> None:
    body = SAVERS[source_format](drawing.photo(240, 160))
    why = f"^the file is cut off: the {source_format} ends early$|^the TIFF is damaged: its header cannot be read$"
    with pytest.raises((DamagedImageError, UnsupportedImageError), match=why):
        render(body[: len(body) // 2], "width = 100")


def test_an_image_with_too_many_pixels_is_rejected_from_its_header() -> None:
    body = bytes(pyvips.Image.black(20_000, 6_000).pngsave_buffer())
    with pytest.raises(ImageTooLargeError, match=r"the image has 20,000 x 6,000 pixels but the limit is 100,000,000"):
        SourceImage(body)


def test_loaders_that_are_not_made_for_hostile_input_are_blocked() -> None:
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9' height='9'/></svg>"
    for loader in (lambda: pyvips.Image.new_from_buffer(svg, ""), lambda: pyvips.Image.svgload_buffer(svg)):
        with pytest.raises(pyvips.Error):
            loader()


def test_selected_renditions_have_the_bytes_that_they_have_among_all() -> None:
    recipe = (
        '[renditions.web]\nwidths = [100, 200, 400]\nformats = ["jpeg", "webp"]\n[renditions.trimmed]\ntrim = true\n'
    )
    targets = parse_recipe(recipe).plan_for("a.jpg").renditions
    body = drawing.jpeg(drawing.photo(480, 320))
    complete = {rendition.target: rendition.body for rendition in SourceImage(body).render(targets)}
    for target in targets:
        (selected,) = SourceImage(body).render(targets).select([target])
        assert (selected.target, selected.body) == (target, complete[target])
    rendering = SourceImage(body).render(targets)
    assert {one.target: one.body for target in reversed(targets) for one in rendering.select([target])} == complete


def test_the_original_of_a_rendition_has_its_size_and_its_pixels() -> None:
    recipe = '[renditions.a]\nwidth = 90\nheight = 90\nformat = "png"\n[renditions.b]\nwidth = 200\n'
    targets = parse_recipe(recipe).plan_for("a.jpg").renditions
    rendering = SourceImage(drawing.jpeg()).render(targets)
    (made,) = rendering.select(targets[:1])
    original = rendering.original(targets[0])
    assert (original.width, original.height) == (90, 90)
    assert (original - decoded(made.body)).abs().max() == 0


@pytest.mark.parametrize("position", ["attention", "entropy"])
def test_all_steps_of_one_shape_show_the_same_part_alone_and_among_all(position: str) -> None:
    picture = drawing.photo(1200, 400).insert(drawing.quadrants(150, 150), 930, 120)
    recipe = parse_recipe(
        f"[renditions.web]\nwidths = [60, 150, 300]\naspect_ratio = 1\nposition = '{position}'\nformat = 'png'"
    )
    targets = recipe.plan_for("a.png").renditions
    rendering = SourceImage(drawing.png(picture)).render(targets)
    bodies = {rendition.target: rendition.body for rendition in rendering}
    largest = decoded(bodies[targets[-1]])
    for target in targets:
        step = decoded(bodies[target])
        assert (largest.resize(step.width / largest.width) - step).abs().avg() < 6
        assert [rendition.body for rendition in rendering.select([target])] == [bodies[target]]
