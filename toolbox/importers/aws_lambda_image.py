"""aws-lambda-image: config.json -> ImportedRecipe."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from toolbox.console import CommandError
from toolbox.importers.imported_recipe import ImportedRecipe, hexadecimal, join, literal

DEFAULT_QUALITY = 75
"""Of cjpeg, which writes all JPEGs."""
_GRAVITIES = {
    "northwest": "left top",
    "north": "top",
    "northeast": "right top",
    "west": "left",
    "center": "centre",
    "east": "right",
    "southwest": "left bottom",
    "south": "bottom",
    "southeast": "right bottom",
}
_GEOMETRY = re.compile(r"(?P<width>[1-9][0-9]*)?(?:x(?P<height>[1-9][0-9]*))?(?P<flag>[\^!>])?")
_FORMATS = {"jpg": "jpeg", "jpeg": "jpeg", "png": "png", "gif": "gif"}
_OWN_OPTIMIZER = "pictures are encoded by libvips"
_NOTES = {
    "bucket": "a parameter of the stack: existingDestinationBucket",
    "jpegOptimizer": _OWN_OPTIMIZER,
    "optimizers": _OWN_OPTIMIZER,
    "optimizerOptions": _OWN_OPTIMIZER,
    "orientation": "pictures are always upright",
    "changeExtension": "no code of aws-lambda-image reads it",
}
_KEY_FIELDS = ("directory", "template", "prefix", "suffix", "keepExtension")
_SHARED_FIELDS = ("acl", "cacheControl", *_KEY_FIELDS, *_NOTES)


def import_recipe(text: str) -> ImportedRecipe:
    """Return the recipe of a config.json; raises CommandError if it is none."""
    try:
        config = json.loads(text)
    except ValueError as error:
        raise CommandError(f"cannot read config.json: {error}") from error
    if not isinstance(config, dict) or not all(isinstance(part, dict) for _, part in _parts(config)):
        raise CommandError("cannot read config.json: it, backup, reduce and each of resizes must be an object")
    found = ImportedRecipe()
    _check_buckets(found, config)
    _note(found, "", config, {"backup", "reduce", "resizes", "keepExtension", "acl", "cacheControl"})
    if backup := config.get("backup"):
        _add_backup(found, config, backup)
    if config.get("reduce") is not None:
        _note(found, "reduce", config["reduce"], {*_SHARED_FIELDS, "quality"})
        _add(found, "reduce", "reduced", config["reduce"], config, {})
    for index, resize in enumerate(config.get("resizes", [])):
        setting = f"resizes[{index}]"
        _note(found, setting, resize, {*_SHARED_FIELDS, "size", "crop", "gravity", "format", "quality", "background"})
        _add_resize(found, setting, resize, config)
    return found


def _parts(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each part of the config with its place in it."""
    yield "", config
    yield from ((name, config[name]) for name in ("backup", "reduce") if config.get(name) is not None)
    yield from ((f"resizes[{index}]", resize) for index, resize in enumerate(config.get("resizes", [])))


def _check_buckets(found: ImportedRecipe, config: Mapping[str, Any]) -> None:
    buckets = {part["bucket"] for _, part in _parts(config) if part.get("bucket")}
    if len(buckets) > 1:
        found.differ("bucket", f"there is one destination bucket, and not {len(buckets)}")


def _note(found: ImportedRecipe, setting: str, part: Mapping[str, Any], known: set[str]) -> None:
    """Add a comment for each field of a part that has no counterpart."""
    for name, value in part.items():
        place = f"{setting}.{name}".lstrip(".")
        if name in _NOTES:
            found.note(place, _NOTES[name])
        elif name not in known:
            found.differ(place, "this field is not known")
        elif name == "acl" and value != "private":
            found.note(place, f"{value}: objects are private; serve the bucket with CloudFront, cdn: 'true'")
        elif name == "cacheControl" and value is None:
            found.note(place, "null: a rendition has the Cache-Control of its source, or a day")


def _add_backup(found: ImportedRecipe, config: Mapping[str, Any], backup: Mapping[str, Any]) -> None:
    _note(found, "backup", backup, {*_SHARED_FIELDS, "move"})
    if backup.get("move"):
        found.note("backup.move", "sources stay, because a changed recipe needs them; a lifecycle rule can delete them")
    if backup.get("cacheControl") or config.get("cacheControl"):
        found.note("backup.cacheControl", "a copy has the Cache-Control of its source")
    if (key := _key(found, "backup", backup, config, None)) is not None:
        found.add("original", {"key": key})


