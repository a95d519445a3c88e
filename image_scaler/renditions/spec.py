"""What to make of a source: the recipe of each rendition, and the plan for one source."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.fingerprint import fingerprint
from image_scaler.renditions.formats import ENCODING_OPTIONS, OUTPUT_FORMATS, Format, format_of_extension
from image_scaler.renditions.geometry import Fit, Position
from image_scaler.renditions.keys import (
    HASH,
    HASH_DIGITS,
    MANIFEST_FOLDER,
    RECIPE_FOLDER,
    REJECTION_FOLDER,
    KeyPattern,
    KeyTemplate,
    checked_key,
    split_extension,
)
from image_scaler.renditions.limits import DEFAULT_LIMITS, Count, Limits
from image_scaler.renditions.quality import Quality, QualityTarget, quality_target

Flag = Annotated[bool, Meta(description="true or false")]


class RenditionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options that all steps of a ladder share; each is declared here and nowhere else.

    Errors, the JSON Schema and the docs come from these types.
    """

    fit: Annotated[Fit, Meta(description=f"one of {', '.join(Fit)}")] = Fit.COVER
    position: Annotated[Position, Meta(description=f"one of {', '.join(Position)}")] = Position.CENTRE
    without_enlargement: Flag = True
    background: Annotated[
        str, Meta(pattern=r"^#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})\Z", description="a colour like #ffffff or #ffffff00")
    ] = "#ffffff"
    """Shown behind transparency in JPEG, and around the image in `contain`."""
    trim: Flag = False
    """Cut off a border of one colour, before anything else is done."""
    sharpen: Flag = False
    """Sharpen mildly, after the image was scaled."""
    animated: Flag = True
    """Whether an animation stays one, in WebP and GIF; other formats show its first frame."""
    quality: Quality | None = None
    """A number, or how good the rendition has to look: then the quality is searched for. None: the format's default."""
    effort: Annotated[int, Meta(ge=0, le=10, description="an integer from 0 to 10")] | None = None
    """From 0 to 6 in WebP, 9 in AVIF, 10 in GIF; None: the default of the format."""
    max_bytes: Count | None = None
    """The quality is lowered until the rendition is no larger than this, in JPEG, WebP and AVIF."""
    progressive: Flag = False
    chroma_subsampling: Annotated[Literal["4:2:0", "4:4:4"], Meta(description="one of 4:2:0, 4:4:4")] | None = None
    """In JPEG and AVIF; None: `4:2:0` in JPEG, `4:4:4` in AVIF."""
    lossless: Flag = False
    palette: Flag = False
    """At most 256 colours, in PNG."""
    keep_profile: Flag = False
    """Keep the embedded colour profile instead of converting to sRGB."""
    keep_copyright: Flag = True
    """Keep copyright, artist and credit line: the only metadata that can stay."""
    skip_larger: Flag = False
    """Leave out a format that is not smaller than a later one in `formats`, at each step."""
    cache_control: (
        Annotated[str, Meta(pattern=r"^[ -~]+\Z", description="a value like public, max-age=86400")] | None
    ) = None


