"""What the server and its processes say to each other, in JSON: a Request, then Messages until Done or Failed."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from image_scaler.renditions.made import MadeRendition

Operation = Literal["render", "score", "refer"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Work on some columns of a picture."""

    operation: Operation
    """Render the columns, score rendered ones, or make the source with the size and the crop of one."""
    path: str
    key: str
    recipe: str
    """The text of renditions.toml."""
    recipe_folder: str
    """Has the images of its overlays."""
    columns: tuple[str, ...]
    focal_point: tuple[float, float] | None
    folder: str
    """The folder of the files that are made."""
    is_first: bool = False
    """Render: whether the page has no view of the picture yet."""
    files: Mapping[str, str] = {}
    """Score: the rendered file of each column."""
    is_report: bool = False
    """Refer: for a file without a server, in which a lossless picture is too large."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """An answer of a process; each kind is a class."""


class Header(Message, frozen=True, kw_only=True, tag="header"):
    """The source was read."""

    format: str
    width: int
    height: int
    etag: str


class Decoded(Message, frozen=True, kw_only=True, tag="decoded"):
    """The pixels of the source were decoded."""

    milliseconds: float
    """Of CPU."""
    function_ms: float
    """What the function is likely to need."""


class View(Message, frozen=True, kw_only=True, tag="view"):
    """A small picture of the source exists, which every browser shows."""

    file: str


class Metadata(Message, frozen=True, kw_only=True, tag="metadata"):
    """What the source says besides its pixels."""

    entries: tuple[Mapping[str, str], ...]


class Placeholders(Message, frozen=True, kw_only=True, tag="placeholders"):
    """What a page shows until the picture is loaded."""

    thumbhash: str
    """In Base64."""
    colour: str | None


class RenditionFile(Message, frozen=True, kw_only=True, tag="rendition"):
    """A rendition was made."""

    column: str
    file: str
    made: MadeRendition
    is_larger: bool
    """Whether the function does not store it, because the next format of its step is no larger."""
    milliseconds: float
    """Of CPU."""
    function_ms: float
    """What the function is likely to need."""
    metadata: tuple[Mapping[str, str], ...]


class ColumnScore(Message, frozen=True, kw_only=True, tag="score"):
    """A rendition was scored by SSIMULACRA 2 against the source at its size."""

    column: str
    overall: float
    worst: float
    """The score of its worst region."""


class ReferenceFile(Message, frozen=True, kw_only=True, tag="reference"):
    """The source with the size and the crop of a rendition exists."""

    file: str


class Failed(Message, frozen=True, kw_only=True, tag="error"):
    """The last message: the request cannot be done."""

    status: Literal["rejected", "failed"]
    """As in the failure record."""
    text: str


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """The last message: the request is done."""


AnyMessage = (
    Header | Decoded | View | Metadata | Placeholders | RenditionFile | ColumnScore | ReferenceFile | Failed | Done
)
