"""renditions.toml -> Renditions; every wrong value is refused in one sentence."""

import re
import string
import tomllib
import typing
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format, formats_with
from image_scaler.renditions.keys import HASH, KeyPattern, KeyTemplate
from image_scaler.renditions.limits import MAX_OUTPUT_SIDE, LimitOptions, Limits
from image_scaler.renditions.quality import quality_target
from image_scaler.renditions.spec import CopySpec, Flag, RenditionOptions, Renditions, RenditionSpec, Rule, Spec

NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
"""The names that a rendition can have."""

Side = Annotated[int, Meta(ge=1, le=MAX_OUTPUT_SIDE, description=f"an integer from 1 to {MAX_OUTPUT_SIDE}")]
Sides = Annotated[list[Side], Meta(min_length=1, description=f"a list of integers from 1 to {MAX_OUTPUT_SIDE}")]
OutputFormat = Literal["jpeg", "png", "webp", "avif", "gif"]
"""The values of OUTPUT_FORMATS, spelled out for msgspec; a test compares the two."""


class RenditionTable(RenditionOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A `[renditions.<name>]` table. With no field but `key` it is a byte-for-byte copy, with all metadata."""

    width: Side | None = None
    height: Side | None = None
    widths: Sides | None = None
    format: Annotated[OutputFormat, Meta(description=f"one of {', '.join(OUTPUT_FORMATS)}")] | None = None
    formats: (
        Annotated[list[OutputFormat], Meta(min_length=1, description=f"a list of {', '.join(OUTPUT_FORMATS)}")] | None
    ) = None
    key: Annotated[str, Meta(description="a key like img/{width}/{key}")] | None = None


class RuleTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A `[[rules]]` table: which renditions the sources with matching keys get. The first match wins."""

    match: Annotated[str, Meta(min_length=1, description="a pattern of keys like avatars/**")]
    renditions: Annotated[list[str], Meta(description="a list of names of renditions")]


class InputsTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The `[inputs]` table: which formats are read in addition to those that always are."""

    svg: Flag = False


class TopLevel(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The settings before the first table."""

    on_source_delete: Annotated[Literal["keep", "remove"], Meta(description="one of keep, remove")] = "keep"
    manifest: Flag = True
    events: Flag = False
    """Send an event to EventBridge when a manifest was written, and when a source was rejected or removed."""
    superseded_days: Annotated[int, Meta(ge=1, le=3650, description="an integer from 1 to 3650")] = 30
    """How long replaced renditions exist whose keys have a hash."""


_TOP_LEVEL = TopLevel.__struct_fields__

_NOT_BY_ITSELF = ("fit", "position", "without_enlargement", "background", "cache_control", "keep_copyright")
"""Options that mean nothing to a byte-for-byte copy, and do not make it another rendition."""


def load_renditions(path: Path) -> Renditions:
    """Read and check renditions.toml.

    Raises ConfigError whose one sentence says which field, what was expected, and what was received.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return parse_renditions(text, path.name)


def parse_renditions(text: str, name: str = "renditions.toml") -> Renditions:
    """Check the text of a renditions.toml; see `load_renditions`."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{name} is not valid TOML: {error}") from error
    tables = ("renditions", "rules", "limits", "inputs")
    for field in data.keys() - {*tables, *_TOP_LEVEL}:
        raise ConfigError(f"{name} has no setting or table {field!r}.{did_you_mean(field, (*tables, *_TOP_LEVEL))}")
    renditions = data.get("renditions")
    if not isinstance(renditions, dict) or not renditions:
        raise ConfigError(f"{name} has no [renditions.<name>] table: it needs at least one")
    by_name = {rendition: _specs(rendition, table) for rendition, table in renditions.items()}
    rules = data.get("rules", [])
    if not isinstance(rules, list):
        raise ConfigError(f"expected [[rules]] tables for rules but received {_show(rules)}")
    limits = _convert(LimitOptions, data.get("limits", {}), "limits")
    top_level = _convert(TopLevel, {field: data[field] for field in _TOP_LEVEL if field in data})
    inputs = _convert(InputsTable, data.get("inputs", {}), "inputs")
    return Renditions(
        by_name,
        [_rule(f"rules[{i}]", table, by_name) for i, table in enumerate(rules)],
        limits=Limits(**msgspec.structs.asdict(limits)),
        allow_svg=inputs.svg,
        on_source_delete=top_level.on_source_delete,
        manifest=top_level.manifest,
        events=top_level.events,
        toml=text,
    )