class RenditionSpec(RenditionOptions, frozen=True, kw_only=True, dict=True, cache_hash=True):
    """The recipe of one rendition."""

    name: str
    """The rendition's name in renditions.toml, followed by the width in a ladder: `web-640`."""
    template: KeyTemplate
    width: int | None = None
    height: int | None = None
    format: Format | None = None
    """None: the format of the source's key, or WebP if browsers do not show that."""

    @property
    def background_rgba(self) -> tuple[int, int, int, int]:
        """Red, green, blue and alpha of the background, from 0 to 255."""
        red, green, blue, alpha = bytes.fromhex(self.background.removeprefix("#").ljust(8, "f"))
        return red, green, blue, alpha

    @property
    def quality_target(self) -> QualityTarget | None:
        """The score that the rendition should have; None if its quality is fixed."""
        return quality_target(self.quality)

    def searched_target(self, format: Format) -> QualityTarget | None:
        """Return the score for which the quality of a rendition in this format is searched; None if it is fixed."""
        has_quality = format.traits.default_quality is not None and not self.lossless
        return self.quality_target if has_quality else None

    def fixed_quality(self, format: Format) -> int:
        """Return the quality in a format; the format's default if none is given, or a score to search it by."""
        return self.quality if isinstance(self.quality, int) else format.traits.default_quality or 100

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats that a rendition can have; several if the source's key decides."""
        return (self.format,) if self.format else OUTPUT_FORMATS

    def has_effect(self, option: str, format: Format) -> bool:
        """Return whether an option changes anything in a rendition in this format, next to the other options."""
        has_side, has_box = bool(self.width or self.height), bool(self.width and self.height)
        match option:
            case "fit":
                return has_box or (has_side and self.fit is Fit.FILL)
            case "position":
                return has_box and self.fit in (Fit.COVER, Fit.CONTAIN)
            case "without_enlargement":
                return has_side
            case "background":
                return format is Format.JPEG or (has_box and self.fit is Fit.CONTAIN)
            case "animated":
                return format.traits.is_animated
            case "quality" if format is Format.PNG:
                return self.palette
            case "chroma_subsampling" if format is Format.AVIF:
                return not self.lossless
        return option not in ENCODING_OPTIONS or option in format.traits.options

    def resolve(self, option: str, format: Format) -> object:
        """Return what an option means in this format: its value, or what its default resolves to."""
        match option:
            case "quality":
                return self.searched_target(format) or self.fixed_quality(format)
            case "effort" if self.effort is None and format.traits.effort:
                effort = format.traits.effort
                return (effort.default, effort.by_pixels) if effort.by_pixels else effort.default
            case "chroma_subsampling":
                return self.chroma_subsampling or format.traits.chroma_subsampling
        return getattr(self, option)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of everything that a rendition's bytes and headers depend on besides its source."""
        return fingerprint(self)

    @property
    def pixel_options(self) -> "RenditionSpec":
        """The spec without everything that a rendition's bytes do not depend on once its size and format are known."""
        return msgspec.structs.replace(
            self,
            name="",
            template=KeyTemplate(""),
            width=None,
            height=None,
            format=None,
            skip_larger=False,
            cache_control=None,
        )

    def output_format(self, source_key: str) -> Format:
        """Return the format of a source's rendition, from the recipe and the extension of the source's key alone."""
        if self.format:
            return self.format
        format = format_of_extension(split_extension(source_key)[1])
        return format if format in OUTPUT_FORMATS else Format.WEBP

    def target(self, source_key: str, version: str | None = None) -> "RenditionTarget":
        """Return the rendition of a source; raises DestinationKeyError if S3 cannot store its key.

        `version`: the version of the source; None if it is not known: then a key with a hash shows `{hash}` in its
        place.
        """
        format = self.output_format(source_key)
        key = _key(self, version, lambda template: template.key(source_key, format))
        return RenditionTarget(self, key, format)

    def may_collide_with(self, other: "RenditionSpec | CopySpec") -> bool:
        """Return whether some two sources could give this and the other rendition one key."""
        formats = {self.format, other.format if isinstance(other, RenditionSpec) else None}
        has_extensions_apart = None not in formats and len(formats) == 2
        return self.template.may_collide_with(other.template, has_extensions_apart=has_extensions_apart)


class CopySpec(msgspec.Struct, frozen=True, kw_only=True, dict=True, cache_hash=True):
    """A copy of the source, byte for byte."""

    name: str
    template: KeyTemplate

    @cached_property
    def fingerprint(self) -> str:
        """A short hash that differs from that of every rendition."""
        return hashlib.sha256(f"copy {self.name}".encode()).hexdigest()[:16]

    def target(self, source_key: str, version: str | None = None) -> "CopyTarget":
        """Return the copy of a source, as RenditionSpec.target does."""
        return CopyTarget(self, _key(self, version, lambda template: template.copy_key(source_key)))

    def may_collide_with(self, other: "RenditionSpec | CopySpec") -> bool:
        """Return whether some two sources could give this copy and the other rendition one key."""
        return self.template.may_collide_with(other.template, has_extensions_apart=False)


