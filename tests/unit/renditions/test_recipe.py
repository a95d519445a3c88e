import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from image_scaler.exceptions import ConfigError, DestinationKeyError
from image_scaler.renditions.formats import Format
from image_scaler.renditions.keys import MAX_KEY_BYTES
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe

LADDER = parse_recipe(
    """
    [renditions.resized]
    [renditions.small]
    width = 320
    [renditions.thumbnail]
    width = 320
    format = "webp"
    [renditions.web]
    widths = [640, 1280]
    formats = ["avif", "webp"]
    [renditions.flat]
    width = 100
    format = "jpeg"
    key = "img/{key}"
    [renditions.sized]
    widths = [100, 200]
    formats = ["webp", "png"]
    key = "sized/{width}/{key}.{ext}"
    """
)


def keys(source_key: str, recipe: Recipe = LADDER) -> list[str]:
    return [target.key for target in recipe.plan_for(source_key).targets]


def test_a_copy_is_the_name_and_the_source_key() -> None:
    assert keys("dir/my photo+1.jpg")[0] == "resized/dir/my photo+1.jpg"


def test_a_rendition_without_a_format_keeps_the_key_if_browsers_can_show_the_source() -> None:
    for key in ("a.jpg", "a.JPG", "a.jpeg", "a.png", "a.webp", "a.avif"):
        assert keys(key)[1] == f"small/{key}"


def test_a_rendition_without_a_format_becomes_webp_if_browsers_cannot_show_the_source() -> None:
    for key in ("a.heic", "a.HEIC", "a.tiff", "a.svg", "a.bmp"):
        assert keys(key)[1] == f"small/{key}.webp"


def test_the_extension_is_appended_unless_the_key_says_the_format_already() -> None:
    assert keys("a.jpg")[2] == "thumbnail/a.jpg.webp"
    assert keys("a.webp")[2] == "thumbnail/a.webp"
    assert keys("a.WebP")[2] == "thumbnail/a.WebP"


def test_a_ladder_has_a_folder_for_each_width_and_a_file_for_each_format() -> None:
    assert keys("a.jpg")[3:7] == [
        "web-640/a.jpg.avif",
        "web-640/a.jpg.webp",
        "web-1280/a.jpg.avif",
        "web-1280/a.jpg.webp",
    ]


def test_a_key_template_moves_the_folder_and_keeps_the_rule_of_extensions() -> None:
    assert keys("a.png")[7] == "img/a.png.jpg"
    assert keys("a.jpg")[7] == "img/a.jpg"


def test_a_key_template_with_a_suffix_is_applied_exactly() -> None:
    assert keys("a.webp")[8:] == [
        "sized/100/a.webp.webp",
        "sized/100/a.webp.png",
        "sized/200/a.webp.webp",
        "sized/200/a.webp.png",
    ]


def test_a_key_that_looks_like_a_rendition_of_another_gets_a_third_extension() -> None:
    assert keys("a.jpg.webp")[2] == "thumbnail/a.jpg.webp.webp"


def test_a_key_without_an_image_extension_counts_as_one_that_ends_in_image() -> None:
    assert keys("photo")[2] == "thumbnail/photo.image.webp"
    assert keys("notes.txt")[2] == "thumbnail/notes.txt.image.webp"
    assert keys("2024.11.23/photo")[2] == "thumbnail/2024.11.23/photo.image.webp"
    assert keys(".webp")[2] == "thumbnail/.webp.image.webp"


def test_the_format_follows_from_the_key_alone() -> None:
    assert [target.format for target in LADDER.plan_for("a.png").renditions][:2] == [Format.PNG, Format.WEBP]


def test_a_key_too_long_for_s3_is_refused_with_both_lengths() -> None:
    with pytest.raises(DestinationKeyError, match=r"rendition resized would have 1,?028 bytes, but S3 allows 1,?024"):
        LADDER.plan_for("ä" * 508 + ".jpg")


