"""Image bytes -> renditions. The only module that uses libvips."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyvips

from image_scaler.exceptions import DamagedImageError, ImageTooLargeError, UnsupportedImageError
from image_scaler.geometry import Plan, Position, Size, offset, plan
from image_scaler.renditions import Format, RenditionSpec, Target

# Nothing is looked up twice within one image, so a cache of operations would only hold memory.
pyvips.cache_set_max(0)

_LOADERS = {
    "jpegload_buffer": "JPEG",
    "pngload_buffer": "PNG",
    "webpload_buffer": "WebP",
    "gifload_buffer": "GIF",
    "heifload_buffer": "AVIF",
    "tiffload_buffer": "TIFF",
}
"""The loaders that uploads may reach. libvips tries every loader that is not blocked on every file, and those
for other formats (SVG, PDF, raw, ...) are not made for hostile input: CVE-2026-66066."""

pyvips.operation_block_set("VipsForeignLoad", True)
for _family in ("Jpeg", "Png", "Webp", "Nsgif", "Heif", "Tiff"):
    pyvips.operation_block_set(f"VipsForeignLoad{_family}", False)

PIXEL_LIMIT = 100_000_000
"""The most pixels that are decoded: width x height."""

_FAIL_ON = "fail_on=error"
"""Damaged pixels are an error, warnings are not: real phones write JPEGs that libjpeg warns of. As an option
string, because thumbnail_buffer ignores its parameter of that name (libvips/libvips#5195)."""


@dataclass(frozen=True)
class Rendition:
    """One rendition of an image, encoded."""

    target: Target
    body: bytes
    size: Size


class SourceImage:
    """An uploaded image: its header is read, its pixels are not decoded yet.

    Raises UnsupportedImageError where the bytes are not an image of a format that is read here, and
    ImageTooLargeError where it has more than PIXEL_LIMIT pixels.
    """

    def __init__(self, body: bytes) -> None:
        if not body:
            raise UnsupportedImageError("the object is empty: it has no bytes")
        self._body = body
        try:
            header = pyvips.Image.new_from_buffer(body, "", access="sequential")
        except pyvips.Error as error:
            raise UnsupportedImageError(
                f"expected an image ({', '.join(_LOADERS.values())}) but its {len(body)} bytes are none, "
                f"or its header is damaged: {_reason(error)}"
            ) from error
        self.format = _LOADERS[str(header.get("vips-loader"))]
        """The name of its format, from the bytes: JPEG PNG WebP GIF AVIF TIFF."""
        if self.format == "AVIF" and header.get("heif-compression") != "av1":
            raise UnsupportedImageError("HEIC images are not read: their HEVC pixels need a decoder that is not here")
        turned = header.get_typeof("orientation") != 0 and header.get("orientation") in (5, 6, 7, 8)
        self.size = Size(header.height, header.width) if turned else Size(header.width, header.height)
        """Its size when it stands upright."""
        if self.size.width * self.size.height > PIXEL_LIMIT:
            raise ImageTooLargeError(
                f"expected at most {PIXEL_LIMIT:,} pixels but received {self.size.width:,} x {self.size.height:,}"
            )

    def render(self, targets: Sequence[Target]) -> Iterator[Rendition]:
        """Yield the renditions, the largest first; none of `targets` is a copy.

        The image is decoded once, no larger than the largest rendition needs, turned upright and converted
        to sRGB; every smaller one is then scaled from the next larger. Pixels are decoded before the first
        is yielded: DamagedImageError comes before any rendition or not at all.
        """
        work = [(target, self._plan(target.spec)) for target in targets]
        if not work:
            return
        work.sort(key=lambda item: item[1].resize.width * item[1].resize.height, reverse=True)
        scaled = [self._decode([planned for _, planned in work])]
        for target, planned in work:
            image = _scale(scaled, planned.resize)
            image = _compose(image, planned, target.spec)
            yield Rendition(target, _encode(image, target), Size(image.width, image.height))

    def _plan(self, spec: RenditionSpec) -> Plan:
        return plan(self.size, spec.width, spec.height, spec.fit, without_enlargement=spec.without_enlargement)

    def _decode(self, plans: Sequence[Plan]) -> pyvips.Image:
        """Return the image in memory, upright, in 8-bit sRGB, as large as the largest plan needs it."""
        size = Size(
            min(self.size.width, max(planned.resize.width for planned in plans)),
            min(self.size.height, max(planned.resize.height for planned in plans)),
        )
        try:
            image = pyvips.Image.thumbnail_buffer(
                self._body,
                size.width,
                height=size.height,
                size="force",
                option_string=_FAIL_ON,
                output_profile="srgb",
            )
            if image.interpretation not in ("srgb", "b-w") or image.format != "uchar":
                image = image.colourspace("srgb").cast("uchar")
            image = image.copy_memory()
        except pyvips.Error as error:
            raise DamagedImageError(f"the {self.format} image cannot be decoded: {_reason(error)}") from error
        return _without_metadata(image)


def _scale(scaled: list[pyvips.Image], size: Size) -> pyvips.Image:
    """Return the image at a size, made from the last larger one; `scaled` keeps it for those to come."""
    larger = next(
        (image for image in reversed(scaled) if image.width >= size.width and image.height >= size.height),
        scaled[0],
    )
    if (larger.width, larger.height) == size:
        return larger
    image = larger.thumbnail_image(size.width, height=size.height, size="force", no_rotate=True).copy_memory()
    scaled.append(image)
    return image


def _compose(image: pyvips.Image, planned: Plan, spec: RenditionSpec) -> pyvips.Image:
    """Return the scaled image cropped, or laid on its background."""
    if planned.crop:
        if spec.position in (Position.ATTENTION, Position.ENTROPY):
            return image.smartcrop(planned.crop.width, planned.crop.height, interesting=spec.position.value)
        left, top = offset(planned.resize, planned.crop, spec.position)
        return image.crop(left, top, planned.crop.width, planned.crop.height)
    if planned.canvas:
        if image.bands < 3:
            image = image.colourspace("srgb")
        if not image.hasalpha():
            image = image.addalpha()
        left, top = offset(planned.canvas, planned.resize, spec.position)
        return image.embed(
            left,
            top,
            planned.canvas.width,
            planned.canvas.height,
            extend="background",
            background=spec.background,
        )
    return image


def _encode(image: pyvips.Image, target: Target) -> bytes:
    spec, format = target.spec, target.format
    if image.hasalpha() and (format is Format.JPEG or (spec.background[3] == 255 and image[-1].min() == 255)):
        # JPEG has no transparency; elsewhere an alpha channel without any only costs bytes.
        image = image.flatten(background=spec.background[:3])
    match format:
        case Format.JPEG:
            encoded = image.jpegsave_buffer(Q=spec.quality or 80, optimize_coding=True, keep="none")
        case Format.PNG:
            encoded = image.pngsave_buffer(compression=6, keep="none")
        case Format.WEBP:
            encoded = image.webpsave_buffer(Q=spec.quality or 80, effort=2, keep="none")
        case _:
            encoded = image.heifsave_buffer(Q=spec.quality or 50, compression="av1", effort=0, bitdepth=8, keep="none")
    return bytes(encoded)


def _without_metadata(image: pyvips.Image) -> pyvips.Image:
    """Return the image without the fields of its file: each would be done a second time, or leak."""
    image = image.copy()
    for field in image.get_fields():
        if field.endswith("-data") or field == "orientation":
            image.remove(field)
    return image


def _reason(error: pyvips.Error) -> str:
    """Return libvips' own words in one line, without its notes on seeking."""
    lines = (line.strip() for line in str(error).splitlines())
    return "; ".join(line for line in lines if line and not line.startswith("source: bad seek"))
