"""renditions.toml -> Renditions; every wrong value is refused in one sentence."""

import re
import string
import tomllib
from collections.abc import Collection, Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.geometry import Fit, Position
from image_scaler.renditions.limits import Limits
from image_scaler.renditions.spec import Format, KeyTemplate, Renditions, RenditionSpec, Rule

SIDE_LIMIT = 16_383
"""The longest side of a rendition in pixels: what WebP can hold, the least of the formats."""


NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
"""What a rendition may be called."""


def _integer(lowest: int, highest: int) -> Meta:
    return Meta(ge=lowest, le=highest, description=f"an integer from {lowest} to {highest}")


def _one_of(words: Iterable[str]) -> Meta:
    return Meta(description=f"one of {', '.join(words)}")


Side = Annotated[int, _integer(1, SIDE_LIMIT)]
Sides = Annotated[list[Side], Meta(min_length=1, description=f"a list of integers from 1 to {SIDE_LIMIT}")]
Formats = Annotated[list[Format], Meta(min_length=1, description=f"a list of {', '.join(Format)}")]
Flag = Annotated[bool, Meta(description="true or false")]
Colour = Annotated[
    str, Meta(pattern=r"^#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})\Z", description="a colour like #ffffff or #ffffff00")
]
CacheControl = Annotated[str, Meta(pattern=r"^[ -~]+\Z", description="a value like public, max-age=86400")]
Subsampling = Annotated[Literal["4:2:0", "4:4:4"], _one_of(("4:2:0", "4:4:4"))]
Count = Annotated[int, Meta(ge=1, description="an integer from 1")]


class RenditionTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A `[renditions.<name>]` table. Without any field but `key` it is a byte-for-byte copy."""

    width: Side | None = None
    height: Side | None = None
    widths: Sides | None = None
    fit: Annotated[Fit, _one_of(Fit)] = Fit.COVER
    position: Annotated[Position, _one_of(Position)] = Position.CENTRE
    without_enlargement: Flag = True
    background: Colour = "#ffffff"
    trim: Flag = False
    sharpen: Flag = False
    format: Annotated[Format, _one_of(Format)] | None = None
    formats: Formats | None = None
    animated: Flag = True
    quality: Annotated[int, _integer(1, 100)] | None = None
    effort: Annotated[int, _integer(0, 10)] | None = None
    max_bytes: Count | None = None
    progressive: Flag = False
    chroma_subsampling: Subsampling | None = None
    lossless: Flag = False
    palette: Flag = False
    keep_profile: Flag = False
    keep_copyright: Flag = True
    cache_control: CacheControl | None = None
    key: Annotated[str, Meta(description="a key like img/{width}/{key}")] | None = None


class RuleTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A `[[rules]]` table: which renditions the sources get whose keys match. The first match wins."""

    match: Annotated[str, Meta(min_length=1, description="a pattern of keys like avatars/**")]
    renditions: Annotated[list[str], Meta(description="a list of names of renditions")]


class LimitsTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The `[limits]` table: what a source may cost."""

    source_bytes: Count = Limits.source_bytes
    pixels: Count = Limits.pixels
    whole_pixels: Count = Limits.whole_pixels
    frames: Count = Limits.frames


class InputsTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The `[inputs]` table: what is read besides the formats that always are."""

    svg: Flag = False


class TopFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The settings that stand before the first table."""

    on_source_delete: Annotated[Literal["keep", "remove"], _one_of(("keep", "remove"))] = "keep"
    manifest: Flag = True


_ON_TOP = TopFields.__struct_fields__

_NOTHING_BY_THEMSELVES = ("fit", "position", "without_enlargement", "background", "cache_control", "keep_copyright")
"""Fields that mean nothing to a byte-for-byte copy, and make no other rendition of it."""

_FORMATS_WITH = {
    "quality": (Format.JPEG, Format.WEBP, Format.AVIF, Format.PNG),
    "effort": (Format.WEBP, Format.AVIF, Format.GIF),
    "max_bytes": (Format.JPEG, Format.WEBP, Format.AVIF),
    "progressive": (Format.JPEG, Format.PNG),
    "chroma_subsampling": (Format.JPEG, Format.AVIF),
    "lossless": (Format.WEBP, Format.AVIF),
    "palette": (Format.PNG,),
}
_HIGHEST_EFFORT = {Format.WEBP: 6, Format.AVIF: 9, Format.GIF: 10}


def load_renditions(path: Path) -> Renditions:
    """Read and check renditions.toml.

    Raises ConfigError whose one sentence says which field, what was expected, and what came.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected to read the renditions from {path} but received {error}") from error
    return parse_renditions(text, path.name)