def test_the_first_rule_that_matches_decides() -> None:
    recipe = parse_recipe(
        """
        rules = [
            {match = "avatars/**", renditions = ["a"]},
            {match = "*.png", renditions = ["b"]},
            {match = "raw/*/x?.jpg", renditions = []},
        ]
        [renditions.a]
        [renditions.b]
        [renditions.c]
        """
    )
    assert keys("avatars/1/2/x.png", recipe) == ["a/avatars/1/2/x.png"]
    assert keys("x.png", recipe) == ["b/x.png"]
    assert keys("raw/1/x2.jpg", recipe) == []
    for unmatched in ("dir/x.png", "avatars", "raw/1/2/x2.jpg", "raw/1/x.jpg", "raw/1/x/.jpg"):
        assert len(keys(unmatched, recipe)) == 3


def test_two_stars_and_a_slash_match_at_any_depth() -> None:
    recipe = parse_recipe('rules = [{match = "**/x.jpg", renditions = ["a"]}]\n[renditions.a]\n[renditions.b]')
    assert len(keys("x.jpg", recipe)) == len(keys("1/2/x.jpg", recipe)) == 1
    assert len(keys("1/xx.jpg", recipe)) == 2


EXTENSIONS = st.sampled_from(
    ["", ".jpg", ".JPG", ".jpeg", ".jfif", ".png", ".webp", ".WEBP", ".avif", ".gif", ".heic", ".tiff", ".image", ".x"]
)
STEMS = st.text(st.sampled_from("ab./-"), min_size=0, max_size=4)
SOURCE_KEYS = st.builds(lambda stem, *parts: stem + "".join(parts), STEMS, EXTENSIONS, EXTENSIONS, EXTENSIONS)


@given(st.sets(SOURCE_KEYS, min_size=2, max_size=30))
@example({"a", "a.webp", "a.jpg", "a.jpg.webp", "a.jpg.webp.webp", "a.image", "a.image.webp", "a.heic", "a.heic.webp"})
def test_no_two_sources_and_no_two_renditions_ever_share_a_key(sources: set[str]) -> None:
    written = [key for source in sources for key in keys(source)]
    assert len(written) == len(set(written))


NAMES = st.sampled_from(["a", "b", "a-1", "a-2"])
FORMATS = st.sampled_from(["jpeg", "png", "webp", "avif"])
TEMPLATES = st.sampled_from(
    [
        "a/{key}",
        "a/b/{key}",
        "a/{key}.webp",
        "a/{key}.x.webp",
        "{name}/{key}",
        "{name}/{width}/{key}",
        "a/{width}-{key}",
        "a/{hash}/{key}",
        "a/{key}.{hash}",
        "a/{key}.{hash}.webp",
        "a/0{hash}/{key}",
        "a/b{hash}/{key}.webp",
    ]
)
TABLES = st.fixed_dictionaries(
    {},
    optional={
        "width": st.integers(1, 2),
        "widths": st.lists(st.integers(1, 2), min_size=1, max_size=2),
        "format": FORMATS,
        "formats": st.lists(FORMATS, min_size=1, max_size=2),
        "key": TEMPLATES,
    },
)


@given(st.dictionaries(NAMES, TABLES, min_size=1, max_size=3), st.sets(SOURCE_KEYS, min_size=1, max_size=12))
def test_templates_that_could_share_a_key_are_refused(tables: dict[str, dict[str, object]], sources: set[str]) -> None:
    toml = "\n".join(
        f"[renditions.{name}]\n" + "\n".join(f"{field} = {value!r}" for field, value in table.items())
        for name, table in tables.items()
    )
    try:
        recipe = parse_recipe(toml)
    except ConfigError:
        assume(False)
    plans = [recipe.plan_for(source).of_version(version) for source in sources for version in ("e1", "e2")]
    written = {key for plan in plans for key in plan.keys}
    unversioned = {target.key for plan in plans for target in plan.targets if not target.spec.template.has_hash}
    hashed = len(written) - len(unversioned) - len(sources)
    versioned = [target for plan in plans for target in plan.targets if target.spec.template.has_hash]
    assert len(unversioned) == sum(len(plan.targets) for plan in plans) // 2 - len(versioned) // 2
    assert hashed == len(versioned)


