"""StoredManifest: what the manifest of a source lists, as it is stored in the destination."""

import json
from collections.abc import Iterable
from functools import cached_property

from image_scaler.exceptions import ObjectNotFoundError
from image_scaler.publisher import Provenance
from image_scaler.renditions.made import MadeRendition
from image_scaler.storage.base import ObjectRef, ObjectStore, StoredObject


class StoredManifest:
    """The manifest of a source."""

    def __init__(self, stored: StoredObject) -> None:
        """Download it; raises StorageError."""
        self.head = stored
        self.body = stored.read()

    @cached_property
    def renditions(self) -> Iterable[MadeRendition]:
        """All that it lists."""
        return [MadeRendition.from_json(entry) for entry in json.loads(self.body)["renditions"]]

    @property
    def keys(self) -> frozenset[str]:
        """The keys of all that it lists."""
        return frozenset(rendition.key for rendition in self.renditions)

    def has(self, expected: Provenance) -> bool:
        """Return whether it is of this version and recipe, and of this event if that is known."""
        provenance = Provenance.of(self.head)
        return provenance is not None and provenance.is_same(expected)

    def is_of_version(self, expected: Provenance) -> bool:
        """Return whether it is of this version of the source."""
        provenance = Provenance.of(self.head)
        return provenance is not None and provenance.is_of_version(expected)


def read_manifest(store: ObjectStore, ref: ObjectRef) -> StoredManifest | None:
    """Return a manifest; None if there is none; raises StorageError."""
    try:
        return StoredManifest(store.get(ref))
    except ObjectNotFoundError:
        return None
