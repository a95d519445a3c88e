"""`python -m toolbox.schema`: write the JSON Schemas: of renditions.toml for editors, of manifests for programs."""

import json
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from image_scaler.manifest import Manifest
from image_scaler.renditions import toml
from image_scaler.renditions.recipe import PictureChoice
from image_scaler.renditions.toml import NAME, RenditionTable, RuleTable
from toolbox.stack import ROOT

_Name = Annotated[str, Meta(pattern=f"^{NAME}$")]


class RenditionsFile(toml.RenditionsFile, forbid_unknown_fields=True, kw_only=True):
    """The renditions of each upload."""

    renditions: dict[_Name, RenditionTable]
    rules: list[RuleTable] = msgspec.field(default_factory=list)
    pictures: list[PictureChoice] = msgspec.field(default_factory=list)


class Schema(NamedTuple):
    """A JSON Schema, generated from the type that validates or writes a file."""

    path: Path
    title: str
    type: type[msgspec.Struct]

    def text(self) -> str:
        """Return the content of its file."""
        draft = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": self.title}
        # Python's patterns write the end of a text as `\Z`, JSON Schema's as `$`.
        return json.dumps(draft | msgspec.json.schema(self.type), indent=2).replace("\\\\Z", "$") + "\n"


RENDITIONS = Schema(ROOT / "renditions.schema.json", "renditions.toml", RenditionsFile)
MANIFEST = Schema(ROOT / "manifest.schema.json", "manifests/<key>.json", Manifest)

if __name__ == "__main__":
    for schema in (RENDITIONS, MANIFEST):
        schema.path.write_text(schema.text(), encoding="utf-8")
