"""The manifest of a source: its renditions in JSON, for a web page to use."""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, UnsetType

from image_scaler.renditions.formats import Format
from image_scaler.renditions.made import MadeRendition
from image_scaler.renditions.recipe import PageOptions, PictureChoice, SourcePlan
from image_scaler.storage.base import ObjectHeaders

HEADERS = ObjectHeaders(content_type="application/json", cache_control="no-cache")
"""Caches may store it but must revalidate: it says whether the renditions are those of the current source."""

VERSION = 3
"""Increment when the manifest of the same renditions changes, so that outdated manifests are replaced."""

_CHOICES = ("image/avif", "image/webp")
"""The types that a browser may choose instead of the fallback, the smallest first."""
_FALLBACKS = ("image/jpeg", "image/png", "image/gif", "image/webp")
"""The types of the image for browsers that support none of the choices, the best first."""
TYPES = tuple(dict.fromkeys(_CHOICES + _FALLBACKS))
"""Ordered by support: a browser that shows one type shows all later ones."""
SIZES = "auto, 100vw"
"""As images load lazily, browsers know how wide one is shown; older ones ignore `auto` and take the page's width."""

Pixels = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A source; if it was only copied, no more than the first three fields are known."""

    key: str
    etag: str
    bytes: int
    width: Pixels | None = None
    """In pixels, as the height, when upright."""
    height: Pixels | None = None
    aspect_ratio: float | None = None
    """The width divided by the height."""
    format: Format | None = None
    has_alpha: bool | None = None
    animated: bool | None = None
    focal_point: tuple[Share, Share] | None = None
    """From the left and from the top, if the upload's metadata has one."""
    asked: Sequence[str] | UnsetType = UNSET
    """The renditions that the upload's metadata asks for, if it names any; empty for `none`."""
    unknown: Sequence[str] | UnsetType = UNSET
    """Next to `asked`: the words of the metadata that are no rendition that the rules allow."""


class Entry(MadeRendition, frozen=True, kw_only=True):
    """A rendition or a copy."""

    url: str | None = None
    """Percent-encoded, after `base_url`; None if no URL leads to the key."""


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """One picture in several widths or formats."""

    srcset: Mapping[str, str]
    """By the name of the format; `jpeg_hdr` prefers the JPEGs with a gain map, if there are any."""
    picture: str | None
    """A `<picture>` of this ladder alone; None if it has nothing that browsers show."""
    sizes: str = SIZES
    width: Pixels | None = None
    """Of the largest step, as the height."""
    height: Pixels | None = None
    aspect_ratio: float | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is written to `manifests/<key>.json`; docs/web.md explains it."""

    version: int = VERSION
    base_url: str | None
    source: Source
    recipe: str
    """The fingerprint of what was asked for."""
    renditions: Sequence[Entry]
    ladders: Mapping[str, Ladder]
    """By their names in renditions.toml."""
    srcset: Mapping[str, str]
    """Of the first ladder."""
    picture: str | None
    """Of the first ladder, with the others that `[[pictures]]` names."""
    pictures: Sequence[PictureChoice] = ()
    """The ladders that `picture` offers besides the first, and when."""
    placeholder: str | None = None
    """A very small picture as a data URL, if renditions.toml asks for it."""
    thumbhash: str | None = None
    """In Base64."""
    dominant_colour: Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")] | None = None


def fingerprint(plan: SourcePlan) -> str:
    """Return a short hash of everything that a manifest depends on besides its source."""
    return fingerprint_of([(target.spec.fingerprint, target.key) for target in plan.targets], plan.page)


def fingerprint_of(parts: Sequence[tuple[str, str]], page: PageOptions, version: int = VERSION) -> str:
    """Return the fingerprint of a manifest from the fingerprint and the key of each target."""
    told: object = page
    if version < 3:  # which knew only the first ladder
        told = sorted(page.ladders[0][1]) if page.ladders else []
    return hashlib.sha256(f"{version} {(parts, told)}".encode()).hexdigest()[:16]


def build(
    source: Source,
    made: Sequence[MadeRendition],
    page: PageOptions,
    *,
    fingerprint: str,
    thumbhash: bytes | None = None,
    dominant_colour: str | None = None,
    placeholder: str | None = None,
) -> bytes:
    """Return the manifest of a source as JSON; the same bytes for the same renditions.

    A key with a folder named `.` or `..` has no URL. If some of a ladder's renditions move, no still one is offered.
    `thumbhash` is written in Base64.
    """
    # Browsers take such a part of a path as a way up, however it is encoded.
    base = None if {".", ".."} & set(source.key.split("/")) else page.base_url or ""
    is_animation = any(one.animated for one in made)
    entries = [_entry(_with_source_facts(one, source, is_animation=is_animation), base) for one in made]
    shown = [entry for entry in entries if entry.url is not None]
    steps = {name: _prefer_animated([entry for entry in shown if entry.name in names]) for name, names in page.ladders}
    first = next(iter(steps.values()), [])
    offered = [(picture, _offered(steps[picture.ladder], hdr=picture.hdr)) for picture in page.pictures]
    pictures = [picture for picture, others in offered if others]
    choices = [(picture.media, others) for picture, others in offered if others]
    content = Manifest(
        base_url=page.base_url,
        source=_with_aspect_ratio(source),
        recipe=fingerprint,
        renditions=entries,
        ladders={name: _ladder(entries) for name, entries in steps.items() if entries},
        srcset=_srcsets(first),
        picture=_picture(shown, first, choices),
        pictures=pictures,
        placeholder=placeholder,
        thumbhash=base64.b64encode(thumbhash).decode() if thumbhash else None,
        dominant_colour=dominant_colour,
    )
    return json.dumps(msgspec.to_builtins(content), ensure_ascii=False).encode()


def _with_source_facts(made: MadeRendition, source: Source, *, is_animation: bool) -> MadeRendition:
    """Return a rendition; a copy with the size and the type of its source, if these are known."""
    if made.type is not None or source.format is None:
        return made
    type_ = source.format.traits.media_type
    return msgspec.structs.replace(made, width=source.width, height=source.height, type=type_, animated=is_animation)


def _entry(made: MadeRendition, base: str | None) -> Entry:
    url = None if base is None else base + quote(made.key)
    return Entry(**msgspec.structs.asdict(made), url=url)


def _with_aspect_ratio(source: Source) -> Source:
    if not (source.width and source.height):
        return source
    return msgspec.structs.replace(source, aspect_ratio=_aspect_ratio(source.width, source.height))


def _aspect_ratio(width: int, height: int) -> float:
    return round(width / height, 4)


def _prefer_animated(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return the renditions that move, or all if none does."""
    return [entry for entry in entries if entry.animated] or entries


