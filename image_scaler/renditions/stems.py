"""Destination keys from parts of the source's key: `{dir}thumbs/{stem}_200x200{source_ext}`.

A source's key is `{dir}{stem}{source_ext}`: the folders with their last slash, the name, and the extension with its
dot. The folders and the extension may be empty. A template with all three, in this order, gives no two sources one key:

- The number of slashes behind the folders is that of the template, so the key tells where they end.
- A name without an extension has no dot but a leading one, so the number of dots tells whether the key has one.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from image_scaler.renditions.formats import Format
from image_scaler.renditions.keys import HASH, HASH_DIGITS, SHOWN_HASH, KeyTemplate, could_start_alike

DIR, STEM, SOURCE_EXT = "\udcfc", "\udcfd", "\udcfe"
"""What the fields are within a template; as HASH, they cannot be in one."""
_FIELDS = re.compile(f"[{DIR}{STEM}{SOURCE_EXT}]")


class StemTemplate(NamedTuple):
    """A destination key around parts of the source's key."""

    text: str
    """With DIR, STEM, SOURCE_EXT and HASH in the places of the fields."""

    @property
    def prefix(self) -> str:
        """The folders before the first field; empty if it comes first."""
        return _FIELDS.split(self.text)[0]

    @property
    def suffix(self) -> str:
        """What follows the last field."""
        return _FIELDS.split(self.text)[-1]

    @property
    def is_whole(self) -> bool:
        """Whether the whole of the source's key is in it, so that no two sources share a key."""
        return all(field in self.text for field in (DIR, STEM, SOURCE_EXT))

    @property
    def has_hash(self) -> bool:
        """Whether each version of a source gets a key of its own."""
        return HASH in self.text

    def with_hash(self, digits: str = SHOWN_HASH) -> "StemTemplate":
        """Return the template with a hash in its place, as KeyTemplate does."""
        return StemTemplate(self.text.replace(HASH, digits))

    def key(self, source_key: str, format: Format) -> str:
        """Return the key of a rendition; the template decides its extension, not the format."""
        return self.copy_key(source_key)

    def copy_key(self, source_key: str) -> str:
        """Return the key of a byte-for-byte copy."""
        folder, stem, extension = _split(source_key)
        return self.text.translate({ord(DIR): folder, ord(STEM): stem, ord(SOURCE_EXT): extension})

    def common_prefix(self, source_prefix: str) -> str:
        """Return what the keys for all sources with a prefix begin with."""
        folders = source_prefix[: source_prefix.rfind("/") + 1]
        return self.prefix + folders if DIR in self.text else self.prefix

    def matches(self, key: str) -> bool:
        """Return whether a key could be that of some source."""
        return any(pattern.fullmatch(key) for pattern in _patterns(self.text))

    def possible_sources(self, key: str) -> Iterator[str]:
        """Yield the keys of sources whose rendition a key may be, if the template is whole; not all of them are."""
        for pattern in _patterns(self.text):
            if match := pattern.fullmatch(key):
                yield "".join(match.group("dir", "stem", "source_ext"))


Template = KeyTemplate | StemTemplate


def may_collide(one: Template, other: Template, *, has_extensions_apart: bool) -> bool:
    """Return whether two templates could give some two sources one key; see KeyTemplate.may_collide_with.

    A template without a folder before the first field cannot collide with one that has a folder: `Recipe.plan_for`
    rejects a source whose key would lead there.
    """
    if isinstance(one, KeyTemplate) and isinstance(other, KeyTemplate):
        return one.may_collide_with(other, has_extensions_apart=has_extensions_apart)
    if bool(one.prefix) != bool(other.prefix) or not could_start_alike(one.prefix, other.prefix):
        return False
    if isinstance(one, StemTemplate) and isinstance(other, StemTemplate):
        if one.has_hash and one.suffix.rpartition(HASH)[1:] == other.suffix.rpartition(HASH)[1:]:
            return False  # two equal keys would have equal hashes
        return all(map(_may_be_equal, _segments(one), _segments(other)))
    return _could_end_alike(one.suffix or "", other.suffix or "")


def _segments(template: StemTemplate) -> list[str]:
    """Return what is between the slashes behind the source's folders, the last first."""
    return template.text.removeprefix(template.prefix).removeprefix(DIR).split("/")[::-1]


def _may_be_equal(one: str, other: str) -> bool:
    """Return whether two segments could become the same text."""
    first, second = _FIELDS.split(one), _FIELDS.split(other)
    if not could_start_alike(first[0], second[0]) or not _could_end_alike(first[-1], second[-1]):
        return False
    if len(first) == len(second) == 3 and first[::2] == second[::2] and first[1].count(".") == second[1].count("."):
        return _could_end_alike(first[1], second[1])  # the extensions are equal, so what is before them is
    return True


def _could_end_alike(one: str, other: str) -> bool:
    return could_start_alike(one[::-1], other[::-1])


def _split(source_key: str) -> tuple[str, str, str]:
    """Return the folders with their slash, the name, and the extension with its dot, as they are written."""
    folder, slash, name = source_key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    return (folder + slash, stem, dot + extension) if stem else (folder + slash, name, "")


@cache
def _patterns(text: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of the keys of sources with an extension, and without one."""

    def pattern(extension: str) -> re.Pattern[str]:
        fields = {
            ord(DIR): "(?P<dir>(?:.*/)?)",
            ord(STEM): "(?P<stem>[^/]*)",
            ord(SOURCE_EXT): f"(?P<source_ext>{extension})",
            ord(HASH): f"[0-9a-f]{{{HASH_DIGITS}}}",
        }
        return re.compile(re.escape(text).translate(fields), re.DOTALL)

    return pattern(r"\.[^./]*"), pattern("")
