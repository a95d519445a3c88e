"""What is kept in the destination bucket: every recipe that was used, and the sources that were rejected.

The recipes tell the function which keys earlier deployments may have written for a source, and `image-scaler plan` what
a new recipe changes. The rejections tell `plan` for which version and recipe no retry can succeed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from image_scaler.exceptions import (
    ConfigError,
    DestinationKeyError,
    ImageScalerError,
    ObjectNotFoundError,
    PreconditionFailedError,
)
from image_scaler.manifest import HEADERS, VERSION
from image_scaler.publisher import Provenance, Publisher
from image_scaler.renditions.keys import MAX_KEY_BYTES, RECIPE_FOLDER, REJECTION_FOLDER
from image_scaler.renditions.overlay import OverlayImage
from image_scaler.renditions.recipe import Recipe, SourcePlan
from image_scaler.renditions.recipe_keys import RecipeKeys
from image_scaler.renditions.toml import parse_recipe
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef, ObjectStore, head_or_none
from image_scaler.upload import Upload


class History:
    """Keeps recipes and rejections in the destination bucket, unless the settings say otherwise."""

    def __init__(self, settings: Settings, store: ObjectStore, publisher: Publisher) -> None:
        self._settings = settings
        self._store = store
        self._publisher = publisher
        self._has_recipe = False
        self._past: dict[str, Recipe | None] = {}
        self._keys = RecipeKeys(settings.recipe)

    def keep_recipe(self) -> None:
        """Write the recipe, unless this process has: once for each execution environment; raises StorageError."""
        if not self._settings.keeps_history or self._has_recipe:
            return
        ref = ObjectRef(self._settings.destination_bucket, recipe_key(self._settings.recipe))
        record = recipe_record(self._settings.recipe)
        with suppress(PreconditionFailedError):  # an earlier environment wrote it
            self._store.put(ref, record, HEADERS, if_none_match=True)
        self._has_recipe = True

    def plans_for(self, source_key: str) -> Sequence[SourcePlan]:
        """Return what is written for a source, and what each earlier recipe of the stack wrote; raises StorageError."""
        plans = [self._settings.recipe.plan_for(source_key)]
        for recipe in self._past_recipes():
            with suppress(DestinationKeyError):  # then it has written nothing
                plans.append(recipe.plan_for(source_key))
        return plans

    def is_of_another(self, key: str, source: ObjectRef) -> bool:
        """Return whether a key that an earlier recipe may have made of a source is that of another source now.

        Now means: under the current recipe, and the other source exists or has a manifest. Raises StorageError.
        """
        destination = self._settings.destination_bucket
        return any(
            head_or_none(self._store, source._replace(key=other))
            or (manifest_key and head_or_none(self._store, ObjectRef(destination, manifest_key)))
            for other, manifest_key in self._keys.others_under(key, source.key)
        )

    def keep_rejection(self, upload: Upload, error: ImageScalerError) -> None:
        """Write that a version of a source was rejected; raises StorageError."""
        source = upload.version.ref
        key = rejection_key(source.key)
        if not self._settings.keeps_history or len(key.encode()) > MAX_KEY_BYTES:
            return
        fingerprint = rejection_fingerprint(self._settings.recipe, self._settings.memory)
        record = {
            "source": {"key": source.key, "etag": upload.head.etag},
            "error": error.as_json(),
            "recipe": fingerprint,
        }
        body = json.dumps(record, ensure_ascii=False).encode()
        self._publisher.put(key, body, HEADERS, upload.provenance(fingerprint))

    def has_rejected(self, source_key: str, etag: str) -> bool:
        """Return whether the rejection of this version of a source is kept; raises StorageError."""
        refs = [ObjectRef(self._settings.destination_bucket, key) for key in self.keys_of(source_key)]
        found = [Provenance.of(head) for ref in refs if (head := head_or_none(self._store, ref))]
        return any(provenance and provenance.source_etag == etag for provenance in found)

    def keys_of(self, source_key: str) -> list[str]:
        """Return what may be kept for a source."""
        return [rejection_key(source_key)] if self._settings.keeps_history else []

    def _past_recipes(self) -> Sequence[Recipe]:
        """Return the other recipes that were used; each is read once by each execution environment."""
        if not self._settings.keeps_history:
            return ()
        bucket, current = self._settings.destination_bucket, recipe_key(self._settings.recipe)
        for key in self._store.list(bucket, RECIPE_FOLDER):
            if key not in self._past and key != current and _is_recipe_key(key):
                self._past[key] = self._read(ObjectRef(bucket, key))
        return [recipe for recipe in self._past.values() if recipe]

    def _read(self, ref: ObjectRef) -> Recipe | None:
        """Return a recipe that was kept; None if it is gone, or not one that this version of the code can read."""
        with suppress(ObjectNotFoundError, ConfigError, ValueError, KeyError, TypeError):
            return read_recipe_record(json.loads(self._store.get(ref).read()))
        return None


def _is_recipe_key(key: str) -> bool:
    name = key.removeprefix(RECIPE_FOLDER)
    return name.endswith(".json") and "/" not in name


def recipe_key(recipe: Recipe) -> str:
    """Return the key under which a recipe is kept: by a hash of it, and of the version of the manifests."""
    digits = hashlib.sha256(f"{VERSION} {recipe.id}".encode()).hexdigest()[:16]
    return f"{RECIPE_FOLDER}{digits}.json"


def recipe_record(recipe: Recipe) -> bytes:
    """Return a recipe as JSON: renditions.toml, and the fingerprints of its renditions in this version of the code.

    With overlays, it also has the hashes of their images: the fingerprints depend on them.
    """
    record: dict[str, Any] = {
        "id": recipe.id,
        "manifest_version": VERSION,
        "recipes": [spec.fingerprint for spec in recipe.specs],
        "toml": recipe.toml,
    }
    if recipe.overlays:
        record["overlays"] = {name: file.digest for name, file in recipe.overlays.items()}
    return json.dumps(record, ensure_ascii=False, indent=1).encode()


def read_recipe_record(record: Mapping[str, Any]) -> Recipe:
    """Return the recipe in a record; nothing can be rendered with its overlays, of which only the hashes are kept.

    Raises ConfigError, KeyError or TypeError if this version of the code cannot read it.
    """
    digests = record.get("overlays", {})
    return parse_recipe(record["toml"], read_overlay=lambda name: OverlayImage(digests[name]))


def rejection_key(source_key: str) -> str:
    """Return the key under which the rejection of a source is kept."""
    return f"{REJECTION_FOLDER}{source_key}.json"


def rejection_fingerprint(recipe: Recipe, memory: int | None) -> str:
    """Return a short hash of everything that a rejection depends on besides its source.

    `memory`: of the function, in bytes. An image that did not fit may fit later.
    """
    return hashlib.sha256(f"{recipe.id} {memory}".encode()).hexdigest()[:16]
