"""The fingerprint of a rendition's recipe: a hash of what its options mean, not of how renditions.toml says it.

An option that has no effect is ignored, and a default counts as its value: `quality = 78` in WebP, where 78 is the
default, has the same fingerprint as no quality at all. So if the default changes,

- recipes that name no quality get another fingerprint, and their renditions are replaced,
- recipes with `quality = 78` keep theirs.

Stored renditions have fingerprints of earlier versions. These stay valid, because a hash has the text that it always
had for what an option meant first (`_FIRST_VALUES`, `_FIRST_DEFAULTS`), and because later options have no text while
they are off.
"""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Fit, Position
from image_scaler.renditions.quality import QualityGoal

if TYPE_CHECKING:
    from image_scaler.renditions.spec import RenditionSpec

ENGINE_VERSION = 2
"""Increment when the code makes other bytes of the same options: then all renditions are replaced. A changed default
needs no increment. `tests/unit/images/test_engine.py` finds out."""

_FIRST_VALUES: Mapping[str, object] = {
    "fit": Fit.COVER,
    "position": Position.CENTRE,
    "without_enlargement": True,
    "background": "#ffffff",
    "trim": False,
    "sharpen": False,
    "animated": True,
    "quality": None,
    "effort": None,
    "max_bytes": None,
    "progressive": False,
    "chroma_subsampling": None,
    "lossless": False,
    "palette": False,
    "keep_profile": False,
    "keep_copyright": True,
    "cache_control": None,
    "width": None,
    "height": None,
    "format": None,
}
"""What each option of the first version was if it was not set. Do not change it when a default changes."""

_FIRST_DEFAULTS: Mapping[str, Mapping[Format, object]] = {
    "quality": {Format.JPEG: 76, Format.PNG: 100, Format.WEBP: 78, Format.AVIF: 56},
    "effort": {
        Format.WEBP: (2, ((409_600, 5),)),
        Format.AVIF: (0, ((409_600, 4), (4_000_000, 3), (16_000_000, 2))),
        Format.GIF: 3,
    },
    "chroma_subsampling": {Format.JPEG: "4:2:0", Format.AVIF: "4:4:4"},
    "animated": {Format.AVIF: False},
}
"""What an option that was not set meant in each format. Do not change it when a default changes.

A new option needs a row if its default is not None or False, and a new format a value in each row.
"""

_FIRST_WORDS: Mapping[object, str] = {
    QualityGoal(target=90, min=10, max=95): "visually_lossless",
    QualityGoal(target=70, min=10, max=95): "high",
    QualityGoal(target=50, min=10, max=95): "medium",
    QualityGoal(target=30, min=10, max=95): "low",
}
"""What the quality words meant."""


def fingerprint(spec: "RenditionSpec", engine_version: int = ENGINE_VERSION) -> str:
    """Return a short hash of everything that a rendition's bytes and headers depend on besides its source."""
    parts = {name: _meaning(spec, name) for name in spec.__struct_fields__ if name != "template"}
    text = {name: value for name, value in parts.items() if name in _FIRST_VALUES or not _is_off(value)}
    if any(spec.goal_for(format) for format in spec.formats):
        text["metric"] = 1  # as the text of every searched quality had from the beginning
    if spec.keeps_shape:
        text["keeps_shape"] = True  # the first version gave a small source's own shape
    if spec.format is Format.AVIF and spec.animated and spec.has_effect("animated", Format.AVIF):
        text["animated_avif"] = True  # the first version showed the first frame
    first_text = f"{engine_version} {text}".replace("QualityGoal(", "QualityTarget(")  # the class's first name
    return hashlib.sha256(first_text.encode()).hexdigest()[:16]


def _is_off(value: object) -> bool:
    return value is None or value is False


def _meaning(spec: "RenditionSpec", option: str) -> object:
    """Return what an option means, or its first value if it means what that did or has no effect.

    If it means something else in each format that the rendition can have, this is a dict.
    """
    first_value, first_defaults = _FIRST_VALUES.get(option), _FIRST_DEFAULTS.get(option, {})
    meant = {format: spec.resolve(option, format) for format in spec.formats if spec.has_effect(option, format)}
    if all(value == first_defaults.get(format, first_value) for format, value in meant.items()):
        return first_value
    values = [_FIRST_WORDS.get(value, value) for value in meant.values()]
    return values[0] if values.count(values[0]) == len(values) else dict(zip(meant, values, strict=True))
