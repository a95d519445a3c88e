"""Which version and which recipe each manifest is of.

A listing does not say that. The first plan asks S3 for each manifest (HeadObject), and keeps the answers in an index in
the destination bucket, by the manifest's ETag. The content of a manifest names its recipe and its source's version, so
the ETag is another one for each, and later plans ask only for manifests that were written in the meantime.
"""

import gzip
import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import IO, TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from image_scaler.publisher import Provenance
from image_scaler.renditions.keys import MANIFEST_FOLDER, MANIFEST_SUFFIX, RECIPE_FOLDER
from image_scaler.storage.base import ObjectRef, ObjectStore, head_or_none
from image_scaler.upload import asked_in
from toolbox.aws.errors import CallError, call_errors
from toolbox.migration.listing import ListedObject

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

INDEX_KEY = f"{RECIPE_FOLDER}manifests.jsonl.gz"
PARALLEL = 32
"""Requests in parallel: each waits for the network."""
_WINDOW = 2000
"""Sources that wait for the answers before theirs, so that the order is kept."""


class State(NamedTuple):
    """What a manifest is of."""

    source_etag: str
    fingerprint: str
    """Of the recipe that made it."""
    asked: tuple[str, ...] | None = None
    """The renditions that the source's metadata asks for; None if it does not say."""


class ReadManifest(NamedTuple):
    """A manifest that S3 was asked for."""

    etag: str | None
    """None: it does not exist any more."""
    state: State | None
    """None: it is none of ours."""


class IndexEntry(NamedTuple):
    """A line of the index."""

    key: str
    """Of the source, with `.json`: what follows the manifests' folder."""
    etag: str
    """Of the manifest."""
    state: State


class Index:
    """What earlier plans learnt of manifests, in the order of their keys; the plan writes the next one."""

    def __init__(self, old: Iterator[IndexEntry], prefix: str) -> None:
        """`prefix`: of the sources that are planned; what the index has of others is kept."""
        self._old = old
        self._prefix = prefix
        self._current = next(old, None)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed in close()
        self._new = gzip.open(self._file, "wt", compresslevel=1, encoding="utf-8")  # noqa: SIM115
        self.looks = 0
        """How many manifests it does not have."""

    def find(self, key: str, etag: str) -> State | None:
        """Return what the index has of a manifest; keys come in order."""
        while self._current and self._current.key < key:
            self._pass()
        return self._current.state if self._current and self._current[:2] == (key, etag) else None

    def _pass(self) -> None:
        if self._current and not self._current.key.startswith(self._prefix):
            self.add(self._current)
        self._current = next(self._old, None)

    def add(self, line: IndexEntry) -> None:
        """Write a line of the next index; keys come in order."""
        state = line.state[: 2 if line.state.asked is None else 3]
        self._new.write(json.dumps([line.key, line.etag, *state]) + "\n")

    def finish(self) -> IO[bytes]:
        """Return the file of the next index."""
        while self._current:
            self._pass()
        self._new.close()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Delete the temporary file."""
        self._new.close()
        self._file.close()


def read_index(s3: "S3Client", bucket: str) -> Iterator[IndexEntry]:
    """Yield the lines of the index; none if there is none."""
    with call_errors(f"read s3://{bucket}/{INDEX_KEY}"):
        try:
            body = s3.get_object(Bucket=bucket, Key=INDEX_KEY)["Body"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return
            raise
        with closing(body), gzip.open(body, "rt", encoding="utf-8") as lines:
            for line in lines:
                key, etag, source_etag, fingerprint, *asked = json.loads(line)
                yield IndexEntry(key, etag, State(source_etag, fingerprint, tuple(asked[0]) if asked else None))


def with_states(
    sources: Iterable[ListedObject],
    manifests: Iterator[ListedObject],
    index: Index,
    look: Callable[[str], ReadManifest],
) -> Iterator[tuple[ListedObject, State | None]]:
    """Yield each source with the state of its manifest, None without one.

    Sources come in the order of their manifests, and so do the manifests. `look` asks for one that the index does not
    have, by its key.
    """
    waiting: deque[tuple[ListedObject, ListedObject | None, State | Future[ReadManifest] | None]] = deque()

    def first() -> tuple[ListedObject, State | None]:
        source, manifest, found = waiting.popleft()
        seen = found.result() if isinstance(found, Future) else ReadManifest(manifest.etag if manifest else None, found)
        index.looks += isinstance(found, Future)
        if manifest and seen.state and seen.etag == manifest.etag:  # else it was written after it was listed
            index.add(IndexEntry(source.key + MANIFEST_SUFFIX, manifest.etag, seen.state))
        return source, seen.state

    with ThreadPoolExecutor(PARALLEL) as pool:
        manifest = next(manifests, None)
        try:
            for source in sources:
                key = source.key + MANIFEST_SUFFIX
                while manifest and manifest.key.removeprefix(MANIFEST_FOLDER) < key:
                    manifest = next(manifests, None)
                mine = manifest if manifest and manifest.key == MANIFEST_FOLDER + key else None
                found: State | Future[ReadManifest] | None = index.find(key, mine.etag) if mine else None
                if mine and found is None:
                    found = pool.submit(look, mine.key)
                waiting.append((source, mine, found))
                if len(waiting) >= _WINDOW:
                    yield first()
            while waiting:
                yield first()
        finally:
            for _, _, found in waiting:
                if isinstance(found, Future):
                    found.cancel()


def look_at_manifest(store: ObjectStore, bucket: str, key: str) -> ReadManifest:
    """Ask S3 for a manifest; raises CallError."""
    with call_errors(f"look at s3://{bucket}/{key}"):
        head = head_or_none(store, ObjectRef(bucket, key))
    provenance = Provenance.of(head) if head else None
    state = None
    if provenance:
        state = State(provenance.source_etag, provenance.fingerprint, asked_in(provenance.asked))
    return ReadManifest(head.etag if head else None, state)


def write_index(s3: "S3Client", bucket: str, file: IO[bytes]) -> str | None:
    """Store the index for the next plan; return why that is not possible, or None. It only saves requests."""
    try:
        with call_errors(f"write s3://{bucket}/{INDEX_KEY}"):
            s3.upload_fileobj(file, bucket, INDEX_KEY)
    except CallError as error:
        return str(error)
    return None
