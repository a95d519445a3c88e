"""Image bytes -> renditions: each image is decoded once, each rendition scaled from the next larger.

With decoding and encoding the only user of libvips.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyvips

from image_scaler.exceptions import DamagedImageError, ImageTooLargeError
from image_scaler.images import decoding, encoding, stripping
from image_scaler.images.attribution import NO_CREDITS, Credits, read_credits
from image_scaler.images.decoding import SourceFormat
from image_scaler.renditions.geometry import Plan, Point, Position, Size, offset, offset_around, plan
from image_scaler.renditions.limits import DEFAULT_LIMITS, Limits
from image_scaler.renditions.spec import Format, KeyTemplate, RenditionSpec, Target

_TRIM_THRESHOLD = 10
"""How far a pixel may be from the colour of the top left corner and still belong to the border: sharp's."""

_SHARPEN_KERNEL = [[-1, -1, -1], [-1, 32, -1], [-1, -1, -1]]
"""sharp's mild sharpening, divided by 24."""

_SOURCE_FORMATS = {
    SourceFormat.JPEG: Format.JPEG,
    SourceFormat.PNG: Format.PNG,
    SourceFormat.WEBP: Format.WEBP,
    SourceFormat.GIF: Format.GIF,
    SourceFormat.AVIF: Format.AVIF,
}

_BYTES_PER_PIXEL_RENDERED = {
    Format.JPEG: 12.0,
    Format.PNG: 14.0,
    Format.WEBP: 27.0,
    Format.AVIF: 38.0,
    Format.GIF: 12.0,
}
"""Peak memory of scaling and encoding a rendition with alpha, measured with 16 and 100 megapixels."""

_BYTES_PER_PIXEL_DECODED = 4.0

_LONGEST_SIDE: dict[Format | None, int] = {
    Format.JPEG: 65_500,
    Format.WEBP: 16_383,
    Format.AVIF: 16_384,
    Format.GIF: 65_535,
}
"""What a format, or libvips writing it, can hold; PNG holds more than any source that is let in."""


_PREVIEW_SIDE = 32
"""The longest side of a preview in pixels: what a placeholder is made from has no finer detail."""


@dataclass(frozen=True)
class Preview:
    """A picture so small that it can be looked into without libvips."""

    size: Size
    rgba: bytes
    """8-bit sRGB with alpha, row by row."""


@dataclass(frozen=True)
class Rendition:
    """One rendition of an image, encoded."""

    target: Target
    body: bytes
    size: Size


