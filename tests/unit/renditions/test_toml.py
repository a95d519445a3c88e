from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

from image_scaler.exceptions import ConfigError
from image_scaler.recipe_file import load_recipe
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.geometry import Fit, Position
from image_scaler.renditions.quality import QualityGoal
from image_scaler.renditions.spec import CopySpec, RenditionSpec
from image_scaler.renditions.toml import OutputFormat, parse_recipe
from image_scaler.settings import Settings
from tests import ROOT
from toolbox import schema

PROJECT_RENDITIONS = ROOT / "renditions.toml"


def find_mistakes(toml: str) -> Sequence[ConfigError]:
    with pytest.raises(ConfigError) as refusal:
        parse_recipe(toml)
    return refusal.value.mistakes


def test_the_shipped_renditions_are_a_copy_a_thumbnail_and_a_ladder_for_the_web() -> None:
    recipe = load_recipe(PROJECT_RENDITIONS)
    assert list(recipe.by_name) == ["resized", "thumbnail", "web"]
    assert isinstance(recipe.by_name["resized"][0], CopySpec)
    assert len(recipe.by_name["web"]) == 6


def test_turning_the_copy_into_a_scaled_one_is_one_line() -> None:
    (spec,) = parse_recipe("[renditions.resized]\nwidth = 1600").specs
    assert isinstance(spec, RenditionSpec)
    assert spec.target("a.jpg").key == "resized/a.jpg"


def test_every_field_reaches_the_recipe() -> None:
    (spec,) = parse_recipe(
        """
        [renditions.all]
        width = 320
        height = 200
        fit = "contain"
        position = "right top"
        without_enlargement = false
        background = "#10203040"
        format = "avif"
        quality = 33
        cache_control = "no-store"
        """
    ).specs
    assert (spec.name, spec.width, spec.height) == ("all", 320, 200)
    assert (spec.fit, spec.position, spec.without_enlargement) == (Fit.CONTAIN, Position.RIGHT_TOP, False)
    assert spec.background_rgba == (0x10, 0x20, 0x30, 0x40)
    assert (spec.format, spec.quality, spec.cache_control) == (Format.AVIF, 33, "no-store")


def test_jpg_and_center_are_accepted_spellings() -> None:
    (spec,) = parse_recipe('[renditions.a]\nwidth = 1\nheight = 1\nformat = "jpg"\nposition = "center"').specs
    assert (spec.format, spec.position) == (Format.JPEG, Position.CENTRE)


@pytest.mark.parametrize(
    ("quality", "target", "lowest", "highest"),
    [
        ('"visually_lossless"', 90, 40, 95),
        ('"high"', 70, 30, 95),
        ('"medium"', 50, 20, 95),
        ('"low"', 30, 10, 95),
        ("{ target = 72.5, min = 30, max = 88 }", 72.5, 30, 88),
        ("{ target = 72 }", 72, 31, 95),
        ("{ target = 90, max = 20 }", 90, 20, 20),
    ],
)
def test_a_quality_may_be_what_people_see(quality: str, target: float, lowest: int, highest: int) -> None:
    (spec,) = parse_recipe(f'[renditions.a]\nformat = "webp"\nquality = {quality}').specs
    assert isinstance(spec, RenditionSpec)
    assert spec.quality_goal == QualityGoal(target=target, min=lowest, max=highest)


def test_a_quality_word_is_fine_if_the_key_decides_the_format() -> None:
    (spec,) = parse_recipe('[renditions.a]\nquality = "high"').specs
    assert isinstance(spec, RenditionSpec)
    assert spec.goal_for(Format.JPEG) == QualityGoal(target=70)
    assert spec.goal_for(Format.PNG) is None


