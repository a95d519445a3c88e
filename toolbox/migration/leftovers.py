"""What the destination bucket still has, although no recipe asks for it any more: it stays until somebody deletes it.

Objects are found by listing, and not by what manifests say: a manifest that was replaced has forgotten what its recipe
made. An object is named only if nobody else can have written it:

- its key is one that this recipe or an earlier one of the stack makes of a source, and
- its metadata is that of the function, with the fingerprint of one of these recipes; or, as a copy has no metadata of
  its own, it has the ETag of that source.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, Self

from image_scaler.publisher import Provenance, is_superseded
from image_scaler.renditions.keys import MANIFEST_FOLDER
from image_scaler.renditions.recipe_keys import RecipeKeys
from image_scaler.renditions.spec import CopySpec
from image_scaler.storage.base import ObjectRef, ObjectStore, head_or_none
from toolbox.aws.errors import call_errors
from toolbox.migration.listing import ListedObject
from toolbox.migration.recipes import RecordedRecipe
from toolbox.migration.states import PARALLEL

MANIFEST = "manifest"
"""The name of a manifest in the counts."""
_CHUNK = 1000


class KnownSource(NamedTuple):
    """A source that was listed."""

    etag: str
    is_to_process: bool
    asked: frozenset[str] | None
    """The renditions that its metadata asks for; None if it does not say, or was not processed yet."""

    def asks_for(self, table: str | None) -> bool:
        """Return whether it gets the renditions of a table, or, with None, a manifest, if the rules allow them."""
        return self.asked is None or table is None or table in self.asked


class KnownKeys:
    """The sources that were listed, and the orphans that are known from manifests: on disk, so that memory is small."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a temporary file, which SQLite deletes
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE sources (key PRIMARY KEY, etag, is_to_process, asked) WITHOUT ROWID")
        self._database.execute("CREATE TABLE orphans (key PRIMARY KEY) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add_source(self, key: str, etag: str) -> None:
        """Remember a source."""
        self._database.execute("INSERT OR REPLACE INTO sources VALUES (?, ?, 0, NULL)", (key, etag))

    def add_asked(self, key: str, asked: Collection[str]) -> None:
        """Remember which renditions the metadata of a source asks for."""
        self._database.execute("UPDATE sources SET asked = ? WHERE key = ?", (" ".join(asked), key))

    def add_change(self, key: str, orphans: Iterable[str]) -> None:
        """Remember that a source is processed, and the orphans that are known of it."""
        self._database.execute("UPDATE sources SET is_to_process = 1 WHERE key = ?", (key,))
        self._database.executemany("INSERT OR IGNORE INTO orphans VALUES (?)", ((orphan,) for orphan in orphans))

    def source(self, key: str) -> KnownSource | None:
        """Return a source; None if it was not listed."""
        row = self._database.execute("SELECT etag, is_to_process, asked FROM sources WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        etag, is_to_process, asked = row
        return KnownSource(etag, bool(is_to_process), None if asked is None else frozenset(asked.split()))

    def has_orphan(self, key: str) -> bool:
        """Return whether an orphan is known."""
        return self._database.execute("SELECT 1 FROM orphans WHERE key = ?", (key,)).fetchone() is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()


class Leftover(NamedTuple):
    """An object that no recipe asks for any more."""

    source_key: str
    key: str
    name: str
    """Of the rendition, or MANIFEST."""
    waits: bool
    """Whether its source is processed first."""


class _Candidate(NamedTuple):
    leftover: Leftover
    source: KnownSource | None
    is_copy: bool
    etag: str


class Leftovers:
    """Finds the leftovers of a stack."""

    def __init__(
        self,
        store: ObjectStore,
        buckets: tuple[str, str],
        recipe: RecordedRecipe,
        history: Sequence[RecordedRecipe],
        known: KnownKeys,
    ) -> None:
        """`buckets`: the source and the destination."""
        self._store = store
        self._source_bucket, self._bucket = buckets
        self._keys = [RecipeKeys(recorded.recipe) for recorded in (recipe, *history)]
        self._known = known
        self._removes = recipe.recipe.on_source_delete == "remove"
        self._fingerprints = {
            recorded.fingerprint_of(spec) for recorded in (recipe, *history) for spec in recorded.recipe.specs
        }
        templates = {spec.template for recorded in (recipe, *history) for spec in recorded.recipe.specs}
        self._templates = {template for template in templates if template.is_whole}

    def prefixes(self, source_prefix: str) -> list[str]:
        """Return what to list: everything that any recipe may have written for sources with a prefix.

        Except what has a key that two sources could have.
        """
        prefixes = {template.common_prefix(source_prefix) for template in self._templates}
        wanted = sorted({*prefixes, MANIFEST_FOLDER + source_prefix})
        return [
            prefix for prefix in wanted if not any(prefix != other and prefix.startswith(other) for other in wanted)
        ]

    def find(self, objects: Iterable[ListedObject], source_prefix: str = "") -> Iterator[Leftover]:
        """Yield the leftovers among objects of the destination; raises CallError."""
        candidates = filter(None, (self._candidate(listed, source_prefix) for listed in objects))
        with ThreadPoolExecutor(PARALLEL) as pool:
            while chunk := list(islice(candidates, _CHUNK)):
                for candidate, is_ours in zip(chunk, pool.map(self._is_ours, chunk), strict=True):
                    if is_ours:
                        yield candidate.leftover

    def _candidate(self, listed: ListedObject, source_prefix: str) -> _Candidate | None:
        """Return an object that no recipe asks for, if it has a key of ours that says of which source it is."""
        if any(keys.is_shared(listed.key) for keys in self._keys):
            return None
        for keys in self._keys:
            for source_key, table, spec in keys.written_under(listed.key):
                source = self._known.source(source_key)
                is_asked = keys is self._keys[0] and (source is None or source.asks_for(table))
                if is_asked and not self._removes:
                    return None  # renditions survive their source
                if not source_key.startswith(source_prefix):
                    continue
                if not self._is_unasked(source_key, source, listed.key) or self._known.has_orphan(listed.key):
                    return None
                waits = source is not None and source.is_to_process
                leftover = Leftover(source_key, listed.key, spec.name if spec else MANIFEST, waits)
                return _Candidate(leftover, source, isinstance(spec, CopySpec), listed.etag)
        return None

    def _is_unasked(self, source_key: str, source: KnownSource | None, key: str) -> bool:
        """Return whether nobody asks for a key: the recipe never does, its source does not, or that was deleted."""
        if source is None:
            return self._removes  # else renditions survive their source
        written = self._keys[0].written_under(key)
        return not any(found == source_key and source.asks_for(table) for found, table, _ in written)

    def _is_ours(self, candidate: _Candidate) -> bool:
        """Return whether the function wrote an object, and its source did not come back since the listing."""
        ref = ObjectRef(self._bucket, candidate.leftover.key)
        with call_errors(f"look at {ref}"):
            head = head_or_none(self._store, ref)
            if head is None or head.etag != candidate.etag or is_superseded(head):
                return False
            if candidate.source is None and self.exists(candidate.leftover.source_key):
                return False
        if provenance := Provenance.of(head):
            return candidate.leftover.name == MANIFEST or provenance.fingerprint in self._fingerprints
        return candidate.is_copy and candidate.source is not None and candidate.source.etag == head.etag

    def exists(self, source_key: str) -> bool:
        """Return whether a source exists now; raises StorageError."""
        return head_or_none(self._store, ObjectRef(self._source_bucket, source_key)) is not None
