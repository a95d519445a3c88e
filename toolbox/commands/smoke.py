"""`image-scaler smoke`: try a deployed stack with a few uploads, and check everything that it should do for them."""

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import boto3
import pyvips
from rich.progress import Progress

from image_scaler.exceptions import DamagedImageError
from image_scaler.history import rejection_key
from image_scaler.publisher import Provenance
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.spec import CopyTarget, RenditionTarget, Target
from image_scaler.storage.base import ObjectHead, ObjectRef, head_or_none
from image_scaler.storage.s3 import S3Store
from image_scaler.telemetry import NAMESPACE, Metric
from toolbox.aws.deployed import DeployedStack, find_stack
from toolbox.aws.errors import CallError, call_errors
from toolbox.aws.failure_queues import FailureQueueReader
from toolbox.aws.failure_records import Record
from toolbox.aws.session import open_session
from toolbox.console import err, make_table, out
from toolbox.stack import ROOT

SAMPLES = ROOT / "samples"
MAX_SECONDS = 180.0
"""How long to wait for one effect: longer than the function's timeout, a cold start and CloudWatch's delay."""
PAUSE_SECONDS = 0.3

T = TypeVar("T")


class SmokeError(Exception):
    """The stack does not do what it should; says what was expected and what was found."""


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    what: str
    problem: str | None
    """None if everything was as expected."""
    seconds: float
    """From the upload, or from the start of the check."""


def smoke(stage: str, region: str | None, recipe: Recipe) -> int:
    """Try a stack, and print each check; return the exit code. Raises CallError."""
    session = open_session(region)
    tried = Smoke(find_stack(stage, session), recipe, session)
    table = make_table("check", "result", "seconds")
    problems = 0
    try:
        with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
            progress.add_task(f"Trying the stack, with keys in {tried.prefix}", total=None)
            for check in tried.run():
                problems += check.problem is not None
                table.add_row(check.what, check.problem or "ok", f"{check.seconds:.1f}")
    finally:
        if table.rows:
            out.print(table)
    return 1 if problems else 0


