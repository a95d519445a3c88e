"""Search the quality at which an encoding looks as good as it has to, in as few trials as possible.

Every trial encodes, decodes and scores, so good guesses matter. What a picture loses, 100 minus its score, falls with
the quality along a curve of the format, and pictures differ mostly by a factor: twice the loss at one
quality is about twice the loss at another, and in another size. So one trial tells the factor, and the steps of a
ladder tell each other.

Scores do not always rise with the quality, and bytes neither. So the result is always one of the trials, by its own
score and bytes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from image_scaler.renditions.formats import SMALL_PIXELS, Format
from image_scaler.renditions.made import Chosen
from image_scaler.renditions.quality import QualityGoal

ALLOWED_GAP = 15.0
"""How far the worst region may be below the target. In nine of ten encodings of photographs it is less, so that these
keep their target; a face under a large sky, or bands in it, gets more quality than the score of the whole asks for."""


class Precision(NamedTuple):
    """When a search ends."""

    below: float
    """How far below its target a score may be, in points."""
    above: float
    """How far above it."""
    max_trials: int


AIM = 0.6
"""How far above its target a search aims, in points: the metric says 0.2 more than the public one, give or take 0.6.

With 1.3 below, and AVIF_BELOW, 98 % of WebPs and all JPEGs and AVIFs have at least their target less 2 by the public
metric (25 pictures at 640, 1280 and 1920 pixels).
"""

FIRST_STEP = Precision(1.3, 3.2, max_trials=4)
"""For the first step of a ladder: its trials cost little, and all other steps depend on it."""
LATER_SMALL_STEP = Precision(1.3, 4.0, max_trials=3)
"""For later small steps: 75 to 90 % need one trial."""
LATER_STEP = LATER_SMALL_STEP._replace(max_trials=2)
"""For large steps: one trial may take as long as all smaller steps together."""
AVIF_BELOW = 1.7
"""How far an AVIF may be below its target: the two metrics differ less in AVIFs, and another trial takes longest."""

DRAFTS = Precision(3.0, 3.0, max_trials=2)
"""For drafts: from so near the curve leads to the goal."""
AFTER_DRAFTS = Precision(AVIF_BELOW, 5.0, max_trials=3)
"""For the first step if drafts have told its quality: a drawing may lose less than they say, a photograph hardly. Five
points are a fifth of its bytes, 3 kB: another trial is repaid within 60 views."""


def precision_of_step(format: Format, *, is_first: bool, pixels: int) -> Precision:
    """Return the precision of a step of a ladder."""
    precision = FIRST_STEP if is_first else LATER_SMALL_STEP if pixels <= SMALL_PIXELS else LATER_STEP
    return precision._replace(below=AVIF_BELOW) if format is Format.AVIF else precision


class Score(Protocol):
    """What a trial needs to know of a score; see ssimulacra2.Score."""

    @property
    def overall(self) -> float:
        """The score of the picture."""

    @property
    def worst(self) -> float:
        """The score of its worst region."""


class Curve(NamedTuple):
    """What pictures lose at each quality of a format."""

    points: Sequence[tuple[int, float]]
    """Quality and 100 - score, by rising quality and falling loss: medians of 16 pictures in four sizes."""
    drift: float
    """What the logarithm of the loss gains each time that the sides double."""
    small: float = 0.0
    """What it gains in small images, whose effort is higher."""

    def at(self, pixels: int) -> "SizedCurve":
        """Return the curve of pictures of so many pixels."""
        drift = self.drift * math.log2(pixels / _CURVE_PIXELS) / 2
        return SizedCurve(self.points, drift + (self.small if pixels <= SMALL_PIXELS else 0.0))


class SizedCurve(NamedTuple):
    """What pictures of one size lose at each quality of a format, on average."""

    points: Sequence[tuple[int, float]]
    shift: float

    def log_loss(self, quality: float) -> float:
        """Return the logarithm of the loss at a quality."""
        points = [(float(at), math.log(loss)) for at, loss in self.points]
        return _interpolate(points, quality) + self.shift

    def quality(self, log_loss: float) -> float:
        """Return the quality with this loss."""
        points = [(math.log(loss), float(at)) for at, loss in reversed(self.points)]
        return _interpolate(points, log_loss - self.shift)


_MAX_SLOPE = 3.0
"""How much steeper or flatter than the curve a picture may be; beyond that it is the noise of an encoder."""

_CURVE_PIXELS = 400_000
"""The middle of the sizes that the curves were measured in."""

CURVES = {
    Format.JPEG: Curve(
        ((8, 100.0), (15, 70.0), (28, 46.0), (45, 34.3), (62, 27.5), (76, 22.2), (86, 16.8), (93, 12.6)), drift=-0.08
    ),
    Format.WEBP: Curve(
        ((5, 82.0), (15, 64.0), (28, 50.0), (45, 40.2), (65, 32.1), (80, 24.1), (90, 16.7), (96, 12.0)), drift=-0.02
    ),
    Format.AVIF: Curve(
        ((12, 90.0), (20, 77.0), (30, 60.0), (45, 35.3), (60, 22.9), (72, 16.7), (84, 12.6)),
        drift=-0.08,
        small=-0.05,
    ),
}
"""Measured at the default efforts of large images, with SSIMULACRA 2. Those of AVIF were raised by a twelfth later:
most photographs lose that much more."""


@dataclass
class SearchEffort:
    """What the searches for one source took."""

    trials: int = 0
    """Encodings that were scored."""
    seconds: float = 0.0
    """With the encodings that were taken in the end."""
    error: str | None = None
    """Why the metric failed the last time: such a rendition got the default quality."""


class EncodedImage(NamedTuple):
    """A rendition's bytes, and how good they look."""

    body: bytes
    quality: int | None = None
    """None if these are the source's own pixels."""
    score: float | None = None
    """None if it is not known."""
    is_searched: bool | None = None
    """Whether a quality that is to be searched was searched to the end; None if it is fixed."""
    chosen: Chosen | None = None
    """What it is instead of the usual encoding."""


