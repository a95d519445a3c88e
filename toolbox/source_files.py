"""The images that are named on a command line: files, and those in folders."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from image_scaler.renditions.keys import is_image_key
from image_scaler.storage.base import ObjectRef
from toolbox.console import CommandError


class InputError(CommandError):
    """The paths cannot be scaled into one folder; says why."""


@dataclass(frozen=True)
class SourceFile:
    """A file, with its folder as the bucket."""

    path: Path
    ref: ObjectRef


def source_files(paths: Sequence[Path], out_folder: Path | None = None) -> list[SourceFile]:
    """Return the images that are named, and those in folders, except for those in `out_folder`.

    The key of a file is its name; of a file in a folder, its path within that folder. Raises InputError if a path does
    not exist, has no images, or two files have the same key.
    """
    found: dict[str, SourceFile] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"cannot read {path}: no such file or folder")
        folder = path if path.is_dir() else path.parent
        files = _images_in(path) if path.is_dir() else [path]
        if out_folder:
            files = [file for file in files if not file.resolve().is_relative_to(out_folder.resolve())]
        if not files:
            raise InputError(
                f"{path} has no images" + (f" outside the output folder {out_folder}" if out_folder else "")
            )
        for file in files:
            key = file.relative_to(folder).as_posix()
            if key in found:
                raise InputError(f"{found[key].path} and {file} would both have the key {key}: pass only one of them")
            found[key] = SourceFile(file, ObjectRef(str(folder.resolve()), key))
    return list(found.values())


def _images_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file() and is_image_key(file.name))
