"""Destination keys: templates, what makes two of them collide, and the patterns of rules."""

from fnmatch import fnmatchcase
from typing import NamedTuple

from image_scaler.exceptions import DestinationKeyError
from image_scaler.renditions.formats import Format, format_of_extension, is_image_extension

MAX_KEY_BYTES = 1024
"""The longest key that S3 stores, in bytes of UTF-8."""

MANIFEST_FOLDER = "manifests/"
"""The folder of the manifests in the destination bucket."""
MANIFEST_SUFFIX = ".json"
"""What the key of a manifest has after the source's key."""

RECIPE_FOLDER = "recipes/"
"""The folder of the recipes that were used, in the destination bucket."""
REJECTION_FOLDER = "rejected/"
"""The folder of the records of rejected sources, in the destination bucket."""

HASH = "\udcff"
"""What `{hash}` is within a template. No template can contain it: an unpaired surrogate is not valid in TOML."""
HASH_DIGITS = 16
"""The length of a hash: 64 bits, in hexadecimal."""
SHOWN_HASH = "{hash}"
"""What people see in the place of a hash that is not known."""
_HEXADECIMAL = frozenset("0123456789abcdef")

_NO_EXTENSION = ".image"
"""What a source key without an image extension is treated as if it ended in."""


def split_extension(key: str) -> tuple[str, str]:
    """Return the key without its extension, and the extension in lower case; `""` if it has none."""
    folder, slash, name = key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    return (folder + slash + stem, extension.lower()) if dot and stem else (key, "")


def is_image_key(key: str) -> bool:
    """Return whether a key's extension is that of an image format, whether or not it can be read here."""
    return is_image_extension(split_extension(key)[1])


def check_key(key: str, owner: str) -> str:
    """Return the key of `owner`; raises DestinationKeyError if it is too long for S3, or not valid Unicode."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise DestinationKeyError(f"the key of {owner} contains an unpaired surrogate") from error
    if length > MAX_KEY_BYTES:
        raise DestinationKeyError(
            f"the key of {owner} would have {length} bytes, but S3 allows {MAX_KEY_BYTES}: shorten the source's key"
        )
    return key


class KeyTemplate(NamedTuple):
    """A destination key around the source's key: `<prefix><source key><suffix>`.

    HASH, in one of them, is the place of a hash that differs for each version of a source and each recipe.
    """

    prefix: str
    suffix: str | None = None
    """None: the extension of the rendition's format, unless the source's key already ends in it."""

    @property
    def is_whole(self) -> bool:
        """Whether the whole of the source's key is in it: always, see StemTemplate for another kind."""
        return True

    @property
    def has_hash(self) -> bool:
        """Whether each version of a source gets a key of its own."""
        return HASH in self.prefix or HASH in (self.suffix or "")

    def with_hash(self, digits: str = SHOWN_HASH) -> "KeyTemplate":
        """Return the template with a hash in its place; without an argument, with `{hash}` for people to read."""
        return KeyTemplate(
            self.prefix.replace(HASH, digits), None if self.suffix is None else self.suffix.replace(HASH, digits)
        )

    def key(self, source_key: str, format: Format) -> str:
        """Return the key of a rendition in this format.

        No two sources share a key, for which two kinds of source key get a longer one. A source key with two image
        extensions gets a third (`a.jpg.webp` -> `a.jpg.webp.webp`, since `a.jpg.webp` is the rendition of `a.jpg`). A
        source key without an image extension is treated as if it ended in `.image` (`a` -> `a.image.webp`, since
        `a.webp` is the rendition of `a.webp`).
        """
        if self.suffix is not None:
            return self.copy_key(source_key)
        stem, extension = split_extension(source_key)
        is_doubled = is_image_key(stem) or stem.endswith(_NO_EXTENSION)
        if format_of_extension(extension) is format and not is_doubled:
            return self.prefix + source_key
        known = source_key if is_image_extension(extension) else source_key + _NO_EXTENSION
        return f"{self.prefix}{known}.{format.extension}"

    def copy_key(self, source_key: str) -> str:
        """Return the key of a byte-for-byte copy."""
        return self.prefix + source_key + (self.suffix or "")

    def common_prefix(self, source_prefix: str) -> str:
        """Return what the keys for all sources with a prefix begin with."""
        return self.prefix + source_prefix

    def may_collide_with(self, other: "KeyTemplate", *, has_extensions_apart: bool) -> bool:
        """Return whether this and the other template could give some two sources one key.

        `has_extensions_apart`: both are of renditions whose formats always differ. The recipes of the two are never the
        same, and so their hashes never are.
        """
        if self._has_hash_at_place_of(other) or not could_start_alike(self.prefix, other.prefix):
            return False
        if self.suffix is None or other.suffix is None:
            return not (self == other and has_extensions_apart)
        return could_start_alike(self.suffix[::-1], other.suffix[::-1])

    def _has_hash_at_place_of(self, other: "KeyTemplate") -> bool:
        """Return whether two equal keys would have equal hashes."""
        ends = [(self.prefix, other.prefix), ((self.suffix or "")[::-1], (other.suffix or "")[::-1])]
        return any(HASH in one and one.partition(HASH)[:2] == another.partition(HASH)[:2] for one, another in ends)


def could_start_alike(one: str, other: str) -> bool:
    """Return whether one text could be the beginning of the other, whatever their hashes are."""
    texts = [text.replace(HASH, HASH * HASH_DIGITS) for text in (one, other)]
    return all(a == b or (HASH in (a, b) and {a, b} <= _HEXADECIMAL | {HASH}) for a, b in zip(*texts, strict=False))


class KeyPattern:
    """A pattern of keys, like `avatars/**/*.jpg`: `**` spans folders, `*` and `?` match within one.

    A key is compared folder by folder. The time grows with the number of folders times the length of the pattern, so
    that no uploaded key can make it slow, as it could with a regular expression for the whole pattern.
    """

    def __init__(self, pattern: str) -> None:
        """Raise ValueError if `**` is only part of a folder's name."""
        self.text = pattern
        # fnmatch knows [sets] of characters too; in a key a bracket is a bracket.
        self._segments = [segment.replace("[", "[[]") for segment in pattern.split("/")]
        if any("**" in segment and segment != "**" for segment in self._segments):
            raise ValueError(f"** must be alone between slashes: {pattern!r}")

    def matches(self, key: str) -> bool:
        """Return whether the whole key matches."""
        reached = self._with_empty_spans({0})
        for part in key.split("/"):
            after = set()
            for index in reached - {len(self._segments)}:
                if self._segments[index] == "**":
                    after |= {index, index + 1}
                elif fnmatchcase(part, self._segments[index]):
                    after.add(index + 1)
            reached = self._with_empty_spans(after)
        return len(self._segments) in reached

    def _with_empty_spans(self, reached: set[int]) -> set[int]:
        """Add the positions behind each `**`, which may span no folder at all; at the end it spans something."""
        for index in range(len(self._segments) - 1):
            if index in reached and self._segments[index] == "**":
                reached.add(index + 1)
        return reached
