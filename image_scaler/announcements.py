"""Tell others what happened to a source: its renditions are ready, it was rejected, or it was removed.

An event is sent at least once, because a function that is killed in between is retried. Its `id` is the same each time.
"""

import hashlib
import json
from typing import Any

from image_scaler.events import SourceEvent
from image_scaler.exceptions import ImageScalerError
from image_scaler.storage.base import ObjectRef
from image_scaler.storage.event_bus import MAX_ENTRY_BYTES, EventBus, entry_bytes
from image_scaler.upload import Upload

READY = "Renditions Ready"
REJECTED = "Source Rejected"
REMOVED = "Source Removed"


class Announcer:
    """Sends the events of sources; without a bus, nothing."""

    def __init__(self, bus: EventBus | None) -> None:
        self._bus = bus

    def ready(self, upload: Upload, fingerprint: str, *, manifest: ObjectRef, body: bytes) -> None:
        """Tell that a manifest was written; raises StorageError.

        If the manifest is too large for an event, the receiver has to read it under its key.
        """
        if self._bus is None:
            return
        version = upload.version
        detail = _detail(READY, version.ref, upload.head.etag, version.sequencer, fingerprint)
        detail |= {"manifest_location": manifest._asdict()}
        whole = detail | {"manifest": json.loads(body)}
        fits = entry_bytes(READY, whole) <= MAX_ENTRY_BYTES
        self._bus.send(READY, whole if fits else detail | {"manifest": None})

    def rejected(self, event: SourceEvent, error: ImageScalerError) -> None:
        """Tell that no retry can make renditions of a source; raises StorageError."""
        if self._bus is not None:
            detail = _detail(REJECTED, event.ref, event.etag, event.sequencer, type(error).__name__)
            self._bus.send(REJECTED, detail | {"error": error.as_json()})

    def removed(self, event: SourceEvent) -> None:
        """Tell that the renditions of a source were deleted with it; raises StorageError."""
        if self._bus is not None:
            self._bus.send(REMOVED, _detail(REMOVED, event.ref, event.etag, event.sequencer))


def _detail(kind: str, source: ObjectRef, etag: str | None, sequencer: str | None, *parts: str) -> dict[str, Any]:
    """Return the source of an event, and an id that is the same if it is sent again."""
    identity = json.dumps([kind, *source, etag, sequencer, *parts])
    return {
        "id": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "source": {**source._asdict(), "etag": etag, "sequencer": sequencer},
    }