def _offered(steps: Sequence[Entry], *, hdr: bool) -> Sequence[Entry]:
    """Return the steps that a choice offers: all, or only JPEGs, those with a gain map first."""
    if not hdr:
        return steps
    jpegs = [step for step in steps if step.type == Format.JPEG.traits.media_type]
    with_map = [step for step in jpegs if step.hdr is True]
    return with_map and [*with_map, *jpegs]


def _ladder(steps: Sequence[Entry]) -> Ladder:
    width, height = _largest_size(steps)
    return Ladder(
        srcset=_srcsets(steps),
        picture=_picture(steps, steps, []),
        width=width,
        height=height,
        aspect_ratio=_aspect_ratio(width, height),
    )


def _largest_size(steps: Sequence[Entry]) -> tuple[int, int]:
    return max((step.width or 1, step.height or 1) for step in steps)


def _srcsets(steps: Sequence[Entry]) -> dict[str, str]:
    """Return the `srcset` of each format, by its name."""
    types = dict.fromkeys(step.type for step in steps if step.type)
    srcsets = {type_.removeprefix("image/"): _srcset(steps, type_) for type_ in types}
    if with_map := _offered(steps, hdr=True):
        srcsets["jpeg_hdr"] = _srcset(with_map, "image/jpeg")
    return srcsets


def _srcset(steps: Sequence[Entry], type_: str) -> str:
    """Return a `srcset` of all steps of a type, from narrow to wide; only the first of equally wide ones.

    If this type has no file at a width, the next type's file is listed: browsers that show AVIF also show WebP, and all
    show the others. Without it the browser would take a wider image of this type.
    """
    by_width: dict[int, str] = {}
    types = TYPES[TYPES.index(type_) :] if type_ in TYPES else (type_,)
    for candidate in types:
        for step in steps:
            if step.type == candidate and step.width and step.url is not None:
                by_width.setdefault(step.width, step.url)
    return ", ".join(f"{url} {width}w" for width, url in sorted(by_width.items()))


def _picture(
    entries: Sequence[Entry], steps: Sequence[Entry], choices: Sequence[tuple[str, Sequence[Entry]]]
) -> str | None:
    """Return a `<picture>` of the steps; None if there is nothing that browsers show.

    `entries`: what is shown if there are no steps; `choices`: media queries, and the steps of other ladders for them.
    """
    shown = _fallback(entries, steps)
    if shown is None:
        return None
    sources = [source for media, others in choices for source in _sources(others, media)]
    sources += _sources(steps, None)
    choice = {}
    if shown in steps and shown.type not in _CHOICES:
        choice = {"srcset": _srcset(steps, shown.type or ""), "sizes": SIZES}
    image = _attributes(src=shown.url, **choice, width=shown.width, height=shown.height, loading="lazy", alt="")
    return f"<picture>{''.join(sources)}<img{image}></picture>"


def _sources(steps: Sequence[Entry], media: str | None) -> list[str]:
    """Return the `<source>` elements of some steps; with a media query also one in the format of every browser.

    Then they have a size, because the ladder may have another shape than the image.
    """
    size = {}
    if media:
        size["width"], size["height"] = _largest_size(steps)
    return [
        f"<source{_attributes(media=media, type=type_, srcset=_srcset(steps, type_), sizes=SIZES, **size)}>"
        for type_ in (TYPES if media else _CHOICES)
        if any(step.type == type_ for step in steps)
    ]


def _fallback(entries: Sequence[Entry], steps: Sequence[Entry]) -> Entry | None:
    """Return the widest step in the best format, or else the largest rendition that browsers show."""
    for type_ in _FALLBACKS:
        if of_type := [step for step in steps if step.type == type_]:
            return max(of_type, key=lambda step: step.width or 0)
    shown: Sequence[Entry] = [entry for entry in entries if entry.type in _FALLBACKS]
    if any(step.animated for step in steps):
        shown = _prefer_animated(shown)
    shown = shown or [entry for entry in entries if entry.type in (None, "image/avif", "image/svg+xml")]
    return max(shown, key=lambda entry: (entry.width or 0) * (entry.height or 0), default=None)


def _attributes(**values: Any) -> str:
    """Return HTML attributes, without those that are None."""
    return "".join(f' {name}="{html.escape(str(value))}"' for name, value in values.items() if value is not None)