class SourceImage:
    """An uploaded image: its header is read, its pixels are not decoded yet.

    Raises UnsupportedImageError where the bytes are not an image of a format that is read here, and
    ImageTooLargeError where it is beyond the limits.
    """

    def __init__(self, body: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
        self._body = body
        self._limits = limits
        self._header = decoding.read_header(body, limits)
        self._decoded: tuple[_Pyramid, Size] | None = None

    @property
    def format(self) -> SourceFormat:
        """Its format, from its bytes."""
        return self._header.format

    @property
    def size(self) -> Size:
        """Its size when it stands upright."""
        return self._header.size

    @cached_property
    def _credits(self) -> Credits:
        return read_credits(self._header.fields)

    def render(self, targets: Sequence[Target], focal_point: Point | None = None) -> Iterator[Rendition]:
        """Yield the renditions, the larger before the smaller; none of `targets` is a copy.

        What `cover` keeps lies around `focal_point` where one is given, instead of at the spec's position.
        All pixels are decoded before the first rendition is yielded: DamagedImageError comes before any
        rendition or not at all.
        """
        groups: dict[tuple[bool, bool], list[Target]] = {}
        for target in targets:
            groups.setdefault((target.spec.trim, target.spec.keep_profile), []).append(target)
        by_group = {group: self._scaled(members, *group, len(groups)) for group, members in groups.items()}
        scaled = by_group.values()
        if groups:
            least_changed = min(groups)  # neither trimmed nor in other colours than sRGB, if there is a choice
            pyramid = by_group[least_changed][0][0]
            self._decoded = pyramid, pyramid.size if least_changed[0] else self.size
        encoded: dict[object, bytes] = {}
        for pyramids, work in scaled:
            for target, planned in work:
                # Two renditions that come out alike (the upper steps of a ladder for a small source) are one.
                alike = (planned, target.format, _recipe_but_for_its_name(target.spec))
                if alike not in encoded:
                    try:
                        encoded[alike] = self._render(target, planned, pyramids, focal_point)
                    except decoding.LIBVIPS_ERRORS as error:
                        raise DamagedImageError(
                            f"rendition {target.spec.name} of the {self.format} image cannot be made: "
                            f"{decoding.reason(error)}"
                        ) from error
                yield Rendition(target, encoded[alike], planned.output)

    def preview(self) -> Preview:
        """Return the first frame, very small, from what was decoded for the renditions.

        Raises ValueError before the first rendition was yielded.
        """
        if self._decoded is None:
            raise ValueError("expected renditions to be made before the preview but none were")
        pyramid, shape = self._decoded
        scale = min(1.0, _PREVIEW_SIDE / max(shape))
        # What was decoded for a rendition may have another shape than the picture, and be smaller still.
        size = Size(
            min(pyramid.size.width, max(1, round(shape.width * scale))),
            min(pyramid.size.height, max(1, round(shape.height * scale))),
        )
        return Preview(size, decoding.rgba(pyramid.at(size)))

    def _scaled(
        self, targets: Sequence[Target], trim: bool, keep_profile: bool, groups: int
    ) -> tuple[list["_Pyramid"], list[tuple[Target, Plan]]]:
        """Decode for these targets; return a pyramid for each frame, and the targets planned, the largest first."""
        frames = max(self._frames(target) for target in targets)
        size, images = self._header.size, []
        if trim:
            images = decoding.decode(self._body, self._header, size, frames, keep_profile=keep_profile)
            images = _trimmed(images)
            size = Size(images[0].width, images[0].height)
        work = [(target, _plan(size, target.spec)) for target in targets]
        for target, planned in work:
            self._check_output(target, planned, groups)
        work.sort(key=lambda item: item[1].resize.width * item[1].resize.height, reverse=True)
        if not trim:
            size = Size(
                min(size.width, max(planned.resize.width for _, planned in work)),
                min(size.height, max(planned.resize.height for _, planned in work)),
            )
            images = decoding.decode(self._body, self._header, size, frames, keep_profile=keep_profile)
        return [_Pyramid(image) for image in images], work

    def _check_output(self, target: Target, planned: Plan, groups: int) -> None:
        """Raise ImageTooLargeError for a rendition that its format cannot hold, or that is beyond the limits."""
        longest = _LONGEST_SIDE.get(target.format, max(planned.output))
        if max(planned.output) > longest:
            raise ImageTooLargeError(
                f"expected at most {longest:,} pixels a side for {target.format} but rendition {target.spec.name} "
                f"would have {planned.output.width:,} x {planned.output.height:,}: give it a width or a height"
            )
        largest = max(planned.resize, planned.output, key=lambda size: size.width * size.height)
        self._limits.check_pixels(*largest, self._frames(target), whole=False)
        # What is decoded for each group stays until all are done.
        bytes_per_pixel = _BYTES_PER_PIXEL_DECODED * (groups - 1)
        bytes_per_pixel += _BYTES_PER_PIXEL_RENDERED[target.format] if target.format else 0.0
        self._limits.check_memory(*largest, self._frames(target), bytes_per_pixel, len(self._body))

    def _frames(self, target: Target) -> int:
        moves = target.format is not None and target.format.is_animated and target.spec.animated
        return self._header.frames if moves else 1

    def _render(
        self, target: Target, planned: Plan, pyramids: Sequence["_Pyramid"], focal_point: Point | None
    ) -> bytes:
        spec, _, format = target
        if format is None:
            raise ValueError(f"{target.key} is a copy, which is not rendered")
        frames = [
            _compose(pyramid.at(planned.resize), planned, spec, focal_point)
            for pyramid in pyramids[: self._frames(target)]
        ]
        encoded = encoding.encode(
            frames,
            spec,
            format,
            delays=self._header.delays[: len(frames)],
            loop=self._header.loop,
            known=self._credits,
        )
        untouched = planned == Plan(self.size, None, None) and not (spec.trim or spec.sharpen)
        if untouched and len(encoded) >= len(self._body) and _SOURCE_FORMATS.get(self.format) is format:
            return self._stripped(spec, format, len(frames), encoded)
        return encoded

    def _stripped(self, spec: RenditionSpec, format: Format, frames: int, encoded: bytes) -> bytes:
        """Return the source's own pixels without its metadata, where that is smaller than `encoded`."""
        if frames != self._header.fields.get("n-pages", 1) or self._header.is_cmyk:  # which browsers do not show
            return encoded
        kept = self._credits if spec.keep_copyright else NO_CREDITS
        stripped = stripping.strip(self._body, format, self._header.orientation, kept)
        return stripped if stripped is not None and len(stripped) < len(encoded) else encoded


class _Pyramid:
    """A picture in memory at several sizes, each scaled from the next larger that is there."""

    def __init__(self, image: pyvips.Image) -> None:
        self._levels = [image]

    @property
    def size(self) -> Size:
        """The size of the largest."""
        return Size(self._levels[0].width, self._levels[0].height)

    def at(self, size: Size) -> pyvips.Image:
        """Return the picture at exactly this size."""
        larger = next(
            (i for i in reversed(self._levels) if i.width >= size.width and i.height >= size.height), self._levels[0]
        )
        if (larger.width, larger.height) == size:
            return larger
        image = decoding.resize(larger, size).copy_memory()
        self._levels.append(image)
        return image


def _plan(size: Size, spec: RenditionSpec) -> Plan:
    return plan(size, spec.width, spec.height, spec.fit, without_enlargement=spec.without_enlargement)


def _recipe_but_for_its_name(spec: RenditionSpec) -> RenditionSpec:
    """Return the recipe without what its pixels do not depend on once they are planned."""
    return replace(spec, name="", template=KeyTemplate("", None), width=None, height=None, cache_control=None)


def _trimmed(images: Sequence[pyvips.Image]) -> list[pyvips.Image]:
    """Return the frames without the border that the first has; as they are where that is all there is."""
    first = images[0]
    if min(first.width, first.height) < 3:  # too small for find_trim, which looks at 3 x 3 pixels
        return list(images)
    corner = first(0, 0)
    layers = [(first, corner)]
    if first.hasalpha():  # transparency is told from what stands in it, and colours from a border of one colour
        layers = [(first[: first.bands - 1], corner[:-1]), (first[first.bands - 1], corner[-1:])]
    boxes = [layer.find_trim(threshold=_TRIM_THRESHOLD, background=colour) for layer, colour in layers]
    boxes = [box for box in boxes if box[2] and box[3]]
    if not boxes:
        return list(images)
    left, top = (min(box[i] for box in boxes) for i in (0, 1))
    right, bottom = (max(box[i] + box[i + 2] for box in boxes) for i in (0, 1))
    return [image.crop(left, top, right - left, bottom - top) for image in images]


def _compose(image: pyvips.Image, planned: Plan, spec: RenditionSpec, focal_point: Point | None) -> pyvips.Image:
    """Return the scaled image cropped, or laid on its background."""
    if spec.sharpen:
        image = image.conv(pyvips.Image.new_from_list(_SHARPEN_KERNEL, scale=24), precision="integer")
    if planned.crop:
        if focal_point:
            left, top = offset_around(planned.resize, planned.crop, focal_point)
        elif spec.position in (Position.ATTENTION, Position.ENTROPY):
            return image.smartcrop(*planned.crop, interesting=spec.position.value)
        else:
            left, top = offset(planned.resize, planned.crop, spec.position)
        return image.crop(left, top, *planned.crop)
    if planned.canvas:
        if image.bands < 3:
            image = image.colourspace("srgb")
        if not image.hasalpha():
            image = image.addalpha()
        left, top = offset(planned.canvas, planned.resize, spec.position)
        return image.embed(left, top, *planned.canvas, extend="background", background=spec.background)
    return image
