"""Explain what an upload becomes, without an image."""

from typing import NamedTuple

from image_scaler.renditions.spec import CopyTarget, Renditions, RenditionTarget, Target


class Explained(NamedTuple):
    """An object that the function would write."""

    name: str
    """Of the rendition, or `manifest`."""
    key: str
    format: str | None
    """None for a copy."""
    description: str


def explain(key: str, renditions: Renditions) -> list[Explained]:
    """Return what would be written for an upload under a key.

    Raises DestinationKeyError if a destination key would be longer than S3 allows.
    """
    plan = renditions.plan_for(key)
    found = [Explained(target.spec.name, target.key, _format(target), _describe(target)) for target in plan.targets]
    if plan.manifest_key:
        found.append(Explained("manifest", plan.manifest_key, "json", "the list of renditions, in JSON"))
    return found


def _format(target: Target) -> str | None:
    return None if isinstance(target, CopyTarget) else target.format


def _describe(target: Target) -> str:
    if isinstance(target, CopyTarget):
        return "copy, byte for byte, with all metadata"
    spec = target.spec
    box = f"{spec.width or 'any'} x {spec.height or 'any'}, " if spec.width or spec.height else ""
    fit = f"{spec.fit}, " if spec.width and spec.height else ""
    return f"{box}{fit}{target.format}{_describe_quality(target)}"


def _describe_quality(target: RenditionTarget) -> str:
    """Return which quality is searched for; nothing if it is fixed."""
    wanted = target.spec.searched_target(target.format)
    if wanted is None:
        return ""
    return f", quality from {wanted.min} to {wanted.max} for a score of {wanted.target:g}"
