"""A session: the pictures, the recipe as it is saved and edited, the work, and what the page is told of all three."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.geometry import Point
from toolbox.play.cells import picture_event
from toolbox.play.draft import Draft
from toolbox.play.engine import Engine
from toolbox.play.feed import Event, Feed
from toolbox.play.pictures import Picture, Pictures, RefusedError
from toolbox.play.recipe_file import RecipeFile
from toolbox.play.schedule import Schedule

MAX_RESULTS = 20_000
"""Results that are kept for recipes that are no longer shown."""


class Session:
    """What the page shows. Its folder holds what was uploaded and rendered; it is deleted at the end."""

    def __init__(self, file: Path, folder: Path, engine: Engine) -> None:
        """Raise ConfigError if the file cannot be read; a text with mistakes is no error: the page shows them."""
        self.engine = engine
        self.recipe = RecipeFile(file)
        self.pictures = Pictures(folder)
        self.feed = Feed(self._everything, self._picture_event)
        self.schedule = Schedule(self.pictures, engine, self._drafts, lambda picture: self.feed.tell_of(picture.id))

    def check_addition(self, key: str, size: int) -> None:
        """Raise RefusedError if a picture of this many bytes cannot be added."""
        self.pictures.check_addition(key, size, self.recipe.edited or self.recipe.saved)

    def add(self, key: str, path: Path, *, is_temporary: bool) -> Picture:
        """Add a picture; one with the same key is replaced."""
        for other in self.pictures:
            if other.key == key:
                self.remove(other.id)
        picture = self.pictures.add(key, path, is_temporary=is_temporary)
        self._tell_of(picture)
        return picture

    def remove(self, id_: str) -> None:
        """Remove a picture and everything that was made of it; raises RefusedError if it does not exist."""
        picture = self.pictures.get(id_)
        self.schedule.cancel(picture)
        self.pictures.remove(picture)
        self.feed.tell({"event": "removed", "id": id_})

    def set_focal_point(self, id_: str, point: Point | None) -> None:
        """Set or remove the focal point of a picture; all its crops follow."""
        picture = self.pictures.get(id_)
        picture.focal_point = point
        self.schedule.cancel_unwanted()
        self._tell_of(picture)

    def edit(self, text: str) -> None:
        """Take another text for the edited recipe. With mistakes in it, the page keeps the last results."""
        is_valid = self.recipe.edit(text)
        if is_valid:
            self.schedule.cancel_unwanted()
            self.pictures.forget(self._drafts(), MAX_RESULTS)
        self.feed.tell(self.recipe.event())
        if is_valid:
            self._tell_of(*self.pictures)

    def set_value(self, table: str, name: str, value: int | str | bool) -> None:
        """Set a value of a rendition in the edited text; raises RefusedError if that is not possible."""
        try:
            self.edit(self.recipe.with_value(table, name, value))
        except ConfigError as error:
            raise RefusedError(str(error)) from error

    def revert(self) -> None:
        """Go back to the file; raises RefusedError if it cannot be read."""
        self.edit(self.recipe.reread())

    def save(self, *, force: bool = False) -> None:
        """Write the edited text to the file; see RecipeFile.save."""
        self.recipe.save(force=force)
        self.feed.tell(self.recipe.event())
        self._tell_of(*self.pictures)

    async def reference(self, picture_id: str, column: str, *, is_saved: bool, is_report: bool = False) -> str:
        """Return the file of the source with the size and the crop of a rendition; raises RefusedError."""
        draft = self.recipe.saved if is_saved else self.recipe.edited
        if draft is None:
            raise RefusedError("renditions.toml has mistakes")
        return await self.schedule.reference(self.pictures.get(picture_id), draft, column, is_report=is_report)

    def _drafts(self) -> Sequence[Draft | None]:
        return self.recipe.edited, self.recipe.saved

    def _tell_of(self, *pictures: Picture) -> None:
        for picture in pictures:
            self.feed.tell_of(picture.id)
        self.schedule.wake()

    def _everything(self) -> Iterator[Event]:
        yield {"event": "pictures", "ids": [picture.id for picture in self.pictures]}
        yield self.recipe.event()
        yield from (self.picture_event(picture) for picture in self.pictures)

    def picture_event(self, picture: Picture) -> dict[str, Any]:
        """Return a picture with the cells of both recipes, as the page needs it."""
        return picture_event(picture, self.recipe.edited, self.recipe.saved)

    def _picture_event(self, id_: str) -> Event | None:
        picture = self.pictures.find(id_)
        return self.picture_event(picture) if picture else None
