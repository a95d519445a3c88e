"""What the bytes of a rendition depend on besides its source and its own options: other renditions of the same plan."""

from collections.abc import Collection

from image_scaler.renditions.geometry import Size
from image_scaler.renditions.spec import RenditionSpec, RenditionTarget


def depends_on(target: RenditionTarget, other: RenditionTarget) -> bool:
    """Return whether the bytes of a rendition depend on another one; of itself: on any other.

    A searched quality begins where other renditions of its ladder led to, and a step may leave out its larger formats.
    """
    are_searched = all(one.spec.goal_for(one.format) is not None for one in (target, other))
    are_searched = are_searched and target.spec.pixel_options == other.spec.pixel_options
    are_compared = target.spec.skip_larger and target.spec.name == other.spec.name
    return are_searched or are_compared


def decoded_alike(spec: RenditionSpec) -> tuple[bool, bool]:
    """Return what is equal for renditions that are scaled from the same decoded pixels."""
    return spec.trim, spec.keep_profile


def scaled_from(
    target: RenditionTarget, targets: Collection[RenditionTarget], source: Size | None
) -> list[tuple[object, ...]]:
    """Return the sizes from which a rendition may be scaled: they have an influence on its pixels.

    Without the size of the source, or of what is left of it after `trim`, these are the options that decide the sizes.
    """
    spec = target.spec
    group = [other for other in targets if decoded_alike(other.spec) == decoded_alike(spec)]
    if source is None or spec.trim:
        options = ((one.spec.box, one.spec.ratio, one.spec.fit, one.spec.without_enlargement) for one in group)
        return sorted(set(options), key=repr)
    own, sizes = target.lay_out(source).resize, {other.lay_out(source).resize for other in group}
    return sorted(size for size in sizes if size.width >= own.width and size.height >= own.height)
