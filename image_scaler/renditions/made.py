"""MadeRendition: what is known of a rendition once it is made."""

import enum
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class DroppedMap(enum.StrEnum):
    """Why a rendition does not keep the gain map of its source; see docs/hdr.md."""

    DAMAGED = "damaged"
    """It is not whole, or its numbers make no sense."""
    BASE_IS_HDR = "base_is_hdr"
    """The picture itself is HDR, and the map makes it darker."""
    COLOURS = "colours"
    """Its gains for red, green and blue differ, and the picture was converted to other primaries; or that is CMYK."""
    BARS = "bars"
    """It cannot leave the bars of `contain` as they are."""
    OVERLAY = "overlay"
    """It cannot leave an overlay as it is."""
    MAX_BYTES = "max_bytes"
    """It would need more than half of them."""
    TOO_LARGE = "too_large"
    """It has more pixels than the limits or the memory allow."""


class Chosen(enum.StrEnum):
    """What was encoded because it is smaller, or because the usual way misses the target; see docs/web.md."""

    SOURCE = "source"
    """The source's own pixels, byte for byte, without its metadata."""
    LOSSLESS = "lossless"
    """A WebP without loss."""
    FULL_COLOUR = "4:4:4"
    """A JPEG whose colours have the full resolution."""
    SMART_SUBSAMPLE = "smart_subsample"
    """A WebP whose colours are halved with care (libvips' option of this name)."""


class MadeRendition(msgspec.Struct, frozen=True, kw_only=True):
    """One rendition or copy of a source. As JSON it is an entry of the manifest; see docs/web.md."""

    name: str
    """The rendition's name, as in renditions.toml; in a ladder with its width: `web-640`."""
    key: str
    width: int | None = None
    """In pixels, as the height; None for a copy whose source was not decoded."""
    height: int | None = None
    bytes: int
    type: str | None = None
    """The Content-Type; None for a copy whose source was not decoded."""
    quality: int | None = None
    """The quality that it was encoded with; None if it has none, or if that is not known."""
    score: float | None = None
    """The score of SSIMULACRA 2 against the source at this size; None if it is not known."""
    searched: bool | None = None
    """True if a search ended with this quality, False if it was cut short, None if the quality is fixed."""
    animated: bool = False
    """Whether it moves."""
    chosen: Chosen | UnsetType = UNSET
    """What it is instead of the usual encoding."""
    hdr: bool | UnsetType = UNSET
    """Whether it has the gain map of its source; only if `hdr` asks for it and the source has one."""
    hdr_dropped: DroppedMap | UnsetType = UNSET
    """Why it does not have it."""

    def as_stored(self, size: int) -> "MadeRendition":
        """Return it for an object of another try, with so many bytes: one of the two searches was cut short."""
        searched = None if self.searched is None else False
        return msgspec.structs.replace(self, bytes=size, quality=None, score=None, searched=searched, chosen=UNSET)

    def as_json(self) -> dict[str, Any]:
        """Return its fields as the manifest has them."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "MadeRendition":
        """Return an entry of a manifest, of any version; raises msgspec.ValidationError if it is none."""
        return msgspec.convert(entry, cls)