def test_a_number_stays_a_number() -> None:
    (spec,) = parse_recipe('[renditions.a]\nformat = "webp"\nquality = 70').specs
    assert isinstance(spec, RenditionSpec)
    assert (spec.quality, spec.quality_goal, spec.goal_for(Format.WEBP)) == (70, None, None)


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            "[renditions.a]\nwidth = 'big'",
            "an integer from 1 to 16383 for renditions.a.width but received 'big' (a text)",
        ),
        ("manifest = 'off'\n[renditions.a]", "true or false for manifest but received 'off' (a text)"),
        ("[renditions.manifests]", "rendition manifests would be written to the folder of the manifests, manifests/"),
        ("[renditions.a]\nkey = 'manifests/a/{key}'", "rendition a would be written to the folder of the manifests"),
        ("[renditions.a]\nwidth = 0", "an integer from 1 to 16383 for renditions.a.width but received 0"),
        ("[renditions.a]\nwidth = 3.5", "an integer from 1 to 16383 for renditions.a.width but received 3.5"),
        ("[renditions.a]\nheight = 20000", "from 1 to 16383 for renditions.a.height but received 20000"),
        ("[renditions.a]\nwidths = []", "a list of integers from 1 to 16383 for renditions.a.widths but received []"),
        ("[renditions.a]\nwidths = [1, -1]", "integers from 1 to 16383 for renditions.a.widths but received [1, -1]"),
        (
            "[renditions.a]\nwidth = 1\nfit = 'crop'",
            "one of cover, contain, fill, inside, outside for renditions.a.fit",
        ),
        ("[renditions.a]\nwidth = 1\nposition = 'up'", "one of centre, top, right top"),
        ("[renditions.a]\nformat = 'tiff'", "one of jpeg, png, webp, avif, gif for renditions.a.format but"),
        ("[renditions.a]\nformats = ['bmp']", "a list of jpeg, png, webp, avif, gif for renditions.a.formats"),
        ("[renditions.a]\nquality = 101", "for renditions.a.quality but received 101"),
        (
            "[renditions.a]\nquality = true",
            "an integer from 1 to 100, one of visually_lossless, high, medium, low, or a table like "
            "{ target = 70, min = 30, max = 95 } for renditions.a.quality but received true",
        ),
        ("[renditions.a]\nquality = 'hihg'", "for renditions.a.quality but received 'hihg' (a text)"),
        (
            "[renditions.a]\nquality = { target = 101 }",
            "expected a number from 1 to 100 for renditions.a.quality.target but received 101",
        ),
        (
            "[renditions.a]\nquality = { target = 70, max = 0 }",
            "expected an integer from 1 to 100 for renditions.a.quality.max but received 0",
        ),
        (
            "[renditions.a]\nquality = { min = 3 }",
            "a number from 1 to 100 for renditions.a.quality.target but received none",
        ),
        (
            "[renditions.a]\nquality = { target = 70, maximum = 3 }",
            "renditions.a.quality has no field 'maximum'. Did you mean 'max'?",
        ),
        (
            "[renditions.a]\nquality = { target = 70, min = 80, max = 60 }",
            "a number up to renditions.a.quality.max, which is 60, for renditions.a.quality.min but received 80",
        ),
        (
            "[renditions.a]\nformat = 'png'\nquality = 'high'",
            "renditions.a.quality = 'high' means nothing in png: it is for jpeg, webp, avif",
        ),
        (
            "[renditions.a]\nformats = ['webp', 'png']\nquality = { target = 60.5 }",
            "renditions.a.quality = 'target = 60.5' means nothing in png: it is for jpeg, webp, avif",
        ),
        ("[renditions.a]\nformat = 'gif'\nquality = 'low'", "renditions.a.quality means nothing in gif"),
        ("[renditions.a]\nwidth = 1\nbackground = 'red'", "a colour like #ffffff or #ffffff00"),
        ('[renditions.a]\nwidth = 1\ncache_control = "x\\ny"', "a value like public, max-age=86400"),
        ("[renditions.a]\ntags = { superseded = 'x' }", "1 to 9 tags"),
        ("[renditions.a]\ntags = { 'aws:x' = 'x' }", "1 to 9 tags"),
        ("[renditions.a]\ntags = { x = 'a&b' }", "1 to 9 tags"),
        ("[renditions.a]\ntags = {}", "1 to 9 tags"),
        ("[renditions.a]\nwidth = 9\naspect_ratio = '16:0'", "a text like 16:9"),
        ("[renditions.a]\nwidth = 9\naspect_ratio = 0", "a text like 16:9"),
        ("[renditions.a]\nwidth = 9\naspect_ratio = true", "a text like 16:9"),
        ("[renditions.a]\nwidth = 9\nheight = 9\naspect_ratio = 1", "both height and aspect_ratio"),
        ("[renditions.a]\nformat = 'webp'\naspect_ratio = 1", "aspect_ratio needs a width or widths"),
        ("[renditions.a]\nwidth = 9\nfit = 'inside'\naspect_ratio = 1", "means nothing in inside"),
        ("[renditions.a]\nwidht = 1", "renditions.a has no field 'widht'. Did you mean 'width'?"),
        ("[renditions.a]\nwidth = 1\nwidths = [1]", "renditions.a has both width and widths"),
        ("[renditions.a]\nheight = 1\nwidths = [1]", "renditions.a has both height and widths"),
        (
            '[renditions.a]\nformat = "webp"\nlossless = true\nmax_bytes = 9000',
            "renditions.a has both lossless and max_bytes",
        ),
        ("[renditions.a]\nformats = ['jpg', 'jpeg']", "renditions.a.formats has 'jpeg' twice: remove one"),
        (
            "[renditions.a]\nformat='png'\nformats=['png']",
            "renditions.a has both format and formats",
        ),
        ("[renditions.a]\nfit = 'cover'", "renditions.a.fit needs a size, a format or a quality"),
        ("[renditions.a]\ncache_control = 'x'", "renditions.a.cache_control needs a size, a format or a quality"),
        ("[renditions.A]", "lower-case letters, digits, - and _ for a rendition's name but received 'A'"),
        ("renditions = 1", "at least one [renditions.<name>] table for renditions but received 1"),
        ("", "at least one [renditions.<name>] table for renditions but received none"),
        ("[renditions]\na = 1", "a table for renditions.a but received 1"),
        ("[rendition.a]", "there is no setting or table 'rendition'. Did you mean 'renditions'?"),
        ("manifests = false\n[renditions.a]", "no setting or table 'manifests'. Did you mean 'manifest'?"),
        ("[renditions.a]\nmanifest = false", "manifest belongs before the first table, not in renditions.a"),
        ("[renditions.a]\nwidth = 1\neffort = 7", "from 0 to 6 in every format for renditions.a.effort but received 7"),
        ("[renditions.a", "renditions.toml:1: this is not valid TOML: Expected"),
        ("rules = 1\n[renditions.a]", "[[rules]] tables for rules but received 1"),
        (
            "[renditions.a]\n[[rules]]\nmatch = 'x'",
            "a list of names of renditions for renditions in the 1st [[rules]] table",
        ),
        (
            "[renditions.a]\n[[rules]]\nrenditions = ['a']",
            "a pattern of keys like avatars/** for match in the 1st [[rules]] table",
        ),
        (
            "[renditions.a]\n[[rules]]\nmatch = 'x'\nrenditions = ['b']",
            "names of renditions (a) for renditions in the 1st [[rules]] table",
        ),
        ("[renditions.a]\nkey = '{name}.jpg'", "{key} once, so that no two sources share a key, for renditions.a.key"),
        (
            "[renditions.a]\nkey = 'x/{key}/{key}'",
            "{key} once, so that no two sources share a key, for renditions.a.key",
        ),
        ("[renditions.a]\nkey = '{key}'", "a folder before {key} for renditions.a.key"),
        ("[renditions.a]\nkey = '/x/{key}'", "a folder before {key} for renditions.a.key"),
        (
            "[renditions.a]\nkey = 'x/{date}'",
            "no fields but {key}, {dir}, {stem}, {source_ext}, {name}, {hash} for renditions.a.key",
        ),
        ("[renditions.a]\nkey = 'x/{key}.{stem}'", "either {key}, or {dir}, {stem} and {source_ext}, for"),
        ("[renditions.a]\nkey = 'x/{dir}a'", "{stem} once, at most one {dir} before it, and at most one {source_ext}"),
        ("[renditions.a]\nkey = '{stem}/{dir}'", "{stem} once, at most one {dir} before it"),
        ("[renditions.a]\nkey = '{dir}{stem}{stem}'", "{stem} once, at most one {dir} before it"),
        ("[renditions.a]\nkey = 'x{dir}{stem}{source_ext}'", "a whole folder, or nothing, before {dir} and {stem}"),
        ("[renditions.a]\nkey = '/{dir}{stem}{source_ext}'", "a whole folder, or nothing, before {dir} and {stem}"),
        ("[renditions.a]\nkey = '{dir}{stem}.{hash}{source_ext}'", "{hash} after {dir}, {stem} and {source_ext}"),
        (
            "shared_stems = true\n[renditions.a]\nwidth = 1\nkey = '{dir}{stem}.{hash}'",
            "{hash} after {dir}, {stem} and {source_ext}, so that one prefix has all versions of a source,",
        ),
        ("[renditions.a]\nkey = '{dir}{stem}{source_ext}.{hash}{hash}'", "{hash} once for renditions.a.key"),
        (
            "[renditions.a]\nwidth = 1\nkey = '{dir}{stem}.webp'",
            "two sources could share the key of rendition a: use all of {dir}, {stem}, {source_ext}, or set "
            "shared_stems = true at the top to reject the second one",
        ),
        (
            "shared_stems = true\n[renditions.a]\nkey = 'a/{stem}{source_ext}'",
            "two sources could share the key of rendition a: use all of {dir}, {stem}, {source_ext}",
        ),
        (
            "[renditions.a]\nkey = '{dir}a/{stem}{source_ext}'\n[renditions.b]\nkey = '{dir}{stem}{source_ext}'",
            "renditions a and b could both write one key: give one of them another name or key",
        ),
        ("[renditions.a]\nkey = 'recipes/{dir}{stem}{source_ext}'", "recipes/ and rejected/ are the function's own"),
        ("[renditions.a]\nkey = 'manifests/{dir}{stem}{source_ext}'", "the folder of the manifests, manifests/"),
        ("[renditions.a]\nkey = '{hash}/{key}'", "{hash} after {key}, so that one prefix"),
        ("[renditions.a]\nkey = 'a/{key}/{hash}.{hash}'", "{hash} once for renditions.a.key"),
        (
            "[renditions.a]\nkey = 'a/{hash}/{key}'",
            "expected {hash} after {key}, so that one prefix has all",
        ),
        ("manifest = false\n[renditions.a]\nkey = 'a/{key}/{hash}'", "which only a manifest tells to web pages"),
        ("[renditions.a]\n[renditions.b]\nkey = 'a/{key}/{hash}'", "a and b could both write a/..."),
        (
            "[renditions.recipes]",
            "rendition recipes needs another name or key: recipes/ and rejected/ are the function's",
        ),
        ("superseded_days = 0\n[renditions.a]", "an integer from 1 to 3650 for superseded_days but received 0"),
        ("[renditions.a]\nwidth = 1\nkey = 'x/{width:04}/{key}'", "{width} without a layout for renditions.a.key"),
        ("[renditions.a]\nkey = 'x/{key!r}'", "{key} without a layout for renditions.a.key"),
        (
            "[renditions.a]\n[[rules]]\nmatch = 'x**.jpg'\nrenditions = ['a']",
            "as in photos/**/*.jpg, for match in the 1st [[rules]] table but received 'x**.jpg' (a text)",
        ),
        (
            "[renditions.a]\nwidth = 1\nformat = 'png'\neffort = 1",
            "renditions.a.effort means nothing in png: it is for",
        ),
        (
            "[renditions.a]\nskip_larger = true\nformats = ['webp']",
            "renditions.a.skip_larger compares formats: it needs formats with at least two of them",
        ),
        ("[renditions.a]\nskip_larger = true\nformat = 'webp'", "it needs formats with at least two of them"),
        (
            "[renditions.a]\nformats = ['avif', 'webp']\nhdr = 'keep'",
            "renditions.a.hdr means nothing in avif, webp: it is for jpeg",
        ),
        ("[renditions.a]\nformat = 'jpeg'\nhdr = true", "expected keep for renditions.a.hdr but received true"),
        (
            "[renditions.a]\nwidths = [1]\n[[pictures]]\nmedia = 'x'\nladder = 'a'\nhdr = true",
            "[[pictures]] offers HDR, but rendition a has no hdr = 'keep': add it",
        ),
        ("[renditions.a]\nkey = 'x/{key'", "a key like img/{key} for renditions.a.key but received 'x/{key'"),
        ("[renditions.a-1]\n[renditions.a]\nwidths = [1]", "renditions a-1 and a-1 could both write a-1/..."),
        ("[renditions.a]\nwidths = [1, 1]", "renditions.a.widths has 1 twice: remove one of them"),
        ("[renditions.a]\n[renditions.b]\nkey = 'a/b/{key}'", "renditions a and b could both write a/b/..."),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(toml: str, sentence: str) -> None:
    (mistake,) = find_mistakes(toml)
    assert sentence in str(mistake)
    assert "\n" not in str(mistake).replace("\\n", "")


