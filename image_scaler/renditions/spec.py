"""What each rendition is: its options, its key, and the target for one source."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from image_scaler.renditions.fingerprint import fingerprint
from image_scaler.renditions.formats import ENCODING_OPTIONS, OUTPUT_FORMATS, Format, format_of_extension
from image_scaler.renditions.geometry import Fit, Layout, Position, Size, box_of_shape, lay_out
from image_scaler.renditions.keys import (
    HASH_DIGITS,
    KeyTemplate,
    check_key,
    split_extension,
)
from image_scaler.renditions.limits import Count
from image_scaler.renditions.overlay import Overlay, OverlayOptions
from image_scaler.renditions.quality import Quality, QualityGoal, quality_goal
from image_scaler.renditions.stems import Template, may_collide

Flag = Annotated[bool, Meta(description="true or false")]
Tags = tuple[tuple[str, str], ...]
"""The names and the values of the tags of an object."""


_TEXT_RATIO = r"^[1-9][0-9]{0,4}:[1-9][0-9]{0,4}\Z"


class RenditionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options that all steps of a ladder share; each is declared here and nowhere else.

    Errors, the JSON Schema and the docs come from these types.
    """

    fit: Annotated[Fit, Meta(description=f"one of {', '.join(Fit)}")] = Fit.COVER
    position: Annotated[Position, Meta(description=f"one of {', '.join(Position)}")] = Position.CENTRE
    without_enlargement: Flag = True
    aspect_ratio: (
        Annotated[
            Annotated[str, Meta(pattern=_TEXT_RATIO)] | Annotated[float, Meta(ge=0.01, le=100)],
            Meta(description="a text like 16:9, or a number from 0.01 to 100"),
        ]
        | None
    ) = None
    """Width to height, in `cover` and `contain`; every source gets this shape, also a small one."""
    background: Annotated[
        str, Meta(pattern=r"^#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})\Z", description="a colour like #ffffff or #ffffff00")
    ] = "#ffffff"
    """Shown behind transparency in JPEG, and around the image in `contain`."""
    trim: Flag = False
    """Cut off a border of one colour, before anything else is done."""
    overlay: (
        Annotated[
            OverlayOptions,
            Meta(description='a table like { image = "overlays/logo.png", width = "15%", position = "right bottom" }'),
        ]
        | None
    ) = None
    """A logo or a watermark on the finished picture."""
    sharpen: Flag = False
    """Sharpen mildly, after the image was scaled."""
    animated: Flag = True
    """Whether an animation stays one, in WebP, GIF and lossy AVIF; other formats show its first frame."""
    quality: Quality | None = None
    """A number, or how good the rendition has to look: then the quality is searched for. None: the format's default."""
    effort: Annotated[int, Meta(ge=0, le=10, description="an integer from 0 to 10")] | None = None
    """From 0 to 6 in WebP, 9 in AVIF, 10 in GIF; None: the default of the format."""
    max_bytes: Count | None = None
    """The quality is lowered until the rendition is no larger than this, in JPEG, WebP and AVIF."""
    progressive: Flag = False
    chroma_subsampling: Annotated[Literal["4:2:0", "4:4:4"], Meta(description="one of 4:2:0, 4:4:4")] | None = None
    """In JPEG and AVIF; None: `4:2:0` in JPEG, `4:4:4` in AVIF."""
    lossless: Flag = False
    palette: Flag = False
    """At most 256 colours, in PNG."""
    keep_profile: Flag = False
    """Keep the embedded colour profile instead of converting to sRGB."""
    hdr: Annotated[Literal["keep"], Meta(description="keep")] | None = None
    """`keep`: a JPEG of a source with a gain map has one too, for HDR displays."""
    keep_copyright: Flag = True
    """Keep copyright, artist and credit line: the only metadata that can stay."""
    skip_larger: Flag = False
    """Leave out a format that is not smaller than a later one in `formats`, at each step."""
    cache_control: (
        Annotated[str, Meta(pattern=r"^[ -~]+\Z", description="a value like public, max-age=86400")] | None
    ) = None