class Trial(NamedTuple):
    """An encoding that was scored."""

    quality: int
    body: bytes
    score: Score

    @property
    def log_loss(self) -> float:
        """The logarithm of what is lost."""
        return _log_loss(effective_score(self.score))


class SearchResult(NamedTuple):
    """The result of a search."""

    quality: int
    body: bytes
    score: Score | None
    """None if it was not scored, because there was no time."""
    trials: int
    """How many encodings were scored."""
    highest: int
    """The highest quality of these."""
    is_searched: bool
    """Whether the search ended by itself; otherwise this is the best so far."""
    offset: float
    """How much more the picture loses than the curve says, as a logarithm, at the quality at which it would reach its
    target: where its other sizes and formats begin."""


def search(
    encode: Callable[[int], bytes],
    score: Callable[[bytes], Score],
    target: QualityGoal,
    curve: SizedCurve,
    *,
    offset: float = 0.0,
    precision: Precision = FIRST_STEP,
    has_time: Callable[[], bool] = lambda: True,
) -> SearchResult:
    """Return the smallest encoding tried that reaches the target within the precision, or else the best one.

    No quality below the target's `min` or above its `max` is tried, and none twice. `has_time` is asked before each
    trial. `curve`: of pictures of this size; `offset`: how much more than the curve the picture is expected to lose, as
    a logarithm.
    """
    trials: list[Trial] = []
    goal = _log_loss(target.target + AIM)
    quality: int | None = _clamp(curve.quality(goal - offset), target)
    is_searched = False
    while quality is not None and has_time():
        body = encode(quality)
        scored = score(body)
        trials.append(Trial(quality, body, scored))
        if (
            -precision.below <= effective_score(scored) - target.target <= precision.above
            or len(trials) == precision.max_trials
        ):
            is_searched = True
            break
        quality = _next_quality(trials, goal, target, curve)
        is_searched = quality is None
    if not trials:
        quality = quality or target.min
        return SearchResult(quality, encode(quality), None, 0, 0, is_searched=False, offset=offset)
    best = _best(trials, target.target - precision.below)
    (nearest, *_), opposite = _rank(trials, goal)
    found = goal - curve.log_loss(_expected_quality(goal, curve, nearest, *opposite[:1]))
    highest = max(trial.quality for trial in trials)
    return SearchResult(
        best.quality, best.body, best.score, len(trials), highest, is_searched=is_searched, offset=found
    )


def effective_score(score: Score) -> float:
    """Return what is compared with the target: the score, or less if a region is much worse than the rest."""
    return min(score.overall, score.worst + ALLOWED_GAP)


def _best(trials: Sequence[Trial], enough: float) -> Trial:
    good = [trial for trial in trials if effective_score(trial.score) >= enough]
    if good:
        return min(good, key=lambda trial: (len(trial.body), -effective_score(trial.score)))
    return max(trials, key=lambda trial: effective_score(trial.score))


def _next_quality(trials: Sequence[Trial], goal: float, target: QualityGoal, curve: SizedCurve) -> int | None:
    """Return the most promising quality for a loss of `goal` that was not tried; None if there is none."""
    (nearest, *others), opposite = _rank(trials, goal)
    guess = _clamp(_expected_quality(goal, curve, nearest, *(opposite or others)[:1]), target)
    tried = [trial.quality for trial in trials]
    if guess in tried and opposite:  # halfway to the nearest on the other side
        other = min(opposite, key=lambda trial: abs(trial.quality - nearest.quality))
        guess = round((nearest.quality + other.quality) / 2)
    elif guess in tried:
        guess = _clamp(nearest.quality + (1 if nearest.log_loss > goal else -1), target)
    return guess if guess not in tried else None


def _rank(trials: Sequence[Trial], goal: float) -> tuple[list[Trial], list[Trial]]:
    """Return the trials by how near their loss is to the goal, and those of them on the other side than the nearest."""
    ranked = sorted(trials, key=lambda trial: abs(trial.log_loss - goal))
    return ranked, [trial for trial in ranked if (trial.log_loss > goal) != (ranked[0].log_loss > goal)]


def _expected_quality(goal: float, curve: SizedCurve, nearest: Trial, other: Trial | None = None) -> float:
    """Return the quality at which the picture is expected to lose what `goal` says.

    With another trial it is on the secant through both; over the curve, so that it is nearly straight.
    """
    expected, slope = curve.log_loss(nearest.quality), 1.0
    if other:
        run = expected - curve.log_loss(other.quality)
        slope = min(_MAX_SLOPE, max(1 / _MAX_SLOPE, (nearest.log_loss - other.log_loss) / run))
    return curve.quality(expected + (goal - nearest.log_loss) / slope)


def _clamp(quality: float, target: QualityGoal) -> int:
    return max(target.min, min(target.max, round(quality)))


def _log_loss(score: float) -> float:
    """Return the logarithm of what is lost; a loss below a point says nothing of other qualities."""
    return math.log(max(1.0, 100 - score))


def _interpolate(points: Sequence[tuple[float, float]], x: float) -> float:
    """Return the value at `x` of the line through points that rise in x; beyond its ends it goes on straight."""
    index = next((i for i in range(1, len(points) - 1) if x <= points[i][0]), len(points) - 1)
    (left, low), (right, high) = points[index - 1 : index + 1]
    return low + (high - low) * (x - left) / (right - left)
