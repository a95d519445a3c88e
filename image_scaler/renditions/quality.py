"""How good a rendition has to look, instead of a quality number: a score of SSIMULACRA 2."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

QualityWord = Literal["visually_lossless", "high", "medium", "low"]

_TARGETS: dict[str, float] = {"visually_lossless": 90.0, "high": 70.0, "medium": 50.0, "low": 30.0}
"""The metric's author describes its scale with these words, so they are not shifted here. 70: artefacts are hard to
notice without the original next to it; 80: not noticed side by side; 90: not even when the two are flipped."""

_Quality = Annotated[int, Meta(ge=1, le=100, description="an integer from 1 to 100")]


class QualityGoal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The score that a rendition should have, and the qualities that may be tried for it."""

    target: Annotated[float, Meta(ge=1, le=100, description="a number from 1 to 100")]
    """On SSIMULACRA 2's scale: 90 is visually lossless, 70 high, 50 medium, 30 low."""
    min: _Quality = msgspec.field(default_factory=int)  # not 0, which the JSON Schema would name as the default
    """The lowest quality in the encoder's own numbers; if it is not given, half of what `target` is above 10, and 10 or
    more. At less, flat pictures reach a target with blocks in their gradients that a bright screen shows: from 10 to 30
    a night sky of 1.4 kB grows by 0.4 kB, and 26 pictures by 1.0 % in WebP and 0.5 % in AVIF."""
    max: _Quality = 95
    """The highest one. From 95 to 100 a picture takes twice the bytes for a difference that nobody sees."""

    def __post_init__(self) -> None:
        """Fill in `min`."""
        if not self.min:
            msgspec.structs.force_setattr(self, "min", min(self.max, max(10, round((self.target - 10) / 2))))


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