class RenditionSpec(RenditionOptions, frozen=True, kw_only=True, dict=True, cache_hash=True):
    """The recipe of one rendition."""

    name: str
    """The rendition's name in renditions.toml, followed by the width in a ladder: `web-640`."""
    template: Template
    width: int | None = None
    height: int | None = None
    format: Format | None = None
    """None: the format of the source's key, or WebP if browsers do not show that."""
    tags: Tags | None = None
    overlay: Overlay | None = None

    @property
    def background_rgba(self) -> tuple[int, int, int, int]:
        """Red, green, blue and alpha of the background, from 0 to 255."""
        red, green, blue, alpha = bytes.fromhex(self.background.removeprefix("#").ljust(8, "f"))
        return red, green, blue, alpha

    @property
    def quality_goal(self) -> QualityGoal | None:
        """The score that the rendition should have; None if its quality is fixed."""
        return quality_goal(self.quality)

    def goal_for(self, format: Format) -> QualityGoal | None:
        """Return the score for which the quality of a rendition in this format is searched; None if it is fixed."""
        has_quality = format.traits.default_quality is not None and not self.lossless
        return self.quality_goal if has_quality else None

    def fixed_quality(self, format: Format) -> int:
        """Return the quality in a format; the format's default if none is given, or a score to search it by."""
        return self.quality if isinstance(self.quality, int) else format.traits.default_quality or 100

    def frames_in(self, format: Format, size: Size, frames: int) -> int:
        """Return how many of a source's frames a rendition of this size shows: all, or the first one."""
        if not (self.animated and self.has_effect("animated", format)):
            return 1
        limits, pixels = format.traits.animation, size.width * size.height
        if limits and (pixels > limits.max_frame_pixels or pixels * frames > limits.max_pixels):
            return 1
        return frames

    def effort_for(self, format: Format, pixels: int, *, is_animated: bool = False) -> int:
        """Return the effort for an image with so many pixels, in all its frames."""
        if self.effort is not None:
            return self.effort
        effort = format.traits.animation.effort if is_animated and format.traits.animation else format.traits.effort
        return effort.default_for(pixels) if effort else 0

    @property
    def ratio(self) -> float | None:
        """The aspect ratio as a number; None without one."""
        if not isinstance(self.aspect_ratio, str):
            return self.aspect_ratio
        width, _, height = self.aspect_ratio.partition(":")
        return int(width) / int(height)

    @property
    def box(self) -> tuple[int | None, int | None]:
        """Width and height of the box, if the source is large enough; None for a side that the source decides."""
        if self.ratio and self.width:
            return box_of_shape(Size(1, 1), self.width, self.ratio, self.fit, without_enlargement=False)
        return self.width, self.height

    @property
    def keeps_shape(self) -> bool:
        """Whether a source that is too small for width and height gives a smaller rendition of their shape."""
        return bool(self.width and self.height and self.without_enlargement) and self.fit in (Fit.COVER, Fit.FILL)

    @property
    def formats(self) -> tuple[Format, ...]:
        """The formats that a rendition can have; several if the source's key decides."""
        return (self.format,) if self.format else OUTPUT_FORMATS

    def has_effect(self, option: str, format: Format) -> bool:
        """Return whether an option changes anything in a rendition in this format, next to the other options."""
        has_side, has_box = any(self.box), all(self.box)
        match option:
            case "fit":
                return has_box or (has_side and self.fit is Fit.FILL)
            case "position":
                return has_box and self.fit in (Fit.COVER, Fit.CONTAIN)
            case "without_enlargement":
                return has_side
            case "background":
                return format is Format.JPEG or (has_box and self.fit is Fit.CONTAIN)
            case "animated" if format is Format.AVIF:  # libavif, as it is packaged, has no lossless animation
                return not self.lossless
            case "animated":
                return format.traits.is_animated
            case "hdr":
                return format is Format.JPEG
            case "quality" if format is Format.PNG:
                return self.palette
            case "chroma_subsampling" if format is Format.AVIF:
                return not self.lossless
        return option not in ENCODING_OPTIONS or option in format.traits.options

    def resolve(self, option: str, format: Format) -> object:
        """Return what an option means in this format: its value, or what its default resolves to."""
        match option:
            case "quality":
                return self.goal_for(format) or self.fixed_quality(format)
            case "effort" if self.effort is None and format.traits.effort:
                effort = format.traits.effort
                return (effort.default, effort.by_pixels) if effort.by_pixels else effort.default
            case "chroma_subsampling":
                return self.chroma_subsampling or format.traits.chroma_subsampling
            case "aspect_ratio":
                return self.ratio
            case "overlay":
                return self.overlay and self.overlay.meaning
        return getattr(self, option)

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of everything that a rendition's bytes and headers depend on besides its source."""
        return fingerprint(self)

    @property
    def pixel_options(self) -> "RenditionSpec":
        """The options that still matter once size and format are known.

        Renditions of equal size and format with equal `pixel_options` have equal bytes.
        """
        return msgspec.structs.replace(
            self,
            name="",
            template=KeyTemplate(""),
            width=None,
            height=None,
            format=None,
            skip_larger=False,
            cache_control=None,
            tags=None,
        )

    def output_format(self, source_key: str) -> Format:
        """Return the format of a source's rendition, from the recipe and the extension of the source's key alone."""
        if self.format:
            return self.format
        format = format_of_extension(split_extension(source_key)[1])
        return format if format in OUTPUT_FORMATS else Format.WEBP

    def target(self, source_key: str, version: str | None = None) -> "RenditionTarget":
        """Return the rendition of a source; raises DestinationKeyError if S3 cannot store its key.

        `version`: the version of the source; None if it is not known: then a key with a hash shows `{hash}` in its
        place.
        """
        format = self.output_format(source_key)
        key = _key(self, version, lambda template: template.key(source_key, format))
        return RenditionTarget(self, key, format)

    def may_collide_with(self, other: "RenditionSpec | CopySpec") -> bool:
        """Return whether some two sources could give this and the other rendition one key."""
        formats = {self.format, other.format if isinstance(other, RenditionSpec) else None}
        has_extensions_apart = None not in formats and len(formats) == 2
        return may_collide(self.template, other.template, has_extensions_apart=has_extensions_apart)


