"""How good a rendition has to look, instead of a quality number: a score of SSIMULACRA 2."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

QualityWord = Literal["visually_lossless", "high", "medium", "low"]

_TARGETS: dict[str, float] = {"visually_lossless": 90, "high": 70, "medium": 50, "low": 30}
"""The metric's author describes its scale with these words, so they are not shifted here. 70: artefacts are hard to
notice without the original next to it; 80: not noticed side by side; 90: not even when the two are flipped."""

_Quality = Annotated[int, Meta(ge=1, le=100, description="an integer from 1 to 100")]


class QualityGoal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The score that a rendition should have, and the qualities that may be tried for it."""

    target: Annotated[float, Meta(ge=1, le=100, description="a number from 1 to 100")]
    """On SSIMULACRA 2's scale: 90 is visually lossless, 70 high, 50 medium, 30 low."""
    min: _Quality = 10
    """The lowest quality in the encoder's own numbers. Below 10, only blurred images still reach a target, and they are
    tiny anyway."""
    max: _Quality = 95
    """The highest one. From 95 to 100 a picture takes twice the bytes for a difference that nobody sees."""


QUALITY_WORDS: tuple[str, ...] = get_args(QualityWord)

Quality = Annotated[
    _Quality | QualityWord | QualityGoal,
    Meta(
        description=f"an integer from 1 to 100, one of {', '.join(QUALITY_WORDS)}, "
        "or a table like { target = 70, min = 30, max = 95 }"
    ),
]
"""What `quality` may be in renditions.toml."""


def quality_goal(quality: int | str | QualityGoal | None) -> QualityGoal | None:
    """Return the score that a quality asks for; None if it is a number, or not given."""
    if isinstance(quality, str):
        return QualityGoal(target=_TARGETS[quality])
    return quality if isinstance(quality, QualityGoal) else None
