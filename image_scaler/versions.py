"""The keys with a hash of the source's version: listed by the manifest, or marked and then deleted.

Such a key never gets other content, so nothing has to be decided when it is written. It is current as long as the
manifest lists it. What is stored is found by listing a prefix, and not remembered by an event or a manifest: so no
event that is late, repeated or cut off can leave a rendition behind, or have one deleted that a manifest lists.

Two events may work on one source with two manifests in mind. Whoever marks therefore reads the manifest again
afterwards, and a manifest that replaces another one is followed by a look at the marks. Marks are not set while there
is no manifest, because one that is written first is not followed by a look: an empty one is put in its place.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from image_scaler import manifest
from image_scaler.exceptions import AccessDeniedError, PreconditionFailedError, StorageError
from image_scaler.history import History
from image_scaler.publisher import MAX_TRIES, SUPERSEDED, Publisher, is_superseded
from image_scaler.renditions.recipe import PageOptions, SourcePlan
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef, ObjectStore, head_or_none
from image_scaler.stored_manifest import StoredManifest, read_manifest


class Versions:
    """Finds the renditions of all versions of a source, and makes their marks agree with its manifest."""

    def __init__(self, settings: Settings, store: ObjectStore, publisher: Publisher, history: History) -> None:
        self._bucket = settings.destination_bucket
        self._store = store
        self._publisher = publisher
        self._history = history

    def find(self, plans: Sequence[SourcePlan]) -> list[str]:
        """Return every stored key with a hash of a version of a source, under its plans; raises StorageError."""
        prefixes = {prefix for plan in plans for prefix in plan.version_prefixes}
        found = [key for prefix in sorted(prefixes) for key in self._store.list(self._bucket, prefix)]
        return [key for key in dict.fromkeys(found) if any(plan.has_version(key) for plan in plans)]

    def read_manifest(self, key: str) -> StoredManifest | None:
        """Return the manifest under a key; None if there is none; raises StorageError."""
        return read_manifest(self._store, ObjectRef(self._bucket, key))

    def align(self, source: ObjectRef) -> bool:
        """Mark what the manifest of a source does not list, and unmark what it lists; return whether it was needed.

        Raises StorageError.
        """
        plans = self._history.plans_for(source.key)
        keys = [key for key in self.find(plans) if not self._history.is_of_another(key, source)]
        manifest_key = next((plan.manifest_key for plan in plans if plan.manifest_key), None)
        if not keys or manifest_key is None:
            return False
        has_written = False
        for _ in range(MAX_TRIES):
            listing = self.read_manifest(manifest_key)
            listed = listing.keys if listing else frozenset()
            wrong = [key for key in keys if self._has_wrong_mark(key, is_listed=key in listed)]
            if not wrong:
                return has_written
            has_written = True
            if listing is None:
                self._write_empty_manifest(source.key, manifest_key)
                continue
            for key in wrong:
                with suppress(AccessDeniedError):
                    tags = next((plan.tags_of(key) for plan in plans if plan.has_version(key)), ())
                    self._publisher.mark(key, is_superseded=key not in listed, tags=dict(tags))
            head = head_or_none(self._store, ObjectRef(self._bucket, manifest_key))
            if head and head.etag == listing.head.etag:
                return True
        raise StorageError(f"cannot mark the versions of {source}: other events replaced its manifest each time")

    def _has_wrong_mark(self, key: str, *, is_listed: bool) -> bool:
        try:
            head = head_or_none(self._store, ObjectRef(self._bucket, key))
        except AccessDeniedError:  # a key of an earlier recipe, in a bucket that the stack did not create
            return False
        return head is not None and is_superseded(head) == is_listed

    def _write_empty_manifest(self, source_key: str, manifest_key: str) -> None:
        """Write a manifest without renditions, which is deleted like a marked rendition, unless one exists now."""
        source = manifest.Source(key=source_key, etag="", bytes=0)
        mark = {SUPERSEDED: "true"}
        headers = replace(manifest.HEADERS, metadata=mark, tags=mark)
        with suppress(PreconditionFailedError):
            body = manifest.build(source, [], PageOptions(), fingerprint="")
            self._store.put(ObjectRef(self._bucket, manifest_key), body, headers, if_none_match=True)
