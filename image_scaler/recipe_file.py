"""renditions.toml and the images next to it -> Recipe: the only module that reads these files."""

from pathlib import Path

from image_scaler.exceptions import ConfigError, RejectedError
from image_scaler.renditions.limits import MEBIBYTE
from image_scaler.renditions.overlay import OVERLAY_FOLDER, OverlayImage
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe

MAX_OVERLAY_BYTES = 5 * MEBIBYTE
"""The size of the image of an overlay: it is packaged with the function, whose package has 250 MB at most."""


def load_recipe(path: Path) -> Recipe:
    """Read and check renditions.toml, and the images of its overlays.

    Raises ConfigError for the first mistake, with all others in it. The sentence of each says which field, what was
    expected, and what was received.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return parse_recipe_in(path.parent, text, path.name)


def parse_recipe_in(folder: Path, text: str, name: str = "renditions.toml") -> Recipe:
    """Check the text of a renditions.toml with the images of overlays in its folder; see `load_recipe`."""
    return parse_recipe(text, name, OverlayFiles(folder).read)


class OverlayFiles:
    """The images of overlays next to a renditions.toml; each is read once."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of renditions.toml."""
        self._folder = folder
        self._images: dict[str, OverlayImage] = {}

    def read(self, name: str) -> OverlayImage:
        """Return the image under a name of renditions.toml; raises ConfigError with the reason if it cannot be used."""
        if name not in self._images:
            self._images[name] = self._open(name)
        return self._images[name]

    def _open(self, name: str) -> OverlayImage:
        # Imported here, because few recipes have an overlay, and most commands need no libvips.
        from image_scaler.images.overlay import open_overlay

        path = self._folder / name
        try:
            if not path.resolve().is_relative_to((self._folder / OVERLAY_FOLDER).resolve()):
                raise ConfigError(f"it is a link to a file outside the folder {OVERLAY_FOLDER}")
            if (size := path.stat().st_size) > MAX_OVERLAY_BYTES:
                raise ConfigError(f"it has {size:,} bytes but {MAX_OVERLAY_BYTES:,} are allowed")
            return open_overlay(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(getattr(error, "strerror", None) or str(error)) from error
        except RejectedError as error:
            raise ConfigError(str(error)) from error
