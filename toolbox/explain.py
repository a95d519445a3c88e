"""Explain what an upload becomes, without an image."""

from typing import NamedTuple

from image_scaler.renditions.spec import CopyTarget, Renditions, Target


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
        return "copy, byte for byte"
    spec = target.spec
    box = f"{spec.width or 'any'} x {spec.height or 'any'}, " if spec.width or spec.height else ""
    fit = f"{spec.fit}, " if spec.width and spec.height else ""
    return f"{box}{fit}{target.format}"