Spec = RenditionSpec | CopySpec


def _key(spec: Spec, version: str | None, key: Callable[[KeyTemplate], str]) -> str:
    """Return the key that `key` makes of a spec's template, with the hash of a version of the source."""
    if not spec.template.has_hash:
        return checked_key(key(spec.template), f"rendition {spec.name}")
    digits = hashlib.sha256(f"{spec.fingerprint} {version}".encode()).hexdigest()[:HASH_DIGITS]
    checked = checked_key(key(spec.template.with_hash(digits)), f"rendition {spec.name}")
    return key(spec.template.with_hash()) if version is None else checked


@dataclass(frozen=True)
class RenditionTarget:
    """One rendition of one source: what is made, and its key."""

    spec: RenditionSpec
    key: str
    format: Format


@dataclass(frozen=True)
class CopyTarget:
    """One copy of one source, and its key."""

    spec: CopySpec
    key: str


Target = RenditionTarget | CopyTarget


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """Everything that is written for one source; a pure function of its key and of renditions.toml.

    If a key has a hash, `of_version` returns the plan for one version of the source, whose keys are complete.
    """

    source_key: str
    targets: tuple[Target, ...]
    """In the order of renditions.toml."""
    manifest_key: str | None
    """None: the source gets no manifest."""
    ladder: frozenset[str]
    """The names of the renditions of the first ladder: one picture in several widths or formats. Empty without one."""
    rule: str | None = None
    """The pattern of the rule that chose the renditions; None if no rule matches the source."""

    @cached_property
    def renditions(self) -> tuple[RenditionTarget, ...]:
        """The targets that are rendered."""
        return tuple(target for target in self.targets if isinstance(target, RenditionTarget))

    @cached_property
    def copies(self) -> tuple[CopyTarget, ...]:
        """The targets that are copied."""
        return tuple(target for target in self.targets if isinstance(target, CopyTarget))

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that is written, the manifest's last."""
        return (*(target.key for target in self.targets), *([self.manifest_key] if self.manifest_key else []))

    @cached_property
    def is_versioned(self) -> bool:
        """Whether the key of a target has a hash."""
        return any(target.spec.template.has_hash for target in self.targets)

    def of_version(self, version: str) -> "SourcePlan":
        """Return the plan with the hashes of a version of the source in its keys."""
        if not self.is_versioned:
            return self
        return replace(self, targets=tuple(target.spec.target(self.source_key, version) for target in self.targets))

    def has_version(self, key: str) -> bool:
        """Return whether a key is that of some version of the source, by its hash."""
        return any(pattern.fullmatch(key) for pattern in self._versions)

    @cached_property
    def _versions(self) -> tuple[re.Pattern[str], ...]:
        digits = f"[0-9a-f]{{{HASH_DIGITS}}}"
        return tuple(
            re.compile(re.escape(_pattern(target, self.source_key)).replace(HASH, digits), re.DOTALL)
            for target in self.targets
            if target.spec.template.has_hash
        )


def _pattern(target: Target, source_key: str) -> str:
    """Return the key of a target with HASH in the place of the hash."""
    if isinstance(target, RenditionTarget):
        return target.spec.template.key(source_key, target.format)
    return target.spec.template.copy_key(source_key)


@dataclass(frozen=True)
class Rule:
    """Which renditions are made of the sources whose keys match a pattern."""

    pattern: KeyPattern
    renditions: tuple[str, ...]
    """Names as in renditions.toml; a ladder's name means all its steps."""


