"""The samples: small to clone, and each shows what its README says."""

from pathlib import Path

import pillow_heif
import pytest
from PIL import Image, ImageOps

from image_scaler.renditions.toml import parse_recipe
from tests.repository.test_docs import CONFIGURATION, words
from toolbox.commands.run import SAMPLES
from toolbox.commands.scale import scale_files
from toolbox.source_files import source_files

GPS = 0x8825
ORIENTATION = 0x0112


def opened(name: str) -> Image.Image:
    pillow_heif.register_heif_opener()
    with Image.open(SAMPLES / name) as image:
        image.load()
    return image


def test_the_readme_of_the_samples_lists_each() -> None:
    keys = {file.ref.key for file in source_files([SAMPLES])}
    assert keys == words((SAMPLES / "README.md").read_text(encoding="utf-8")) - {"make run"}


def test_the_samples_are_3_mb_at_most() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) <= 3_000_000


def test_one_sample_has_12_megapixels_and_a_name_with_spaces_and_an_upper_case_extension() -> None:
    width, height = opened("Lighthouse at dusk.JPG").size
    assert width * height > 12_000_000


def test_one_sample_is_a_sideways_portrait_in_display_p3_with_a_gps_position() -> None:
    owl = opened("owl.jpg")
    assert owl.width > owl.height
    assert owl.getexif()[ORIENTATION] == 6
    assert owl.getexif().get_ifd(GPS)
    assert owl.info["icc_profile"]


@pytest.mark.parametrize(("line", "is_kept"), [("", True), ("quality = 90", False), ("width = 1600", False)])
def test_only_the_copy_of_the_portrait_keeps_its_gps_position(line: str, is_kept: bool, tmp_path: Path) -> None:
    assert f"`{line}` after it" in CONFIGURATION or is_kept
    renditions = parse_recipe(f"[renditions.resized]\n{line}")
    list(scale_files(source_files([SAMPLES / "owl.jpg"]), tmp_path, renditions))
    with Image.open(tmp_path / "resized" / "owl.jpg") as made:
        assert bool(made.getexif().get_ifd(GPS)) is is_kept
        assert ImageOps.exif_transpose(made).size == (1536, 2048)


@pytest.mark.parametrize(("name", "format"), [("harbour.heic", "HEIF"), ("badge.png", "PNG")])
def test_two_samples_are_heic_and_png(name: str, format: str) -> None:
    assert opened(name).format == format


def test_one_sample_is_transparent() -> None:
    assert opened("badge.png").getchannel("A").getextrema() == (0, 255)
