"""What to make of a source, and under which key."""

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import NamedTuple

from image_scaler.exceptions import ConfigError, DestinationKeyError
from image_scaler.renditions.geometry import Fit, Position
from image_scaler.renditions.globs import Glob
from image_scaler.renditions.limits import DEFAULT_LIMITS, Limits

_ENGINE_VERSION = 1
"""To be raised when the engine makes other bytes of the same recipe, so that old renditions are told apart."""

KEY_LIMIT = 1024
"""The longest key that S3 stores, in bytes of UTF-8."""

MANIFESTS = "manifests/"
"""The folder of the manifests in the destination bucket."""


class Format(enum.StrEnum):
    """The formats that renditions are written in."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    GIF = "gif"

    @property
    def extension(self) -> str:
        """What is appended to a key: `jpg png webp avif gif`."""
        return "jpg" if self is Format.JPEG else self.value

    @property
    def content_type(self) -> str:
        """The media type, as in Content-Type."""
        return f"image/{self.value}"

    @property
    def is_animated(self) -> bool:
        """Whether it holds the frames of an animation."""
        return self in (Format.WEBP, Format.GIF)


_FORMAT_OF_EXTENSION = {
    "jpg": Format.JPEG,
    "jpeg": Format.JPEG,
    "jpe": Format.JPEG,
    "jfif": Format.JPEG,
    "png": Format.PNG,
    "webp": Format.WEBP,
    "avif": Format.AVIF,
    "gif": Format.GIF,
}
_OTHER_IMAGE_EXTENSIONS = {"apng", "bmp", "heic", "heif", "hif", "jxl", "svg", "svgz", "tif", "tiff"}
_IMAGE_EXTENSIONS = _FORMAT_OF_EXTENSION.keys() | _OTHER_IMAGE_EXTENSIONS
_NO_EXTENSION = ".image"


def _split_extension(key: str) -> tuple[str, str]:
    """Return the key without its extension, and the extension in lower case; `""` where it has none."""
    folder, slash, name = key.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    return (folder + slash + stem, extension.lower()) if dot and stem else (key, "")


def is_image_key(key: str) -> bool:
    """Return whether a key's extension is that of an image format, whether or not it can be read here."""
    return _split_extension(key)[1] in _IMAGE_EXTENSIONS


class KeyTemplate(NamedTuple):
    """A destination key around the source's key: `<prefix><source key><suffix>`."""

    prefix: str
    suffix: str | None
    """None: the extension of the format, unless the source's key says the format already."""


@dataclass(frozen=True, kw_only=True)
class RenditionSpec:
    """The recipe of one rendition."""

    name: str
    """The rendition's name in renditions.toml, with the width behind it in a ladder: `web-640`."""
    template: KeyTemplate
    width: int | None = None
    height: int | None = None
    fit: Fit = Fit.COVER
    position: Position = Position.CENTRE
    without_enlargement: bool = True
    background: tuple[int, int, int, int] = (255, 255, 255, 255)
    """Red, green, blue and alpha from 0 to 255: behind transparency in JPEG, and around the image in `contain`."""
    trim: bool = False
    """Cut off a border of one colour, before anything else is done."""
    sharpen: bool = False
    """Sharpen mildly, after the image was scaled."""
    format: Format | None = None
    """None: the format of the source's key, or WebP where browsers do not show that."""
    animated: bool = True
    """Whether an animation stays one, in WebP and GIF; all else shows its first frame."""
    quality: int | None = None
    """From 1 to 100; None: the default of the format."""
    effort: int | None = None
    """Of the processor, from 0 to 6 in WebP, 9 in AVIF, 10 in GIF; None: the default of the format."""
    max_bytes: int | None = None
    """The quality is lowered until the rendition is no larger than this, in JPEG, WebP and AVIF."""
    progressive: bool = False
    chroma_subsampling: str | None = None
    """`4:2:0` or `4:4:4`, in JPEG and AVIF; None: `4:2:0`."""
    lossless: bool = False
    palette: bool = False
    """At most 256 colours, in PNG."""
    keep_profile: bool = False
    """Keep the embedded colour profile rather than convert to sRGB."""
    keep_copyright: bool = True
    """Keep copyright, artist and credit line, which are all of the metadata that can stay."""
    cache_control: str | None = None
    is_copy: bool = False
    """Whether it is the source, byte for byte."""

    @property
    def recipe(self) -> str:
        """A short hash of all that a rendition's bytes and headers depend on besides its source."""
        parts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "template"}
        return hashlib.sha256(f"{_ENGINE_VERSION} {parts}".encode()).hexdigest()[:16]

    def output_format(self, source_key: str) -> Format:
        """Return the format of the rendition of a source; only its key's extension is looked at."""
        return self.format or _FORMAT_OF_EXTENSION.get(_split_extension(source_key)[1], Format.WEBP)

    def destination_key(self, source_key: str) -> str:
        """Return the key of the rendition of a source.

        It is `<name>/<source key>`, and for other than copies the extension of the format behind it, unless
        the source's key says that format already. No two sources share a key, for which two kinds of source
        key get a longer one: one with two image extensions gets a third (`a.jpg.webp` -> `a.jpg.webp.webp`,
        since `a.jpg.webp` is the rendition of `a.jpg`), and one without an image extension is treated as if
        it ended in `.image` (`a` -> `a.image.webp`, since `a.webp` is the rendition of `a.webp`).

        Raises DestinationKeyError where the key is longer than S3 allows.
        """
        return _checked(self.template.prefix + self._within(source_key), f"rendition {self.name}")

    def _within(self, source_key: str) -> str:
        if self.template.suffix is not None:
            return source_key + self.template.suffix
        if self.is_copy:
            return source_key
        format = self.output_format(source_key)
        stem, extension = _split_extension(source_key)
        inner = _split_extension(stem)[1]
        doubled = inner in _IMAGE_EXTENSIONS or stem.endswith(_NO_EXTENSION)
        if _FORMAT_OF_EXTENSION.get(extension) is format and not doubled:
            return source_key
        known = source_key if extension in _IMAGE_EXTENSIONS else source_key + _NO_EXTENSION
        return f"{known}.{format.extension}"

    def may_share_a_key_with(self, other: "RenditionSpec") -> bool:
        """Return whether some two sources could give this and the other rendition one key."""
        mine, theirs = self.template, other.template
        if not (mine.prefix.startswith(theirs.prefix) or theirs.prefix.startswith(mine.prefix)):
            return False
        if mine.suffix is None or theirs.suffix is None:
            both_by_extension = mine == theirs and not (self.is_copy or other.is_copy)
            return not (both_by_extension and None not in (self.format, other.format) and self.format != other.format)
        return mine.suffix.endswith(theirs.suffix) or theirs.suffix.endswith(mine.suffix)


