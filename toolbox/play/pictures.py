"""The pictures of the page, and what is known of each."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from image_scaler.exceptions import DestinationKeyError, ImageTooLargeError
from image_scaler.renditions.geometry import Point, Size
from image_scaler.renditions.made import MadeRendition
from toolbox.play.draft import Draft

MAX_PICTURES = 1_000
MAX_KEY_LENGTH = 900


class RefusedError(Exception):
    """The page asked for what cannot be done; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One rendition, or the reason why there is none."""

    status: str
    """`made`, or as in the failure record: `rejected`, `failed`."""
    text: str = ""
    """The reason, in the words of the failure record."""
    file: str = ""
    made: MadeRendition | None = None
    milliseconds: float = 0
    """Of CPU on this machine."""
    function_ms: float = 0
    """What the function is likely to need."""
    metadata: Sequence[Mapping[str, str]] = ()
    is_larger: bool = False
    """Whether the function does not store it, because the next format of its step is no larger."""
    worst: float | None = None
    """The score of its worst region; None if it is not known."""
    is_scored: bool = False
    """Whether the score was asked for."""


@dataclass(eq=False)
class Picture:
    """A source."""

    id: str
    key: str
    path: Path
    bytes: int
    is_temporary: bool
    """Whether the file is in the session's folder, and is deleted with the picture."""
    size: Size | None = None
    format: str = ""
    etag: str = ""
    """The one that S3 would give it."""
    focal_point: Point | None = None
    view: str = ""
    """The file of a small WebP of it; empty until it exists."""
    unreadable: str = ""
    """Why it has no view."""
    metadata: Sequence[Mapping[str, str]] = ()
    thumbhash: str = ""
    colour: str | None = None
    decoding: float = 0
    """Milliseconds of CPU on this machine to decode it."""
    function_decoding: float = 0
    """What the function is likely to need for that."""
    results: dict[str, Result] = field(default_factory=dict)
    """By the hash of what each depends on; see `Draft.cache_keys`."""
    references: dict[str, str] = field(default_factory=dict)
    """Files of the source with the size and the crop of a rendition, by the hash of that."""

    @property
    def is_known(self) -> bool:
        """Whether it was read, successfully or not."""
        return bool(self.view or self.unreadable)

    def cache_keys(self, draft: Draft | None) -> Mapping[str, str]:
        """Return the hash for each column of a recipe; empty if S3 could not store one of the keys."""
        return self.cache_keys_at(draft, self.focal_point)

    def cache_keys_at(self, draft: Draft | None, focal_point: Point | None) -> Mapping[str, str]:
        """Return what `cache_keys` returns, with another focal point."""
        try:
            return draft.cache_keys(self.key, self.size, focal_point) if draft else {}
        except DestinationKeyError:
            return {}

    def wanted(self, drafts: Sequence[Draft | None]) -> set[str]:
        """Return the hashes of the renditions that some recipes ask for."""
        return {key for draft in drafts for key in self.cache_keys(draft).values()}


class Pictures:
    """The pictures by their ids, in the order in which they were added."""

    def __init__(self, folder: Path) -> None:
        """`folder` holds the files that were uploaded and rendered."""
        self.folder = folder
        self._by_id: dict[str, Picture] = {}

    def __iter__(self) -> Iterator[Picture]:
        """Yield all of them."""
        return iter(list(self._by_id.values()))

    def find(self, id_: str) -> Picture | None:
        """Return a picture; None if it does not exist."""
        return self._by_id.get(id_)

    def get(self, id_: str) -> Picture:
        """Return a picture; raises RefusedError if it does not exist."""
        if id_ not in self._by_id:
            raise RefusedError("there is no such picture")
        return self._by_id[id_]

    def check_addition(self, key: str, size: int, draft: Draft | None) -> None:
        """Raise RefusedError if a picture of this many bytes cannot be added under a recipe."""
        if len(self._by_id) >= MAX_PICTURES:
            raise RefusedError(f"cannot add {key}: {MAX_PICTURES:,} pictures are the most that the page shows")
        if not key or len(key) > MAX_KEY_LENGTH:
            raise RefusedError(f"expected a name of 1 to {MAX_KEY_LENGTH} characters but received {len(key)}")
        try:
            if draft:
                draft.recipe.limits.check_bytes(size)
        except ImageTooLargeError as error:
            raise RefusedError(f"cannot add {key}: {error}") from error

    def add(self, key: str, path: Path, *, is_temporary: bool) -> Picture:
        """Add a picture and return it."""
        picture = Picture(uuid.uuid4().hex, key, path, path.stat().st_size, is_temporary)
        self._by_id[picture.id] = picture
        return picture

    def remove(self, picture: Picture) -> None:
        """Remove a picture, and the files of everything that was made of it."""
        del self._by_id[picture.id]
        made = [result.file for result in picture.results.values()]
        for name in [picture.view, *made, *picture.references.values()]:
            self._delete(name)
        if picture.is_temporary:
            picture.path.unlink(missing_ok=True)

    def forget(self, drafts: Sequence[Draft | None], max_results: int) -> None:
        """Delete the results that no recipe wants, if there are more results than `max_results`."""
        if sum(len(picture.results) for picture in self) <= max_results:
            return
        for picture in self:
            wanted = picture.wanted(drafts)
            for key in picture.references.keys() - wanted:
                self._delete(picture.references.pop(key))
            for key in picture.results.keys() - wanted:
                self._delete(picture.results.pop(key).file)

    def _delete(self, name: str) -> None:
        if name:
            (self.folder / name).unlink(missing_ok=True)
