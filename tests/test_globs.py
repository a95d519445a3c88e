"""Which keys a pattern means."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_scaler.renditions.globs import Glob


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
def test_two_stars_span_folders_and_one_stays_within(pattern: str, means: list[str], means_not: list[str]) -> None:
    assert [key for key in (*means, *means_not) if Glob(pattern).matches(key)] == means


@settings(max_examples=2000, deadline=None)
@given(pattern=st.text("ab/*?", max_size=9), key=st.text("ab/", max_size=9))
def test_it_means_what_a_regular_expression_would(pattern: str, key: str) -> None:
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*\*|\*|\?)", pattern))
    assert Glob(pattern).matches(key) == bool(re.fullmatch(expression, key, re.DOTALL))


def test_no_key_can_make_it_take_long() -> None:
    assert not Glob("*_" * 20 + "**_" * 20 + ".jpg").matches(
        "_" * 1020 + ".png"
    )  # a regular expression never ends here
