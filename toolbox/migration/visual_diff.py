"""The largest visible changes: what the destination has, compared with what the recipe makes of it.

The stored objects are compared, and not the old recipe rendered again: they are what pages show, also if an older
engine made them, or a recipe that is not kept. Each costs one request and no second rendering.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import pyvips

from image_scaler.exceptions import RejectedError
from image_scaler.images.rendering import SourceImage
from image_scaler.images.ssimulacra2 import Reference
from image_scaler.images.vips import VIPS_ERRORS
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Fit
from image_scaler.renditions.keys import KeyTemplate
from image_scaler.renditions.made import MadeRendition
from image_scaler.renditions.spec import RenditionSpec, RenditionTarget
from toolbox.migration.changes import Change
from toolbox.migration.stored import ParsedManifest

MAX_CHANGES = 5
MAX_COMPARED_SIDE = 2048
"""In pixels; larger renditions are compared at this size, which bounds memory and time."""
_GREY = 128

_SPEC = RenditionSpec(
    name="diff",
    template=KeyTemplate("diff/"),
    width=MAX_COMPARED_SIDE,
    height=MAX_COMPARED_SIDE,
    fit=Fit.INSIDE,
    animated=False,
)
_TARGET = RenditionTarget(_SPEC, "diff", Format.WEBP)


@dataclass(frozen=True, kw_only=True)
class VisualChange:
    """A rendition that looks different under the recipe."""

    source: str
    """The key of the source."""
    rendition: str
    key: str
    """The key of the new rendition."""
    before: MadeRendition
    """The rendition as it exists."""
    after: MadeRendition
    """The rendition as the recipe makes it."""
    score: float
    """The score of SSIMULACRA 2 of the new rendition against the existing one: the lower, the larger the change."""
    is_other_crop: bool
    """Whether the two have other proportions; what only one of them shows counts as changed."""
    is_other_motion: bool
    """Whether only one of the two is an animation. The score is of the first frame."""


class Comparison(NamedTuple):
    """How different two pictures look."""

    score: float
    is_other_crop: bool
    is_other_motion: bool
    bytes_before: int


class VisualDiff:
    """Compares the renditions of sampled sources, and keeps the largest changes only."""

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        """`read` returns an object of the destination; None if it does not exist."""
        self._read = read
        self._by_rendition: dict[tuple[str, str | None], list[VisualChange]] = {}
        """The largest changes of each rendition, by name and media type: one of each source."""
        self.compared = 0
        self.changed = 0
        """Of those compared: the renditions with other pixels."""
        self.missing = 0
        """Renditions that a manifest lists, but that do not exist or cannot be decoded."""

    @property
    def largest(self) -> list[VisualChange]:
        """The largest changes, of different sources and renditions as far as there are enough.

        If a thumbnail gets another crop, it changes more than all else, in all sources alike.
        """
        left = [change for changes in self._by_rendition.values() for change in changes]
        chosen: list[VisualChange] = []
        while left and len(chosen) < MAX_CHANGES:
            best = min(left, key=lambda change: (_times_seen(change, chosen), _rank(change)))
            left.remove(best)
            chosen.append(best)
        return sorted(chosen, key=_rank)

    def as_json(self) -> dict[str, Any]:
        """Return it for plan.json."""
        return {
            "compared": self.compared,
            "changed": self.changed,
            "missing": self.missing,
            "largest": [_as_json(change) for change in self.largest],
        }

    def look(
        self,
        change: Change,
        manifest: ParsedManifest | None,
        made: Sequence[MadeRendition],
        body_of: Callable[[str], bytes],
    ) -> None:
        """Compare the renditions of a source; `body_of` returns a new rendition by its key."""
        if manifest is None or manifest.source.etag != change.source.etag:
            return  # nothing exists, or it shows another picture: then the upload changes it, not the recipe
        asked = {(target.spec.name, target.format.traits.media_type) for target in change.plan.renditions}
        for new, old in pairs(made, manifest.renditions, asked):
            if (new.name, new.type) in change.kept:
                continue
            largest = self._by_rendition.setdefault((new.name, new.type), [])
            found = self._compare(old.key, body_of(new.key))
            if found is None or (len(largest) == MAX_CHANGES and _rank(found) >= _rank(largest[-1])):
                continue
            seen = VisualChange(
                source=change.source.key,
                rendition=new.name,
                key=new.key,
                before=msgspec.structs.replace(old, bytes=found.bytes_before),
                after=new,
                score=round(found.score, 1),
                is_other_crop=found.is_other_crop,
                is_other_motion=found.is_other_motion,
            )
            largest[:] = sorted([*largest, seen], key=_rank)[:MAX_CHANGES]

    def _compare(self, key: str, after: bytes) -> Comparison | None:
        """Return how different a new rendition looks from an object; None if it does not, or cannot be told."""
        before = self._read(key)
        if before is None:
            self.missing += 1
            return None
        self.compared += 1
        if before == after:
            return None
        try:
            found = compare(before, after)
        except (RejectedError, *VIPS_ERRORS):
            self.compared -= 1
            self.missing += 1
            return None
        if found is None:
            return None
        self.changed += 1
        return found


def pairs(
    made: Sequence[MadeRendition], existing: Sequence[MadeRendition], asked: Collection[tuple[str, str]]
) -> Iterator[tuple[MadeRendition, MadeRendition]]:
    """Yield each new rendition with the existing object that it takes the place of, if there is one.

    That has the same name, which has the width of a ladder's step in it, and the same type. Without one, it is one
    whose type is not asked for any longer: AVIF in the place of WebP. `asked`: name and media type of each rendition of
    renditions.toml. What stays a copy has no pixels of its own.
    """
    for new in made:
        if new.type is None:
            continue
        same_name = [entry for entry in existing if entry.name == new.name and entry.type]
        same_type = [entry for entry in same_name if entry.type == new.type]
        replaced = [entry for entry in same_name if (new.name, entry.type) not in asked]
        if found := same_type or replaced:
            yield new, found[0]


def compare(before: bytes, after: bytes) -> Comparison | None:
    """Return how different two pictures look; None if all their pixels are the same.

    Animations are compared by their first frame. Raises RejectedError if one of the two cannot be decoded.
    """
    sources = SourceImage(before), SourceImage(after)
    is_other_motion = (sources[0].frames > 1) != (sources[1].frames > 1)
    first, second = map(_decode, sources)
    one, other, is_other_crop = _align(first, second)
    is_same = (first.width, first.height) == (second.width, second.height) and (one - other).abs().max() == 0
    if is_same and not is_other_motion:
        return None
    return Comparison(Reference(one).score(other).overall, is_other_crop, is_other_motion, len(before))


def _decode(source: SourceImage) -> pyvips.Image:
    """Return the first frame in memory, in 8-bit sRGB with 3 or 4 bands, no larger than what is compared."""
    image = source.render([_TARGET]).original(_TARGET)
    if image.bands < 3:
        image = image.colourspace("srgb")
    return image.cast("uchar").copy_memory()


def _align(before: pyvips.Image, after: pyvips.Image) -> tuple[pyvips.Image, pyvips.Image, bool]:
    """Return both with the same size and bands, and whether they are other crops.

    The larger one is scaled down, so that a rendition that is only smaller does not count as damage. If the two have
    other proportions, the smaller one is enlarged and centred on grey within the larger one.
    """
    if before.hasalpha() != after.hasalpha():
        before, after = (image if image.hasalpha() else image.addalpha() for image in (before, after))
    if (before.width, before.height) == (after.width, after.height):
        return before, after, False
    is_after_larger = after.width * after.height > before.width * before.height
    small, large = (before, after) if is_after_larger else (after, before)
    scale = min(large.width / small.width, large.height / small.height)
    fitted = [round(side * scale) for side in (small.width, small.height)]
    # Sizes are rounded to whole pixels, and with them the proportions.
    slack = scale + 1
    is_other_crop = large.width - fitted[0] > slack or large.height - fitted[1] > slack
    if is_other_crop:
        small = _embed(_resize(small, *fitted), large.width, large.height)
    else:
        large = _resize(large, small.width, small.height)
    return (small, large, is_other_crop) if is_after_larger else (large, small, is_other_crop)


def _resize(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    resized = image.thumbnail_image(max(1, width), height=max(1, height), size="force")
    return resized.cast("uchar").copy(interpretation="srgb").copy_memory()


def _embed(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    """Return a picture in the middle of a grey one of this size."""
    left, top = (width - image.width) // 2, (height - image.height) // 2
    background = [_GREY] * 3 + [255] * (image.bands - 3)
    framed = image.embed(left, top, width, height, extend="background", background=background)
    return framed.cast("uchar").copy(interpretation="srgb").copy_memory()


def _as_json(change: VisualChange) -> dict[str, Any]:
    return vars(change) | {"before": change.before.as_json(), "after": change.after.as_json()}


def _rank(change: Comparison | VisualChange) -> tuple[bool, float]:
    """Return what sorts changes, the largest first."""
    return not change.is_other_motion, change.score


def _times_seen(change: VisualChange, chosen: Sequence[VisualChange]) -> int:
    """Return how often its source and its rendition were chosen."""
    return sum((change.source == other.source) + (change.rendition == other.rendition) for other in chosen)
