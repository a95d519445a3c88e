"""What `image-scaler plan` must know later: each recipe that was used, and each source that was rejected.

A manifest names its recipe by a hash; `recipes/<id>.json` says what that was. A rejected source has no manifest, so
`rejected/<key>.json` says for which version and recipe no retry can succeed.
"""

import hashlib
import json
from contextlib import suppress

from image_scaler.exceptions import ImageScalerError, PreconditionFailedError
from image_scaler.manifest import HEADERS, VERSION
from image_scaler.publisher import Provenance, Publisher
from image_scaler.renditions.keys import MAX_KEY_BYTES, RECIPE_FOLDER, REJECTION_FOLDER
from image_scaler.renditions.recipe import Recipe
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef, ObjectStore


class History:
    """Keeps recipes and rejections in the destination bucket."""

    def __init__(self, settings: Settings, store: ObjectStore, *, is_kept: bool) -> None:
        """With `is_kept=False` nothing is written."""
        self._settings = settings
        self._store = store
        self._is_kept = is_kept
        self._has_recipe = False

    def keep_recipe(self) -> None:
        """Write the recipe, unless this process has: once for each execution environment; raises StorageError."""
        if not self._is_kept or self._has_recipe:
            return
        ref = ObjectRef(self._settings.destination_bucket, recipe_key(self._settings.recipe))
        record = recipe_record(self._settings.recipe)
        with suppress(PreconditionFailedError):  # an earlier environment wrote it
            self._store.put(ref, record, HEADERS, if_none_match=True)
        self._has_recipe = True

    def keep_rejection(self, source: ObjectRef, etag: str, sequencer: str | None, error: ImageScalerError) -> None:
        """Write that a version of a source was rejected; raises StorageError."""
        key = rejection_key(source.key)
        if not self._is_kept or len(key.encode()) > MAX_KEY_BYTES:
            return
        fingerprint = rejection_fingerprint(self._settings.recipe, self._settings.memory)
        record = {
            "source": {"key": source.key, "etag": etag},
            "error": {"type": type(error).__name__, "text": str(error)},
            "recipe": fingerprint,
        }
        Publisher(self._store, source).put(
            ObjectRef(self._settings.destination_bucket, key),
            json.dumps(record, ensure_ascii=False).encode(),
            HEADERS,
            Provenance(source_etag=etag, sequencer=sequencer, fingerprint=fingerprint),
        )

    def keys_of(self, source_key: str) -> list[str]:
        """Return what may be kept for a source."""
        return [rejection_key(source_key)] if self._is_kept else []


def recipe_key(recipe: Recipe) -> str:
    """Return the key under which a recipe is kept: by a hash of it, and of the version of the manifests."""
    digits = hashlib.sha256(f"{VERSION} {recipe.id}".encode()).hexdigest()[:16]
    return f"{RECIPE_FOLDER}{digits}.json"


def recipe_record(recipe: Recipe) -> bytes:
    """Return a recipe as JSON: recipe.toml, and the fingerprints of its renditions in this version of the code."""
    record = {
        "id": recipe.id,
        "manifest_version": VERSION,
        "recipes": [spec.fingerprint for spec in recipe.specs],
        "toml": recipe.toml,
    }
    return json.dumps(record, ensure_ascii=False, indent=1).encode()


def rejection_key(source_key: str) -> str:
    """Return the key under which the rejection of a source is kept."""
    return f"{REJECTION_FOLDER}{source_key}.json"


def rejection_fingerprint(recipe: Recipe, memory: int | None) -> str:
    """Return a short hash of everything that a rejection depends on besides its source.

    `memory`: of the function, in bytes. An image that did not fit may fit later.
    """
    return hashlib.sha256(f"{recipe.id} {memory}".encode()).hexdigest()[:16]