def test_a_key_with_a_hash_is_another_one_for_each_version_and_each_recipe() -> None:
    def key(toml: str, version: str = "e1") -> str:
        (target,) = parse_recipe(f"[renditions.a]\n{toml}").plan_for("x.jpg").of_version(version).targets
        return target.key

    keys = [
        key("key = 'a/{key}/{hash}'"),
        key("key = 'a/{key}/{hash}'", "e2"),
        key("key = 'a/{key}/{hash}'\nwidth = 1"),
        key("key = 'a/{key}/{hash}'\nwidth = 2"),
    ]
    assert all(re.fullmatch(r"a/x\.jpg/[0-9a-f]{16}", found) for found in keys)
    assert len(set(keys)) == len(keys)
    assert key("key = 'a/{key}/{hash}'") == keys[0]


def test_a_plan_without_a_version_shows_the_place_of_the_hash_and_knows_its_versions() -> None:
    recipe = parse_recipe("[renditions.a]\nwidth = 1\nkey = 'a/{key}.{hash}.{ext}'\nformat = 'webp'")
    plan = recipe.plan_for("x+.jpg")
    assert [target.key for target in plan.targets] == ["a/x+.jpg.{hash}.webp"]
    assert plan.has_version(plan.of_version("e1").targets[0].key)
    for other in ("a/x+.jpg.{hash}.webp", "a/xx.jpg.0123456789abcdef.webp", "a/x+.jpg.0123456789abcdef.webp2"):
        assert not plan.has_version(other)
    with pytest.raises(DestinationKeyError):  # with its sixteen digits
        recipe.plan_for("x" * (MAX_KEY_BYTES - len("a/.{hash}.webp")))


@given(st.text(min_size=1, max_size=MAX_KEY_BYTES))
def test_every_key_that_s3_can_hold_gets_its_keys_or_a_refusal(key: str) -> None:
    assume(key.isprintable() or len(key.encode(errors="ignore")) > 0)
    try:
        written = keys(key.encode(errors="ignore").decode())
    except DestinationKeyError:
        return
    assert all(len(destination.encode()) <= MAX_KEY_BYTES for destination in written)


MANIFEST = parse_recipe("rules = [{match = 'raw/**', renditions = []}]\n[renditions.a]\n[renditions.b]\nwidth = 1")


def test_every_source_with_renditions_has_a_manifest_and_it_is_the_last_key() -> None:
    assert MANIFEST.plan_for("d/x.jpg").keys == ("a/d/x.jpg", "b/d/x.jpg", "manifests/d/x.jpg.json")
    assert MANIFEST.plan_for("raw/x.jpg").keys == ()


def test_without_manifests_their_folder_is_not_reserved() -> None:
    recipe = parse_recipe("manifest = false\n[renditions.manifests]")
    assert recipe.plan_for("x.jpg").keys == ("manifests/x.jpg",)


def test_the_key_of_a_manifest_has_the_same_limit_as_all_others() -> None:
    longest = "x" * (MAX_KEY_BYTES - len("manifests/.json"))
    assert MANIFEST.plan_for(longest).manifest_key == f"manifests/{longest}.json"
    with pytest.raises(DestinationKeyError, match="the key of the manifest would have 1025 bytes"):
        MANIFEST.plan_for(longest + "x")


@pytest.mark.parametrize(
    ("toml", "names"),
    [
        ("[renditions.a]\n[renditions.b]\nwidth = 1", set()),
        ("[renditions.a]\n[renditions.b]\nwidths = [1, 2]\nformats = ['webp', 'avif']", {"b-1", "b-2"}),
        ("[renditions.a]\nwidths = [1]\n[renditions.b]\nwidths = [1, 2]", {"a-1"}),
        ("[renditions.a]\nwidth = 9\nformats = ['webp', 'avif']", {"a"}),
        (
            "rules = [{match = '**', renditions = ['b']}]\n[renditions.a]\nwidths = [1]\n[renditions.b]\nwidths = [2]",
            {"b-2"},
        ),
    ],
)
def test_the_ladder_of_a_source_is_the_first_in_its_plan(toml: str, names: set[str]) -> None:
    ladders = parse_recipe(toml).plan_for("x.jpg").page.ladders
    assert set(ladders[0][1] if ladders else ()) == names