class Renditions:
    """Everything that renditions.toml says."""

    def __init__(
        self,
        by_name: Mapping[str, tuple[Spec, ...]],
        rules: Sequence[Rule] = (),
        *,
        limits: Limits = DEFAULT_LIMITS,
        allow_svg: bool = False,
        on_source_delete: Literal["keep", "remove"] = "keep",
        manifest: bool = True,
        events: bool = False,
        toml: str = "",
    ) -> None:
        """Raise ConfigError if a rendition could write the key of another one, or of what the function writes."""
        self.toml = toml
        """The text of renditions.toml."""
        self.by_name = by_name
        """The steps of a ladder, or else one spec, by the name of the table."""
        self.limits = limits
        self.allow_svg = allow_svg
        self.on_source_delete = on_source_delete
        self.events = events
        self._rules = tuple(rules)
        self._has_manifest = manifest
        ConfigError.raise_all(*self._find_mistakes())

    def _find_mistakes(self) -> Iterator[ConfigError]:
        if self.events and not self._has_manifest:
            yield ConfigError("events = true needs manifests, which it tells of: remove manifest = false", ("events",))
        tables = [table for table, specs in self.by_name.items() for _ in specs]
        for index, spec in enumerate(self.specs):
            field = ("renditions", tables[index], "key")
            prefix = spec.template.with_hash().prefix
            if spec.template.has_hash and not self._has_manifest:
                message = "which only a manifest tells to web pages: remove {hash}, or manifest = false at the top"
                yield ConfigError(f"the key of rendition {spec.name} has a {{hash}}, {message}", field)
            if other := next(filter(spec.may_collide_with, self.specs[:index]), None):
                message = f"could both write {prefix}...: give one of them another name or key"
                yield ConfigError(f"renditions {other.name} and {spec.name} {message}", field)
            if self._has_manifest and prefix.startswith(MANIFEST_FOLDER):
                message = "give it another name or key, or set manifest = false at the top"
                folder = f"the folder of the manifests, {MANIFEST_FOLDER}"
                yield ConfigError(f"rendition {spec.name} would be written to {folder}: {message}", field)
            if prefix.startswith((RECIPE_FOLDER, REJECTION_FOLDER)):
                folders = f"{RECIPE_FOLDER} and {REJECTION_FOLDER}"
                message = f"rendition {spec.name} needs another name or key: {folders} are the function's own"
                yield ConfigError(message, field)

    @cached_property
    def specs(self) -> tuple[Spec, ...]:
        """Every recipe, in the order of renditions.toml."""
        return tuple(spec for specs in self.by_name.values() for spec in specs)

    @cached_property
    def id(self) -> str:
        """A short hash of everything that is made of any source, and of what is rejected."""
        specs = [(spec.name, spec.fingerprint, spec.template) for spec in self.specs]
        rules = [(rule.pattern.text, rule.renditions) for rule in self._rules]
        parts = (specs, rules, self.limits, self.allow_svg, self._has_manifest)
        return hashlib.sha256(ascii(parts).encode()).hexdigest()[:16]

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of the rules, in the order of renditions.toml."""
        return tuple(rule.pattern.text for rule in self._rules)

    def rule_for(self, source_key: str) -> Rule | None:
        """Return the first rule that matches a source's key; None if none does."""
        return next((rule for rule in self._rules if rule.pattern.matches(source_key)), None)

    def plan_for(self, source_key: str) -> SourcePlan:
        """Return what is written for a source: the renditions of the first rule that matches its key, or all.

        Raises DestinationKeyError if S3 cannot store one of the keys.
        """
        rule = self.rule_for(source_key)
        names = rule.renditions if rule else tuple(self.by_name)
        has_manifest = self._has_manifest and any(self.by_name[name] for name in names)
        return SourcePlan(
            source_key=source_key,
            targets=tuple(spec.target(source_key) for name in names for spec in self.by_name[name]),
            manifest_key=checked_key(f"{MANIFEST_FOLDER}{source_key}.json", "the manifest") if has_manifest else None,
            ladder=next(
                (self._ladder(name) for name in self.by_name if name in names and self._ladder(name)), frozenset()
            ),
            rule=rule.pattern.text if rule else None,
        )

    def _ladder(self, name: str) -> frozenset[str]:
        """Return the names of a ladder's steps; empty if the table is none."""
        specs = self.by_name[name]
        is_ladder = len(specs) > 1 or specs[0].name != name
        return frozenset(spec.name for spec in specs) if is_ladder else frozenset()
