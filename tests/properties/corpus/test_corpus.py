"""Every file of a corpus of real images through the engine; the corpus is outside the repository."""

import numpy as np
import pytest

from tests.properties.corpus import looks
from tests.properties.corpus.manifest import OURS, VARIABLE, Row, corpus, rows
from tests.properties.corpus.rendering import Outcome, rendered
from tests.support.drawing import decoded
from tests.support.watched_process import WatchedProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        corpus() is None, reason=f"{VARIABLE} does not name a folder with the corpus and its MANIFEST.tsv"
    ),
]
NUMBERED = {row: number for number, row in enumerate(rows())}
HARMLESS = [row for row in rows() if not row.is_hostile]
HOSTILE = [row for row in rows() if row.is_hostile]
SVG = [row for row in rows() if row.is_svg]

FRAMES = 200
"""The frames of an animation that limits.frames keeps."""
ALIKE = 7.0
"""How far apart pictures of 0 to 255 may be and still look alike; a picture turned another way is 25 and more apart."""
EXCUSED = {
    "bad/crash/49065782-f0ebfd00-f216-11e8-9e9b-a86f3d5ea58a.jpg": 25,  # every decoder makes its own of damage
    "jpeg/Channel_digital_image_CMYK_color_no_profile.jpg": 15,  # Pillow converts CMYK without any profile
    "png/s33i3p04.png": 8,  # 33 pixels wide, and fully coloured: JPEG keeps half of the colour
    "png/cdfn2c08.png": 25,  # stripes 8 pixels wide, of which AVIF and JPEG keep half of the colour
}
UNKNOWN_TO_PILLOW = {
    "avif/plum-blossom-small.profile0.8bpc.yuv420.alpha-full.avif",
    "heic/gopher-front.heif",
    "heic/image.heic",
    "tiff/cielab-dagams.tiff",
    *(row.file for row in SVG),
}
"""Only the size is checked for these, and that the renditions are not blank."""


def name_of(row: Row) -> str:
    return row.file


def expected(row: Row) -> str:
    return OURS.get(row.file, row.expected)


def check(row: Row, outcome: Outcome, allow_svg: bool = False) -> None:
    """The outcome is the expected one; if that is a picture, it is the right one."""
    # A file whose firmness is `either` may be read or not: what counts is that it came this far.
    if row.firmness != "either":
        assert outcome.status == ("ok" if allow_svg else expected(row)), outcome.reason
    if outcome.status == "reject":
        assert outcome.reason.isprintable()
        assert not outcome.made
        return
    assert row.size in (outcome.size, None)  # None: libvips, which the manifest comes from, could not read it
    check_renditions(row, outcome)


def check_renditions(row: Row, outcome: Outcome) -> None:
    body = row.path.read_bytes()
    assert outcome.size
    sources: dict[bool, np.ndarray] = {}
    if row.file in UNKNOWN_TO_PILLOW:
        with pytest.raises(looks.CannotReadError):
            looks.opened(body)
    else:
        sources = {hard: looks.glance(body, outcome.size, hard_alpha=hard) for hard in (False, True)}
    for made in outcome.made:
        upright = decoded(made.body).autorot()
        assert made.size == made.planned == (upright.width, upright.height), made.name
        assert looks.private_data(made.body) == [], made.name
        picture = looks.glance(made.body, outcome.size, hard_alpha=made.format == "gif")
        if not sources:
            assert picture.std() > 5, made.name
        elif not made.name.startswith("cover"):
            source = sources[made.format == "gif"]
            assert looks.difference(source, picture) <= EXCUSED.get(row.file, ALIKE), made.name
            assert not looks.is_turned_otherwise(source, picture), made.name
        if made.format.traits.is_animated and row.loader in ("gif", "webp") and 1 < row.pages <= FRAMES:
            assert looks.milliseconds(made.body) == looks.milliseconds(body), made.name


@pytest.mark.parametrize("row", HARMLESS, ids=name_of)
def test_a_real_image_has_the_outcome_in_the_manifest_of_the_corpus(row: Row) -> None:
    check(row, rendered(row.path, NUMBERED[row], row.size))


@pytest.mark.parametrize("row", HOSTILE, ids=name_of)
def test_a_hostile_file_neither_crashes_nor_hangs_nor_takes_much_memory(row: Row) -> None:
    with WatchedProcess(rendered, seconds=30) as process:
        check(row, process.call(row.path, NUMBERED[row], row.size))


@pytest.mark.parametrize("row", SVG, ids=name_of)
def test_allowed_svg_is_rendered_or_rejected_within_the_same_limits(row: Row) -> None:
    with WatchedProcess(rendered, seconds=30) as process:
        outcome = process.call(row.path, NUMBERED[row], row.size, True)
    if row.expected == "reject":
        assert outcome.status == "reject"
    elif row.is_hostile:
        assert outcome.status in ("ok", "reject")
    else:
        check(row, outcome, allow_svg=True)


def test_every_row_that_depends_on_the_policy_has_one() -> None:
    assert {row.file for row in rows() if row.firmness == "policy"} == OURS.keys()
    assert {row.file for row in rows()} >= EXCUSED.keys() | UNKNOWN_TO_PILLOW