def test_all_mistakes_are_found_at_once_in_their_order() -> None:
    toml = """
        manifest = "off"
        [renditions.a]
        quality = { target = 70, max = 0, least = 1 }
        width = 0
        hight = 1
        formats = ["webp", "tiff"]
        [renditions.b]
        widths = [1, 2, 1]
        format = "png"
        effort = 3
        [renditions.c]
        [renditions.d]
        key = "c/{key}"
        [limit]
        [inputs]
        svg = 1
        [[rules]]
        match = "x"
        renditions = ["a", "e", "b", "f"]
        [[rules]]
        match = 5
        """
    mistakes = find_mistakes(toml)
    assert [(mistake.line, mistake.field) for mistake in mistakes] == [
        (2, ("manifest",)),
        (4, ("renditions", "a", "quality", "max")),
        (4, ("renditions", "a", "quality", "least")),
        (5, ("renditions", "a", "width")),
        (6, ("renditions", "a", "hight")),
        (7, ("renditions", "a", "formats")),
        (9, ("renditions", "b", "widths", 2)),
        (11, ("renditions", "b", "effort")),
        (14, ("renditions", "d", "key")),
        (15, ("limit",)),
        (17, ("inputs", "svg")),
        (20, ("rules", 0, "renditions", 1)),
        (20, ("rules", 0, "renditions", 3)),
        (21, ("rules", 1, "renditions")),
        (22, ("rules", 1, "match")),
    ]
    assert str(mistakes[2]).startswith("renditions.toml:4: renditions.a.quality has no field 'least'")
    assert "renditions in the 2nd [[rules]] table" in str(mistakes[-2])


