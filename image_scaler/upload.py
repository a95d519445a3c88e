"""Upload: one version of a source, and what its own metadata asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from image_scaler.events import SourceEvent
from image_scaler.publisher import Provenance
from image_scaler.renditions.geometry import Point
from image_scaler.renditions.recipe import Recipe, SourcePlan
from image_scaler.renditions.spec import RenditionSpec
from image_scaler.renditions.toml import NAME
from image_scaler.storage.base import ObjectHead, ObjectRef


@dataclass(frozen=True, kw_only=True)
class SourceVersion:
    """A version of a source before it is read."""

    ref: ObjectRef
    etag: str | None
    """None: whatever is stored."""
    sequencer: str | None = None
    """The sequencer of the event for this version; None if it was found by a HEAD request."""
    is_repair: bool = False
    """Whether it is processed for the event of another version: then renditions of this version stay, whatever their
    recipe. That event may be late, and its function older than the one that made them."""

    may_be_done: bool = False
    """Whether all of it may exist: then one look at its manifest comes first. A new upload pays no request for it."""

    @classmethod
    def of_event(cls, event: SourceEvent) -> "SourceVersion":
        """Return the version that an event names."""
        # An event without a sequencer is none of S3's: a direct call, or a task of Batch Operations.
        may_be_done = event.is_retry or event.sequencer is None
        return cls(ref=event.ref, etag=event.etag, sequencer=event.sequencer, may_be_done=may_be_done)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A version of a source that was read: never changed, only asked."""

    version: SourceVersion
    head: ObjectHead
    allowed: SourcePlan
    """All that the rules allow."""
    asked: SourcePlan
    """What the metadata asks for of that; all without a word. Keys with a hash show `{hash}`."""
    plan: SourcePlan
    """The same with complete keys: those with a hash depend on the version."""

    @classmethod
    def of(cls, version: SourceVersion, head: ObjectHead, recipe: Recipe) -> "Upload":
        """Return the upload of a version; raises DestinationKeyError if S3 cannot store one of its keys."""
        allowed = recipe.plan_for(version.ref.key)
        names = asked_renditions(head.metadata)
        asked = allowed if names is None else recipe.plan_for(version.ref.key, names)
        plan = asked.of_version(version_of(head.etag, focal_point_of(head.metadata)))
        return cls(version=version, head=head, allowed=allowed, asked=asked, plan=plan)

    @property
    def asks_for_less(self) -> bool:
        """Whether the metadata asks for less than the rules allow."""
        return len(self.asked.targets) < len(self.allowed.targets)

    @property
    def unknown_renditions(self) -> tuple[str, ...]:
        """What the metadata asks for without effect: the rules allow no rendition of this name."""
        return tuple(word for word in asked_words(self.head.metadata) if word not in self.allowed.names)

    @property
    def name(self) -> str:
        """What tells this version from others; see `version_of`."""
        return version_of_head(self.head)

    @cached_property
    def focal_point(self) -> Point | None:
        """The point that crops are to keep; None if the metadata names none."""
        return focal_point_of(self.head.metadata)

    def provenance(self, fingerprint: str) -> Provenance:
        """Return what is stored with a rendition of this version."""
        point = self.focal_point
        return Provenance(
            source_etag=self.head.etag,
            sequencer=self.version.sequencer,
            fingerprint=fingerprint,
            focal_point=_text(point) if point else None,
        )

    def manifest_provenance(self, fingerprint: str) -> Provenance:
        """Return what is stored with the manifest: also what the metadata asks for, which no rendition depends on."""
        return replace(self.provenance(fingerprint), asked=_asked_text(self.head.metadata))

    def is_source_of(self, key: str, stored: ObjectHead) -> bool:
        """Return whether an object under one of its keys is of this version and source: by its ETag if it is a copy.

        Never true for a copy of a multipart upload, or of an object under a KMS key: these have another ETag.
        """
        provenance = self.stored_provenance(key, stored)
        if provenance is None:
            return stored.etag == self.head.etag
        expected = self.manifest_provenance("") if key == self.plan.manifest_key else self.provenance("")
        return provenance.is_of_version(expected) and not provenance.is_of_other(self.version.ref.key)

    def stored_provenance(self, key: str, stored: ObjectHead) -> Provenance | None:
        """Return the provenance of an object under one of its keys; None for a copy: its metadata is the uploader's."""
        is_copy = any(target.key == key for target in self.plan.copies)
        return None if is_copy else Provenance.of(stored)

    def rendition_provenance(self, spec: RenditionSpec) -> Provenance:
        """Return what is stored with a rendition: also the source's key, if another source could have its key."""
        provenance = self.provenance(spec.fingerprint)
        return provenance if spec.template.is_whole else replace(provenance, source_key=self.version.ref.key)


def version_of_head(head: ObjectHead) -> str:
    """Return the version that is stored: what its renditions depend on, and which of them it asks for."""
    version, asked = version_of(head.etag, focal_point_of(head.metadata)), _asked_text(head.metadata)
    return version if asked is None else f"{version} {asked}"


def version_of(etag: str, focal_point: Point | None) -> str:
    """Return what the pixels of a source's renditions depend on besides the recipe."""
    return f"{etag} {_text(focal_point)}" if focal_point else etag


def _text(point: Point) -> str:
    return f"{point.x},{point.y}"


_FRACTION = r"\s*(0(?:\.\d+)?|1(?:\.0+)?)\s*"


def focal_point_of(metadata: Mapping[str, str]) -> Point | None:
    """Return the point in a source's user metadata, `focal-point: 0.3,0.7`; None without a valid one."""
    match = re.fullmatch(f"{_FRACTION},{_FRACTION}", metadata.get("focal-point", ""))
    return Point(float(match[1]), float(match[2])) if match else None


ASKED = "renditions"
"""The user metadata of a source that names its renditions."""
NO_RENDITIONS = "none"
"""What an upload asks for that wants none."""
MAX_ASKED_CHARACTERS = 1000
"""Of all names together: they are stored with the manifest, and S3 allows 2 KB for all metadata."""
_NAME = re.compile(NAME)


def asked_renditions(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the names in a source's user metadata, `renditions: thumbnail web`; None if it has none.

    They are in the order of the alphabet, each once, as far as MAX_ASKED_CHARACTERS reach. What is no name is ignored,
    and `none` is no name.
    """
    if not metadata.get(ASKED, "").strip():
        return None
    found: list[str] = []
    for word in asked_words(metadata):
        if _NAME.fullmatch(word) and len(" ".join([*found, word])) <= MAX_ASKED_CHARACTERS:
            found.append(word)
    return tuple(found)


def asked_words(metadata: Mapping[str, str]) -> list[str]:
    """Return the words in a source's user metadata, each once, without `none`."""
    return sorted(set(re.split(r"[\s,]+", metadata.get(ASKED, ""))) - {"", NO_RENDITIONS})


def _asked_text(metadata: Mapping[str, str]) -> str | None:
    """Return the names as they are stored with a manifest; None if the source does not say any."""
    names = asked_renditions(metadata)
    return None if names is None else " ".join(names) or NO_RENDITIONS


def asked_in(text: str | None) -> tuple[str, ...] | None:
    """Return the names that are stored with a manifest; see `asked_renditions`."""
    return None if text is None else asked_renditions({ASKED: text})
