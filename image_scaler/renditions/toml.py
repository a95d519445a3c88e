"""renditions.toml -> Recipe; every wrong value is refused in one sentence."""

import re
import string
import tomllib
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from image_scaler.exceptions import ConfigError, Field
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format, formats_with
from image_scaler.renditions.geometry import Fit
from image_scaler.renditions.keys import HASH, KeyPattern, KeyTemplate
from image_scaler.renditions.limits import MAX_OUTPUT_SIDE, LimitOptions, Limits
from image_scaler.renditions.overlay import Overlay, OverlayImage, OverlayOptions, ReadOverlay
from image_scaler.renditions.quality import quality_goal
from image_scaler.renditions.recipe import PictureChoice, Recipe, Rule, TopLevel
from image_scaler.renditions.spec import CopySpec, Flag, RenditionOptions, RenditionSpec, Spec
from image_scaler.renditions.stems import DIR, SOURCE_EXT, STEM, StemTemplate, Template

NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
"""The names that a rendition can have."""

Side = Annotated[int, Meta(ge=1, le=MAX_OUTPUT_SIDE, description=f"an integer from 1 to {MAX_OUTPUT_SIDE}")]
Sides = Annotated[list[Side], Meta(min_length=1, description=f"a list of integers from 1 to {MAX_OUTPUT_SIDE}")]
OutputFormat = Literal["jpeg", "png", "webp", "avif", "gif"]
"""The values of OUTPUT_FORMATS, spelled out for msgspec; a test compares the two."""
TagName = Annotated[str, Meta(pattern=r"^(?!aws:|superseded\Z)[\w +=.:/@-]{1,128}\Z")]
"""As in S3; `superseded` is the function's own."""
TagValue = Annotated[str, Meta(pattern=r"^[\w +=.:/@-]{0,256}\Z")]
Tags = Annotated[
    dict[TagName, TagValue],
    Meta(
        min_length=1,
        max_length=9,
        description='1 to 9 tags like { project = "shop" }, with letters, digits, spaces and + - = . _ : / @, '
        "none of them named superseded or aws:...",
    ),
]
"""An object has ten tags at most; one is for the mark of a replaced rendition."""


