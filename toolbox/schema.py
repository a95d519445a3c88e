"""`python -m toolbox.schema`: write renditions.schema.json, by which editors know renditions.toml."""

import json
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from image_scaler.renditions.limits import LimitOptions
from image_scaler.renditions.toml import NAME, InputsTable, RenditionTable, RuleTable, TopLevel
from toolbox.stack import ROOT

PATH = ROOT / "renditions.schema.json"

_Name = Annotated[str, Meta(pattern=f"^{NAME}$")]


class RenditionsFile(TopLevel, forbid_unknown_fields=True, kw_only=True):
    """What an upload becomes."""

    renditions: dict[_Name, RenditionTable]
    rules: list[RuleTable] = msgspec.field(default_factory=list)
    limits: LimitOptions = msgspec.field(default_factory=LimitOptions)
    inputs: InputsTable = msgspec.field(default_factory=InputsTable)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of renditions.toml, from the types that it is checked with."""
    found: dict[str, Any] = msgspec.json.schema(RenditionsFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "renditions.toml", **found}


def text() -> str:
    """Return it as the file holds it."""
    # Where a text ends is `\Z` in Python's patterns, and `$` in those of JSON Schema.
    return json.dumps(schema(), indent=2).replace("\\\\Z", "$") + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
