"""renditions.toml and the environment -> Settings; every wrong value is refused in one sentence."""

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from image_scaler.exceptions import ConfigError
from image_scaler.geometry import Fit, Position
from image_scaler.renditions import Format, KeyTemplate, Renditions, RenditionSpec, Rule

SIDE_LIMIT = 16_383
"""The longest side of a rendition in pixels: what WebP can hold, the least of the formats."""

Side = Annotated[int, Meta(ge=1, le=SIDE_LIMIT, description=f"an integer from 1 to {SIDE_LIMIT}")]
OutputFormat = Annotated[Format, Meta(description=f"one of {', '.join(Format)}")]


class RenditionTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A `[renditions.<name>]` table. Without a size, a format or a quality it is a byte-for-byte copy."""

    width: Side | None = None
    height: Side | None = None
    widths: (
        Annotated[list[Side], Meta(min_length=1, description=f"a list of integers from 1 to {SIDE_LIMIT}")] | None
    ) = None
    fit: Annotated[Fit, Meta(description=f"one of {', '.join(Fit)}")] = Fit.COVER
    position: Annotated[Position, Meta(description=f"one of {', '.join(Position)}")] = Position.CENTRE
    without_enlargement: Annotated[bool, Meta(description="true or false")] = True
    background: Annotated[
        str,
        Meta(pattern=r"^#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})$", description="a colour like #ffffff or #ffffff00"),
    ] = "#ffffff"
    format: OutputFormat | None = None
    formats: Annotated[list[OutputFormat], Meta(min_length=1, description=f"a list of {', '.join(Format)}")] | None = (
        None
    )
    quality: Annotated[int, Meta(ge=1, le=100, description="an integer from 1 to 100")] | None = None
    cache_control: (
        Annotated[str, Meta(pattern=r"^[ -~]+$", description="a value like public, max-age=86400")] | None
    ) = None
    key: Annotated[str, Meta(description="a key like img/{width}/{key}")] | None = None


class RuleTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A `[[rules]]` table: which renditions the sources get whose keys match. The first match wins."""

    match: Annotated[str, Meta(min_length=1, description="a pattern of keys like avatars/**")]
    renditions: Annotated[list[str], Meta(description="a list of names of renditions")]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the function needs to know."""

    destination_bucket: str
    renditions: Renditions
    source_bucket: str | None = None
    """None: not known, as under `sls invoke local`; every event is then checked by itself."""
    failure_queue_url: str | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str], renditions_path: Path) -> "Settings":
        """Read the environment (DESTINATION_BUCKET, SOURCE_BUCKET, FAILURE_QUEUE_URL) and renditions.toml.

        Raises ConfigError whose one sentence says what is wrong.
        """
        destination = _bucket(environ, "DESTINATION_BUCKET")
        if destination is None:
            raise ConfigError(
                "expected the name of a bucket in the environment variable DESTINATION_BUCKET but it is not set"
            )
        source = _bucket(environ, "SOURCE_BUCKET")
        if source == destination:
            raise ConfigError(
                f"expected SOURCE_BUCKET and DESTINATION_BUCKET to be two buckets but received {source} for both: "
                "every rendition would be taken for an upload"
            )
        return cls(
            destination_bucket=destination,
            source_bucket=source,
            failure_queue_url=environ.get("FAILURE_QUEUE_URL") or None,
            renditions=load_renditions(renditions_path),
        )


_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def _bucket(environ: Mapping[str, str], variable: str) -> str | None:
    name = environ.get(variable)
    if name and not _BUCKET.fullmatch(name):
        raise ConfigError(f"expected the name of a bucket for {variable} but received {name!r}")
    return name or None


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
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"expected TOML in {name} but received a mistake: {error}") from error
    for field in data.keys() - {"renditions", "rules"}:
        raise ConfigError(f"expected only [renditions.<name>] and [[rules]] in {name} but received {field}")
    tables = data.get("renditions")
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"expected at least one [renditions.<name>] table in {name} but received none")
    by_name = {rendition: _specs(rendition, table) for rendition, table in tables.items()}
    rules = data.get("rules", [])
    if not isinstance(rules, list):
        raise ConfigError(f"expected [[rules]] tables in {name} but received {_show(rules)} for rules")
    return Renditions(by_name, [_rule(f"rules[{i}]", table, by_name) for i, table in enumerate(rules)])


def _specs(name: str, raw: Any) -> tuple[RenditionSpec, ...]:
    """Return the recipes of one table: one, or one for each width and format of a ladder."""
    where = f"renditions.{name}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise ConfigError(f"expected lower-case letters, digits, - and _ in a name but received [{where}]")
    table = _convert(RenditionTable, raw, where)
    for one, many in (("width", "widths"), ("height", "widths"), ("format", "formats")):
        if one in raw and many in raw:
            raise ConfigError(f"expected either {one} or {many} for {where} but received both")
    is_copy = not {"width", "height", "widths", "format", "formats", "quality"} & raw.keys()
    for field in ("fit", "position", "without_enlargement", "background", "cache_control"):
        if is_copy and field in raw:
            raise ConfigError(
                f"expected a size, a format or a quality beside {where}.{field} but received none: "
                "without them it is a byte-for-byte copy, which keeps everything of the source"
            )
    colour = table.background.removeprefix("#").ljust(8, "f")
    widths: list[int | None] = [*table.widths] if table.widths else [table.width]
    formats: list[Format | None] = [*table.formats] if table.formats else [table.format]
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
            format=format,
            quality=table.quality,
            cache_control=table.cache_control,
        )
        for width, format in product(widths, formats)
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
        for literal, field, _, _ in string.Formatter().parse(table.key):
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


def _convert(type_: type[T], raw: Any, where: str) -> T:
    """Check a table against its type; raises ConfigError with the field's own description."""
    spellings = {"center": "centre", "jpg": "jpeg"}
    if isinstance(raw, dict):
        raw = {
            field: [spellings.get(v, v) if isinstance(v, str) else v for v in value]
            if isinstance(value, list)
            else (spellings.get(value, value) if isinstance(value, str) and field != "match" else value)
            for field, value in raw.items()
        }
    try:
        return msgspec.convert(raw, type_)
    except msgspec.ValidationError as error:
        fields = {field.name: field for field in msgspec.structs.fields(type_)}
        if not isinstance(raw, dict):
            raise ConfigError(f"expected a table for {where} but received {_show(raw)}") from error
        for unknown in raw.keys() - fields.keys():
            raise ConfigError(
                f"expected no other fields than {', '.join(fields)} for {where} but received {unknown!r}"
            ) from error
        for field in fields.values():
            if field.required and field.name not in raw:
                raise ConfigError(
                    f"expected {_describe(field.type)} for {where}.{field.name} but received none"
                ) from error
        at = re.search(r"at `\$\.(\w+)", str(error))
        name = at.group(1) if at else ""
        raise ConfigError(
            f"expected {_describe(fields[name].type)} for {where}.{name} but received {_show(raw[name])}"
        ) from error


def _describe(type_: Any) -> str:
    """Return the description that stands in a field's type."""
    for part in getattr(type_, "__metadata__", ()):
        if part.description:
            return str(part.description)
    return next(filter(None, map(_describe, getattr(type_, "__args__", ()))), "")


def _show(value: object) -> str:
    return f"{value!r} ({type(value).__name__})"
