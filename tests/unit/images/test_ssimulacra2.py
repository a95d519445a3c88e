"""The metric: what it says of encodings, held to the public implementation."""

import io
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from ssimulacra2 import compute_ssimulacra2

from image_scaler.images.ssimulacra2 import Reference
from tests.support import drawing
from tests.support.examples import examples

CORPUS = os.environ.get("IMAGE_CORPUS")
MIN_SIDE = 480
"""The package mirrors a picture at its left and right where the author's program has nothing: the larger the picture,
the less it matters. Below 225 pixels it also takes the weights of other error maps."""


def encodings(image: pyvips.Image) -> Iterator[pyvips.Image]:
    for quality in (40, 75, 92):
        yield drawing.decoded(bytes(image.jpegsave_buffer(Q=quality)))
    for quality in (45, 80):
        yield drawing.decoded(bytes(image.webpsave_buffer(Q=quality, effort=2)))
    for quality in (35, 60):
        yield drawing.decoded(bytes(image.heifsave_buffer(Q=quality, effort=0, compression="av1")))


def public_score(image: pyvips.Image, encoded: pyvips.Image) -> float:
    return float(compute_ssimulacra2(*(io.BytesIO(drawing.png(one)) for one in (image, encoded))))


def differences(images: list[pyvips.Image], every: int) -> list[float]:
    """Return the differences for one in so many encodings of each image, in turns."""
    found = []
    for number, image in enumerate(images):
        reference = Reference(image)
        chosen = islice(encodings(image), number % every, None, every)
        found += [reference.score(one).overall - public_score(image, one) for one in chosen]
    return found


def drawn() -> list[pyvips.Image]:
    return [drawing.photo(501, 487, seed=1), drawing.face_under_a_sky(560, 480), drawing.text(560, 480)]


def corpus_photographs() -> list[pyvips.Image]:
    found = []
    for file in sorted(Path(str(CORPUS)).rglob("*")):
        if "bad" in file.parts or file.suffix.lower() not in (".jpg", ".jpeg", ".webp") or file.stat().st_size < 20_000:
            continue
        image = pyvips.Image.thumbnail(str(file), 800, size="down", export_profile="srgb")
        if image.bands == 3 and image.interpretation == "srgb" and min(image.width, image.height) >= MIN_SIDE:
            found.append(image.copy_memory())
        if len(found) == 15:
            break
    return found


def noise(pixels: np.ndarray) -> np.ndarray:
    return pixels + np.random.default_rng(1).integers(-9, 10, pixels.shape)


def smoothing(pixels: np.ndarray) -> np.ndarray:
    smooth = pixels.copy()
    smooth[1:-1, 1:-1] = (pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]) // 4
    return smooth


def bands(pixels: np.ndarray) -> np.ndarray:
    return pixels // 12 * 12 + 6


def another_tint(pixels: np.ndarray) -> np.ndarray:
    return pixels + np.array([4, -2, 6])


