"""Which keys the parts of a source's key give, and that no two sources share one."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from image_scaler.exceptions import ConfigError, DestinationKeyError
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.stems import StemTemplate
from image_scaler.renditions.toml import parse_recipe
from tests.support.examples import examples


def recipe_of(*templates: str, top: str = "") -> Recipe:
    tables = [f"[renditions.r{number}]\nwidth = 1\nkey = '{key}'" for number, key in enumerate(templates)]
    return parse_recipe("\n".join([top, *tables]))


def keys(source_key: str, *templates: str, top: str = "shared_stems = true") -> list[str]:
    return [target.key for target in recipe_of(*templates, top=top).plan_for(source_key).targets]


def test_the_parts_are_the_folders_the_name_and_the_extension_as_they_are_written() -> None:
    template = "{dir}thumbs/{stem}_200x200{source_ext}"
    assert keys("images/photo.JPG", template) == ["images/thumbs/photo_200x200.JPG"]
    assert keys("photo.jpg", template) == ["thumbs/photo_200x200.jpg"]
    assert keys("a.b/photo", template) == ["a.b/thumbs/photo_200x200"]
    assert keys("a/.htaccess", template) == ["a/thumbs/.htaccess_200x200"]
    assert keys("a/photo.tar.gz", template) == ["a/thumbs/photo.tar_200x200.gz"]
    assert keys("a/photo.", template) == ["a/thumbs/photo_200x200."]


def test_a_template_may_have_a_folder_first_and_the_extension_of_its_format() -> None:
    (key,) = (
        parse_recipe("shared_stems = true\n[renditions.a]\nwidth = 1\nformat = 'jpeg'\nkey = 'x/{dir}{stem}.{ext}'")
        .plan_for("a/b.png")
        .keys[:1]
    )
    assert key == "x/a/b.jpg"


@pytest.mark.parametrize(
    ("source", "key"),
    [("manifests/a.jpg", "manifests/t/a.jpg"), ("recipes/a.jpg", "recipes/t/a.jpg"), ("r1/a.jpg", "r1/t/a.jpg")],
)
def test_no_rendition_is_written_into_a_folder_of_the_function_or_of_another_rendition(source: str, key: str) -> None:
    recipe = recipe_of("{dir}t/{stem}{source_ext}", "r1/{key}")
    with pytest.raises(DestinationKeyError, match=f"the key of rendition r0 would be '{key}'"):
        recipe.plan_for(source)


def test_a_key_that_would_be_empty_is_rejected() -> None:
    with pytest.raises(DestinationKeyError):
        keys("folder/", "{stem}")


def test_a_source_whose_key_does_not_fit_into_metadata_is_rejected_if_it_could_share_its_renditions_keys() -> None:
    source = "é" * 300 + ".jpg"
    assert keys(source, "t/{dir}{stem}{source_ext}")
    with pytest.raises(DestinationKeyError, match="names its source, whose key is too long"):
        keys(source, "t/{dir}{stem}.jpg")


def test_all_versions_of_a_source_are_found_under_one_prefix() -> None:
    plan = recipe_of("{dir}t/{stem}{source_ext}.{hash}.webp").plan_for("a/b.jpg")
    assert plan.version_prefixes == {"a/t/b.jpg."}
    (target,) = plan.of_version("e1").targets
    assert plan.has_version(target.key)
    assert not recipe_of("{dir}t/{stem}{source_ext}.{hash}.webp").plan_for("a/b.png").has_version(target.key)


SEGMENTS = st.sampled_from(["", "a", "b", ".x", "_1", "_2", "a/", "b/", ".x/", "/", "a/b"])
EXTENSIONS = st.sampled_from(["", ".x", ".jpg", ".", "_1", ".x_1"])
SOURCES = st.sets(
    st.builds(
        lambda folder, parts, extension: folder + "".join(parts) + extension,
        st.sampled_from(["", "a/", "b/", "a/b/", "/", "a//", "t/", "r0/"]),
        st.lists(st.sampled_from(["a", "b", "_1", "_2", ".", ".x"]), max_size=4),
        EXTENSIONS,
    ),
    min_size=2,
    max_size=30,
)
WHOLE = st.builds(
    lambda prefix, before, between, after: f"{prefix}{{dir}}{before}{{stem}}{between}{{source_ext}}{after}",
    st.sampled_from(["", "t/", "t/a/"]),
    SEGMENTS,
    SEGMENTS,
    st.sampled_from(["", ".x", ".webp", "_1", "/a", ".{hash}", "/{hash}.webp", "_1.{hash}"]),
)
OTHERS = st.sampled_from(["t/{key}", "r0/{key}", "r0/{key}.x", "a/{key}.webp", "t/{key}.{hash}.webp"])


def written_by(recipe: Recipe, sources: set[str]) -> list[str]:
    """Return every key that is written for sources, for one version of each; those that are rejected have none."""
    found = []
    for source in sources:
        try:
            found += [target.key for target in recipe.plan_for(source).of_version("e1").targets]
        except DestinationKeyError:
            continue
    return found


@examples(200)
@given(WHOLE, SOURCES)
@example("{dir}{stem}.x.x{source_ext}", {"a", "a.x", ".x", ".x.x"})
def test_no_two_sources_share_the_key_of_a_template_with_the_whole_of_their_keys(
    template: str, sources: set[str]
) -> None:
    try:
        recipe = recipe_of(template)
    except ConfigError:
        assume(False)
    written = written_by(recipe, sources)
    assert len(written) == len(set(written))
    assert not [key for key in written if key.startswith(("manifests/", "recipes/", "rejected/"))]


@examples(300)
@given(st.lists(WHOLE | OTHERS, min_size=2, max_size=3, unique=True), SOURCES)
@example(["{dir}{stem}_1{source_ext}", "{dir}{stem}_2{source_ext}"], {".x", "a", "a_1", "a_1.x", "a.x", "a_2.x"})
@example(["{dir}a/{stem}{source_ext}", "{dir}b/{stem}{source_ext}"], {"a", "a/a", "b/a", "a/b/a", "b/a/a"})
@example(["{dir}a/{stem}{source_ext}", "a/{key}"], {"a", "a/a", "b/a", "a/b/a", "b/a/a"})
def test_templates_that_could_share_a_key_are_refused(templates: list[str], sources: set[str]) -> None:
    try:
        recipe = recipe_of(*templates)
    except ConfigError:
        assume(False)
    written = written_by(recipe, sources)
    assert len(written) == len(set(written))


@examples(200)
@given(WHOLE, SOURCES)
def test_the_source_of_a_key_is_among_those_that_are_possible(template: str, sources: set[str]) -> None:
    try:
        (spec,) = recipe_of(template).specs
    except ConfigError:
        assume(False)
    assert isinstance(spec.template, StemTemplate)
    for source in sources:
        key = spec.template.with_hash("0123456789abcdef").copy_key(source)
        assert source in set(spec.template.possible_sources(key))
        assert spec.template.matches(key)
        assert key.startswith(spec.template.common_prefix(source[:2]))


def test_sizes_and_formats_of_a_ladder_have_keys_of_their_own() -> None:
    recipe = parse_recipe(
        """
        [renditions.kept]
        widths = [200, 400]
        key = "{dir}thumbs/{stem}_{width}{source_ext}"
        [renditions.web]
        widths = [200, 400]
        formats = ["avif", "webp"]
        key = "{dir}web/{stem}_{width}{source_ext}.{ext}"
        [renditions.dated]
        widths = [200, 400]
        format = "webp"
        key = "dated/{dir}{stem}{source_ext}/{hash}.webp"
        """
    )
    assert len({target.key for target in recipe.plan_for("a/b.jpg").of_version("e1").targets}) == 8
