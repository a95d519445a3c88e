"""Which recipes have the same fingerprint: those that make the same renditions, in whatever words."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from image_scaler.exceptions import ConfigError
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.fingerprint import fingerprint as compute_fingerprint
from image_scaler.renditions.formats import ENCODING_OPTIONS, OUTPUT_FORMATS, Format
from image_scaler.renditions.keys import KeyTemplate
from image_scaler.renditions.spec import CopySpec, RenditionSpec
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing, ultra_hdr
from tests.unit.images.test_animation import animation


def spec(table: str, cls: type[RenditionSpec] = RenditionSpec) -> RenditionSpec:
    parsed = parse_recipe(f"[renditions.x]\n{table}").specs[0]
    assert isinstance(parsed, RenditionSpec)
    return cls(**{field: getattr(parsed, field) for field in RenditionSpec.__struct_fields__})


def fingerprint(table: str, cls: type[RenditionSpec] = RenditionSpec) -> str:
    return spec(table, cls).fingerprint


FIRST = {
    "width = 1600": "f2ff8143bede7f0c",
    'format = "webp"\nquality = 70': "0b1656ea93a12875",
    'format = "avif"\nquality = "high"': "eacfaf950ba25f04",
    'format = "webp"\nquality = { target = 72.5, min = 30 }': "8f99b9a0da0de14d",
    'width = 320\nheight = 320\nposition = "attention"\nformat = "webp"\nquality = "high"': "768b2c36226346a7",
    "quality = 90": "ac24fb6e0ac573ce",
    'width = 9\nheight = 9\nfit = "contain"\nbackground = "#10203040"': "0be35c273439fe67",
    'format = "jpeg"\nmax_bytes = 9000\nprogressive = true': "f9c5a6a146847534",
    'format = "png"\npalette = true\ntrim = true\nsharpen = true': "24c132fd9e20dc11",
    'format = "gif"\nanimated = false\nheight = 9\nwithout_enlargement = false': "6b55560dee6fffb3",
    'format = "avif"\nquality = "high"\nanimated = false': "b3b28bfade3c0294",
    'format = "avif"\nlossless = true\neffort = 2\nkeep_profile = true\nkeep_copyright = false': "65fafb9a7e0b470f",
    'format = "jpeg"\nchroma_subsampling = "4:4:4"\ncache_control = "no-store"': "9c7d6cd631bf844e",
    'formats = ["avif", "webp"]\nskip_larger = true': "651e6d76e6526303",
}
"""Fingerprints of stored renditions."""

DEFAULT = {format: format.traits.default_quality or 0 for format in OUTPUT_FORMATS}


@pytest.mark.parametrize("table", FIRST)
def test_stored_renditions_keep_their_fingerprints(table: str) -> None:
    assert compute_fingerprint(spec(table), engine_version=2) == FIRST[table], (
        "the renditions of this recipe would be replaced everywhere. If you added an option or a format, see "
        "_FIRST_DEFAULTS in image_scaler/renditions/fingerprint.py. If a default changed that this recipe uses, "
        "write the new fingerprint here, and say in CHANGELOG.md what is replaced"
    )


@pytest.mark.parametrize(
    ("said", "unsaid"),
    [
        (f'format = "jpeg"\nquality = {DEFAULT[Format.JPEG]}\nchroma_subsampling = "4:2:0"', 'format = "jpeg"'),
        (f'format = "webp"\nquality = {DEFAULT[Format.WEBP]}', 'format = "webp"'),
        (f'format = "avif"\nquality = {DEFAULT[Format.AVIF]}\nchroma_subsampling = "4:4:4"', 'format = "avif"'),
        ('format = "gif"\neffort = 3', 'format = "gif"'),
        ("width = 9\nsharpen = false\nkeep_copyright = true", "width = 9"),
        ('quality = { target = 70 }\nformat = "avif"', 'quality = "high"\nformat = "avif"'),
        ('quality = { target = 50, min = 20, max = 95 }\nformat = "webp"', 'quality = "medium"\nformat = "webp"'),
    ],
)
def test_a_default_that_is_spelled_out_changes_nothing(said: str, unsaid: str) -> None:
    assert fingerprint(said) == fingerprint(unsaid)


@pytest.mark.parametrize(
    ("table", "without_effect"),
    [
        ('format = "png"', "quality = 50"),
        ('format = "webp"\nwidth = 9', 'fit = "inside"'),
        ('format = "webp"\nwidth = 9', 'position = "top"'),
        ('format = "webp"\nwidth = 9\nheight = 9\nfit = "fill"', 'position = "top"'),
        ('format = "webp"\nwidth = 9\nheight = 9', 'background = "#102030"'),
        ('format = "jpeg"\nwidth = 9', "animated = false"),
        ('format = "avif"\nlossless = true', "animated = false"),
        ('format = "avif"', "without_enlargement = false"),
        ('format = "avif"\nlossless = true', 'chroma_subsampling = "4:2:0"'),
        ('format = "webp"\nlossless = true', 'quality = "high"'),
    ],
)
def test_an_option_without_an_effect_changes_nothing(table: str, without_effect: str) -> None:
    assert fingerprint(f"{table}\n{without_effect}") == fingerprint(table)


@pytest.mark.parametrize(
    ("table", "option"),
    [
        ('format = "png"\npalette = true', "quality = 50"),
        ('format = "webp"\nwidth = 9', 'fit = "fill"'),
        ('format = "webp"\nwidth = 9\nheight = 9', 'position = "top"'),
        ('format = "jpeg"\nwidth = 9', 'background = "#102030"'),
        ('format = "webp"\nwidth = 9', "animated = false"),
        ('format = "avif"\nwidth = 9', "animated = false"),
        ("width = 9", "animated = false"),
        ('format = "avif"', 'chroma_subsampling = "4:2:0"'),
        ('format = "webp"', 'quality = "high"'),
        ('format = "webp"', "quality = 77"),
        ("quality = 78", "sharpen = true"),
        ("width = 9", "quality = 78"),
        ('format = "webp"', "effort = 2"),
        ('format = "webp"', 'cache_control = "no-store"'),
        ('quality = "high"\nformat = "avif"', "width = 9"),
    ],
)
def test_an_option_with_an_effect_changes_the_fingerprint(table: str, option: str) -> None:
    assert fingerprint(f"{table}\n{option}") != fingerprint(table)


def test_each_rendition_and_copy_has_a_fingerprint_of_its_own() -> None:
    names = ("a", "b")
    found = {
        spec.fingerprint
        for name in names
        for spec in (
            RenditionSpec(name=name, template=KeyTemplate("a/")),
            CopySpec(name=name, template=KeyTemplate("a/")),
        )
    }
    assert len(found) == 4


class Watermarked(RenditionSpec, frozen=True, kw_only=True):
    watermark: str | None = None
    is_tiled: bool = False


TABLES = ["width = 9", 'format = "jpeg"', 'format = "webp"\nquality = "high"', 'format = "avif"\nlossless = true']


@pytest.mark.parametrize("table", TABLES)
def test_a_new_option_changes_the_fingerprint_only_if_it_is_used(table: str) -> None:
    plain = spec(table, Watermarked)
    fields = {field: getattr(plain, field) for field in RenditionSpec.__struct_fields__}
    used = [Watermarked(**fields, watermark="logo.png"), Watermarked(**fields, is_tiled=True)]
    assert plain.fingerprint == fingerprint(table)
    assert len({plain.fingerprint, *(each.fingerprint for each in used)}) == 3


class Better(RenditionSpec, frozen=True, kw_only=True):
    """With other defaults: a higher quality in WebP, 4:4:4 in JPEG."""

    def resolve(self, option: str, format: Format) -> object:
        if getattr(self, option) is None:
            match option, format:
                case "quality", Format.WEBP:
                    return DEFAULT[Format.WEBP] + 2
                case "chroma_subsampling", Format.JPEG:
                    return "4:4:4"
        return super().resolve(option, format)


@pytest.mark.parametrize(
    ("table", "is_concerned"),
    [
        ('format = "webp"', True),
        ('format = "jpeg"\nquality = 70', True),
        ("width = 9", True),  # the key decides the format
        (f'format = "webp"\nquality = {DEFAULT[Format.WEBP]}', False),
        ('format = "webp"\nquality = "high"', False),
        ('format = "jpeg"\nchroma_subsampling = "4:2:0"', False),
        ('format = "avif"', False),
        ('width = 9\nquality = 70\nchroma_subsampling = "4:2:0"', False),
    ],
)
def test_a_changed_default_changes_the_fingerprints_of_the_recipes_that_use_it(table: str, is_concerned: bool) -> None:
    assert (fingerprint(table, Better) != fingerprint(table)) is is_concerned


def test_a_new_default_has_the_fingerprint_of_its_value() -> None:
    assert fingerprint('format = "webp"', Better) == fingerprint(
        f'format = "webp"\nquality = {DEFAULT[Format.WEBP] + 2}'
    )


VALUES = {
    "width": ["35", "20"],
    "height": ["33", "45"],
    "fit": ['"cover"', '"contain"', '"fill"', '"inside"', '"outside"'],
    "position": ['"centre"', '"left top"', '"attention"'],
    "without_enlargement": ["true", "false"],
    "background": ['"#ffffff"', '"#10203080"'],
    "sharpen": ["true", "false"],
    "animated": ["true", "false"],
    "quality": ["76", "78", "56", "100", '"low"', "{ target = 30 }"],
    "effort": ["2", "3"],
    "max_bytes": ["300"],
    "progressive": ["true", "false"],
    "chroma_subsampling": ['"4:2:0"', '"4:4:4"'],
    "lossless": ["true", "false"],
    "palette": ["true", "false"],
    "keep_profile": ["true", "false"],
    "keep_copyright": ["true", "false"],
    "hdr": ['"keep"'],
}
PICTURES = [
    drawing.png(drawing.with_alpha(drawing.photo(40, 36))),
    animation("gif", 40, 36),
    ultra_hdr.source(40, 36),
]


@st.composite
def pairs_of_tables(draw: st.DrawFn) -> tuple[str, str]:
    """Two tables, of which the second has one or two options more, or other ones."""
    format = draw(st.sampled_from([None, *OUTPUT_FORMATS]))
    known = ENCODING_OPTIONS if format is None else format.traits.options
    values = {name: st.sampled_from(VALUES[name]) for name in VALUES if name in known or name not in ENCODING_OPTIONS}
    options = draw(st.fixed_dictionaries({}, optional=values))
    names = draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=2, unique=True))
    both = options, options | {name: draw(values[name]) for name in names}
    first = [f'format = "{format}"'] if format else ["trim = false"]  # with no option it would be a copy
    one, other = ("\n".join(first + [f"{name} = {value}" for name, value in each.items()]) for each in both)
    return one, other


def made(body: bytes, table: str, key: str) -> list[bytes]:
    targets = parse_recipe(f"[renditions.x]\n{table}").plan_for(key).renditions
    return [rendition.body for rendition in SourceImage(body).render(targets)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(pairs_of_tables(), st.sampled_from(PICTURES), st.sampled_from(["a.jpg", "a.png", "a.webp", "a.avif", "a.gif"]))
def test_equal_fingerprints_mean_equal_bytes(tables: tuple[str, str], body: bytes, key: str) -> None:
    one, other = tables
    try:
        assume(one != other and fingerprint(one) == fingerprint(other))
    except ConfigError:
        assume(False)
    assert made(body, one, key) == made(body, other, key)