def parse_renditions(text: str, name: str = "renditions.toml") -> Renditions:
    """Check the text of a renditions.toml; as `load_renditions`."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"expected TOML in {name} but received a mistake: {error}") from error
    for field in data.keys() - {"renditions", "rules", "limits", "inputs", *_ON_TOP}:
        raise ConfigError(
            f"expected only {', '.join(_ON_TOP)}, [renditions.<name>], [[rules]], [limits] and [inputs] in {name} "
            f"but received {field!r}{meant(field, _ON_TOP)}"
        )
    tables = data.get("renditions")
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"expected at least one [renditions.<name>] table in {name} but received none")
    by_name = {rendition: _specs(rendition, table) for rendition, table in tables.items()}
    rules = data.get("rules", [])
    if not isinstance(rules, list):
        raise ConfigError(f"expected [[rules]] tables in {name} but received {_show(rules)} for rules")
    limits = _convert(LimitsTable, data.get("limits", {}), "limits")
    on_top = _convert(TopFields, {field: data[field] for field in _ON_TOP if field in data})
    inputs = _convert(InputsTable, data.get("inputs", {}), "inputs")
    return Renditions(
        by_name,
        [_rule(f"rules[{i}]", table, by_name) for i, table in enumerate(rules)],
        limits=Limits(**msgspec.structs.asdict(limits)),
        allow_svg=inputs.svg,
        on_source_delete=on_top.on_source_delete,
        manifest=on_top.manifest,
    )


def _specs(name: str, raw: Any) -> tuple[RenditionSpec, ...]:
    """Return the recipes of one table: one, or one for each width and format of a ladder."""
    where = f"renditions.{name}"
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"expected lower-case letters, digits, - and _ in a name but received [{where}]")
    raw = _respelled(raw)
    table = _convert(RenditionTable, raw, where)
    for one, many in (("width", "widths"), ("height", "widths"), ("format", "formats")):
        if one in raw and many in raw:
            raise ConfigError(f"expected either {one} or {many} for {where} but received both")
    beside = [field for field in _NOTHING_BY_THEMSELVES if field in raw]
    is_copy = not raw.keys() - {"key", *beside}
    if is_copy and beside:
        raise ConfigError(
            f"expected a size, a format or a quality beside {where}.{beside[0]} but received none: "
            "without them it is a byte-for-byte copy, which keeps everything of the source"
        )
    colour = table.background.removeprefix("#").ljust(8, "f")
    widths: list[int | None] = [*table.widths] if table.widths else [table.width]
    formats: list[Format | None] = [*table.formats] if table.formats else [table.format]
    for format in formats:
        _check_encoding(where, table, raw, format)
    return tuple(
        RenditionSpec(
            name=f"{name}-{width}" if table.widths else name,
            template=_template(name, table, width, format),
            width=width,
            height=table.height,
            fit=table.fit,
            position=table.position,
            without_enlargement=table.without_enlargement,
            background=(int(colour[:2], 16), int(colour[2:4], 16), int(colour[4:6], 16), int(colour[6:], 16)),
            trim=table.trim,
            sharpen=table.sharpen,
            format=format,
            animated=table.animated,
            quality=table.quality,
            effort=table.effort,
            max_bytes=table.max_bytes,
            progressive=table.progressive,
            chroma_subsampling=table.chroma_subsampling,
            lossless=table.lossless,
            palette=table.palette,
            keep_profile=table.keep_profile,
            keep_copyright=table.keep_copyright,
            cache_control=table.cache_control,
            is_copy=is_copy,
        )
        for width, format in product(widths, formats)
    )


def _respelled(raw: Any) -> Any:
    """Return a table with `centre` and `jpeg` where it says `center` and `jpg`."""
    if not isinstance(raw, dict):
        return raw

    def ours(value: Any) -> Any:
        if isinstance(value, list):
            return [ours(item) for item in value]
        return {"center": "centre", "jpg": "jpeg"}.get(value, value) if isinstance(value, str) else value

    return raw | {field: ours(raw[field]) for field in ("position", "format", "formats") if field in raw}


def _check_encoding(where: str, table: RenditionTable, raw: Any, format: Format | None) -> None:
    """Refuse options that the format does not have; where the key decides the format they may be there for some."""
    for field, having in _FORMATS_WITH.items():
        if field in raw and format not in (None, *having):
            raise ConfigError(f"expected a format of {', '.join(having)} beside {where}.{field} but received {format}")
    highest = _HIGHEST_EFFORT[format] if format in _HIGHEST_EFFORT else min(_HIGHEST_EFFORT.values())
    if table.effort is not None and table.effort > highest:
        raise ConfigError(
            f"expected an integer from 0 to {highest} for {where}.effort in {format or 'whatever format a key says'} "
            f"but received {table.effort}"
        )


def _template(name: str, table: RenditionTable, width: int | None, format: Format | None) -> KeyTemplate:
    if table.key is None:
        return KeyTemplate(f"{name}-{width}/" if table.widths else f"{name}/", None)
    where = f"renditions.{name}.key"
    values = {"name": name}
    if width:
        values["width"] = str(width)
    if format:
        values |= {"format": format.value, "ext": format.extension}
    around = [""]
    try:
        for literal, field, layout, conversion in string.Formatter().parse(table.key):
            if layout or conversion:
                raise ConfigError(
                    f"expected a bare {{{field}}}, without a format behind it, for {where} but received {table.key!r}"
                )
            around[-1] += literal
            if field == "key":
                around.append("")
            elif field is not None:
                around[-1] += values[field]
    except KeyError as error:
        known = ", ".join(f"{{{field}}}" for field in ("key", *values))
        raise ConfigError(
            f"expected no other fields than {known} for {where} but received {error.args[0]!r} in {table.key!r}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"expected a key like img/{{key}} for {where} but received {table.key!r}") from error
    if len(around) != 2:
        raise ConfigError(
            f"expected {{key}} once for {where}, so that no two sources share a key, but received {table.key!r}"
        )
    prefix, suffix = around
    if prefix.startswith("/") or not prefix.endswith("/"):
        raise ConfigError(f"expected a folder before {{key}} for {where} but received {table.key!r}")
    return KeyTemplate(prefix, suffix or None)


def _rule(where: str, raw: Any, by_name: Mapping[str, object]) -> Rule:
    table = _convert(RuleTable, raw, where)
    for rendition in table.renditions:
        if rendition not in by_name:
            raise ConfigError(
                f"expected names of renditions ({', '.join(by_name)}) for {where}.renditions "
                f"but received {_show(rendition)}"
            )
    return Rule(table.match, tuple(dict.fromkeys(table.renditions)))


T = TypeVar("T", bound=msgspec.Struct)


def _convert(type_: type[T], raw: Any, where: str = "") -> T:
    """Check a table against its type; raises ConfigError with the field's own description.

    `where`: the table's name; "" for what stands before the first.
    """
    try:
        return msgspec.convert(raw, type_)
    except msgspec.ValidationError as error:
        fields = {field.name: field for field in msgspec.structs.fields(type_)}
        if not isinstance(raw, dict):
            raise ConfigError(f"expected a table for {where} but received {_show(raw)}") from error
        for unknown in raw.keys() - fields.keys():
            if unknown in _ON_TOP:
                raise ConfigError(f"expected {unknown} before the first table but received it in {where}") from error
            raise ConfigError(
                f"expected no other fields than {', '.join(fields)} for {where} but received {unknown!r}"
                f"{meant(unknown, fields)}"
            ) from error
        for field in fields.values():
            if field.required and field.name not in raw:
                raise ConfigError(
                    f"expected {_describe(field.type)} for {where}.{field.name} but received none"
                ) from error
        at = re.search(r"at `\$\.(\w+)", str(error))
        name = at.group(1) if at else ""
        place = f"{where}.{name}".removeprefix(".")
        raise ConfigError(
            f"expected {_describe(fields[name].type)} for {place} but received {_show(raw[name])}"
        ) from error


def meant(word: str, known: Collection[str]) -> str:
    """Return a question after the known word that may be meant, to end a sentence with; "" where none is near."""
    # Imported here, because only a mistake needs it.
    from difflib import get_close_matches

    return "".join(f": is {near} meant?" for near in get_close_matches(word, known, n=1))


def _describe(type_: Any) -> str:
    """Return the description that stands in a field's type."""
    for part in getattr(type_, "__metadata__", ()):
        if part.description:
            return str(part.description)
    return next(filter(None, map(_describe, getattr(type_, "__args__", ()))), "")


def _show(value: object) -> str:
    return f"{value!r} ({type(value).__name__})"
