"""Firebase's extension Resize Images (storage-resize-images 0.3): params.env -> ImportedRecipe."""

import json
import re
from collections.abc import Mapping
from typing import Any

from toolbox.console import CommandError
from toolbox.importers.imported_recipe import ImportedRecipe, hexadecimal, join, literal

DEFAULT_QUALITY = {"false": 80, "jpg": 80, "jpeg": 80, "webp": 80, "avif": 50}
"""sharp's: the extension encodes each picture once more at the end, without any options."""
_FORMATS = ("jpg", "jpeg", "png", "webp", "gif", "avif")
_POSITIONS = {
    **{name: name for name in ("top", "right top", "right", "right bottom", "bottom", "left bottom", "left")},
    **{name: name for name in ("left top", "entropy", "attention", "centre")},
    "center": "centre",
    "north": "top",
    "northeast": "right top",
    "east": "right",
    "southeast": "right bottom",
    "south": "bottom",
    "southwest": "left bottom",
    "west": "left",
    "northwest": "left top",
}
_GRAVITIES = ("centre", "top", "right", "bottom", "left", "right top", "right bottom", "left bottom", "left top")
"""sharp's numbers of gravities, from 0."""
_STRATEGIES = {16: "entropy", 17: "attention"}
_HARMLESS_OPTIONS = ("fastShrinkOnLoad", "failOn", "failOnError", "sequentialRead", "unlimited", "limitInputPixels")
_NOTES = {
    "IMG_BUCKET": "the source bucket is a parameter of the stack: existingSourceBucket, or one of its own",
    "MAKE_PUBLIC": "serve the destination bucket with CloudFront: cdn: 'true'",
    "REGENERATE_TOKEN": "there are no download tokens: serve the destination bucket with CloudFront",
    "FAILED_IMAGES_PATH": "the reason is in rejected/<key>.json, and the source is not moved",
    "FUNCTION_MEMORY": "a parameter of the stack: memorySize",
    "OUTPUT_OPTIONS": "it had no effect, because the extension encodes once more without options at the end",
    "DELETE_ORIGINAL_FILE": "sources stay, because a changed recipe needs them; a lifecycle rule can delete them",
    "LOCATION": "a parameter of the deployment: --region",
    "PLACEHOLDER_IMAGE_PATH": "there is no filter of contents",
    "DO_BACKFILL": "image-scaler plan and apply process existing sources",
    "BACKFILL_BATCH_SIZE": "image-scaler plan and apply process existing sources",
}
_EVENTS = ("EVENTARC_CHANNEL", "ALLOWED_EVENT_TYPES")
_FILTERS = {"CONTENT_FILTER_LEVEL": ("", "OFF"), "CUSTOM_FILTER_PROMPT": ("",)}
"""The parameters of the filter of contents, with the values that turn it off."""
_MEANT = (
    *("IMG_SIZES", "IMAGE_TYPE", "SHARP_OPTIONS", "IS_ANIMATED", "RESIZED_IMAGES_PATH", "CACHE_CONTROL_HEADER"),
    *("INCLUDE_PATH_LIST", "EXCLUDE_PATH_LIST", *_FILTERS),
)


def import_recipe(text: str) -> ImportedRecipe:
    """Return the recipe of a params.env; raises CommandError if it is none."""
    params = _read(text)
    found = ImportedRecipe()
    _note_settings(found, params)
    options = _resize_options(found, _object(params, "SHARP_OPTIONS"))
    options["animated"] = options.get("animated") or params.get("IS_ANIMATED", "true") == "true"
    options["cache_control"] = params.get("CACHE_CONTROL_HEADER") or None
    folder = _folder(found, params.get("RESIZED_IMAGES_PATH", ""))
    types = _words(params.get("IMAGE_TYPE", "false"))
    for size in _words(params.get("IMG_SIZES", "200x200")):
        if not re.fullmatch("[1-9][0-9]*x[1-9][0-9]*", size):
            found.differ("IMG_SIZES", f"{size!r} is not a width and a height")
            continue
        for type_ in types:
            _add(found, size, type_, folder, options, is_only=len(types) == 1)
    _add_rules(found, params)
    return found


