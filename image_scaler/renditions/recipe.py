"""Everything that renditions.toml says, and the plan for one source."""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from image_scaler.exceptions import ConfigError, DestinationKeyError
from image_scaler.renditions.keys import (
    HASH,
    HASH_DIGITS,
    MANIFEST_FOLDER,
    MANIFEST_SUFFIX,
    RECIPE_FOLDER,
    REJECTION_FOLDER,
    KeyPattern,
    check_key,
)
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.overlay import OverlayImage
from image_scaler.renditions.spec import CopySpec, CopyTarget, Flag, RenditionSpec, RenditionTarget, Spec, Tags, Target

MAX_SHARED_KEY_BYTES = 1500
"""The longest key of a source in the metadata of its rendition, percent-encoded: S3 allows 2 KB for all metadata."""


class PictureChoice(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True
):
    """A `[[pictures]]` table: the ladder that `<picture>` offers if a media query is true. The first match wins."""

    media: Annotated[str, Meta(pattern=r"^[ -~]+\Z", description="a media query like (max-width: 40rem)")]
    ladder: Annotated[str, Meta(description="the name of a ladder")]
    hdr: Flag = False
    """Offer only the JPEGs with a gain map, and nothing if the source has none."""


@dataclass(frozen=True, kw_only=True)
class PageOptions:
    """What a manifest tells web pages besides the renditions."""

    ladders: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The name of each ladder and of its renditions: one picture in several widths or formats."""
    pictures: tuple[PictureChoice, ...] = ()
    base_url: str | None = None
    """Where the destination bucket is served; None: URLs are relative to its root."""
    placeholder: bool = False


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
    page: PageOptions
    rule: str | None = None
    """The pattern of the rule that chose the renditions; None if no rule matches the source."""
    names: tuple[str, ...] = ()
    """The tables of renditions.toml whose renditions are made."""

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

    @property
    def version_prefixes(self) -> frozenset[str]:
        """What the keys of all versions of the source begin with, for each target whose key has a hash."""
        templates = [target.spec.template for target in self.targets if target.spec.template.has_hash]
        return frozenset(template.copy_key(self.source_key).partition(HASH)[0] for template in templates)

    def has_version(self, key: str) -> bool:
        """Return whether a key is that of some version of the source, by its hash."""
        return any(pattern.fullmatch(key) for pattern in self._versions)

    def tags_of(self, key: str) -> Tags:
        """Return the tags of a version of the source under a key."""
        tags = (spec.tags for pattern, spec in self._versions.items() if pattern.fullmatch(key))
        return next(tags, None) or ()

    @cached_property
    def _versions(self) -> Mapping[re.Pattern[str], Spec]:
        digits = f"[0-9a-f]{{{HASH_DIGITS}}}"
        return {
            re.compile(re.escape(_pattern(target, self.source_key)).replace(HASH, digits), re.DOTALL): target.spec
            for target in self.targets
            if target.spec.template.has_hash
        }


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


class TopLevel(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The settings before the first table."""

    on_source_delete: Annotated[Literal["keep", "remove"], Meta(description="one of keep, remove")] = "keep"
    manifest: Flag = True
    events: Flag = False
    """Send an event to EventBridge when a manifest was written, and when a source was rejected or removed."""
    base_url: (
        Annotated[
            str, Meta(pattern=r"^(https?:/)?/[!-~]*/\Z", description="an address like https://images.example.com/")
        ]
        | None
    ) = None
    """Where the destination bucket is served: begins every URL in a manifest."""
    placeholder: Flag = False
    """Write a very small picture into the manifest, as a data URL."""
    shared_stems: Flag = False
    """Allow keys without the whole of the source's key; a second source with the same key is rejected."""
    superseded_days: Annotated[int, Meta(ge=1, le=3650, description="an integer from 1 to 3650")] = 30
    """How long replaced renditions exist whose keys have a hash."""


