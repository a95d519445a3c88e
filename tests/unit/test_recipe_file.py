"""renditions.toml and the images of its overlays, as they are read from a folder."""

from pathlib import Path

import pytest
import pyvips

from image_scaler.exceptions import ConfigError
from image_scaler.images.overlay import MAX_OVERLAY_PIXELS
from image_scaler.recipe_file import MAX_OVERLAY_BYTES, load_recipe
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.spec import RenditionSpec
from tests.support import drawing

TOML = """\
[renditions.a]
width = 40

[renditions.b]
width = 50
overlay = { width = "20%", image = "overlays/logo.png" }
"""


def write(folder: Path, body: bytes | None, name: str = "logo.png") -> Path:
    """Write a renditions.toml, and the image of its overlay."""
    path = folder / "overlays" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if body is not None:
        path.write_bytes(body)
    toml = folder / "renditions.toml"
    toml.write_text(TOML.replace("logo.png", name))
    return toml


def refusal(toml: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load_recipe(toml)
    assert raised.value.line == 6
    return raised.value.message


def test_the_image_of_an_overlay_is_read_from_the_folder_next_to_renditions_toml(tmp_path: Path) -> None:
    body = drawing.png(drawing.quadrants(60, 40))
    recipe = load_recipe(write(tmp_path, body, "of a shop/logo.png"))
    spec = recipe.specs[1]
    assert isinstance(spec, RenditionSpec)
    assert spec.overlay
    assert (spec.overlay.file.body, spec.overlay.file.size) == (body, Size(60, 40))
    assert list(recipe.overlays) == ["overlays/of a shop/logo.png"]


@pytest.mark.parametrize(
    ("saver", "options"),
    [
        ("jpegsave_buffer", {}),
        ("webpsave_buffer", {}),
        ("gifsave_buffer", {}),
        ("heifsave_buffer", {"compression": "av1"}),
    ],
)
def test_the_image_may_have_any_format_that_renditions_have(
    tmp_path: Path, saver: str, options: dict[str, str]
) -> None:
    body = getattr(drawing.quadrants(60, 40), saver)(**options)
    assert load_recipe(write(tmp_path, body)).overlays["overlays/logo.png"].size == Size(60, 40)


def test_an_image_that_does_not_exist_is_named(tmp_path: Path) -> None:
    message = "cannot use overlays/logo.png for renditions.b.overlay.image: No such file or directory"
    assert refusal(write(tmp_path, None)) == message


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    toml = write(tmp_path, None)
    (tmp_path / "overlays" / "logo.png").mkdir()
    assert "cannot use overlays/logo.png for renditions.b.overlay.image: Is a directory" in refusal(toml)


NONE = "it is none of JPEG, PNG, WebP, AVIF, GIF: save it as a PNG, which keeps transparency"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", NONE),
        (b"no image", NONE),
        (b"%PDF-1.7", NONE),
        (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', NONE),
        (drawing.quadrants(60, 40).tiffsave_buffer(), NONE),
        (drawing.png(drawing.photo(200, 200))[:-5000], "the file is cut off: the PNG ends early"),
        (drawing.png(drawing.photo(200, 200))[:20], "the file is cut off: the PNG ends early"),
    ],
)
def test_what_is_no_image_for_an_overlay_is_refused_with_the_reason(tmp_path: Path, body: bytes, reason: str) -> None:
    assert reason in refusal(write(tmp_path, body))


def test_an_image_that_is_too_large_is_refused(tmp_path: Path) -> None:
    assert "5,242,881 bytes but 5,242,880 are allowed" in refusal(write(tmp_path, bytes(MAX_OVERLAY_BYTES + 1)))
    wide = pyvips.Image.black(2000, MAX_OVERLAY_PIXELS // 2000 + 1)
    assert "it has 2,000 x 2,001 pixels but 4,000,000 in all are allowed" in refusal(write(tmp_path, drawing.png(wide)))


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    toml = write(tmp_path, None)
    (tmp_path / "secret.png").write_bytes(drawing.png(drawing.quadrants(6, 4)))
    (tmp_path / "overlays" / "logo.png").symlink_to(tmp_path / "secret.png")
    assert "it is a link to a file outside the folder overlays" in refusal(toml)


def test_one_image_of_many_renditions_is_read_once(tmp_path: Path) -> None:
    toml = write(tmp_path, drawing.png(drawing.quadrants(6, 4)))
    toml.write_text(TOML + TOML.replace("renditions.a", "renditions.c").replace("renditions.b", "renditions.d"))
    overlays = [spec.overlay for spec in load_recipe(toml).specs if isinstance(spec, RenditionSpec)]
    one, other = filter(None, overlays)
    assert one.file is other.file