def _specs(name: str, raw: Any) -> tuple[Spec, ...]:
    """Return the specs of one table: one, or one for each width and format of a ladder."""
    where = f"renditions.{name}"
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"expected lower-case letters, digits, - and _ for a rendition's name but received {name!r}")
    raw = _normalise_spelling(raw)
    table = _convert(RenditionTable, raw, where)
    for one, many in (("width", "widths"), ("height", "widths"), ("format", "formats")):
        if one in raw and many in raw:
            raise ConfigError(f"{where} has both {one} and {many}: remove one of them")
    if table.skip_larger and len(table.formats or ()) < 2:
        raise ConfigError(f"{where}.skip_larger compares formats: it needs formats with at least two of them")
    for field in ("widths", "formats"):
        values = raw.get(field) or []
        if twice := [value for index, value in enumerate(values) if value in values[:index]]:
            raise ConfigError(f"{where}.{field} has {_show(twice[0])} twice: remove one of them")
    extras = [field for field in _NOT_BY_ITSELF if field in raw]
    if not raw.keys() - {"key", *extras}:
        if extras:
            raise ConfigError(
                f"{where}.{extras[0]} needs a size, a format or a quality next to it: "
                "without them the rendition is a byte-for-byte copy, which keeps everything of the source"
            )
        return (CopySpec(name=name, template=_template(name, table, None, None)),)
    widths: list[int | None] = [*table.widths] if table.widths else [table.width]
    named: Sequence[str | None] = table.formats or (table.format,)
    formats = [Format(format) if format else None for format in named]
    for format in formats:
        _check_encoding(where, table, raw, format)
    options = {field: getattr(table, field) for field in RenditionOptions.__struct_fields__}
    return tuple(
        RenditionSpec(
            name=f"{name}-{width}" if table.widths else name,
            template=_template(name, table, width, format),
            width=width,
            height=table.height,
            format=format,
            **options,
        )
        for width, format in product(widths, formats)
    )


def _normalise_spelling(raw: Any) -> Any:
    """Return a table with `centre` and `jpeg` instead of `center` and `jpg`."""
    if not isinstance(raw, dict):
        return raw

    def normalise(value: Any) -> Any:
        if isinstance(value, list):
            return [normalise(item) for item in value]
        return {"center": "centre", "jpg": "jpeg"}.get(value, value) if isinstance(value, str) else value

    return raw | {field: normalise(raw[field]) for field in ("position", "format", "formats") if field in raw}


def _check_encoding(where: str, table: RenditionTable, raw: Any, format: Format | None) -> None:
    """Refuse options that the format does not have; if the key decides the format, one that has them is enough."""
    for field in raw.keys() & {option for known in OUTPUT_FORMATS for option in known.traits.options}:
        if format and field not in format.traits.options:
            raise ConfigError(f"{where}.{field} means nothing in {format}: it is for {', '.join(formats_with(field))}")
    _check_quality(where, table, format)
    if table.effort is None:
        return
    efforts = [known.traits.effort for known in ([format] if format else formats_with("effort"))]
    max_effort = min(effort.max for effort in efforts if effort)
    if table.effort > max_effort:
        raise ConfigError(
            f"expected an integer from 0 to {max_effort} for {where}.effort in {format or 'every format'} "
            f"but received {table.effort}"
        )


def _check_quality(where: str, table: RenditionTable, format: Format | None) -> None:
    """Refuse a score to reach in a format without such a quality, and a range of qualities that is empty."""
    target = quality_target(table.quality)
    if target is None:
        return
    if format and format.traits.default_quality is None:
        lossy = ", ".join(known for known in OUTPUT_FORMATS if known.traits.default_quality is not None)
        shown = table.quality if isinstance(table.quality, str) else f"target = {target.target:g}"
        raise ConfigError(f"{where}.quality = {shown!r} means nothing in {format}: it is for {lossy}")
    if target.min > target.max:
        raise ConfigError(
            f"expected a number up to {where}.quality.max, which is {target.max}, for {where}.quality.min "
            f"but received {target.min}"
        )


