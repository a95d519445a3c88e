"""FileStore: an object store in folders, with the same contract as S3Store."""

import hashlib
import mimetypes
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from image_scaler.exceptions import ObjectNotFoundError, PreconditionFailedError, StorageError
from image_scaler.storage.base import ObjectHead, ObjectHeaders, ObjectRef, StoredObject
from toolbox.atomic_file import atomic_file


class FileStore:
    """Objects as files: a bucket is the path of a folder, a key the path of a file in it.

    An ETag is the MD5 of the content, as in S3; the content type follows from the name. User metadata and
    Cache-Control are dropped. Conditions are safe only while no other program writes. Metadata that names a source is
    kept in memory, so that of two sources with one key the second one is rejected, as in S3.
    """

    def __init__(self) -> None:
        self._named: dict[Path, Mapping[str, str]] = {}

    def head(self, ref: ObjectRef) -> ObjectHead:
        """Return the object's metadata; see ObjectStore.head."""
        path = _path(ref)
        with _translated(f"read {path}"):
            return ObjectHead(**_head_fields(ref, path.read_bytes()), metadata=self._named.get(path, {}))

    def get(self, ref: ObjectRef, *, if_match: str | None = None) -> StoredObject:
        """Return the object; see ObjectStore.get."""
        with _translated(f"read {_path(ref)}"):
            body = _path(ref).read_bytes()
        stored = StoredObject(read=lambda: body, **_head_fields(ref, body))
        if if_match not in (None, stored.etag):
            raise PreconditionFailedError(f"cannot read {_path(ref)}: its content has changed")
        return stored

    def put(
        self,
        ref: ObjectRef,
        body: bytes,
        headers: ObjectHeaders,
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Write the object, completely or not at all; see ObjectStore.put."""
        if if_none_match and _path(ref).exists():
            raise PreconditionFailedError(f"cannot write {_path(ref)}: it exists")
        if if_match is not None:
            self.get(ref, if_match=if_match)
        with _translated(f"write {_path(ref)}"), _new_file(_path(ref)) as file:
            file.write(body)
        if "source-key" in headers.metadata:
            self._named[_path(ref)] = headers.metadata
        return _etag(body)

    def delete(self, ref: ObjectRef, *, if_match: str) -> None:
        """Delete the file; see ObjectStore.delete."""
        self.get(ref, if_match=if_match)
        with _translated(f"delete {_path(ref)}"):
            _path(ref).unlink()

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
        """Copy the file; see ObjectStore.copy."""
        self.get(source, if_match=if_match)
        if overwrites is None and _path(destination).exists():
            raise PreconditionFailedError(f"cannot write {_path(destination)}: it exists")
        action = f"copy {_path(source)} to {_path(destination)}"
        with _translated(action), _path(source).open("rb") as original, _new_file(_path(destination)) as file:
            shutil.copyfileobj(original, file)

    def list(self, bucket: str, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix; see ObjectStore.list."""
        folder = Path(bucket).resolve()
        paths = (path for path in folder.rglob("*") if path.is_file())
        yield from (key for path in paths if (key := path.relative_to(folder).as_posix()).startswith(prefix))


def _etag(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _head_fields(ref: ObjectRef, body: bytes) -> dict[str, Any]:
    """Return the fields of an ObjectHead."""
    content_type = mimetypes.guess_type(ref.key)[0] or "application/octet-stream"
    return {"etag": _etag(body), "size": len(body), "content_type": content_type}


def _path(ref: ObjectRef) -> Path:
    folder = Path(ref.bucket).resolve()
    # Not resolved: a symbolic link in the folder is followed, as by any other program. `..` in a key is not.
    path = Path(os.path.normpath(folder / ref.key))
    if not path.is_relative_to(folder):
        raise StorageError(f"the key {ref.key!r} leads out of {folder}")
    return path


def _new_file(path: Path) -> AbstractContextManager[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return atomic_file(path, mode=0o644)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Raise our exceptions for those of the operating system."""
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectNotFoundError(f"cannot {doing}: {error.strerror}") from error
    except OSError as error:
        raise StorageError(f"cannot {doing}: {error.strerror or error}") from error
