"""renditions.toml as it is saved, and as the page edits it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from image_scaler.exceptions import ConfigError
from toolbox.atomic_file import atomic_file
from toolbox.play.draft import Draft, read_draft, set_value
from toolbox.play.pictures import RefusedError


class RecipeFile:
    """A renditions.toml with its saved and its edited text, and what can work of both."""

    def __init__(self, file: Path) -> None:
        """Raise ConfigError if the file cannot be read."""
        self.file = file
        self.saved_text = self.text = _read(file)
        self.mistakes: Sequence[ConfigError]
        """Those of the edited text."""
        self.edited, self.mistakes = read_draft(self.text, file.parent, file.name)
        """The last edited text without mistakes; None if there was none."""
        self.saved: Draft | None = self.edited

    def edit(self, text: str) -> bool:
        """Take another text; return whether it has no mistakes."""
        self.text = text
        draft, self.mistakes = read_draft(text, self.file.parent, self.file.name)
        self.edited = draft or self.edited
        return draft is not None

    def reread(self) -> str:
        """Take the file as what is saved, also if another program changed it; return its text.

        Raises RefusedError if it cannot be read.
        """
        try:
            self.saved_text = _read(self.file)
        except ConfigError as error:
            raise RefusedError(str(error)) from error
        draft, _ = read_draft(self.saved_text, self.file.parent, self.file.name)
        self.saved = draft or self.saved
        return self.saved_text

    def with_value(self, table: str, name: str, value: int | str | bool) -> str:
        """Return the edited text with a value of a rendition set; raises ConfigError if that is not possible."""
        return set_value(self.text, table, name, value)

    def save(self, *, force: bool) -> None:
        """Write the edited text to the file; raises RefusedError if it has mistakes or the file cannot be written.

        If another program changed the file in the meantime, it is overwritten only with `force`.
        """
        if self.mistakes:
            raise RefusedError(f"cannot save {self.file.name}: {self.mistakes[0].message}")
        try:
            is_other = self.file.exists() and _read(self.file) != self.saved_text
        except ConfigError:
            is_other = True
        if is_other and not force:
            raise RefusedError(f"{self.file.name} was changed by another program: save again to overwrite it")
        try:
            _write(self.file, self.text)
        except OSError as error:
            raise RefusedError(f"cannot write {self.file}: {error.strerror}") from error
        self.saved_text, self.saved = self.text, self.edited

    def event(self) -> dict[str, Any]:
        """Return the recipe as the page needs it."""
        return {
            "event": "recipe",
            "file": self.file.name,
            "text": self.text,
            "saved_text": self.saved_text,
            "mistakes": [{"line": mistake.line, "text": mistake.message} for mistake in self.mistakes],
            "columns": [column._asdict() for column in self.edited.columns] if self.edited else [],
            "saved_columns": [column._asdict() for column in self.saved.columns] if self.saved else [],
        }


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error


def _write(file: Path, text: str) -> None:
    """Write the file completely or not at all; a symbolic link stays one, and lines end as before."""
    file = file.resolve()
    if file.exists() and b"\r\n" in file.read_bytes():
        text = text.replace("\n", "\r\n")
    with atomic_file(file, mode=file.stat().st_mode & 0o777 if file.exists() else 0o644) as new:
        new.write(text.encode())
