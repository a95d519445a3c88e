"""Destination keys: templates, what makes two of them collide, and the patterns of rules."""

from fnmatch import fnmatchcase
from typing import NamedTuple

from image_scaler.exceptions import DestinationKeyError
from image_scaler.renditions.formats import Format, format_of_extension, is_image_extension

MAX_KEY_BYTES = 1024
"""The longest key that S3 stores, in bytes of UTF-8."""

MANIFEST_FOLDER = "manifests/"
"""The folder of the manifests in the destination bucket."""

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


def checked_key(key: str, owner: str) -> str:
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
    """A destination key around the source's key: `<prefix><source key><suffix>`."""

    prefix: str
    suffix: str | None = None
    """None: the extension of the rendition's format, unless the source's key already ends in it."""

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

    def may_collide_with(self, other: "KeyTemplate", *, has_extensions_apart: bool) -> bool:
        """Return whether this and the other template could give some two sources one key.

        `has_extensions_apart`: both are of renditions whose formats always differ.
        """
        if not (self.prefix.startswith(other.prefix) or other.prefix.startswith(self.prefix)):
            return False
        if self.suffix is None or other.suffix is None:
            return not (self == other and has_extensions_apart)
        return self.suffix.endswith(other.suffix) or other.suffix.endswith(self.suffix)


class KeyPattern:
    """A pattern of keys, like `avatars/**/*.jpg`: `**` spans folders, `*` and `?` match within one.

    A key is compared folder by folder. The time grows with the number of folders times the length of the pattern, so
    that no uploaded key can make it slow, as it could with a regular expression for the whole pattern.
    """

    def __init__(self, pattern: str) -> None:
        """Raise ValueError if `**` is only part of a folder's name."""
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
