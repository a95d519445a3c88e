"""`image-scaler explain`: what an upload becomes, without an image."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from image_scaler.exceptions import DestinationKeyError
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.spec import CopyTarget, RenditionTarget, Target
from image_scaler.text import on_one_line
from toolbox import stack
from toolbox.console import make_table, out, print_error, print_json


class Explained(NamedTuple):
    """An object that the function would write."""

    name: str
    """Of the rendition, or `manifest`."""
    key: str
    format: str | None
    """None for a copy."""
    description: str


def explain(keys: Sequence[str], recipe: Recipe, *, as_json: bool) -> int:
    """Print what would be written for an upload under each key; return the exit code."""
    is_source = stack.source_filter()
    table = make_table("source", "rendition", "key", "what")
    is_rejected = False
    for key in keys:
        name = on_one_line(key)
        try:
            explained = explain_key(key, recipe)
        except DestinationKeyError as error:
            is_rejected = True
            print_error(str(error))
            continue
        rule = recipe.rule_for(key)
        for note in notes(key, recipe, is_source=is_source(key)):
            table.add_row(name, "", "", note)
            name = ""
        for target in explained:
            if as_json:
                print_json(
                    {
                        "source": key,
                        "invokes": is_source(key),
                        "rule": rule.pattern.text if rule else None,
                        "name": target.name,
                        "key": target.key,
                        "format": target.format,
                    }
                )
            table.add_row(name, target.name, on_one_line(target.key), target.description)
            name = ""
    if not as_json and table.rows:
        out.print(table)
    return 1 if is_rejected else 0


def notes(key: str, recipe: Recipe, *, is_source: bool) -> Iterator[str]:
    """Yield what to know before the renditions: whether an upload invokes anything, and which rule decides."""
    if not is_source:
        yield f"{stack.INVOKES_NOTHING}; a direct call of the function would make:"
    rule = recipe.rule_for(key)
    if rule is None:
        if recipe.patterns:
            yield "no rule matches: every rendition is made"
    elif rule.renditions:
        yield f"the rule {rule.pattern.text} matches"
    else:
        yield f"the rule {rule.pattern.text} matches, and has no renditions: nothing is made"


def explain_key(key: str, recipe: Recipe) -> list[Explained]:
    """Return what would be written for an upload under a key.

    Raises DestinationKeyError if a destination key would be longer than S3 allows.
    """
    plan = recipe.plan_for(key)
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
    box = f"{' x '.join(str(side or 'any') for side in spec.box)}, " if any(spec.box) else ""
    fit = f"{spec.fit}, " if all(spec.box) else ""
    overlay = f", {spec.overlay.image} of {spec.overlay.width} at {spec.overlay.position}" if spec.overlay else ""
    gain_map = ", with the gain map of its source" if spec.hdr and spec.has_effect("hdr", target.format) else ""
    return f"{box}{fit}{target.format}{_describe_quality(target)}{gain_map}{overlay}"


def _describe_quality(target: RenditionTarget) -> str:
    """Return which quality is searched for; nothing if it is fixed."""
    wanted = target.spec.goal_for(target.format)
    if wanted is None:
        return ""
    return f", quality from {wanted.min} to {wanted.max} for a score of {wanted.target:g}"
