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
    plan: SourcePlan
    """Its complete keys: those with a hash depend on the version."""

    @classmethod
    def of(cls, version: SourceVersion, head: ObjectHead, recipe: Recipe) -> "Upload":
        """Return the upload of a version; raises DestinationKeyError if S3 cannot store one of its keys."""
        plan = recipe.plan_for(version.ref.key)
        return cls(version=version, head=head, plan=plan.of_version(version_of_head(head)))

    @property
    def name(self) -> str:
        """What tells this version from others; see `version_of`."""
        return version_of_head(self.head)

    @cached_property
    def focal_point(self) -> Point | None:
        """The point that crops are to keep; None if the metadata names none."""
        return focal_point_of(self.head.metadata)

    def provenance(self, fingerprint: str) -> Provenance:
        """Return what is stored with a rendition of this version, and with its manifest."""
        point = self.focal_point
        return Provenance(
            source_etag=self.head.etag,
            sequencer=self.version.sequencer,
            fingerprint=fingerprint,
            focal_point=_text(point) if point else None,
        )

    def is_source_of(self, key: str, stored: ObjectHead) -> bool:
        """Return whether an object under one of its keys is of this version: by its ETag if it is a copy.

        Never true for a copy of a multipart upload, or of an object under a KMS key: these have another ETag.
        """
        provenance = self.stored_provenance(key, stored)
        return provenance.is_of_version(self.provenance("")) if provenance else stored.etag == self.head.etag

    def stored_provenance(self, key: str, stored: ObjectHead) -> Provenance | None:
        """Return the provenance of an object under one of its keys; None for a copy: its metadata is the uploader's."""
        is_copy = any(target.key == key for target in self.plan.copies)
        return None if is_copy else Provenance.of(stored)

    def rendition_provenance(self, spec: RenditionSpec) -> Provenance:
        """Return what is stored with a rendition: also the source's key, if another source could have its key."""
        provenance = self.provenance(spec.fingerprint)
        return provenance if spec.template.is_whole else replace(provenance, source_key=self.version.ref.key)


def version_of_head(head: ObjectHead) -> str:
    """Return the version that is stored."""
    return version_of(head.etag, focal_point_of(head.metadata))


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