def test_an_unknown_field_gets_no_suggestion_if_none_is_near() -> None:
    (mistake,) = find_mistakes("[renditions.a]\nzzz = 1")
    assert mistake.message == "renditions.a has no field 'zzz'. See docs/limits.md for what is not possible."


@pytest.mark.parametrize(
    ("toml", "line", "column"),
    [
        ("[renditions.a]\nwidth =", 2, 8),
        ("[renditions.a]\n  width = 0", 2, 3),
        ("[renditions]\na = { height = 1, width = 0 }", 2, 19),
        ("renditions.a.width = 0", 1, 14),
        ("['renditions' . \"\\u0061\"]\n'width' = 0", 2, 1),
        ("[renditions.a]\nwidths = [\n  1, # ]\n  1,\n]", 4, 3),
        ("[renditions.a]\nkey = '''\nwidth = 1\n{key}'''\nwidth = 0", 5, 1),
        ('[renditions.a]\nposition = "top" # "\nkey = """a/\\"""\nb{key}""""\nwidth = 0', 5, 1),
        ("rules = [{ match = 'x', renditions = [[]] }, { match = 'y**', renditions = [] }]\n[renditions.a]", 1, 25),
        ("rules = [{ match = 'x', renditions = [] }, { match = 'y**', renditions = [] }]\n[renditions.a]", 1, 46),
        ("[renditions.a]\n[[rules]]\nrenditions = []\n[rules.match]", 4, 8),
        ("[limits]\nframes = 2\npixels = 1.5e3\n[renditions.a]", 3, 1),
    ],
)
def test_a_mistake_has_its_line_and_column(toml: str, line: int, column: int) -> None:
    mistake = find_mistakes(toml)[0]
    assert (mistake.line, mistake.column) == (line, column)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_recipe(tmp_path / "nowhere.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "renditions.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"renditions\.toml"):
        load_recipe(tmp_path / "renditions.toml")


