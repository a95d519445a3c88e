"""Which keys a pattern means."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_scaler.renditions.keys import KeyPattern
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("pattern", "means", "means_not"),
    [
        ("*.jpg", ["a.jpg", ".jpg"], ["dir/a.jpg", "a.JPG", "a.jpg.png"]),
        ("avatars/**", ["avatars/", "avatars/a.jpg", "avatars/x/y/a.jpg"], ["avatars", "my/avatars/a.jpg"]),
        ("**/a.jpg", ["a.jpg", "x/a.jpg", "x/y/a.jpg"], ["xa.jpg", "a.jpg/b"]),
        ("raw/*/x?.jpg", ["raw/1/x2.jpg"], ["raw/1/2/x2.jpg", "raw/1/x.jpg", "raw/1/x/.jpg"]),
        ("[a]{b}.jpg", ["[a]{b}.jpg"], ["a.jpg"]),
        ("a\nb", ["a\nb"], ["a", "a\nb\n"]),
    ],
)
def test_two_stars_match_folders_and_one_matches_within_a_folder(
    pattern: str, means: list[str], means_not: list[str]
) -> None:
    assert [key for key in (*means, *means_not) if KeyPattern(pattern).matches(key)] == means


SEGMENTS = st.lists(st.one_of(st.just("**"), st.text("ab*?[", max_size=4).filter(lambda s: "**" not in s)), min_size=1)


@examples(400)
@given(segments=SEGMENTS, key=st.text("ab[/", max_size=9))
def test_it_matches_like_a_regular_expression(segments: list[str], key: str) -> None:
    *folders, name = segments
    one = {"*": "[^/]*", "?": "[^/]"}
    expression = "".join(
        "(?:.*/)?" if folder == "**" else "".join(one.get(c) or re.escape(c) for c in folder) + "/"
        for folder in folders
    ) + (".*" if name == "**" else "".join(one.get(c, re.escape(c)) for c in name))
    assert KeyPattern("/".join(segments)).matches(key) == bool(re.fullmatch(expression, key, re.DOTALL))


def test_two_stars_within_a_name_are_refused() -> None:
    with pytest.raises(ValueError, match="alone between slashes"):
        KeyPattern("a**b")


def test_no_key_can_make_it_slow() -> None:
    assert not KeyPattern("*_" * 20 + "/**/" + "*_" * 20 + ".jpg").matches("_" * 500 + "/" + "_" * 500 + ".png")
    assert not KeyPattern("**/a/" * 20 + "b").matches("a/" * 511)