def _read(text: str) -> dict[str, str]:
    params = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise CommandError(f"cannot read line {number}: it is not NAME=value")
        value = value.strip()
        is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
        params[name.strip()] = value[1:-1] if is_quoted else value
    return params


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _object(params: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        value = json.loads(params.get(name) or "{}")
    except ValueError as error:
        raise CommandError(f"cannot read {name}: {error}") from error
    if not isinstance(value, dict):
        raise CommandError(f"expected an object in JSON for {name} but received {params[name]}")
    return value


def _note_settings(found: ImportedRecipe, params: Mapping[str, str]) -> None:
    """Add a comment for each parameter that has no counterpart."""
    for name, value in params.items():
        if name.startswith(_EVENTS):
            found.note(name, "events = true sends events to EventBridge")
        elif name in _NOTES and value not in ("", "false"):
            found.note(name, _NOTES[name])
        elif name in _FILTERS and value not in _FILTERS[name]:
            found.differ(name, "there is no filter of contents: every picture is shown")
        elif name not in (*_NOTES, *_MEANT):
            found.differ(name, "this parameter is not known")


def _resize_options(found: ImportedRecipe, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what SHARP_OPTIONS means; without it, pictures are fitted into the size and not enlarged."""
    table: dict[str, Any] = {"fit": "inside"}
    for name, value in options.items():
        match name:
            case "fit" | "animated":
                table[name] = value
            case "withoutEnlargement":
                table["without_enlargement"] = value
            case "position" | "gravity" if (position := _position(value)) is not None:
                table["position"] = position
            case "background" if (colour := _colour(value)) is not None:
                table["background"] = colour
            case _ if name in _HARMLESS_OPTIONS:
                found.note(f"SHARP_OPTIONS.{name}", "it is not needed")
            case _:
                found.differ(f"SHARP_OPTIONS.{name}", f"there is no option for {json.dumps(value)}")
    return table


def _position(value: Any) -> str | None:
    if isinstance(value, int):
        return _GRAVITIES[value] if 0 <= value < len(_GRAVITIES) else _STRATEGIES.get(value)
    return _POSITIONS.get(value) if isinstance(value, str) else None


def _colour(value: Any) -> str | None:
    """Return a colour of sharp, a text or an object, like #ffffff; None for what is no colour."""
    from PIL import ImageColor  # here, because it is slow to load

    try:
        if isinstance(value, dict):
            alpha = round(value.get("alpha", 1) * 255)
            rgb = [value.get(name, 0) for name in "rgb"]
            return hexadecimal(rgb if alpha == 255 else [*rgb, alpha])
        return hexadecimal(ImageColor.getrgb(value))
    except (ValueError, TypeError, AttributeError):
        return None


def _folder(found: ImportedRecipe, path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        found.differ("RESIZED_IMAGES_PATH", "a key cannot be in a folder above that of its source")
        return ""
    return join(*map(literal, parts))


def _add(
    found: ImportedRecipe, size: str, type_: str, folder: str, options: Mapping[str, Any], *, is_only: bool
) -> None:
    """Add the rendition of one size in one type."""
    if type_ != "false" and type_ not in _FORMATS:
        found.differ("IMAGE_TYPE", f"{type_} is not written")
        return
    if type_ == "false":
        found.note(
            "IMAGE_TYPE", "a source that browsers do not show, such as TIFF, becomes WebP under its own extension"
        )
    width, _, height = size.partition("x")
    is_animated = options["animated"] and type_ not in ("avif", "jpg", "jpeg", "png")  # sharp wrote the first frame
    found.add(
        size if is_only else f"{size}-{'original' if type_ == 'false' else type_}",
        {
            "width": int(width),
            "height": int(height),
            **options,
            "animated": None if is_animated or type_ in ("jpg", "jpeg", "png") else False,
            "format": None if type_ == "false" else type_,
            "quality": DEFAULT_QUALITY.get(type_),
            "key": f"{{dir}}{folder}{{stem}}_{size}{'{source_ext}' if type_ == 'false' else '.' + type_}",
        },
    )


def _add_rules(found: ImportedRecipe, params: Mapping[str, str]) -> None:
    """Add the rules of the folders: the first one that matches decides, as exclusion did."""
    for path in _words(params.get("EXCLUDE_PATH_LIST", "")):
        _add_rule(found, "EXCLUDE_PATH_LIST", path, [])
    included = _words(params.get("INCLUDE_PATH_LIST", ""))
    for path in included:
        _add_rule(found, "INCLUDE_PATH_LIST", path, list(found.renditions))
    if included:
        found.rules.append({"match": "**", "renditions": []})


def _add_rule(found: ImportedRecipe, setting: str, path: str, renditions: list[str]) -> None:
    folders = ["**" if part == "*" else part for part in path.split("/") if part]
    if any("*" in part and part != "**" for part in folders) or not path.startswith("/"):
        found.differ(setting, f"there is no pattern for {path!r}: write a [[rules]] table")
        return
    if folders[-1:] != ["**"]:
        folders.append("**")
    found.rules.append({"match": "/".join(folders), "renditions": renditions})
