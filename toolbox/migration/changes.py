"""What is made, rewritten, kept and left over of each source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from image_scaler.renditions.recipe import SourcePlan
from image_scaler.renditions.spec import CopyTarget, RenditionTarget, Target
from toolbox.migration.listing import ListedObject
from toolbox.migration.recipes import RecipeHistory, RecordedRecipe
from toolbox.migration.states import State


@dataclass
class Counts:
    """Objects of one rendition, or of all."""

    make: int = 0
    """Keys that do not exist yet."""
    rewrite: int = 0
    """Keys that exist with other content."""
    keep: int = 0
    """Keys that exist as they are asked for."""
    superseded: int = 0
    """Keys with a hash that are replaced under another one: the lifecycle rule deletes them after superseded_days."""
    orphan: int = 0
    """Keys that no recipe makes any longer: they stay until somebody deletes them."""

    def add(self, other: "Counts") -> None:
        """Add the numbers of others."""
        for name in ("make", "rewrite", "keep", "superseded", "orphan"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class RuleCounts(Counts):
    """Objects of the sources that one rule matches."""

    sources: int = 0
    """All of them, those that are up to date or skipped included."""
    to_process: int = 0


@dataclass
class Change:
    """What the recipe changes for one source."""

    source: ListedObject
    plan: SourcePlan
    by_rendition: dict[str, Counts] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    puts: int = 0
    """Requests to S3 that write, and are billed as such."""
    gets: int = 0
    """Requests to S3 that read."""
    has_manifest: bool = False
    """Whether the source has a manifest that the function wrote."""
    kept: set[tuple[str, str]] = field(default_factory=set)
    """Name and media type of the renditions that exist as they are asked for."""

    @property
    def names(self) -> tuple[str, ...]:
        """The renditions that are made."""
        return tuple(target.spec.name for target in self.plan.targets)


class ExistingObjects(NamedTuple):
    """What exists under the keys of one source."""

    fingerprints: dict[str, str | None]
    """The fingerprint of each key's recipe; None if that is not known."""
    names: dict[str, str]
    """The rendition of each key."""
    is_current: bool
    """Whether it was made of the current version of the source."""


def is_up_to_date(source: ListedObject, plan: SourcePlan, state: State | None, recipe: RecordedRecipe) -> bool:
    """Return whether everything exists as the recipe asks for it."""
    return state is not None and state.source_etag == source.etag and state.fingerprint == recipe.of_manifest(plan)


class Comparer:
    """Compares what exists with a recipe."""

    def __init__(
        self, recipe: RecordedRecipe, history: RecipeHistory, listed_keys: Callable[[str], dict[str, str]]
    ) -> None:
        """`listed_keys` returns the keys in a manifest, with their renditions; for a recipe that is not kept."""
        self._recorded = recipe
        self._history = history
        self._listed_keys = listed_keys

    def change(self, source: ListedObject, plan: SourcePlan, state: State | None) -> Change:
        """Return what changes for a source that is not up to date."""
        new = plan.of_version(source.etag)
        old = self._old(source, plan, state)
        gets = 2 if plan.copies and not plan.renditions else 1
        change = Change(source, plan, gets=gets, has_manifest=state is not None and plan.manifest_key is not None)
        # The targets of a version are new objects; their specs are the recipe's own.
        for target in new.targets:
            self._compare(change, target, old)
        for key in old.fingerprints.keys() - {target.key for target in new.targets}:
            counts = change.by_rendition.setdefault(old.names[key], Counts())
            if plan.has_version(key):
                counts.superseded += 1
                change.puts += 1
                change.gets += 1
            else:
                counts.orphan += 1
                change.orphans.append(key)
        if plan.manifest_key:
            change.puts += 2 if state else 1
            change.gets += 3 if state else 0  # the manifest, and a look at the source after an overwrite
        return change

    def _compare(self, change: Change, target: Target, old: ExistingObjects) -> None:
        counts = change.by_rendition.setdefault(target.spec.name, Counts())
        is_copy = isinstance(target, CopyTarget)
        is_same = old.fingerprints.get(target.key) == self._recorded.fingerprint_of(target.spec)
        if target.key not in old.fingerprints:
            counts.make += 1
            change.puts += 1
        elif (old.is_current or target.spec.template.has_hash) and is_same:
            counts.keep += 1
            if isinstance(target, RenditionTarget):
                change.kept.add((target.spec.name, target.format.traits.media_type))
            change.puts += 0 if is_copy else 1  # a conditional write that S3 refuses is billed
            change.gets += 0 if is_copy else 1
        else:
            counts.rewrite += 1
            change.puts += 1 if is_copy else 2
            change.gets += 0 if is_copy else 1
        change.gets += 2 if is_copy else 0  # it is compared by its ETag before and after

    def _old(self, source: ListedObject, plan: SourcePlan, state: State | None) -> ExistingObjects:
        if state is None or plan.manifest_key is None:
            return ExistingObjects({}, {}, is_current=False)
        made = self._history.find(source.key, state.fingerprint, state.asked)
        if made is None:
            names = self._listed_keys(plan.manifest_key)
            return ExistingObjects(dict.fromkeys(names), names, is_current=False)
        targets: Sequence[Target] = made.plan.of_version(state.source_etag).targets
        return ExistingObjects(
            {target.key: made.recipe.fingerprint_of(target.spec) for target in targets},
            {target.key: target.spec.name for target in targets},
            is_current=state.source_etag == source.etag,
        )
