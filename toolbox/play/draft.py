"""The text of a renditions.toml -> the columns of the contact sheet, or its mistakes with their lines."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from image_scaler.exceptions import ConfigError
from image_scaler.recipe_file import parse_recipe_in
from image_scaler.renditions.dependencies import depends_on, scaled_from
from image_scaler.renditions.geometry import Fit, Point, Size
from image_scaler.renditions.recipe import Recipe, SourcePlan
from image_scaler.renditions.spec import CopySpec, RenditionSpec, Spec

MAX_TEXT_BYTES = 64 * 1024

COPY_WITH_RENDITIONS, COPY_ALONE = COPIES = ("copy with renditions", "copy alone")
"""The hashes of copies. A source that cannot be decoded is not copied either, unless it is only copied."""


class Column(NamedTuple):
    """A column of the contact sheet: a copy, or one rendition."""

    id: str
    """Its name, with the format behind a dot if renditions.toml says one: `web-640.avif`."""
    name: str
    table: str
    """The name of the table in renditions.toml, without the width of a ladder's step."""
    format: str | None
    """None for a copy, and if the key of the source decides it."""
    description: str
    quality: int | None
    """As it is in force; None if it is searched, or if the format, or a copy, has none."""
    is_copy: bool
    has_focal_point: bool
    """Whether it is cropped, so that a focal point changes it."""


@dataclass(frozen=True)
class Draft:
    """A renditions.toml that can work."""

    text: str
    folder: Path
    """Has the images of overlays."""
    recipe: Recipe
    _cache_keys: dict[tuple[str, Size | None, Point | None], Mapping[str, str]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def columns(self) -> Sequence[Column]:
        """Its columns, in the order of renditions.toml."""
        tables = [name for name, specs in self.recipe.by_name.items() for _ in specs]
        return [_column(spec, table) for spec, table in zip(self.recipe.specs, tables, strict=True)]

    def plan_for(self, key: str) -> SourcePlan:
        """Return what is written for a source; raises DestinationKeyError if S3 cannot store one of the keys."""
        return self.recipe.plan_for(key)

    def cache_keys(self, key: str, size: Size | None, focal_point: Point | None) -> Mapping[str, str]:
        """Return, for each column of a source, a hash of everything that its rendition depends on.

        `size` is that of the source; None if it is not known. Raises DestinationKeyError if S3 cannot store a key.
        """
        known = (key, size, focal_point)
        if known not in self._cache_keys:
            self._cache_keys[known] = self._hash(*known)
        return self._cache_keys[known]

    def _hash(self, key: str, size: Size | None, focal_point: Point | None) -> Mapping[str, str]:
        source_plan = self.plan_for(key)
        targets = {column_id(target.spec): target for target in source_plan.renditions}
        copy = COPY_WITH_RENDITIONS if targets else COPY_ALONE
        found = {column_id(target.spec): copy for target in source_plan.copies}
        limits = msgspec.structs.astuple(self.recipe.limits)
        for id_, target in targets.items():
            cropped = focal_point if _column(target.spec, "").has_focal_point else None
            larger = scaled_from(target, source_plan.renditions, size)
            others = [one.spec.fingerprint for one in source_plan.renditions if depends_on(target, one)]
            parts = (target.spec.fingerprint, target.format, larger, others, cropped, limits, self.recipe.allow_svg)
            found[id_] = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
        return found


def column_id(spec: Spec) -> str:
    """Return the id of a recipe's column."""
    format = spec.format if isinstance(spec, RenditionSpec) else None
    return f"{spec.name}.{format}" if format else spec.name


def _column(spec: Spec, table: str) -> Column:
    if isinstance(spec, CopySpec):
        return Column(column_id(spec), spec.name, table, None, "copy, byte for byte", None, True, False)
    target = spec.quality_goal
    quality = spec.quality if isinstance(spec.quality, int) else None
    if not target:
        quality = quality or (spec.format.traits.default_quality if spec.format else None)
    words = []
    if any(spec.box):
        words.append(" × ".join(str(side or "any") for side in spec.box))  # noqa: RUF001  the sign of multiplication
    if all(spec.box):
        words.append(spec.fit)
    if spec.lossless:
        words.append("lossless")
    elif target:
        words.append(f"score {target.target:g}")
    elif quality:
        words.append(f"quality {quality}")
    if spec.overlay:
        words.append(f"overlay {spec.overlay.image.partition('/')[2]}")
    if spec.max_bytes:
        words.append(f"up to {spec.max_bytes:,} bytes")
    is_cropped = all(spec.box) and spec.fit is Fit.COVER
    return Column(
        column_id(spec),
        spec.name,
        table,
        spec.format,
        ", ".join(words) or "same size",
        None if spec.lossless else quality,
        False,
        is_cropped,
    )


def read_draft(text: str, folder: Path, name: str = "renditions.toml") -> tuple[Draft | None, Sequence[ConfigError]]:
    """Return the recipe and no mistakes, or None and at least one mistake, in the order of their lines.

    `folder` has the images of overlays.
    """
    try:
        if len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
            raise ConfigError(f"the text is larger than {MAX_TEXT_BYTES:,} bytes").at(name, 1)
        return Draft(text, folder, parse_recipe_in(folder, text, name)), []
    except ConfigError as error:
        return None, error.mistakes


def set_value(text: str, table: str, field: str, value: int | str | bool) -> str:
    """Return the text with a value set in `[renditions.<table>]`; everything else, comments included, stays.

    Raises ConfigError if there is no such table, or the text is not valid TOML.
    """
    # Imported here, because the processes that render do not need it.
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        tomllib.loads(text)
        document = tomlkit.parse(text)
        document["renditions"][table][field] = value
    except (TOMLKitError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"cannot set {field} of renditions.{table}: {error}") from error
    return tomlkit.dumps(document)