def waves(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.int64)
    grain = np.random.default_rng(2).integers(0, 24, (height, width, 3))
    return np.stack([(x * y // 40) % 200, (x + y) % 180 + 20, (x * x // 90 + 2 * y) % 220], axis=2) + grain


@pytest.mark.parametrize(
    ("distortion", "size", "expected"),
    [
        (noise, (640, 427), 77.41),
        (smoothing, (640, 427), 46.52),
        (bands, (640, 427), 85.65),
        (another_tint, (640, 427), 85.22),
        (noise, (331, 200), 76.42),
        (smoothing, (331, 200), 52.58),
        (bands, (331, 200), 85.00),
        (another_tint, (331, 200), 84.02),
    ],
)
def test_distortions_have_the_scores_of_the_author_s_program(
    distortion: Callable[[np.ndarray], np.ndarray], size: tuple[int, int], expected: float
) -> None:
    pixels = waves(*size)
    image, distorted = (drawing.srgb(np.clip(one, 0, 255).astype(np.uint8)) for one in (pixels, distortion(pixels)))
    assert Reference(image).score(distorted).overall == pytest.approx(expected, abs=0.5)


@pytest.mark.slow
def test_drawn_pictures_have_the_scores_of_the_public_implementation() -> None:
    found = sorted(abs(difference) for difference in differences(drawn(), every=2))
    assert len(found) == 11
    assert found[5] <= 1.0
    assert found[-1] <= 2.0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not CORPUS, reason="IMAGE_CORPUS names no folder of real pictures")
def test_encodings_of_photographs_have_the_scores_of_the_public_implementation() -> None:
    found = sorted(abs(difference) for difference in differences(corpus_photographs(), every=4))
    assert len(found) >= 25
    assert found[len(found) // 2] <= 1.0
    assert found[int(len(found) * 0.95)] <= 2.0


@given(
    width=st.integers(8, 330), height=st.integers(8, 330), bands=st.sampled_from([1, 2, 3, 4]), seed=st.integers(0, 99)
)
@examples(6)
def test_a_picture_has_100_points_of_itself(width: int, height: int, bands: int, seed: int) -> None:
    image = one_of(width, height, bands, seed)
    score = Reference(image).score(image)
    assert score.overall == pytest.approx(100, abs=0.05)
    assert score.worst == pytest.approx(100, abs=0.05)


@given(width=st.integers(64, 330), height=st.integers(64, 330), seed=st.integers(0, 99))
@examples(3)
def test_stronger_compression_has_a_lower_score_in_any_size(width: int, height: int, seed: int) -> None:
    image = drawing.photo(width, height, seed)
    reference = Reference(image)
    scores = [
        reference.score(drawing.decoded(bytes(image.jpegsave_buffer(Q=quality)))).overall
        for quality in (95, 75, 45, 15, 3)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 75
    assert scores[-1] < 40


@pytest.mark.parametrize("side", [1, 2, 7, 8, 9, 15])
def test_the_smallest_pictures_have_scores(side: int) -> None:
    image = drawing.photo(side, side)
    assert Reference(image).score(image).overall == pytest.approx(100, abs=0.01)


def test_a_grey_picture_has_the_score_of_the_same_picture_in_colour() -> None:
    grey = drawing.photo(300, 260).colourspace("b-w").copy_memory()
    encoded = drawing.decoded(bytes(grey.jpegsave_buffer(Q=50)))
    colour = grey.colourspace("srgb").copy_memory()
    assert encoded.bands == 1
    assert Reference(grey).score(encoded) == pytest.approx(Reference(colour).score(encoded))


def test_a_picture_with_alpha_has_the_lower_score_of_those_on_dark_and_on_bright() -> None:
    image = drawing.with_alpha(drawing.photo(400, 300)).copy_memory()
    encoded = drawing.decoded(bytes(image.webpsave_buffer(Q=40)))
    expected = [public_score(image.flatten(background=level), encoded.flatten(background=level)) for level in (26, 230)]
    assert Reference(image).score(encoded).overall == pytest.approx(min(expected), abs=1)


@pytest.mark.parametrize(("ink", "background"), [(20, 230), (235, 26)])
def test_a_score_names_the_background_that_shows_most_loss_also_at_another_quality(ink: int, background: int) -> None:
    image = drawing.transparent_print(400, 300, ink)
    reference = Reference(image)
    for quality in (20, 50):
        encoded = drawing.decoded(bytes(image.heifsave_buffer(Q=quality, compression="av1", effort=1)))
        score = reference.score(encoded)
        assert score.background == background
        assert reference.score(encoded, background).overall == score.overall


def test_lost_alpha_counts() -> None:
    image = drawing.with_alpha(drawing.photo(400, 300)).copy_memory()
    assert Reference(image).score(image[:3]).overall < 30


def test_the_score_of_the_worst_region_shows_what_a_large_flat_area_hides() -> None:
    image = drawing.face_under_a_sky()
    blurred = image.insert(image.crop(480, 480, 96, 96).gaussblur(2), 480, 480)
    hidden = Reference(image).score(blurred)
    assert hidden.overall > 65
    assert hidden.worst < 45


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        Reference(drawing.photo(80, 80)).score(drawing.photo(80, 81))


def one_of(width: int, height: int, bands: int, seed: int) -> pyvips.Image:
    image = drawing.photo(width, height, seed)
    if bands < 3:
        image = image.colourspace("b-w")
    if bands in (2, 4):
        alpha = pyvips.Image.identity().resize(width / 256, vscale=height)
        image = image.bandjoin(alpha.copy(interpretation="b-w"))
    return image.copy_memory()
