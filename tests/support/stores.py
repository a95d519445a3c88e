"""Stores for the tests: real, smaller implementations of the protocols."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError, StorageError
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, StoredObject

AS_JPEG = ObjectHeaders(content_type="image/jpeg")
AS_PNG = ObjectHeaders(content_type="image/png")


class InMemoryStore:
    """Objects in a dict. A key in `broken` fails on every call, as S3 does when it throttles."""

    def __init__(self) -> None:
        self.objects: dict[ObjectRef, StoredObject] = {}
        self.tags: dict[ObjectRef, dict[str, str]] = {}
        self.broken: set[str] = set()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.gets = 0
        self.puts = 0

    def head(self, ref: ObjectRef) -> ObjectHead:
        stored = self._find(ref, None)
        return ObjectHead(**{field.name: getattr(stored, field.name) for field in fields(ObjectHead)})

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        self.gets += 1
        return self._find(ref, if_match)

    def put(
        self,
        ref: ObjectRef,
        body: bytes,
        headers: ObjectHeaders,
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> str:
        self._refuse_if_broken(ref)
        if if_none_match or if_match is not None:
            self.check(ref, if_match)
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        stored = StoredObject(read=lambda: body, etag=etag, size=len(body), last_modified=self.now, **vars(headers))
        self.keep(ref, stored)
        return etag

    def copy(
        self,
        source: ObjectRef,
        destination: ObjectRef,
        headers: ObjectHeaders,
        *,
        if_match: str,
        size: int,
        overwrites: str | None,
    ) -> None:
        self._refuse_if_broken(destination)
        read = self._find(source, if_match)
        self.check(destination, overwrites)
        self.keep(destination, replace(read, **vars(headers)))

    def check(self, ref: ObjectRef, etag: str | None) -> None:
        """Refuse a write unless the object has this ETag, or none exists if that is None."""
        if etag is None and ref in self.objects:
            raise PreconditionFailedError(f"{ref} is there")
        if etag is not None:
            self._find(ref, etag)

    def keep(self, ref: ObjectRef, stored: StoredObject) -> None:
        self.tags[ref] = dict(stored.tags)
        self.objects[ref] = replace(stored, tags={})
        self.puts += 1

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        self._find(ref, if_match)
        del self.objects[ref]

    def keys(self, bucket: str) -> list[str]:
        return sorted(ref.key for ref in self.objects if ref.bucket == bucket)

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        self._refuse_if_broken(ObjectRef(bucket, prefix))
        yield from [key for key in self.keys(bucket) if key.startswith(prefix)]

    def _find(self, ref: ObjectRef, if_match: str | None) -> StoredObject:
        self._refuse_if_broken(ref)
        if ref not in self.objects:
            raise ObjectNotFoundError(f"no {ref}")
        if if_match not in (None, self.objects[ref].etag):
            raise PreconditionFailedError(f"{ref} has another ETag than {if_match}")
        return self.objects[ref]

    def _refuse_if_broken(self, ref: ObjectRef) -> None:
        if ref.key in self.broken:
            raise StorageError(f"SlowDown for {ref}")


class InMemoryBus:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, Any]]] = []
        self.is_broken = False

    def send(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        if self.is_broken:
            raise StorageError("the bus does not answer")
        self.sent.append((detail_type, detail))


class InMemoryQueue:
    def __init__(self) -> None:
        self.records: list[Mapping[str, Any]] = []
        self.is_broken = False

    def send(self, record: Mapping[str, Any]) -> None:
        if self.is_broken:
            raise StorageError("the queue does not answer")
        self.records.append(record)