class RenditionTable(RenditionOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A `[renditions.<name>]` table. With no field but `key` and `tags` it is a byte-for-byte copy."""

    width: Side | None = None
    height: Side | None = None
    widths: Sides | None = None
    format: Annotated[OutputFormat, Meta(description=f"one of {', '.join(OUTPUT_FORMATS)}")] | None = None
    formats: (
        Annotated[list[OutputFormat], Meta(min_length=1, description=f"a list of {', '.join(OUTPUT_FORMATS)}")] | None
    ) = None
    key: Annotated[str, Meta(description="a key like img/{width}/{key}")] | None = None
    tags: Tags | None = None


class RuleTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A `[[rules]]` table: which renditions the sources with matching keys get. The first match wins."""

    match: Annotated[str, Meta(min_length=1, description="a pattern of keys like avatars/**")]
    renditions: Annotated[list[str], Meta(description="a list of names of renditions")]


class InputsTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The `[inputs]` table: which formats are read in addition to those that always are."""

    svg: Flag = False


_TOP_LEVEL = TopLevel.__struct_fields__


class RenditionsFile(TopLevel, forbid_unknown_fields=True, kw_only=True):
    """The whole file; its tables of renditions and rules are checked one by one."""

    renditions: Annotated[dict[str, Any], Meta(min_length=1, description="at least one [renditions.<name>] table")]
    rules: Annotated[list[Any], Meta(description="[[rules]] tables")] = msgspec.field(default_factory=list)
    pictures: Annotated[list[Any], Meta(description="[[pictures]] tables")] = msgspec.field(default_factory=list)
    limits: LimitOptions = msgspec.field(default_factory=LimitOptions)
    inputs: InputsTable = msgspec.field(default_factory=InputsTable)


_NOT_BY_ITSELF = (
    *("fit", "position", "without_enlargement", "background", "cache_control", "keep_copyright"),
    "overlay",
)
"""Options that mean nothing to a byte-for-byte copy, and do not make it another rendition."""


def _refuse_overlay(image: str) -> OverlayImage:
    raise ConfigError("this text is not in a folder with images")


def parse_recipe(text: str, name: str = "renditions.toml", read_overlay: ReadOverlay = _refuse_overlay) -> Recipe:
    """Check the text of a renditions.toml; see `recipe_file.load_recipe`.

    `read_overlay` returns the images of overlays.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        from image_scaler.renditions.toml_places import place_of_syntax_error  # here, because only a mistake needs it

        raise ConfigError(f"this is not valid TOML: {error}").at(name, *place_of_syntax_error(error, text)) from error
    mistakes: list[ConfigError] = []
    file = RenditionsFile(renditions={})
    by_name: dict[str, tuple[Spec, ...]] = {}
    rules: list[Rule] = []
    pictures: list[PictureChoice] = []
    with _collect(mistakes):
        file = _convert(RenditionsFile, data)
    tables = data["renditions"] if isinstance(data.get("renditions"), dict) else {}
    for rendition, table in tables.items():
        with _collect(mistakes):
            by_name[rendition] = _specs(rendition, table, read_overlay)
    for index, table in enumerate(data["rules"] if isinstance(data.get("rules"), list) else []):
        with _collect(mistakes):
            rules.append(_rule(("rules", index), table, tables))
    for index, table in enumerate(data["pictures"] if isinstance(data.get("pictures"), list) else []):
        with _collect(mistakes):
            pictures.append(_convert(PictureChoice, table, ("pictures", index)))
    with _collect(mistakes):
        renditions = Recipe(
            by_name,
            rules,
            pictures,
            file,
            limits=Limits(**msgspec.structs.asdict(file.limits)),
            allow_svg=file.inputs.svg,
            toml=text,
        )
    if mistakes:
        from image_scaler.renditions.toml_places import locate

        ConfigError.raise_all(*locate(mistakes, text, name))
    return renditions


@contextmanager
def _collect(mistakes: list[ConfigError]) -> Iterator[None]:
    """Add the mistakes that are raised within the block to a list."""
    try:
        yield
    except ConfigError as error:
        mistakes += error.mistakes


def _specs(name: str, raw: Any, read_overlay: ReadOverlay) -> tuple[Spec, ...]:
    """Return the specs of one table: one, or one for each width and format of a ladder."""
    field = ("renditions", name)
    if not re.fullmatch(NAME, name):
        message = f"expected lower-case letters, digits, - and _ for a rendition's name but received {name!r}"
        raise ConfigError(message, field)
    raw = _normalise_spelling(raw)
    table = _convert(RenditionTable, raw, field)
    ConfigError.raise_all(*_find_contradictions(table, raw, field))
    tags = tuple(sorted(table.tags.items())) if table.tags else None
    if not raw.keys() - {"key", "tags", *_NOT_BY_ITSELF}:
        return (CopySpec(name=name, template=_template(name, table, None, None), tags=tags),)
    widths: list[int | None] = [*table.widths] if table.widths else [table.width]
    options = {option: getattr(table, option) for option in RenditionOptions.__struct_fields__}
    options["overlay"] = _overlay(table.overlay, field, read_overlay)
    return tuple(
        RenditionSpec(
            name=f"{name}-{width}" if table.widths else name,
            template=_template(name, table, width, format),
            width=width,
            height=table.height,
            format=format,
            tags=tags,
            **options,
        )
        for width, format in product(widths, _formats(table))
    )


def _overlay(options: OverlayOptions | None, field: Field, read_overlay: ReadOverlay) -> Overlay | None:
    """Return an overlay with its image; raises ConfigError if that cannot be used."""
    if options is None:
        return None
    try:
        return Overlay(**msgspec.structs.asdict(options), file=read_overlay(options.image))
    except ConfigError as error:
        at = (*field, "overlay", "image")
        raise ConfigError(f"cannot use {options.image} for {_show_field(at)}: {error.message}", at) from error


def _formats(table: RenditionTable) -> list[Format | None]:
    """Return the formats of a table; None is the format that the source's key decides."""
    named: Sequence[str | None] = table.formats or (table.format,)
    return [Format(format) if format else None for format in named]


def _find_contradictions(table: RenditionTable, raw: Any, field: Field) -> Iterator[ConfigError]:
    """Yield the mistakes in a table whose fields are all right by themselves."""
    where = _show_field(field)
    pairs = (("width", "widths"), ("height", "widths"), ("format", "formats"), ("lossless", "max_bytes"))
    for one, other in pairs:
        if raw.get(one) and other in raw:
            yield ConfigError(f"{where} has both {one} and {other}: remove one of them", (*field, other))
    if table.aspect_ratio is not None:
        yield from _find_shape_mistakes(table, field)
    if table.skip_larger and len(table.formats or ()) < 2:
        message = f"{where}.skip_larger compares formats: it needs formats with at least two of them"
        yield ConfigError(message, (*field, "skip_larger"))
    if table.hdr and not {Format.JPEG, None} & set(_formats(table)):
        message = f"{where}.hdr means nothing in {', '.join(map(str, _formats(table)))}: it is for jpeg"
        yield ConfigError(message, (*field, "hdr"))
    for name in ("widths", "formats"):
        values = raw.get(name) or []
        for index, value in enumerate(values):
            if value in values[:index]:
                message = f"{where}.{name} has {value!r} twice: remove one of them"
                yield ConfigError(message, (*field, name, index))
    extras = [name for name in _NOT_BY_ITSELF if name in raw]
    if raw.keys() - {"key", "tags", *extras}:
        for format in _formats(table):
            yield from _find_encoding_mistakes(table, raw, format, field)
    elif extras:
        message = (
            f"{where}.{extras[0]} needs a size, a format or a quality next to it: "
            "without them the rendition is a byte-for-byte copy, which keeps everything of the source"
        )
        yield ConfigError(message, (*field, extras[0]))


def _find_shape_mistakes(table: RenditionTable, field: Field) -> Iterator[ConfigError]:
    """Yield why an aspect ratio cannot be next to the other fields."""
    where, shape = _show_field(field), (*field, "aspect_ratio")
    if table.height:
        yield ConfigError(f"{where} has both height and aspect_ratio: remove one of them", shape)
    if not (table.width or table.widths):
        yield ConfigError(f"{where}.aspect_ratio needs a width or widths next to it", shape)
    if table.fit not in (Fit.COVER, Fit.CONTAIN):
        yield ConfigError(f"{where}.aspect_ratio means nothing in {table.fit}: it is for cover, contain", shape)


_SPELLINGS = {"center": "centre", "jpg": "jpeg"} | {
    f"{down} {across}": f"{across} {down}" for down in ("top", "bottom") for across in ("left", "right")
}


def _normalise_spelling(raw: Any) -> Any:
    """Return a table with `centre`, `jpeg` and `left top` instead of `center`, `jpg` and `top left`."""
    if not isinstance(raw, dict):
        return raw

    def normalise(value: Any) -> Any:
        if isinstance(value, list):
            return [normalise(item) for item in value]
        return _SPELLINGS.get(value, value) if isinstance(value, str) else value

    spelled = {field: normalise(raw[field]) for field in ("position", "format", "formats") if field in raw}
    if "overlay" in raw:
        spelled["overlay"] = _normalise_spelling(raw["overlay"])
    return raw | spelled


def _find_encoding_mistakes(
    table: RenditionTable, raw: Any, format: Format | None, field: Field
) -> Iterator[ConfigError]:
    """Yield the options that the format does not have; if the key decides it, one format that has them is enough."""
    where = _show_field(field)
    known = {option for each in OUTPUT_FORMATS for option in each.traits.options}
    for name in raw:
        if format and name in known - format.traits.options:
            message = f"{where}.{name} means nothing in {format}: it is for {', '.join(formats_with(name))}"
            yield ConfigError(message, (*field, name))
    target = quality_goal(table.quality)
    if target and format and format.traits.default_quality is None:
        lossy = ", ".join(each for each in OUTPUT_FORMATS if each.traits.default_quality is not None)
        shown = table.quality if isinstance(table.quality, str) else f"target = {target.target:g}"
        message = f"{where}.quality = {shown!r} means nothing in {format}: it is for {lossy}"
        yield ConfigError(message, (*field, "quality"))
    if target and target.min > target.max:
        expected = f"a number up to {where}.quality.max, which is {target.max},"
        yield _unexpected(expected, (*field, "quality", "min"), target.min)
    efforts = [each.traits.effort for each in ([format] if format else formats_with("effort"))]
    max_effort = min((effort.max for effort in efforts if effort), default=0)
    if table.effort is not None and table.effort > max_effort:
        expected = f"an integer from 0 to {max_effort} in {format or 'every format'}"
        yield _unexpected(expected, (*field, "effort"), table.effort)


def _template(name: str, table: RenditionTable, width: int | None, format: Format | None) -> Template:
    if table.key is None:
        return KeyTemplate(f"{name}-{width}/" if table.widths else f"{name}/")
    values = {"dir": DIR, "stem": STEM, "source_ext": SOURCE_EXT, "name": name, "hash": HASH}
    if width:
        values["width"] = str(width)
    if format:
        values |= {"format": format.value, "ext": format.extension}

    def refusal(expected: str) -> ConfigError:
        return _unexpected(expected, ("renditions", name, "key"), table.key)

    try:
        around = _around_key(table.key, values)
    except KeyError as error:
        known = ", ".join(f"{{{field}}}" for field in ("key", *values))
        raise refusal(f"no fields but {known}") from error
    except ValueError as error:
        raise refusal(str(error)) from error
    has_parts = any(field in text for text in around for field in (DIR, STEM, SOURCE_EXT))
    return (_stem_template if has_parts else _key_template)(around, refusal)


def _key_template(around: Sequence[str], refusal: Callable[[str], ConfigError]) -> KeyTemplate:
    """Return the template with {key} in it; `refusal` makes an error of what was expected."""
    if len(around) != 2:
        raise refusal("{key} once, so that no two sources share a key,")
    prefix, suffix = around
    if HASH in prefix:
        raise refusal("{hash} after {key}, so that one prefix has all versions of a source,")
    if suffix.count(HASH) > 1:
        raise refusal("{hash} once")
    if prefix.startswith("/") or not prefix.endswith("/"):
        raise refusal("a folder before {key}")
    return KeyTemplate(prefix, suffix or None)


def _stem_template(around: Sequence[str], refusal: Callable[[str], ConfigError]) -> StemTemplate:
    """Return the template with parts of the source's key in it."""
    if len(around) > 1:
        raise refusal("either {key}, or {dir}, {stem} and {source_ext},")
    template = StemTemplate(text := around[0])
    fields = [field for field in text if field in (DIR, STEM, SOURCE_EXT)]
    if STEM not in fields or fields != [field for field in (DIR, STEM, SOURCE_EXT) if field in fields]:
        raise refusal("{stem} once, at most one {dir} before it, and at most one {source_ext} after it,")
    if template.has_hash and (not template.is_whole or HASH not in template.suffix):
        raise refusal("{hash} after {dir}, {stem} and {source_ext}, so that one prefix has all versions of a source,")
    if text.count(HASH) > 1:
        raise refusal("{hash} once")
    if template.prefix.startswith("/") or not f"/{template.prefix}".endswith("/"):
        raise refusal("a whole folder, or nothing, before {dir} and {stem}")
    return template


def _around_key(template: str, values: Mapping[str, str]) -> list[str]:
    """Return what is around each {key} of a template, with all other fields replaced by their values.

    Raises KeyError for an unknown field, and ValueError with what was expected for what is no template.
    """
    around = [""]
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError("a key like img/{key}") from error
    for literal, field, layout, conversion in parts:
        if layout or conversion:
            raise ValueError(f"{{{field}}} without a layout")
        around[-1] += literal
        if field == "key":
            around.append("")
        elif field is not None:
            around[-1] += values[field]
    return around


def _rule(field: Field, raw: Any, known: Collection[str]) -> Rule:
    """Return a rule; `known` are the names of all renditions, also of those with mistakes."""
    table = _convert(RuleTable, raw, field)
    mistakes = [
        _unexpected(f"names of renditions ({', '.join(known)})", (*field, "renditions", index), name)
        for index, name in enumerate(table.renditions)
        if name not in known
    ]
    try:
        pattern = KeyPattern(table.match)
    except ValueError:
        expected = "** alone between slashes, as in photos/**/*.jpg,"
        mistakes.append(_unexpected(expected, (*field, "match"), table.match))
    ConfigError.raise_all(*mistakes)
    return Rule(pattern, tuple(dict.fromkeys(table.renditions)))


T = TypeVar("T", bound=msgspec.Struct)


def _convert(type_: type[T], raw: Any, field: Field = ()) -> T:
    """Check a table against its type; raises ConfigError with a mistake for each wrong field."""
    try:
        return msgspec.convert(raw, type_)
    except msgspec.ValidationError:
        ConfigError.raise_all(*_find_mistakes(type_, raw, field))
        raise


def _find_mistakes(type_: Any, raw: Any, field: Field) -> Iterator[ConfigError]:
    """Yield the mistakes in the value of a field, or in each field of a table."""
    where = _show_field(field)
    struct = _struct_of(type_)
    if struct is None or not isinstance(raw, dict):
        try:
            msgspec.convert(raw, type_)
        except msgspec.ValidationError:
            yield _unexpected(_describe(type_) or "a table", field, raw)
        return
    types = {known.name: known.type for known in msgspec.structs.fields(struct)}
    for name, value in raw.items():
        if name in types:
            yield from _find_mistakes(types[name], value, (*field, name))
        elif name in _TOP_LEVEL:
            yield ConfigError(f"{name} belongs before the first table, not in {where}", (*field, name))
        else:
            unknown = f"{where} has no field" if field else "there is no setting or table"
            hint = did_you_mean(name, types) or (" See docs/limits.md for what is not possible." if field else "")
            yield ConfigError(f"{unknown} {name!r}.{hint}", (*field, name))
    for known in msgspec.structs.fields(struct):
        if known.required and known.name not in raw and raw.keys() <= types.keys():  # else it may be misspelled
            yield _unexpected(_describe(known.type), (*field, known.name), None)


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


def _unexpected(expected: str, field: Field, value: object) -> ConfigError:
    """Return the mistake of a field that has another value than what is expected."""
    return ConfigError(f"expected {expected} for {_show_field(field)} but received {_show(value)}", field)


def _show(value: object) -> str:
    """Return a value in the notation and the words of TOML: `0`, `true`, `'big' (a text)`; `none` for None."""
    kinds: dict[type, str] = {str: "a text", list: "a list", dict: "a table"}
    return f"{value!r} ({kinds[type(value)]})" if type(value) in kinds else str(value).lower()


def _show_field(field: Field) -> str:
    """Return a field as people call it: `renditions.web.width`, `match in the 2nd [[rules]] table`."""
    named = [part for part in field if isinstance(part, str)]
    if len(field) < 2 or not isinstance(field[1], int):
        return ".".join(named)
    number = field[1] + 1
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return " in ".join([*named[1:], f"the {number}{ending} [[{field[0]}]] table"])