def _add_resize(found: ImportedRecipe, setting: str, resize: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if not resize.get("size"):
        found.note(f"{setting}.size", "without a size nothing was made")
        return
    box = _box(found, setting, resize)
    if box is None:
        return
    folders = [part for part in str(resize.get("directory", "")).split("/") if part not in ("", ".", "..")]
    name = folders[-1] if folders else resize.get("suffix") or str(resize["size"])
    _add(found, setting, name, resize, config, box)


def _add(
    found: ImportedRecipe,
    setting: str,
    name: str,
    part: Mapping[str, Any],
    config: Mapping[str, Any],
    box: Mapping[str, Any],
) -> None:
    """Add the rendition of `reduce`, or of one of `resizes`."""
    format = None
    if "format" in part:
        format = _FORMATS.get(str(part["format"]).lower())
        if format is None:
            found.differ(f"{setting}.format", f"{part['format']} was not written, and is not")
            return
    key = _key(found, setting, part, config, format)
    if key is None:
        return
    has_jpeg, has_png = format in (None, "jpeg"), format in (None, "png")
    found.add(
        name,
        {
            **box,
            "format": format,
            "background": _background(found, setting, part, format),
            "quality": (part.get("quality") or DEFAULT_QUALITY) if has_jpeg else None,
            "progressive": True if has_jpeg else None,
            "palette": True if has_png else None,
            "cache_control": part["cacheControl"] if "cacheControl" in part else config.get("cacheControl"),
            "key": key,
        },
    )


def _box(found: ImportedRecipe, setting: str, resize: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a geometry of ImageMagick means; None if it has no counterpart. ImageMagick enlarges."""
    size, crop = str(resize["size"]), resize.get("crop")
    match = _GEOMETRY.fullmatch(size)
    if match is None or not (match["width"] or match["height"]):
        found.differ(f"{setting}.size", f"there is no option for {size!r}")
        return None
    width, height, flag = match["width"], match["height"], match["flag"]
    box: dict[str, Any] = {
        "width": int(width) if width else None,
        "height": int(height) if height else None,
        "without_enlargement": flag == ">",
    }
    if width and height:
        box["fit"] = {"^": "outside", "!": "fill"}.get(flag, "inside")
    elif flag in ("^", "!"):
        found.differ(f"{setting}.size", f"there is no option for {size!r}")
        return None
    if crop is None:
        return box
    if crop not in (f"{width}x{height}", f"{width}x{height}+0+0") or flag != "^":
        found.differ(f"{setting}.crop", f"there is no option for {crop!r} of {size!r}")
        return None
    position = _GRAVITIES.get(str(resize.get("gravity", "NorthWest")).lower())
    if position is None:
        found.differ(f"{setting}.gravity", f"there is no position for {resize['gravity']!r}")
        return None
    return box | {"fit": "cover", "position": position}


def _background(found: ImportedRecipe, setting: str, part: Mapping[str, Any], format: str | None) -> str | None:
    if "background" not in part:
        return None
    from PIL import ImageColor  # here, because it is slow to load

    try:
        colour = hexadecimal(ImageColor.getrgb(part["background"]))
    except (ValueError, AttributeError):
        found.differ(f"{setting}.background", f"{part['background']!r} is not a colour that is known")
        return None
    if format != "jpeg":
        found.differ(f"{setting}.background", 'transparent PNGs and GIFs stay transparent; format = "jpeg" fills them')
    return colour


def _key(
    found: ImportedRecipe, setting: str, part: Mapping[str, Any], config: Mapping[str, Any], format: str | None
) -> str | None:
    """Return the key template of a part; None if it has no counterpart."""
    if part.get("template"):
        found.differ(
            f"{setting}.template", "a key has no patterns of folders: write a table and a [[rules]] table for each"
        )
        return None
    directory = str(part.get("directory", "."))
    is_relative = directory in (".", "..") or directory.startswith(("./", "../"))
    folders = [folder for folder in directory.split("/") if folder not in ("", ".")]
    if ".." in folders:
        found.differ(f"{setting}.directory", "a key cannot be in a folder above that of its source")
        return None
    keeps_extension = part.get("keepExtension") or config.get("keepExtension")
    extension = "{source_ext}"
    if format and not keeps_extension:
        extension = ".jpg" if format == "jpeg" else f".{format}"
    elif not keeps_extension:
        found.note("keepExtension", "a source keeps its extension, also .jpeg and .JPG, which became .jpg")
    name = f"{literal(str(part.get('prefix') or ''))}{{stem}}{literal(str(part.get('suffix') or ''))}{extension}"
    return f"{'{dir}' if is_relative else ''}{join(*map(literal, folders))}{name}"
