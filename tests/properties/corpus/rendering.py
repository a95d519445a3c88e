"""Render each file of the corpus."""

from pathlib import Path
from typing import NamedTuple

from image_scaler.exceptions import RejectedError
from image_scaler.images import vips
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.geometry import Size
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe


class Made(NamedTuple):
    """One rendition."""

    name: str
    format: Format
    size: Size
    planned: Size
    body: bytes


class Outcome(NamedTuple):
    """The result of one file."""

    status: str
    """`ok` or `reject`."""
    reason: str
    size: Size | None
    made: tuple[Made, ...]


def renditions(number: int, size: Size | None) -> Recipe:
    """The recipes for a file: three sizes, in two formats that take turns from file to file."""
    chosen = [OUTPUT_FORMATS[(number + step) % len(OUTPUT_FORMATS)] for step in (0, 2)]
    # At its own size a large picture would take seconds in most formats.
    own = Format.JPEG if size and size.width * size.height > 1_500_000 else chosen[0]
    tables = [
        f'[renditions.{name}-{format}]\n{box}\nformat = "{format}"'
        for format in chosen
        for name, box in (("inside", 'width = 100\nheight = 100\nfit = "inside"'), ("cover", "width = 64\nheight = 64"))
    ]
    tables.append(f'[renditions.same-{own}]\nformat = "{own}"')
    return parse_recipe("\n".join(tables))


def rendered(path: Path, number: int, size: Size | None, allow_svg: bool = False) -> Outcome:
    """Run the engine on a file, as the function does."""
    recipes = renditions(number, size)
    vips.configure(allow_svg=allow_svg)
    try:
        source = SourceImage(path.read_bytes(), recipes.limits)
        made = tuple(
            Made(
                rendition.target.spec.name,
                rendition.target.format,
                rendition.size,
                rendition.target.lay_out(source.size).output,
                rendition.body,
            )
            for rendition in source.render(recipes.plan_for("a").renditions)
        )
    except RejectedError as error:
        return Outcome("reject", str(error), None, ())
    finally:
        vips.configure()
    return Outcome("ok", "", source.size, made)
