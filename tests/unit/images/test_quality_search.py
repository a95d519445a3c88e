"""The search for a quality, over encoders and metrics that are mere functions."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.images.quality_search import (
    AIM,
    ALLOWED_GAP,
    CURVES,
    FIRST_STEP,
    LATER_STEP,
    Curve,
    Precision,
    SearchResult,
    precision_of_step,
    search,
)
from image_scaler.renditions.formats import Format
from image_scaler.renditions.quality import QualityGoal

PIXELS = 300_000


class Points(NamedTuple):
    overall: float
    worst: float


class Encoder:
    """Encodes to the quality itself, followed by as many bytes as `size` says."""

    def __init__(self, size: Callable[[int], int] = lambda quality: quality * 10) -> None:
        self.tried: list[int] = []
        self._size = size

    def __call__(self, quality: int) -> bytes:
        self.tried.append(quality)
        return bytes([quality]) + bytes(self._size(quality))


def of_curve(curve: Curve, factor: float, gap: float = 0.0) -> Callable[[bytes], Points]:
    """A metric by which a picture loses `factor` times what the curve says."""

    def score(body: bytes) -> Points:
        overall = 100 - factor * math.exp(curve.at(PIXELS).log_loss(body[0]))
        return Points(overall, overall - gap)

    return score


curves = st.sampled_from(list(CURVES.values()))


@given(
    curve=curves,
    target=st.floats(1, 100),
    limits=st.tuples(st.integers(1, 100), st.integers(1, 100)).map(sorted),
    scores=st.lists(st.floats(-50, 100), min_size=101, max_size=101),
    sizes=st.lists(st.integers(0, 2000), min_size=101, max_size=101),
    gaps=st.lists(st.floats(0, 60), min_size=101, max_size=101),
    precision=st.sampled_from([FIRST_STEP, LATER_STEP]),
    offset=st.floats(-3, 3),
)
def test_whatever_encoder_and_metric_do_the_choice_is_the_smallest_good_trial_within_the_range(
    curve, target, limits, scores, sizes, gaps, precision, offset
) -> None:
    low, high = limits
    encode = Encoder(sizes.__getitem__)

    def points(quality: int) -> Points:
        return Points(scores[quality], scores[quality] - gaps[quality])

    found = search(
        encode,
        lambda body: points(body[0]),
        QualityGoal(target=target, min=low, max=high),
        curve.at(PIXELS),
        offset=offset,
        precision=precision,
    )
    assert 1 <= found.trials == len(encode.tried) == len(set(encode.tried)) <= precision.max_trials
    assert all(low <= quality <= high for quality in encode.tried)
    assert found.quality in encode.tried
    assert (found.body[0], found.score) == (found.quality, points(found.quality))
    judged = {quality: min(scores[quality], scores[quality] - gaps[quality] + ALLOWED_GAP) for quality in encode.tried}
    good = [quality for quality in encode.tried if judged[quality] >= target - precision.below]
    if good:
        assert judged[found.quality] >= target - precision.below
        assert len(found.body) == min(sizes[quality] for quality in good) + 1
    else:
        assert judged[found.quality] == max(judged.values())


@given(curve=curves, factor=st.floats(0.6, 1.6), target=st.floats(45, 85))
def test_pictures_that_lose_a_multiple_of_the_curve_need_two_trials(curve: Curve, factor: float, target: float) -> None:
    found = search(Encoder(), of_curve(curve, factor), QualityGoal(target=target, min=1, max=100), curve.at(PIXELS))
    assert found.score is not None
    if 1 < found.quality < 100:
        assert found.trials <= 3
        assert target - FIRST_STEP.below <= found.score.overall <= target + FIRST_STEP.above
    assert found.is_searched


@given(curve=curves, factor=st.floats(0.7, 1.4), target=st.floats(50, 80))
def test_another_size_of_the_picture_needs_one_trial(curve: Curve, factor: float, target: float) -> None:
    wanted = QualityGoal(target=target, min=1, max=100)
    first = search(Encoder(), of_curve(curve, factor), wanted, curve.at(PIXELS))
    encode = Encoder()
    second = search(
        encode, of_curve(curve, factor), wanted, curve.at(PIXELS), offset=first.offset, precision=LATER_STEP
    )
    if 1 < second.quality < 100:
        assert second.trials == 1


def test_if_a_higher_quality_scores_lower_it_looks_halfway_to_one_that_is_good() -> None:
    scores = iter([78.0, 68.0, 67.5, 71.0])
    encode = Encoder()
    wanted = QualityGoal(target=70)
    found = search(encode, lambda _body: Points(next(scores), 100), wanted, CURVES[Format.AVIF].at(PIXELS))
    good, bad, worse, halfway = encode.tried
    assert bad < worse < good
    assert halfway == found.quality == round((bad + good) / 2)


def test_other_sizes_begin_where_the_picture_would_have_reached_its_target_between_two_trials() -> None:
    curve = CURVES[Format.AVIF].at(PIXELS)

    def twice_as_steep(body: bytes) -> Points:
        middle = curve.log_loss(40)
        return Points(100 - math.exp(middle + 2 * (curve.log_loss(body[0]) - middle)), 100)

    exact = next(quality for quality in range(1, 100) if twice_as_steep(bytes([quality])).overall >= 70 + AIM)
    precision = Precision(0.1, 0.1, max_trials=2)
    found = search(Encoder(), twice_as_steep, QualityGoal(target=70), curve, offset=-0.3, precision=precision)
    assert found.trials == 2
    assert curve.quality(math.log(30 - AIM) - found.offset) == pytest.approx(exact, abs=1)


@pytest.mark.parametrize(
    ("is_first", "pixels", "trials"), [(True, 57_600, 4), (False, 230_400, 3), (False, 921_600, 2)]
)
def test_a_step_gets_more_trials_if_others_depend_on_it_or_if_it_is_small(
    is_first: bool, pixels: int, trials: int
) -> None:
    def steep(body: bytes) -> Points:
        return Points(80 if body[0] > 45 else 60, 100)

    precision = precision_of_step(Format.WEBP, is_first=is_first, pixels=pixels)
    found = search(Encoder(), steep, QualityGoal(target=70), CURVES[Format.AVIF].at(pixels), precision=precision)
    assert found.trials == trials
    assert found.score == Points(80, 100)


def test_a_bad_region_asks_for_more_quality() -> None:
    curve = next(iter(CURVES.values()))
    plain, hidden = (
        search(Encoder(), of_curve(curve, 1, gap), QualityGoal(target=70), curve.at(PIXELS)) for gap in (0, 25)
    )
    assert hidden.score is not None
    assert plain.score is not None
    assert hidden.quality > plain.quality
    assert hidden.score.worst >= 70 - ALLOWED_GAP - FIRST_STEP.below


@pytest.mark.parametrize("trials", range(FIRST_STEP.max_trials))
def test_without_time_the_best_so_far_is_taken(trials: int) -> None:
    def steep(body: bytes) -> Points:
        return Points(float(body[0] > 83) * 50 + body[0] / 10, 100)

    times = iter([True] * trials)
    encode = Encoder()
    found = search(
        encode,
        steep,
        QualityGoal(target=50),
        CURVES[next(iter(CURVES))].at(PIXELS),
        has_time=lambda: next(times, False),
    )
    assert found.trials <= trials
    assert found.trials == trials or found.is_searched
    assert len(encode.tried) == max(1, found.trials)
    if trials == 0:
        assert found == SearchResult(found.quality, found.body, None, 0, 0, is_searched=False, offset=0.0)