def test_settings_come_from_the_environment() -> None:
    settings = Settings.load(
        {
            "DESTINATION_BUCKET": "renditions",
            "SOURCE_BUCKET": "uploads",
            "FAILURE_QUEUE_URL": "https://failed",
            "REJECTED_QUEUE_URL": "https://rejected",
        },
        PROJECT_RENDITIONS,
    )
    assert settings.destination_bucket == "renditions"
    assert (settings.failure_queue_url, settings.rejected_queue_url) == ("https://failed", "https://rejected")
    assert settings.bucket_owners == {}


def test_the_owners_of_the_buckets_come_from_the_environment_if_they_are_known() -> None:
    environ = {"DESTINATION_BUCKET": "renditions", "DESTINATION_BUCKET_OWNER": "123456789012"}
    environ |= {"SOURCE_BUCKET": "uploads", "SOURCE_BUCKET_OWNER": ""}
    assert Settings.load(environ, PROJECT_RENDITIONS).bucket_owners == {"renditions": "123456789012"}


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "the environment variable DESTINATION_BUCKET is not set"),
        ({"DESTINATION_BUCKET": ""}, "the environment variable DESTINATION_BUCKET is not set"),
        ({"DESTINATION_BUCKET": "My Bucket"}, "a bucket for DESTINATION_BUCKET but received 'My Bucket'"),
        ({"DESTINATION_BUCKET": "one", "SOURCE_BUCKET": "one"}, "SOURCE_BUCKET and DESTINATION_BUCKET are both one"),
        (
            {"DESTINATION_BUCKET": "renditions", "DESTINATION_BUCKET_OWNER": "me"},
            "the 12 digits of an account for DESTINATION_BUCKET_OWNER but received 'me'",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_sentence(environ: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Settings.load(environ, PROJECT_RENDITIONS)
    assert sentence in str(refusal.value)


def test_the_limit_of_memory_is_that_of_the_function() -> None:
    environ = {"DESTINATION_BUCKET": "renditions", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3538"}
    assert Settings.load(environ, PROJECT_RENDITIONS).limits.memory == 3538 * 1024**2


def test_the_schema_for_editors_is_that_of_the_code() -> None:
    for known in (schema.RENDITIONS, schema.MANIFEST):
        assert known.path.read_text(encoding="utf-8") == known.text(), "run python -m toolbox.schema"
        assert "\\Z" not in known.text()
    first, *_ = PROJECT_RENDITIONS.read_text(encoding="utf-8").splitlines()
    assert first == f"#:schema ./{schema.RENDITIONS.path.name}"


def test_the_formats_of_renditions_are_those_of_the_table() -> None:
    assert get_args(OutputFormat) == OUTPUT_FORMATS