class Recipe:
    """Everything that renditions.toml says."""

    def __init__(
        self,
        by_name: Mapping[str, tuple[Spec, ...]],
        rules: Sequence[Rule],
        pictures: Sequence[PictureChoice],
        settings: TopLevel,
        *,
        limits: Limits,
        allow_svg: bool,
        toml: str,
    ) -> None:
        """Raise ConfigError if a rendition could write the key of another one, or of what the function writes."""
        self.toml = toml
        """The text of renditions.toml."""
        self.by_name = by_name
        """The steps of a ladder, or else one spec, by the name of the table."""
        self.limits = limits
        self.allow_svg = allow_svg
        self.on_source_delete = settings.on_source_delete
        self.events = settings.events
        self._rules = tuple(rules)
        self._page = PageOptions(pictures=tuple(pictures), base_url=settings.base_url, placeholder=settings.placeholder)
        self._has_manifest = settings.manifest
        self._shares_stems = settings.shared_stems
        prefixes = {spec.template.prefix for spec in self.specs} - {""}
        self._folders = (MANIFEST_FOLDER, RECIPE_FOLDER, REJECTION_FOLDER, *sorted(prefixes))
        ConfigError.raise_all(*self._find_mistakes())

    def _find_mistakes(self) -> Iterator[ConfigError]:
        if self.events and not self._has_manifest:
            yield ConfigError("events = true needs manifests, which it tells of: remove manifest = false", ("events",))
        for index, picture in enumerate(self._page.pictures):
            if picture.ladder not in self.by_name or not self.is_ladder(picture.ladder):
                message = f"the {picture.ladder!r} of [[pictures]] is no rendition with widths or formats"
                yield ConfigError(message, ("pictures", index, "ladder"))
            elif picture.hdr and not any(isinstance(s, RenditionSpec) and s.hdr for s in self.by_name[picture.ladder]):
                message = f"[[pictures]] offers HDR, but rendition {picture.ladder} has no hdr = 'keep': add it"
                yield ConfigError(message, ("pictures", index, "hdr"))
        tables = [table for table, specs in self.by_name.items() for _ in specs]
        for index, spec in enumerate(self.specs):
            field = ("renditions", tables[index], "key")
            prefix = spec.template.with_hash().prefix
            if spec.template.has_hash and not self._has_manifest:
                message = "which only a manifest tells to web pages: remove {hash}, or manifest = false at the top"
                yield ConfigError(f"the key of rendition {spec.name} has a {{hash}}, {message}", field)
            if not spec.template.is_whole and (isinstance(spec, CopySpec) or not self._shares_stems):
                yield ConfigError(_describe_sharing(spec), field)
            if other := next(filter(spec.may_collide_with, self.specs[:index]), None):
                message = (
                    f"could both write {f'{prefix}...' if prefix else 'one key'}: give one of them another name or key"
                )
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

    @property
    def overlays(self) -> Mapping[str, OverlayImage]:
        """The images of all overlays, by their names in renditions.toml."""
        overlays = (spec.overlay for spec in self.specs if isinstance(spec, RenditionSpec))
        return {overlay.image: overlay.file for overlay in overlays if overlay}

    @cached_property
    def id(self) -> str:
        """A short hash of everything that is made of any source, and of what is rejected."""
        specs = [(spec.name, spec.fingerprint, spec.template) for spec in self.specs]
        rules = [(rule.pattern.text, rule.renditions) for rule in self._rules]
        parts = (specs, rules, self.limits, self.allow_svg, self._has_manifest)
        page = "" if self._page == PageOptions() else ascii(self._page)
        return hashlib.sha256((ascii(parts) + page).encode()).hexdigest()[:16]

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of the rules, in the order of renditions.toml."""
        return tuple(rule.pattern.text for rule in self._rules)

    def rule_for(self, source_key: str) -> Rule | None:
        """Return the first rule that matches a source's key; None if none does."""
        return next((rule for rule in self._rules if rule.pattern.matches(source_key)), None)

    def plan_for(self, source_key: str, asked: Collection[str] | None = None) -> SourcePlan:
        """Return what is written for a source: the renditions of the first rule that matches its key, or all.

        `asked`: the names of those that the source's own metadata asks for, and no others are made; None if it does not
        say. Also without any, there is a manifest, so that a page is told. Raises DestinationKeyError if S3 cannot
        store one of the keys.
        """
        rule = self.rule_for(source_key)
        allowed = rule.renditions if rule else tuple(self.by_name)
        has_manifest = self._has_manifest and any(self.by_name[name] for name in allowed)
        names = allowed if asked is None else tuple(name for name in allowed if name in asked)
        manifest_key = f"{MANIFEST_FOLDER}{source_key}{MANIFEST_SUFFIX}"
        return SourcePlan(
            source_key=source_key,
            targets=tuple(self._target(spec, source_key) for name in names for spec in self.by_name[name]),
            manifest_key=check_key(manifest_key, "the manifest") if has_manifest else None,
            page=self._page_for(names),
            rule=rule.pattern.text if rule else None,
            names=names,
        )

    def _target(self, spec: Spec, source_key: str) -> Target:
        target = spec.target(source_key)
        if not spec.template.is_whole and len(quote(check_key(source_key, "the source"))) > MAX_SHARED_KEY_BYTES:
            raise DestinationKeyError(f"rendition {spec.name} names its source, whose key is too long: shorten it")
        if not spec.template.prefix and self.is_reserved(target.key):
            reason = "which is a folder of the function or of another rendition: move the source to another folder"
            raise DestinationKeyError(f"the key of rendition {spec.name} would be {target.key!r}, {reason}")
        return target

    def is_reserved(self, key: str) -> bool:
        """Return whether no key may be this one that begins with a part of the source's key."""
        return not key or key.startswith(self._folders)

    def _page_for(self, names: Collection[str]) -> PageOptions:
        """Return what the manifest of a source with these renditions tells pages."""
        chosen = [name for name in self.by_name if name in names and self.is_ladder(name)]
        ladders = tuple((name, tuple(dict.fromkeys(spec.name for spec in self.by_name[name]))) for name in chosen)
        pictures = tuple(picture for picture in self._page.pictures if picture.ladder in chosen)
        return replace(self._page, ladders=ladders, pictures=pictures)

    def is_ladder(self, name: str) -> bool:
        """Return whether a table has several widths or formats."""
        specs = self.by_name[name]
        return len(specs) > 1 or specs[0].name != name


def _describe_sharing(spec: Spec) -> str:
    """Return why the key of a rendition is refused that has not the whole of the source's key."""
    message = f"two sources could share the key of rendition {spec.name}: use all of {{dir}}, {{stem}}, {{source_ext}}"
    is_copy = isinstance(spec, CopySpec)
    return message if is_copy else f"{message}, or set shared_stems = true at the top to reject the second one"
