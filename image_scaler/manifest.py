"""The manifest of a source: its renditions in JSON, for a web page to use."""

import base64
import hashlib
import html
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from image_scaler.renditions.formats import Format
from image_scaler.renditions.made import MadeRendition
from image_scaler.renditions.recipe import SourcePlan
from image_scaler.storage.base import ObjectHeaders

HEADERS = ObjectHeaders(content_type="application/json", cache_control="no-cache")
"""Caches may store it but must revalidate: it says whether the renditions are those of the current source."""

VERSION = 2
"""Increment when the manifest of the same renditions changes, so that outdated manifests are replaced."""

_CHOICES = ("image/avif", "image/webp")
"""The types that a browser may choose instead of the fallback, the smallest first."""
_FALLBACKS = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""The types of the image for browsers that support none of the choices, the best first."""
TYPES = tuple(dict.fromkeys(_CHOICES + _FALLBACKS))
"""Ordered by support: a browser that shows one type shows all later ones."""
_SIZES = "100vw"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source; if it was only copied, no more than the first three fields are known."""

    key: str
    etag: str
    bytes: int
    width: int | None = None
    """In pixels, as the height, when upright."""
    height: int | None = None
    format: Format | None = None


def fingerprint(plan: SourcePlan) -> str:
    """Return a short hash of everything that a manifest depends on besides its source."""
    return fingerprint_of([(target.spec.fingerprint, target.key) for target in plan.targets], plan.ladder)


def fingerprint_of(parts: Sequence[tuple[str, str]], ladder: Collection[str], version: int = VERSION) -> str:
    """Return the fingerprint of a manifest from the fingerprint and the key of each target."""
    return hashlib.sha256(f"{version} {(parts, sorted(ladder))}".encode()).hexdigest()[:16]


def build(
    source: Source,
    made: Sequence[MadeRendition],
    ladder: Collection[str],
    *,
    fingerprint: str,
    thumbhash: bytes | None = None,
    dominant_colour: str | None = None,
) -> bytes:
    """Return the manifest of a source as JSON; the same bytes for the same renditions.

    `ladder` holds the names of the renditions in each `srcset`: one picture in several widths and formats. All URLs are
    relative to the destination bucket's root; a key with a folder named `.` or `..` has none. If some of a ladder's
    renditions move, no still one is offered. `thumbhash` is written in Base64.
    """
    is_animation = any(one.animated for one in made)
    renditions = [_with_source_facts(one, source, is_animation=is_animation).as_json() for one in made]
    # Browsers take such a part of a path as a way up, however it is encoded.
    has_urls = not {".", ".."} & set(source.key.split("/"))
    steps = _prefer_animated([entry for entry in renditions if entry["name"] in ladder and has_urls])
    srcsets = {type_: _srcset(steps, type_) for type_ in dict.fromkeys(entry["type"] for entry in steps)}
    content = {
        "source": asdict(source),
        "recipe": fingerprint,
        "renditions": renditions,
        "srcset": {type_.removeprefix("image/"): srcset for type_, srcset in srcsets.items()},
        "picture": _picture(renditions, steps, srcsets) if has_urls else None,
        "thumbhash": base64.b64encode(thumbhash).decode() if thumbhash else None,
        "dominant_colour": dominant_colour,
    }
    return json.dumps(content, ensure_ascii=False).encode()


def _with_source_facts(made: MadeRendition, source: Source, *, is_animation: bool) -> MadeRendition:
    """Return a rendition; a copy with the size and the type of its source, if these are known."""
    if made.type is not None or source.format is None:
        return made
    type_ = source.format.traits.media_type
    return msgspec.structs.replace(made, width=source.width, height=source.height, type=type_, animated=is_animation)


def _prefer_animated(renditions: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the renditions that move, or all if none does."""
    return [entry for entry in renditions if entry.get("animated")] or renditions


def _srcset(steps: Sequence[Mapping[str, Any]], type_: str) -> str:
    """Return a `srcset` of all steps of a type, from narrow to wide; only the first of equally wide ones.

    If this type has no file at a width, the next type's file is listed: browsers that show AVIF also show WebP, and all
    show the others. Without it the browser would take a wider image of this type.
    """
    by_width: dict[int, str] = {}
    types = TYPES[TYPES.index(type_) :] if type_ in TYPES else (type_,)
    for candidate in types:
        for step in steps:
            if step["type"] == candidate:
                by_width.setdefault(step["width"], quote(step["key"]))
    return ", ".join(f"{url} {width}w" for width, url in sorted(by_width.items()))


def _picture(
    renditions: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], srcsets: Mapping[str, str]
) -> str | None:
    """Return a `<picture>` of the steps; None if there is nothing that browsers show."""
    shown = _fallback(renditions, steps)
    if shown is None:
        return None
    sources = [
        f"<source{_attributes(type=type_, srcset=srcsets[type_], sizes=_SIZES)}>"
        for type_ in _CHOICES
        if type_ in srcsets
    ]
    choice = {}
    if shown in steps and shown["type"] not in _CHOICES:
        choice = {"srcset": srcsets[shown["type"]], "sizes": _SIZES}
    image = _attributes(
        src=quote(shown["key"]), **choice, width=shown["width"], height=shown["height"], loading="lazy", alt=""
    )
    return f"<picture>{''.join(sources)}<img{image}></picture>"


def _fallback(renditions: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the widest step in the best format, or else the largest rendition that browsers show."""
    for type_ in _FALLBACKS:
        if of_type := [step for step in steps if step["type"] == type_]:
            return max(of_type, key=lambda step: int(step["width"]))
    shown = [entry for entry in renditions if entry["type"] in _FALLBACKS]
    if any(step.get("animated") for step in steps):
        shown = list(_prefer_animated(shown))
    shown = shown or [entry for entry in renditions if entry["type"] in (None, "image/avif", "image/svg+xml")]
    return max(shown, key=lambda entry: (entry["width"] or 0) * (entry["height"] or 0), default=None)


def _attributes(**values: object) -> str:
    """Return HTML attributes, without those that are None."""
    return "".join(f' {name}="{html.escape(str(value))}"' for name, value in values.items() if value is not None)
