"""Image bytes -> renditions: each image is decoded once, and each rendition scaled from the next larger one."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pyvips
from msgspec import UNSET

from image_scaler.deadline import NO_DEADLINE, Deadline
from image_scaler.exceptions import DamagedImageError, ImageTooLargeError
from image_scaler.images import avif_sequence, decoding, encoding, stripping
from image_scaler.images.attribution import NO_CREDITS, Credits, read_credits
from image_scaler.images.encoding import LOSSLESS_WEBP_BYTES, MAX_SAMPLED_FRAMES
from image_scaler.images.gain_map import WHOLE, GainMap, Window, open_gain_map
from image_scaler.images.gain_map_file import UnusableMapError, join, joined_bytes
from image_scaler.images.header import Header, read_header
from image_scaler.images.overlay import OverlayPainter, overlay_memory
from image_scaler.images.quality_search import EncodedImage, SearchEffort
from image_scaler.images.target_quality import SCORING_BYTES, TargetQuality
from image_scaler.images.vips import VIPS_ERRORS, reason
from image_scaler.renditions.dependencies import decoded_alike, depends_on
from image_scaler.renditions.formats import Format
from image_scaler.renditions.geometry import Layout, Point, Position, Size, offset, offset_around
from image_scaler.renditions.limits import DECODED_BYTES, DEFAULT_LIMITS, FRAME_BYTES, Limits
from image_scaler.renditions.made import Chosen, DroppedMap, MadeRendition
from image_scaler.renditions.spec import RenditionSpec, RenditionTarget

TRIM_THRESHOLD = 10
"""How far a pixel may differ from the colour of the top left corner and still belong to the border: sharp's."""

SMART_POSITIONS = (Position.ATTENTION, Position.ENTROPY)
"""The positions that depend on the pixels."""

_SHARPEN_KERNEL = [[-1, -1, -1], [-1, 32, -1], [-1, -1, -1]]
"""sharp's mild sharpening, divided by 24."""

MAX_LOSSLESS_PIXELS = 4_000_000
"""Of all frames, for a WebP without loss that nobody asked for: it takes a second for each million."""

MAX_PREVIEW_SIDE = 32
"""The longest side of a preview in pixels: placeholders have no finer detail."""


@dataclass(frozen=True)
class Preview:
    """A very small picture, as plain bytes."""

    size: Size
    rgba: bytes
    """8-bit sRGB with alpha, row by row."""


@dataclass(frozen=True)
class Rendition:
    """One rendition of an image, encoded."""

    target: RenditionTarget
    body: bytes
    made: MadeRendition
    is_larger: bool = False
    """Whether it is not to be stored, because a later format of its step is no larger (`skip_larger`)."""

    @property
    def size(self) -> Size:
        """Its size in pixels."""
        return Size(self.made.width or 0, self.made.height or 0)


class _TargetLayout(NamedTuple):
    """A target with its sizes."""

    target: RenditionTarget
    plan: Layout


class _Group(NamedTuple):
    """Targets that are scaled from the same decoded pixels."""

    size: Size
    """The size of the picture after `trim`."""
    window: Window
    """What `trim` leaves of the picture."""
    pyramids: Sequence["_Pyramid"]
    """One for each frame."""
    planned: Sequence[_TargetLayout]
    """The largest first."""


class _Source(NamedTuple):
    """What all renditions of an image share."""

    body: bytes
    header: Header
    credits: Credits
    focal_point: Point | None
    pyramid: "_Pyramid"
    """The first frame as it is least changed, for the preview."""
    shape: Size
    """The size of that picture."""
    gain_map: GainMap | DroppedMap | None
    """For those renditions that keep it, or why none can; None if the source has none or no rendition needs it."""


