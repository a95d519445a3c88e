"""RecipeKeys: of which source a key of the destination can be, under one recipe."""

import re
from collections.abc import Iterator
from contextlib import suppress

from image_scaler.exceptions import DestinationKeyError
from image_scaler.renditions.keys import HASH, HASH_DIGITS, MANIFEST_FOLDER, MANIFEST_SUFFIX
from image_scaler.renditions.recipe import Recipe, Rule
from image_scaler.renditions.spec import CopySpec, Spec
from image_scaler.renditions.stems import StemTemplate

_NO_EXTENSION = ".image"
_DIGITS = f"[0-9a-f]{{{HASH_DIGITS}}}"


class RecipeKeys:
    """The keys that one recipe leads to."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._specs = [(table, spec) for table, specs in recipe.by_name.items() for spec in specs]
        self._has_manifest: dict[Rule | None, bool] = {}
        templates = {spec.template for spec in recipe.specs}
        self._shared = [each for each in templates if isinstance(each, StemTemplate) and not each.is_whole]

    def is_shared(self, key: str) -> bool:
        """Return whether several sources could have a rendition under a key."""
        return any(template.matches(key) for template in self._shared)

    def written_under(self, key: str) -> Iterator[tuple[str, str | None, Spec | None]]:
        """Yield each source that is written under a key, its rendition and that one's table; None for a manifest."""
        if key.startswith(MANIFEST_FOLDER) and key.endswith(MANIFEST_SUFFIX):
            source_key = key.removeprefix(MANIFEST_FOLDER).removesuffix(MANIFEST_SUFFIX)
            if source_key and self._writes_manifest(source_key):
                yield source_key, None, None
        for table, spec in self._specs:
            prefix = spec.template.prefix
            if not spec.template.is_whole or not key.startswith(prefix):
                continue
            if not prefix and self._recipe.is_reserved(key):
                continue
            for source_key in _possible_sources(key, spec):
                if _is_key_of(spec, source_key, key) and self._makes(table, source_key):
                    yield source_key, table, spec

    def others_under(self, key: str, source_key: str) -> Iterator[tuple[str, str | None]]:
        """Yield each other source that is written under a key, and the key of its manifest; None without one."""
        for other in {found for found, *_ in self.written_under(key)} - {source_key}:
            manifest_key = None
            with suppress(DestinationKeyError):  # S3 cannot store one of its keys, so nothing is made of it
                manifest_key = self._recipe.plan_for(other).manifest_key
            yield other, manifest_key

    def _makes(self, table: str, source_key: str) -> bool:
        rule = self._recipe.rule_for(source_key)
        return rule is None or table in rule.renditions

    def _writes_manifest(self, source_key: str) -> bool:
        """Return whether a source has a manifest, which its rule decides."""
        rule = self._recipe.rule_for(source_key)
        if rule not in self._has_manifest:
            try:
                self._has_manifest[rule] = self._recipe.plan_for(source_key).manifest_key is not None
            except DestinationKeyError:  # S3 cannot store one of its keys
                return False
        return self._has_manifest[rule]


def _possible_sources(key: str, spec: Spec) -> set[str]:
    """Return the keys of sources whose rendition a key may be; most of them are not."""
    if isinstance(spec.template, StemTemplate):
        return set(spec.template.possible_sources(key))
    prefix, suffix = spec.template
    rest = key.removeprefix(prefix)
    if suffix is None:
        stem = rest.rpartition(".")[0]
        found = {rest, stem, stem.removesuffix(_NO_EXTENSION)}
    elif spec.template.has_hash:
        found = {rest[: len(rest) - len(suffix) + 1 - HASH_DIGITS]}
    else:
        found = {rest.removesuffix(suffix)}
    return found - {""}


def _is_key_of(spec: Spec, source_key: str, key: str) -> bool:
    """Return whether a rendition of a source has a key, of whatever version."""
    if not spec.template.has_hash:
        if isinstance(spec, CopySpec):
            return key == spec.template.copy_key(source_key)
        return key == spec.template.key(source_key, spec.output_format(source_key))
    before, _, after = spec.template.copy_key(source_key).partition(HASH)
    digits = key[len(before) : len(key) - len(after)]
    return key == before + digits + after and re.fullmatch(_DIGITS, digits) is not None
