"""`python -m toolbox.schema`: write renditions.schema.json, which lets editors complete renditions.toml."""

import json
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from image_scaler.renditions import toml
from image_scaler.renditions.toml import NAME, RenditionTable, RuleTable
from toolbox.stack import ROOT

PATH = ROOT / "renditions.schema.json"

_Name = Annotated[str, Meta(pattern=f"^{NAME}$")]


class RenditionsFile(toml.RenditionsFile, forbid_unknown_fields=True, kw_only=True):
    """The renditions of each upload."""

    renditions: dict[_Name, RenditionTable]
    rules: list[RuleTable] = msgspec.field(default_factory=list)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of renditions.toml, generated from the types that validate it."""
    found: dict[str, Any] = msgspec.json.schema(RenditionsFile)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "renditions.toml", **found}


def text() -> str:
    """Return the content of renditions.schema.json."""
    # Python's patterns write the end of a text as `\Z`, JSON Schema's as `$`.
    return json.dumps(schema(), indent=2).replace("\\\\Z", "$") + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