def _template(name: str, table: RenditionTable, width: int | None, format: Format | None) -> KeyTemplate:
    if table.key is None:
        return KeyTemplate(f"{name}-{width}/" if table.widths else f"{name}/")
    where = f"renditions.{name}.key"
    values = {"name": name, "hash": HASH}
    if width:
        values["width"] = str(width)
    if format:
        values |= {"format": format.value, "ext": format.extension}
    around = [""]
    try:
        for literal, field, layout, conversion in string.Formatter().parse(table.key):
            if layout or conversion:
                raise ConfigError(f"expected {{{field}}} without a layout for {where} but received {table.key!r}")
            around[-1] += literal
            if field == "key":
                around.append("")
            elif field is not None:
                around[-1] += values[field]
    except KeyError as error:
        known = ", ".join(f"{{{field}}}" for field in ("key", *values))
        raise ConfigError(f"expected no fields but {known} for {where} but received {table.key!r}") from error
    except ValueError as error:
        raise ConfigError(f"expected a key like img/{{key}} for {where} but received {table.key!r}") from error
    if len(around) != 2:
        raise ConfigError(
            f"expected {{key}} once for {where}, so that no two sources share a key, but received {table.key!r}"
        )
    prefix, suffix = around
    if table.key.count("{hash}") > 1:
        raise ConfigError(f"expected {{hash}} once for {where} but received {table.key!r}")
    if prefix.startswith(HASH):
        raise ConfigError(f"expected a folder's name before {{hash}} for {where} but received {table.key!r}")
    if prefix.startswith("/") or not prefix.endswith("/"):
        raise ConfigError(f"expected a folder before {{key}} for {where} but received {table.key!r}")
    return KeyTemplate(prefix, suffix or None)


def _rule(where: str, raw: Any, by_name: Mapping[str, object]) -> Rule:
    table = _convert(RuleTable, raw, where)
    for name in table.renditions:
        if name not in by_name:
            raise ConfigError(
                f"expected names of renditions ({', '.join(by_name)}) for {where}.renditions but received {_show(name)}"
            )
    try:
        pattern = KeyPattern(table.match)
    except ValueError as error:
        raise ConfigError(
            f"expected ** alone between slashes, as in photos/**/*.jpg, for {where}.match "
            f"but received {_show(table.match)}"
        ) from error
    return Rule(pattern, tuple(dict.fromkeys(table.renditions)))


T = TypeVar("T", bound=msgspec.Struct)


def _convert(type_: type[T], raw: Any, where: str = "") -> T:
    """Check a table against its type; raises ConfigError with the field's own description.

    `where`: the table's name; "" for the settings before the first table.
    """
    try:
        return msgspec.convert(raw, type_)
    except msgspec.ValidationError as error:
        fields = {field.name: field for field in msgspec.structs.fields(type_)}
        if not isinstance(raw, dict):
            raise ConfigError(f"expected a table for {where} but received {_show(raw)}") from error
        for unknown in raw.keys() - fields.keys():
            if unknown in _TOP_LEVEL:
                raise ConfigError(f"{unknown} belongs before the first table, not in {where}") from error
            raise ConfigError(f"{where} has no field {unknown!r}.{did_you_mean(unknown, fields)}") from error
        for field in fields.values():
            if field.required and field.name not in raw:
                raise ConfigError(
                    f"expected {_describe(field.type)} for {where}.{field.name} but received none"
                ) from error
        at = re.search(r"at `\$\.(\w+)", str(error))
        name = at.group(1) if at else ""
        place = f"{where}.{name}".removeprefix(".")
        if isinstance(raw[name], dict) and (inner := _struct_of(fields[name].type)):
            _convert(inner, raw[name], place)
        raise ConfigError(
            f"expected {_describe(fields[name].type)} for {place} but received {_show(raw[name])}"
        ) from error


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return a question with the most similar known word, to follow a sentence; "" if none is similar."""
    # Imported here, because only a mistake needs it.
    from difflib import get_close_matches

    return "".join(f" Did you mean {near!r}?" for near in get_close_matches(word, known, n=1))


def _describe(type_: Any) -> str:
    """Return the description in a field's type."""
    for part in getattr(type_, "__metadata__", ()):
        if part.description:
            return str(part.description)
    return next(filter(None, map(_describe, getattr(type_, "__args__", ()))), "")


def _struct_of(type_: Any) -> type[msgspec.Struct] | None:
    """Return the struct that is one of the alternatives of a field's type."""
    if isinstance(type_, type):
        return type_ if issubclass(type_, msgspec.Struct) else None
    parts = typing.get_args(type_)
    return next(filter(None, map(_struct_of, parts)), None)


def _show(value: object) -> str:
    return f"{value!r} ({type(value).__name__})"