class Target(NamedTuple):
    """One rendition of one source: its recipe, its key, and its format (None for a copy)."""

    spec: RenditionSpec
    key: str
    format: Format | None


class Rule(NamedTuple):
    """Which renditions are made of the sources whose keys match a pattern."""

    match: str
    renditions: tuple[str, ...]
    """Names as in renditions.toml; a ladder's name stands for all its steps."""


class Renditions:
    """All that renditions.toml says.

    Raises ConfigError where two renditions could write one key.
    """

    def __init__(
        self,
        by_name: dict[str, tuple[RenditionSpec, ...]],
        rules: Sequence[Rule] = (),
        *,
        limits: Limits | None = None,
        allow_svg: bool = False,
        on_source_delete: str = "keep",
        manifest: bool = True,
    ) -> None:
        self.by_name = by_name
        self.rules = tuple(rules)
        self.limits = limits or DEFAULT_LIMITS
        self.allow_svg = allow_svg
        self.on_source_delete = on_source_delete
        self.manifest = manifest
        self._globs = [(Glob(rule.match), rule.renditions) for rule in rules]
        specs = self.specs
        for index, spec in enumerate(specs):
            for other in specs[:index]:
                if spec.may_share_a_key_with(other):
                    raise ConfigError(
                        f"expected different keys for renditions {other.name} and {spec.name}, but both could "
                        f"write {spec.template.prefix}...: give one of them another name or key"
                    )
            if manifest and spec.template.prefix.startswith(MANIFESTS):
                raise ConfigError(
                    f"expected a key outside of {MANIFESTS} for rendition {spec.name} but received "
                    f"{spec.template.prefix}...: manifests are written there, unless manifest = false stands on top"
                )

    @property
    def specs(self) -> tuple[RenditionSpec, ...]:
        """Every recipe, in the order of renditions.toml."""
        return tuple(spec for specs in self.by_name.values() for spec in specs)

    # An upload asks eight times, and each time ten rules would take 2 ms.
    @lru_cache(maxsize=64)  # noqa: B019  settings live as long as the process
    def specs_for(self, source_key: str) -> tuple[RenditionSpec, ...]:
        """Return the recipes for a source: of the first rule that matches its key, or all."""
        for glob, names in self._globs:
            if glob.matches(source_key):
                return tuple(spec for name in names for spec in self.by_name[name])
        return self.specs

    def targets(self, source_key: str) -> tuple[Target, ...]:
        """Return what is written for a source; raises DestinationKeyError as `destination_key` does."""
        return tuple(
            Target(
                spec,
                spec.destination_key(source_key),
                None if spec.is_copy else spec.output_format(source_key),
            )
            for spec in self.specs_for(source_key)
        )

    def manifest_key(self, source_key: str) -> str | None:
        """Return the key of a source's manifest; None where it has none. Raises DestinationKeyError as `targets`."""
        if not self.manifest or not self.specs_for(source_key):
            return None
        return _checked(f"{MANIFESTS}{source_key}.json", "the manifest")

    def destination_keys(self, source_key: str) -> tuple[str, ...]:
        """Return every key that is written for a source, the manifest's last; raises as `targets`."""
        manifest_key = self.manifest_key(source_key)
        return (*(target.key for target in self.targets(source_key)), *([manifest_key] if manifest_key else []))

    def ladder(self, source_key: str) -> frozenset[str]:
        """Return the names of a source's first ladder: one picture in several widths or formats. Empty without one."""
        made = set(self.specs_for(source_key))
        for name, specs in self.by_name.items():
            if made.issuperset(specs) and (len(specs) > 1 or specs[0].name != name):
                return frozenset(spec.name for spec in specs)
        return frozenset()


def _checked(key: str, what: str) -> str:
    """Return the key; raises DestinationKeyError where it is longer than S3 allows, or no text in UTF-8."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise DestinationKeyError(
            f"expected a key that is text but the key of {what} holds half a character"
        ) from error
    if length > KEY_LIMIT:
        raise DestinationKeyError(
            f"the key of {what} would have {length} bytes, but S3 allows {KEY_LIMIT}: shorten the source's key"
        )
    return key
