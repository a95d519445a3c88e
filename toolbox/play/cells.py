"""What the page shows of a picture under a recipe, in JSON: the cell of each column, and the manifest."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from image_scaler import manifest
from image_scaler.exceptions import DestinationKeyError
from image_scaler.renditions.formats import Format
from image_scaler.renditions.made import MadeRendition
from image_scaler.upload import version_of
from toolbox.play.draft import COPIES, Draft, column_id
from toolbox.play.pictures import Picture, Result

SHOWN_FORMATS = ("jpeg", "png", "webp", "gif", "avif")
"""The formats that every browser shows."""


def picture_event(picture: Picture, edited: Draft | None, saved: Draft | None) -> dict[str, Any]:
    """Return a picture with the cells of both recipes, as the page needs it."""
    return {
        "event": "picture",
        "id": picture.id,
        "key": picture.key,
        "bytes": picture.bytes,
        "width": picture.size.width if picture.size else None,
        "height": picture.size.height if picture.size else None,
        "format": picture.format,
        "is_shown": picture.format in SHOWN_FORMATS,
        "focal_point": picture.focal_point,
        "view": picture.view,
        "metadata": picture.metadata,
        "thumbhash": picture.thumbhash,
        "colour": picture.colour,
        "decoding": picture.decoding,
        "function_decoding": picture.function_decoding,
        "cells": cells(picture, edited),
        "saved_cells": cells(picture, saved),
        "objects": _count_objects(edited, picture.key),
        "saved_objects": _count_objects(saved, picture.key),
        "manifest": _manifest(picture, edited),
    }


def cells(picture: Picture, draft: Draft | None) -> dict[str, dict[str, Any]]:
    """Return the cell of each column of a recipe, by the column's id."""
    if draft is None:
        return {}
    try:
        keys = draft.cache_keys(picture.key, picture.size, picture.focal_point)
    except DestinationKeyError as error:
        return {column.id: {"status": "rejected", "text": str(error)} for column in draft.columns}
    found = {id_: _cell(picture, key) for id_, key in keys.items()}
    encodings = set()
    for cell in found.values():
        if cell["status"] == "made":
            encoding = (cell["type"], cell["width"], cell["height"], cell["bytes"])
            if encoding in encodings:  # steps that a small source cannot fill are encoded once
                cell["function_ms"] = 0
            encodings.add(encoding)
    return found


def _cell(picture: Picture, key: str) -> dict[str, Any]:
    result = picture.results.get(key)
    if result is None and key in COPIES and picture.is_known:
        return {"status": "copy", "bytes": picture.bytes}
    if result is None:
        return {"status": "waiting"}
    return _made_cell(result, result.made) if result.made else {"status": result.status, "text": result.text}


def _made_cell(result: Result, made: MadeRendition) -> dict[str, Any]:
    return made.as_json() | {
        "status": result.status,
        "ms": result.milliseconds,
        "function_ms": result.function_ms,
        "file": result.file,
        "metadata": result.metadata,
        "is_larger": result.is_larger,
        "worst": result.worst,
        "is_scored": result.is_scored,
    }


def _manifest(picture: Picture, draft: Draft | None) -> Mapping[str, Any] | None:
    """Return the manifest of a picture, with the column behind each key; None until all renditions exist."""
    if draft is None or not picture.is_known or picture.size is None:
        return None
    shown = cells(picture, draft).values()
    try:
        plan = draft.plan_for(picture.key).of_version(version_of(picture.etag, picture.focal_point))
    except DestinationKeyError:
        return None
    if not plan.targets or any(cell["status"] not in ("made", "copy") for cell in shown):
        return None
    keys = draft.cache_keys(picture.key, picture.size, picture.focal_point)
    made = []
    for target in plan.targets:
        result = picture.results.get(keys[column_id(target.spec)])
        if result is None:
            made.append(MadeRendition(name=target.spec.name, key=target.key, bytes=picture.bytes))
        elif result.made and not result.is_larger:
            # The engine was asked for the key of no version.
            made.append(MadeRendition.from_json(result.made.as_json() | {"key": target.key}))
    source = manifest.Source(
        key=picture.key,
        etag=picture.etag,
        bytes=picture.bytes,
        width=picture.size.width,
        height=picture.size.height,
        format=Format(picture.format),
    )
    thumbhash = base64.b64decode(picture.thumbhash) or None
    page = replace(plan.page, base_url=None)  # the page of play has the files
    body = manifest.build(source, made, page, fingerprint=manifest.fingerprint(plan), thumbhash=thumbhash)
    columns = {target.key: column_id(target.spec) for target in plan.targets}
    return {"picture": json.loads(body)["picture"], "columns": columns}


def _count_objects(draft: Draft | None, key: str) -> int:
    """Return the number of objects that the function writes for a source."""
    try:
        return len(draft.plan_for(key).keys) if draft else 0
    except DestinationKeyError:
        return 0
