"""plan.json, and the lists next to it: the sources to process, and what is left over.

The lists are files of their own, because a plan of a million sources is read line by line.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from toolbox.atomic_file import atomic_file
from toolbox.aws.errors import CallError

VERSION = 1


class Item(NamedTuple):
    """A source to process."""

    key: str
    etag: str
    usd: float
    """What its requests to S3 cost."""


class Orphan(NamedTuple):
    """An object that no recipe makes any longer."""

    source_key: str
    key: str
    waits: bool = True
    """Whether its source is processed first."""


@dataclass(frozen=True)
class MigrationPlan:
    """A plan as it was written."""

    path: Path
    content: dict[str, Any]

    @property
    def checksum(self) -> str:
        """The checksum of all, the lists included."""
        return str(self.content["checksum"])

    def items(self) -> Iterator[Item]:
        """Yield the sources to process, in the order of their manifests."""
        for line in _lines(sources_path(self.path)):
            yield Item(*line)

    def orphans(self) -> Iterator[Orphan]:
        """Yield what no recipe makes any longer."""
        for line in _lines(orphans_path(self.path)):
            yield Orphan(*line)


def sources_path(path: Path) -> Path:
    """Return the path of the list of sources of a plan."""
    return path.with_name(path.name + ".sources.gz")


def orphans_path(path: Path) -> Path:
    """Return the path of the list of orphans of a plan."""
    return path.with_name(path.name + ".orphans.gz")


def progress_path(path: Path) -> Path:
    """Return the path of what `apply` has done of a plan."""
    return path.with_name(path.name + ".progress")


class Lists:
    """The lists of a plan while it is made; without a path, nothing is written."""

    def __init__(self, path: Path | None) -> None:
        """Raise CallError if the files cannot be written."""
        self._path = path
        self._files: list[IO[str]] = []
        if path:
            try:
                self._files = [
                    gzip.open(_partial(at), "wt", compresslevel=1, encoding="utf-8")  # noqa: SIM115
                    for at in (sources_path(path), orphans_path(path))
                ]
            except OSError as error:
                raise CallError(f"cannot write {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()
        if self._path and error:
            for at in (sources_path(self._path), orphans_path(self._path)):
                _partial(at).unlink(missing_ok=True)

    def add(self, item: Item, orphans: list[str]) -> None:
        """Write a source, and what is left over of it."""
        if self._files:
            sources, others = self._files
            sources.write(json.dumps(item) + "\n")
            others.writelines(json.dumps([item.key, key]) + "\n" for key in orphans)

    def add_leftover(self, source_key: str, key: str, waits: bool) -> None:
        """Write an object that no recipe asks for any more."""
        if self._files:
            self._files[1].write(json.dumps([source_key, key, waits]) + "\n")

    def save(self, content: dict[str, Any]) -> None:
        """Write plan.json, when the lists are complete."""
        if self._path is None:
            return
        for file in self._files:
            file.close()
        for at in (sources_path(self._path), orphans_path(self._path)):
            _partial(at).replace(at)
        progress_path(self._path).unlink(missing_ok=True)  # it is of the plan that this one replaces
        content = content | {"version": VERSION, "lists": _digests(self._path)}
        text = json.dumps(content | {"checksum": _checksum(content)}, indent=2, ensure_ascii=False)
        with atomic_file(self._path) as plan:
            plan.write(f"{text}\n".encode())


def load(path: Path) -> MigrationPlan:
    """Return a plan; raises CallError if it is none, or is not as it was written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CallError(f"cannot read {path}: {error.strerror}") from error
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("version") != VERSION or "checksum" not in content:
        raise CallError(f"{path} is not a plan of this version of image-scaler: run image-scaler plan --out again")
    checksum = content.pop("checksum")
    try:
        is_whole = checksum == _checksum(content) and content["lists"] == _digests(path)
    except OSError as error:
        raise CallError(f"cannot read {error.filename}, which belongs to {path}: {error.strerror}") from error
    if not is_whole:
        raise CallError(f"{path} or a list next to it was changed after it was written: run image-scaler plan again")
    return MigrationPlan(path, content | {"checksum": checksum})


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _digests(path: Path) -> dict[str, str]:
    digests = {}
    for name, at in (("sources", sources_path(path)), ("orphans", orphans_path(path))):
        with at.open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _lines(path: Path) -> Iterator[list[Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