class Smoke:
    """A stack, and a new prefix in its source bucket that only these checks use."""

    def __init__(
        self,
        deployed: DeployedStack,
        recipe: Recipe,
        session: boto3.Session,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        """`max_seconds`: how long to wait for one effect."""
        self._max_seconds = max_seconds
        self._deployed = deployed
        self._recipe = recipe
        self.prefix = f"smoke/{secrets.token_hex(4)}/"
        with call_errors("create clients for AWS"):
            self._s3 = session.client("s3")
            self._store = S3Store(session.client("s3"))
            self._logs = session.client("logs")
            self._cloudwatch: Any = session.client("cloudwatch")
        self._rejected = FailureQueueReader([deployed.rejected_queue_url], deployed.function, session)
        self._start = datetime.now(UTC)
        self._uploads: list[tuple[str, str]] = []
        """The key and the ETag of each upload."""

    def run(self) -> Iterator[Check]:
        """Yield the result of each check, then delete everything that was uploaded and made."""
        lighthouse, owl, harbour = (
            (SAMPLES / name).read_bytes() for name in ("Lighthouse at dusk.JPG", "owl.jpg", "harbour.heic")
        )
        checks: Mapping[str, Callable[[], object]] = {
            "a photograph, after a cold start or not": lambda: self._check_renditions("owl.jpg", owl),
            "HEIC, warm": lambda: self._check_renditions("harbour.heic", harbour),
            "the photograph, replaced by another one": lambda: self._check_renditions("owl.jpg", lighthouse),
            "a damaged file is rejected with a record": lambda: self._check_rejection("half.jpg", owl[: len(owl) // 2]),
            "the line in the log": lambda: self._check_log("owl.jpg", len(lighthouse)),
            "the metrics": self._check_metrics,
        }
        try:
            for what, check in checks.items():
                start = time.monotonic()
                try:
                    check()
                except (SmokeError, CallError) as error:
                    yield Check(what, str(error), time.monotonic() - start)
                else:
                    yield Check(what, None, time.monotonic() - start)
        finally:
            self._clean_up()

    def _upload(self, name: str, body: bytes) -> tuple[str, str]:
        """Upload to a key of these checks; return the key and the ETag."""
        key = self.prefix + name
        with call_errors(f"upload {key} to {self._deployed.source_bucket}"):
            answer = self._s3.put_object(Bucket=self._deployed.source_bucket, Key=key, Body=body)
        self._uploads.append((key, answer["ETag"].strip('"')))
        return self._uploads[-1]

    def _check_renditions(self, name: str, body: bytes) -> None:
        """Upload an image, wait for its manifest, and look at every rendition."""
        key, etag = self._upload(name, body)
        plan = self._recipe.plan_for(key).of_version(etag)
        targets: Sequence[Target] = plan.targets
        if plan.manifest_key:
            self._eventually(partial(self._is_of, plan.manifest_key, etag), f"the manifest of {key}")
            targets = self._listed(targets, plan.manifest_key)
        for target in targets:
            look = self._head if isinstance(target, CopyTarget) else partial(self._is_of, etag=etag)
            self._eventually(partial(look, target.key), f"{target.key} of this upload")
            self._check_rendition(target, body)

    def _listed(self, targets: Sequence[Target], manifest_key: str) -> Sequence[Target]:
        """Return the targets in a manifest; raises SmokeError if one is missing that `skip_larger` cannot leave out."""
        with call_errors(f"read {manifest_key} from {self._deployed.destination_bucket}"):
            body = self._store.get(ObjectRef(self._deployed.destination_bucket, manifest_key)).read()
        listed = {entry["key"] for entry in json.loads(body)["renditions"]}
        for target in targets:
            is_optional = isinstance(target, RenditionTarget) and target.spec.skip_larger
            if target.key not in listed and not is_optional:
                raise SmokeError(f"{manifest_key} does not list {target.key}")
        return [target for target in targets if target.key in listed]

    def _is_of(self, destination_key: str, etag: str) -> bool:
        """Return whether a rendition or manifest exists and is of the version of the source with this ETag."""
        head = self._head(destination_key)
        provenance = Provenance.of(head) if head else None
        return provenance is not None and provenance.source_etag == etag

    def _head(self, key: str) -> ObjectHead | None:
        with call_errors(f"look at {key} in {self._deployed.destination_bucket}"):
            return head_or_none(self._store, ObjectRef(self._deployed.destination_bucket, key))

    def _check_rendition(self, target: Target, body: bytes) -> None:
        with call_errors(f"read {target.key} from {self._deployed.destination_bucket}"):
            stored = self._store.get(ObjectRef(self._deployed.destination_bucket, target.key))
            content = stored.read()
        if isinstance(target, CopyTarget):
            if content != body:
                raise SmokeError(f"{target.key} is not the same {len(body):,} bytes as the upload")
            return
        media_type = target.format.traits.media_type
        if stored.content_type != media_type:
            raise SmokeError(f"{target.key} has the Content-Type {stored.content_type} but {media_type} was expected")
        try:
            image = pyvips.Image.new_from_buffer(content, "", fail_on="error")
            image.avg()
        except pyvips.Error as error:
            raise SmokeError(f"{target.key} cannot be decoded: {error}") from error
        if target.spec.width and image.width > target.spec.width:
            raise SmokeError(f"{target.key} is {image.width} pixels wide but {target.spec.width} were asked for")

    def _check_rejection(self, name: str, body: bytes) -> None:
        key, _ = self._upload(name, body)
        record = self._eventually(lambda: self._take_record(key), f"the record of {key} in the rejected queue")
        if record.error_type != DamagedImageError.__name__:
            raise SmokeError(f"expected that {key} is rejected as damaged but the reason is {record.reason!r}")
        made = [target.key for target in self._recipe.plan_for(key).targets if self._head(target.key)]
        if made:
            raise SmokeError(f"the damaged {key} has renditions: {', '.join(made)}")

    def _take_record(self, key: str) -> Record | None:
        """Delete the record of a key and return it; the records of others stay."""
        with self._rejected.held(100) as records:
            for failed in records:
                if any(source.ref.key == key for source in failed.record.sources):
                    self._rejected.discard(failed)
                    return failed.record
        return None

    def _check_log(self, name: str, source_bytes: int) -> None:
        group = f"/aws/lambda/{self._deployed.function}"
        pattern = f'{{ $.source.key = "{self.prefix}{name}" && $.status = "ok" && $.bytes_in = {source_bytes} }}'

        def look() -> object:
            with call_errors(f"read the log {group}"):
                return self._logs.filter_log_events(
                    logGroupName=group, startTime=int(self._start.timestamp() * 1000), filterPattern=pattern
                )["events"]

        self._eventually(look, f"a line in {group} that matches {pattern}")

    def _check_metrics(self) -> None:
        """Wait until CloudWatch has the uploads of these checks; those of others may be counted, too."""
        dimensions = [{"Name": "service", "Value": self._deployed.function}]

        def look(metric: Metric, least: int) -> bool:
            with call_errors(f"read the metric {metric} of {self._deployed.function}"):
                points = self._cloudwatch.get_metric_statistics(
                    Namespace=NAMESPACE,
                    MetricName=metric.value,
                    Dimensions=dimensions,
                    StartTime=self._start - timedelta(minutes=1),
                    EndTime=datetime.now(UTC) + timedelta(minutes=1),
                    Period=60,
                    Statistics=["Sum"],
                )["Datapoints"]
            return float(sum(point["Sum"] for point in points)) >= least

        for metric, least in ((Metric.UPLOADS, 4), (Metric.REJECTED, 1), (Metric.WRITTEN, 3)):
            self._eventually(partial(look, metric, least), f"{least} in the metric {metric}")

    def _eventually(self, look: Callable[[], T | None], what: str) -> T:
        """Return the first result of `look` that is true; raises SmokeError if there is none in time."""
        deadline = time.monotonic() + self._max_seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise SmokeError(f"waited {self._max_seconds:.0f} s for {what}")
            time.sleep(PAUSE_SECONDS)
        return found

    def _clean_up(self) -> None:
        """Delete all versions of what was uploaded and made."""
        for key, etag in self._uploads:
            self._delete_versions(self._deployed.source_bucket, key)
            for made in (*self._recipe.plan_for(key).of_version(etag).keys, rejection_key(key)):
                self._delete_versions(self._deployed.destination_bucket, made)

    def _delete_versions(self, bucket: str, key: str) -> None:
        with call_errors(f"delete the versions of {key} in {bucket}"):
            answer = self._s3.list_object_versions(Bucket=bucket, Prefix=key)
            for version in [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]:
                if version["Key"] == key:
                    self._s3.delete_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])