class SourceImage:
    """An uploaded image: its header is read, its pixels are not decoded yet.

    Raises UnsupportedImageError if the bytes are not an image of a format that is read here, and ImageTooLargeError if
    it is beyond the limits.
    """

    def __init__(self, body: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
        self._body = body
        self._limits = limits
        self._header = read_header(body, limits)

    @property
    def format(self) -> Format:
        """Its format, from its bytes."""
        return self._header.format

    @property
    def size(self) -> Size:
        """Its size when upright."""
        return self._header.size

    @property
    def frames(self) -> int:
        """How many pictures it shows one after the other; 1 if it is no animation."""
        return self._header.frames

    def render(
        self,
        targets: Sequence[RenditionTarget],
        focal_point: Point | None = None,
        deadline: Deadline = NO_DEADLINE,
        search_effort: SearchEffort | None = None,
    ) -> "Rendering":
        """Decode the image for at least one target; the renditions are made when the result is iterated over.

        `cover` keeps what is around `focal_point` if it is given, instead of the spec's position. What the searches for
        the best quality take is added to `search_effort`, and they are cut short at the deadline. Raises
        DamagedImageError if the pixels cannot be decoded, and ImageTooLargeError if a rendition is beyond the limits:
        both before any rendition is made.
        """
        by_pixels: dict[tuple[bool, bool], list[RenditionTarget]] = {}
        for target in targets:
            by_pixels.setdefault(decoded_alike(target.spec), []).append(target)
        overlays = overlay_memory(target.spec.overlay for target in targets)
        groups = {
            pixels: self._decode_for(members, *pixels, len(by_pixels), overlays)
            for pixels, members in by_pixels.items()
        }
        least_changed = min(groups)  # neither trimmed nor in other colours than sRGB, if there is a choice
        pyramid = groups[least_changed].pyramids[0]
        shape = pyramid.size if least_changed[0] else self.size
        members = list(groups.values())
        credits = read_credits(self._header.fields, self._body)
        gain_map = self._open_gain_map(members, overlays) if any(map(_keeps_gain_map, targets)) else None
        source = _Source(self._body, self._header, credits, focal_point, pyramid, shape, gain_map)
        return Rendering(source, members, targets, deadline, search_effort or SearchEffort())

    def _decode_for(
        self, targets: Sequence[RenditionTarget], trim: bool, keep_profile: bool, groups: int, overlays: int
    ) -> _Group:
        """Decode at the smallest scale that these targets need, and plan them.

        `groups`: how many there are of such targets; `overlays`: the memory of all overlays in bytes.
        """
        size, images, window = self._header.size, [], WHOLE
        if trim:
            frames = max(_max_frame_count(self._header, target) for target in targets)
            images = decoding.decode(self._body, self._header, size, frames, keep_profile=keep_profile)
            images, window = _trim(images)
            size = Size(images[0].width, images[0].height)
        whole = size
        planned = [_TargetLayout(target, target.lay_out(size)) for target in targets]
        for item in planned:
            self._check_output(item, groups, overlays)
        planned.sort(key=lambda item: item.plan.resize.width * item.plan.resize.height, reverse=True)
        if not trim:
            size = Size(
                min(size.width, max(item.plan.resize.width for item in planned)),
                min(size.height, max(item.plan.resize.height for item in planned)),
            )
            frames = max(_frame_count(self._header, item) for item in planned)
            images = decoding.decode(self._body, self._header, size, frames, keep_profile=keep_profile)
        return _Group(whole, window, [_Pyramid(image) for image in images], planned)

    def _open_gain_map(self, groups: Sequence[_Group], overlays: int) -> GainMap | DroppedMap | None:
        """Return the gain map for the renditions that keep it, why none can, or None if the source has none."""
        kept = [(item, group) for group in groups for item in group.planned if _keeps_gain_map(item.target)]
        try:
            gain_map = open_gain_map(self._body, self._header, self._limits)
            if gain_map is not None:
                for item, group in kept:
                    self._check_output(item, len(groups), overlays + gain_map.memory(_scale(item, group)))
        except ImageTooLargeError:
            return DroppedMap.TOO_LARGE
        except UnusableMapError as error:
            return error.reason
        return gain_map

    def _check_output(self, item: _TargetLayout, groups: int, held: int) -> None:
        """Raise ImageTooLargeError if a rendition is beyond the limits; `held`: bytes of memory for something else."""
        spec, format = item.target.spec, item.target.format
        largest = max(item.plan.resize, item.plan.output, key=lambda size: size.width * size.height)
        frames = _frame_count(self._header, item)
        self._limits.check_pixels(*largest, frames, must_buffer=False)
        # The decoded pixels of every group stay in memory until all are done.
        encoding_bytes = format.traits.encoding_bytes or 0.0
        if frames > 1 and format.traits.animation:
            width, height = item.plan.output
            effort = spec.effort_for(format, width * height * frames, is_animated=True)
            encoding_bytes = format.traits.animation.bytes_at(effort)
        if spec.lossless and format is Format.WEBP:
            encoding_bytes = LOSSLESS_WEBP_BYTES
        if spec.goal_for(format):
            encoding_bytes = max(encoding_bytes, SCORING_BYTES * min(frames, MAX_SAMPLED_FRAMES))
        # Of an animation all frames are held, and one after the other is encoded.
        held_bytes = DECODED_BYTES * (groups - 1) if frames == 1 else FRAME_BYTES * frames * groups
        other_bytes = len(self._body) + held
        self._limits.check_memory(*largest, frames, (held_bytes + encoding_bytes) / frames, other_bytes)


class Rendering:
    """The renditions of a decoded image. Iterate over it: they come one by one.

    The larger come before the smaller, unless a quality has to be searched. Then it is the other way round: a trial of
    a small rendition costs little, and tells where to begin with the larger ones.
    """

    def __init__(
        self,
        source: _Source,
        groups: Sequence[_Group],
        targets: Sequence[RenditionTarget],
        deadline: Deadline,
        search_effort: SearchEffort,
    ) -> None:
        """See SourceImage.render."""
        self._source = source
        self._groups = groups
        self._targets = targets
        self._deadline = deadline
        self._search_effort = search_effort
        self._kept_points: dict[RenditionSpec, Point] = {}
        self._painter = OverlayPainter()

    def __iter__(self) -> Iterator[Rendition]:
        """Yield each rendition when it is encoded; raises DamagedImageError if libvips cannot make one."""
        return self.select(self._targets)

    def select(self, targets: Collection[RenditionTarget]) -> Iterator[Rendition]:
        """Yield some of the renditions, with the same bytes as among all of them; raises like `__iter__`.

        The others are scaled, because smaller renditions are scaled from them, and encoded if the bytes of the chosen
        ones depend on them.
        """
        # It begins again each time: what it learns from some renditions decides the bytes of the others.
        target_quality = TargetQuality(self._deadline, self._search_effort)
        encoded: dict[object, tuple[EncodedImage, bool | DroppedMap | None]] = {}
        steps: dict[str, list[Rendition]] = {}
        for group in self._groups:
            for item in self._in_order(group):
                if item.target not in targets and not any(depends_on(target, item.target) for target in targets):
                    self._scale(item, group)
                    continue
                # Two renditions with equal pixels (the upper steps of a ladder for a small source) are encoded once.
                pixels = (item.plan, item.target.format, item.target.spec.pixel_options)
                if pixels not in encoded:
                    try:
                        encoded[pixels] = self._render(item, group, target_quality)
                    except VIPS_ERRORS as error:
                        title = self._source.header.format.traits.title
                        raise DamagedImageError(
                            f"cannot make rendition {item.target.spec.name} of the {title}", reason(error)
                        ) from error
                frames = _frame_count(self._source.header, item)
                rendition = _rendition(item, *encoded[pixels], is_animated=frames > 1)
                if not item.target.spec.skip_larger:
                    if item.target in targets:
                        yield rendition
                    continue
                step = steps.setdefault(item.target.spec.name, [])
                step.append(rendition)
                if len(step) == sum(other.target.spec.name == item.target.spec.name for other in group.planned):
                    compared = _compare_formats(step, self._targets)
                    yield from (rendition for rendition in compared if rendition.target in targets)

    def _in_order(self, group: _Group) -> Sequence[_TargetLayout]:
        """Return the planned renditions, the largest first, or last if a quality has to be searched."""
        if not any(item.target.spec.goal_for(item.target.format) for item in group.planned):
            return group.planned
        for item in group.planned:  # each size is still scaled from the next larger one
            self._scale(item, group)
        return group.planned[::-1]

    def _scale(self, item: _TargetLayout, group: _Group) -> None:
        """Scale the frames for a rendition, and keep them: smaller ones are scaled from these."""
        for pyramid in group.pyramids[: _frame_count(self._source.header, item)]:
            pyramid.at(item.plan.resize)

    def original(self, target: RenditionTarget) -> pyvips.Image:
        """Return the first frame of one of the renditions, in memory, as it is before it is encoded."""
        group, item = next((group, item) for group in self._groups for item in group.planned if item.target == target)
        larger = group.planned[: group.planned.index(item) + 1]
        image = [group.pyramids[0].at(each.plan.resize) for each in larger][-1]
        composed = _compose(image, item.plan, target.spec, self._kept_point(item, group))
        return self._draw_overlay(composed, target.spec).copy_memory()

    @property
    def has_alpha(self) -> bool:
        """Whether the source has an alpha channel."""
        return self._source.pyramid.has_alpha

    def preview(self) -> Preview:
        """Return the first frame, very small; cheapest after the renditions were made."""
        scale = min(1.0, MAX_PREVIEW_SIDE / max(self._source.shape))
        # The pixels decoded for a rendition may have another shape than the picture, and be smaller still.
        size = Size(
            min(self._source.pyramid.size.width, max(1, round(self._source.shape.width * scale))),
            min(self._source.pyramid.size.height, max(1, round(self._source.shape.height * scale))),
        )
        return Preview(size, decoding.rgba(self._source.pyramid.at(size)))

    def _kept_point(self, item: _TargetLayout, group: _Group) -> Point | None:
        """Return the point that a crop keeps; None if the position says it, or the pixels of this size alone.

        The crops of a ladder with an aspect ratio show the same part: the one that is chosen in its largest step.
        """
        spec = item.target.spec
        if self._source.focal_point or not spec.ratio or spec.position not in SMART_POSITIONS:
            return self._source.focal_point
        steps = (other for other in group.planned if other.target.spec.pixel_options == spec.pixel_options)
        largest = next(steps).plan
        if largest.crop is None:
            return None
        if spec.pixel_options not in self._kept_points:
            image = group.pyramids[0].at(largest.resize)
            crop = image.smartcrop(*largest.crop, interesting=spec.position.value)
            middle = (crop.width / 2 - crop.xoffset, crop.height / 2 - crop.yoffset)
            self._kept_points[spec.pixel_options] = Point(middle[0] / image.width, middle[1] / image.height)
        return self._kept_points[spec.pixel_options]

    def _render(
        self, item: _TargetLayout, group: _Group, target_quality: TargetQuality
    ) -> tuple[EncodedImage, bool | DroppedMap | None]:
        """Return a rendition, and whether it has the gain map of its source, or why not; None if it needs none."""
        spec, format = item.target.spec, item.target.format
        target = spec.goal_for(format)
        count = _frame_count(self._source.header, item)
        point = self._kept_point(item, group)
        pictures = [pyramid.at(item.plan.resize) for pyramid in group.pyramids[:count]]
        composed = [_compose(picture, item.plan, spec, point) for picture in pictures]
        frames = [self._draw_overlay(picture, spec) for picture in composed]
        if target:  # they are encoded more than once
            frames = [frame.copy_memory() for frame in frames]
        gain_map = self._make_gain_map(item, group, composed[0]) if _keeps_gain_map(item.target) else None
        encoder = encoding.Encoder(
            frames,
            spec,
            format,
            delays=self._source.header.delays[:count],
            loop=self._source.header.loop,
            credits=self._source.credits,
            gain_map_bytes=joined_bytes(gain_map) if isinstance(gain_map, bytes) else 0,
        )
        if target:
            pixels = (item.plan, spec.pixel_options, encoder.pixels.bands, count)
            encoded = target_quality.encode(encoder, spec, format, target, pixels)
        else:
            quality = spec.fixed_quality(format)
            quality, body = encoder.fit(quality, encoder.encode(quality), self._deadline)
            encoded = EncodedImage(body, quality)
        if not isinstance(gain_map, bytes):
            return self._own_pixels(item, count, encoder, encoded, with_map=False), gain_map
        encoded = encoded._replace(body=join(encoded.body, gain_map))
        return self._own_pixels(item, count, encoder, encoded, with_map=True), True

    def _own_pixels(
        self, item: _TargetLayout, count: int, encoder: encoding.Encoder, encoded: EncodedImage, *, with_map: bool
    ) -> EncodedImage:
        """Return the source's own pixels if these are what is asked for, and smaller; or else `encoded`."""
        spec, format = item.target.spec, item.target.format
        is_changed = spec.trim or spec.sharpen or spec.overlay
        has_own_pixels = item.plan == Layout(self._source.header.size, None, None) and not is_changed
        if not has_own_pixels or len(encoded.body) < len(self._source.body):
            return encoded
        if self._source.header.format is format:
            return self._strip_source(item.target, count, encoded, with_map=with_map)
        if format is Format.WEBP and not spec.lossless and self._may_be_smaller_without_loss(item, count):
            lossless = encoder.encode_lossless()
            return EncodedImage(lossless, chosen=Chosen.LOSSLESS) if len(lossless) < len(encoded.body) else encoded
        return encoded

    def _may_be_smaller_without_loss(self, item: _TargetLayout, frames: int) -> bool:
        """Return whether a WebP without loss may be smaller: of few colours, as in a GIF or a text, it often is.

        Of a photograph it never is, and of 7 megapixels it would take 8 s.
        """
        pixels = item.plan.output.width * item.plan.output.height * frames
        is_lossy = self._source.header.format in (Format.JPEG, Format.AVIF, Format.HEIC)
        return not is_lossy and pixels <= MAX_LOSSLESS_PIXELS and self._deadline.has_time()

    def _draw_overlay(self, image: pyvips.Image, spec: RenditionSpec) -> pyvips.Image:
        return self._painter.draw(image, spec.overlay) if spec.overlay else image

    def _strip_source(
        self, target: RenditionTarget, frames: int, encoded: EncodedImage, *, with_map: bool
    ) -> EncodedImage:
        """Return the source's own pixels without its metadata if that is smaller than `encoded`, or else `encoded`."""
        header, gain_map = self._source.header, self._source.gain_map
        if frames != header.fields.get("n-pages", 1):
            return encoded
        if header.is_cmyk or header.coding:  # not every browser shows CMYK, PQ or a PNG's gAMA
            return encoded
        credits = self._source.credits if target.spec.keep_copyright else NO_CREDITS
        stripped = stripping.strip(self._source.body, target.format, header.orientation, credits)
        if stripped is not None and with_map and isinstance(gain_map, GainMap):
            stored = gain_map.as_stored()
            stripped = stored and join(stripped, stored)
        if stripped is None or len(stripped) >= len(encoded.body):
            return encoded
        return EncodedImage(stripped, chosen=Chosen.SOURCE)

    def _make_gain_map(self, item: _TargetLayout, group: _Group, composed: pyvips.Image) -> bytes | DroppedMap | None:
        """Return the gain map of a rendition, or why it gets none; None if the source has none."""
        gain_map, spec = self._source.gain_map, item.target.spec
        if not isinstance(gain_map, GainMap):
            return gain_map
        try:
            if not decoding.keeps_colours(self._source.body, spec.keep_profile) and gain_map.needs_base_colours():
                return DroppedMap.COLOURS
            window = _window(item.plan, spec, composed).within(group.window)
            covered = self._painter.opacity(composed, spec.overlay) if spec.overlay else None
            made = gain_map.encode(window, _scale(item, group), covered)
        except UnusableMapError as error:
            return error.reason
        return DroppedMap.MAX_BYTES if spec.max_bytes and joined_bytes(made) > spec.max_bytes / 2 else made


def _compare_formats(step: Sequence[Rendition], targets: Sequence[RenditionTarget]) -> Iterator[Rendition]:
    """Yield the renditions of a step, marked if a later one in the order of `targets` is no larger.

    A still picture is always smaller than an animation, and no replacement for it. Nor is a picture without a gain map
    for one with it.
    """
    smallest: dict[tuple[bool, bool], int] = {}
    for rendition in sorted(step, key=lambda rendition: targets.index(rendition.target), reverse=True):
        size, kind = len(rendition.body), (rendition.made.animated, rendition.made.hdr is True)
        yield replace(rendition, is_larger=kind in smallest and size >= smallest[kind])
        smallest[kind] = min(size, smallest.get(kind, size))


def _keeps_gain_map(target: RenditionTarget) -> bool:
    return target.spec.hdr == "keep" and target.spec.has_effect("hdr", target.format)


def _scale(item: _TargetLayout, group: _Group) -> tuple[float, float]:
    """Return by what the picture is scaled for a rendition, in width and height."""
    return item.plan.resize.width / group.size.width, item.plan.resize.height / group.size.height


def _window(planned: Layout, spec: RenditionSpec, composed: pyvips.Image) -> Window:
    """Return what `_compose` has made a rendition of: a part of the scaled image, or more than that."""
    resize, output = planned.resize, planned.output
    left, top = 0, 0
    if planned.crop:
        left, top = -composed.xoffset, -composed.yoffset  # libvips notes the place of a crop
    elif planned.canvas:
        left, top = (-place for place in offset(planned.canvas, planned.resize, spec.position))
    return Window(left / resize.width, top / resize.height, output.width / resize.width, output.height / resize.height)


def _rendition(
    item: _TargetLayout, encoded: EncodedImage, hdr: bool | DroppedMap | None, *, is_animated: bool
) -> Rendition:
    target, output = item.target, item.plan.output
    has_quality = target.format.traits.default_quality is not None and not target.spec.lossless
    made = MadeRendition(
        name=target.spec.name,
        key=target.key,
        width=output.width,
        height=output.height,
        bytes=len(encoded.body),
        type=target.format.traits.media_type,
        quality=encoded.quality if has_quality else None,
        score=encoded.score,
        searched=encoded.is_searched,
        animated=is_animated,
        chosen=encoded.chosen or UNSET,
        hdr=UNSET if hdr is None else hdr is True,
        hdr_dropped=hdr if isinstance(hdr, DroppedMap) else UNSET,
    )
    return Rendition(target, encoded.body, made)


class _Pyramid:
    """A picture in memory at several sizes, each scaled from the next larger one."""

    def __init__(self, image: pyvips.Image) -> None:
        self._levels = [image]

    @property
    def size(self) -> Size:
        """The size of the largest."""
        return Size(self._levels[0].width, self._levels[0].height)

    @property
    def has_alpha(self) -> bool:
        """Whether it has an alpha channel."""
        return bool(self._levels[0].hasalpha())

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


def _frame_count(header: Header, item: _TargetLayout) -> int:
    """Return how many frames a rendition shows."""
    frames = _max_frame_count(header, item.target)
    return item.target.spec.frames_in(item.target.format, item.plan.output, frames)


def _max_frame_count(header: Header, target: RenditionTarget) -> int:
    """Return how many frames a rendition shows if it is small enough."""
    can_move = target.format is not Format.AVIF or avif_sequence.is_available()
    return target.spec.frames_in(target.format, Size(1, 1), header.frames) if can_move else 1


def _trim(images: Sequence[pyvips.Image]) -> tuple[list[pyvips.Image], Window]:
    """Return the frames without the border of the first one, and the part that is left of it.

    They are unchanged if the picture is all border.
    """
    first = images[0]
    if min(first.width, first.height) < 3:  # find_trim needs 3 x 3 pixels
        return list(images), WHOLE
    corner = first(0, 0)
    layers = [(first, corner)]
    if first.hasalpha():  # alpha and colours may each have a border
        layers = [(first[: first.bands - 1], corner[:-1]), (first[first.bands - 1], corner[-1:])]
    boxes = [layer.find_trim(threshold=TRIM_THRESHOLD, background=colour) for layer, colour in layers]
    boxes = [box for box in boxes if box[2] and box[3]]
    if not boxes:
        return list(images), WHOLE
    left, top = (min(box[i] for box in boxes) for i in (0, 1))
    right, bottom = (max(box[i] + box[i + 2] for box in boxes) for i in (0, 1))
    width, height = right - left, bottom - top
    window = Window(left / first.width, top / first.height, width / first.width, height / first.height)
    return [image.crop(left, top, width, height) for image in images], window


def _compose(image: pyvips.Image, planned: Layout, spec: RenditionSpec, focal_point: Point | None) -> pyvips.Image:
    """Return the scaled image cropped, or on its background."""
    if spec.sharpen:
        image = image.conv(pyvips.Image.new_from_list(_SHARPEN_KERNEL, scale=24), precision="integer")
    if planned.crop:
        if focal_point:
            left, top = offset_around(planned.resize, planned.crop, focal_point)
        elif spec.position in SMART_POSITIONS:
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
        return image.embed(left, top, *planned.canvas, extend="background", background=spec.background_rgba)
    return image