class CopySpec(msgspec.Struct, frozen=True, kw_only=True, dict=True, cache_hash=True):
    """A copy of the source, byte for byte."""

    name: str
    template: Template
    tags: Tags | None = None

    @cached_property
    def fingerprint(self) -> str:
        """A short hash that differs from that of every rendition."""
        tags = f" {self.tags}" if self.tags else ""
        return hashlib.sha256(f"copy {self.name}{tags}".encode()).hexdigest()[:16]

    def target(self, source_key: str, version: str | None = None) -> "CopyTarget":
        """Return the copy of a source, as RenditionSpec.target does."""
        return CopyTarget(self, _key(self, version, lambda template: template.copy_key(source_key)))

    def may_collide_with(self, other: "RenditionSpec | CopySpec") -> bool:
        """Return whether some two sources could give this copy and the other rendition one key."""
        return may_collide(self.template, other.template, has_extensions_apart=False)


Spec = RenditionSpec | CopySpec


def _key(spec: Spec, version: str | None, key: Callable[[Template], str]) -> str:
    """Return the key that `key` makes of a spec's template, with the hash of a version of the source."""
    if not spec.template.has_hash:
        return check_key(key(spec.template), f"rendition {spec.name}")
    digits = hashlib.sha256(f"{spec.fingerprint} {version}".encode()).hexdigest()[:HASH_DIGITS]
    checked = check_key(key(spec.template.with_hash(digits)), f"rendition {spec.name}")
    return key(spec.template.with_hash()) if version is None else checked


@dataclass(frozen=True)
class RenditionTarget:
    """One rendition of one source: what is made, and its key."""

    spec: RenditionSpec
    key: str
    format: Format

    def lay_out(self, source: Size) -> Layout:
        """Return the steps from a source of this size (upright) to the rendition, no larger than its format holds."""
        spec, max_side = self.spec, self.format.traits.max_side
        width, height = spec.width, spec.height
        if width and spec.ratio:
            width, height = box_of_shape(
                source, width, spec.ratio, spec.fit, without_enlargement=spec.without_enlargement
            )
        layout = lay_out(source, width, height, spec.fit, without_enlargement=spec.without_enlargement)
        return layout.within(max_side) if max_side else layout


@dataclass(frozen=True)
class CopyTarget:
    """One copy of one source, and its key."""

    spec: CopySpec
    key: str


Target = RenditionTarget | CopyTarget
