"""Do what a plan says: send its sources to the function, and delete what is left over.

Everything that is done is written to a file next to the plan at once, so that the next run goes on from there: after a
kill, ended credentials, or a closed laptop.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import boto3
from botocore.config import Config

from image_scaler.history import rejection_fingerprint, rejection_key
from image_scaler.publisher import Provenance
from image_scaler.renditions.keys import MANIFEST_SUFFIX
from image_scaler.renditions.recipe import Recipe, SourcePlan
from image_scaler.renditions.recipe_keys import RecipeKeys
from image_scaler.storage.base import ObjectHead, ObjectRef, head_or_none
from image_scaler.storage.s3 import CLIENT_CONFIG, S3Store
from image_scaler.text import plural
from image_scaler.upload import asked_renditions
from toolbox.aws import prices
from toolbox.aws.deployed import DeployedStack
from toolbox.aws.errors import CallError, call_errors
from toolbox.migration.costs import Function
from toolbox.migration.files import Item, MigrationPlan, Orphan, progress_path
from toolbox.migration.limiter import LATER_CODES, Limiter, RefusedError
from toolbox.migration.listing import in_manifest_order, in_order, list_objects
from toolbox.migration.recipes import RecordedRecipe
from toolbox.migration.states import State, look_at_manifest

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import DeleteTypeDef

INVOKE_CONFIG = Config(
    # Longer than any function may run: a second attempt would do all the work twice.
    read_timeout=910,
    retries={"mode": "standard", "total_max_attempts": 1},  # the limiter makes a refused call again
    max_pool_connections=1000,
)
_S3_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 10})
_MAX_DELETES = 100
"""Keys in one DeleteObjects request. S3 allows 1,000, but a source may come back after it was looked at: a few seconds
before its orphans are deleted. Such requests cost nothing."""
_BILLED = re.compile(r'(?:Billed Duration: |"billedDurationMs":\s*)(\d+)')

T = TypeVar("T")
R = TypeVar("R")

DONE, REJECTED, FAILED = "done", "rejected", "failed"


class Result(NamedTuple):
    """What happened to one source."""

    key: str
    status: str
    """DONE, REJECTED (no retry can succeed) or FAILED (a later run tries it again)."""
    reason: str
    usd: float


@dataclass
class Tally:
    """What was done of a plan, in all runs."""

    done: int = 0
    rejected: int = 0
    failed: int = 0
    """Of this run."""
    usd: float = 0.0
    orphans: int = 0
    """Deleted in this run."""
    jobs: list[str] = field(default_factory=list)
    """Of S3 Batch Operations; the last one may still run."""
    open_job: str | None = None


class Progress:
    """What was done of a plan, in a file; only one run at a time may have it open."""

    def __init__(self, plan: MigrationPlan) -> None:
        """Raise CallError if the file cannot be used."""
        path = progress_path(plan.path)
        self.tally = Tally()
        self._done: set[int] = set()
        self._finished: set[int] = set()
        self._lock = Lock()
        try:
            self._file: IO[str] = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise CallError(f"cannot write {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read(path, plan.checksum)
        except BlockingIOError:
            self._file.close()
            raise CallError(f"another image-scaler apply works on {plan.path}") from None
        except CallError:
            self._file.close()
            raise

    def _read(self, path: Path, checksum: str) -> None:
        self._file.seek(0)
        text = ""
        for number, text in enumerate(self._file):
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the run was killed while it wrote this
            if number == 0 and line.get("plan") != checksum:
                raise CallError(f"{path} is of another plan: delete it, or plan again")
            self._take(line)
        if not text:
            self._write({"plan": checksum})
        elif not text.endswith("\n"):
            self._file.write("\n")
        self.tally.failed = 0

    def _take(self, line: dict[str, Any]) -> None:
        self.tally.usd += line.get("usd", 0.0)
        if "job" in line:
            self.tally.open_job = line["job"]
            self.tally.jobs.append(line["job"])
        if "ended" in line:
            self.tally.open_job = None
        if "key" not in line:
            return
        if line["status"] == FAILED:
            self.tally.failed += 1
            return
        self._finished.add(_digest(line["key"]))
        if line["status"] == DONE:
            self._done.add(_digest(line["key"]))
            self.tally.done += 1
        else:
            self.tally.rejected += 1

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def record(self, result: Result) -> None:
        """Write what happened to a source."""
        self.note({"key": result.key, "status": result.status, "usd": result.usd})

    def note(self, line: dict[str, Any]) -> None:
        """Write a line: a result, or the beginning or the end of a job."""
        with self._lock:
            self._write(line)
            self._take(line)

    def is_done(self, key: str) -> bool:
        """Return whether the renditions of a source were made."""
        return _digest(key) in self._done

    def is_finished(self, key: str) -> bool:
        """Return whether nothing is left to do for a source: it is done, or was rejected."""
        return _digest(key) in self._finished

    @property
    def has_begun(self) -> bool:
        """Whether an earlier run has done something."""
        return bool(self._finished or self.tally.jobs or self.tally.usd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _digest(key: str) -> int:
    """Return 8 bytes for a key, so that a set of a million of them is small."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


class Applier:
    """Applies a plan to a stack."""

    def __init__(
        self,
        plan: MigrationPlan,
        deployed: DeployedStack,
        recipe: Recipe,
        session: boto3.Session,
        progress: Progress,
        limiter: Limiter,
    ) -> None:
        """Raise CallError if the plan is not of this stack and this renditions.toml."""
        self._plan = plan
        self._deployed = deployed
        self._recipe = recipe
        self._recorded = RecordedRecipe(recipe)
        self._keys = RecipeKeys(recipe)
        self._function = Function(**plan.content["function"])
        self.progress = progress
        self.limiter = limiter
        self._changed: set[int] = set()
        self._is_verified = False
        check_plan(plan, deployed, recipe)
        with call_errors("create clients for AWS"):
            self._s3: S3Client = session.client("s3", config=_S3_CONFIG)
            self._lambda: LambdaClient = session.client("lambda", config=INVOKE_CONFIG)
            self._store = S3Store(session.client("s3", config=CLIENT_CONFIG))

    def check_listing(self) -> int:
        """Compare the sources with the plan; return how many of them were replaced or deleted since.

        Raises CallError if there are any and nothing was applied yet: the counts of the plan are wrong then. Later they
        are skipped: an upload has its own event, and a deleted source needs nothing.
        """
        bucket, prefix = self._deployed.source_bucket, self._plan.content["prefix"]
        listed = in_manifest_order(in_order(list_objects(self._s3, bucket, prefix), f"the listing of {bucket}"))
        current = next(listed, None)
        for item in self._plan.items():
            while current and current.key + MANIFEST_SUFFIX < item.key + MANIFEST_SUFFIX:
                current = next(listed, None)
            if not current or (current.key, current.etag) != (item.key, item.etag):
                self._changed.add(_digest(item.key))
        if self._changed and not self.progress.has_begun:
            changed, since = plural(len(self._changed), "source"), self._plan.content["created"]
            raise CallError(f"{changed} of the plan changed since {since}: run image-scaler plan again")
        return len(self._changed)

    def remaining(self) -> Iterator[Item]:
        """Yield the sources that are left to process."""
        for item in self._plan.items():
            if not self.progress.is_finished(item.key) and _digest(item.key) not in self._changed:
                yield item

    def send(self, concurrency: int, max_usd: float) -> Iterator[Result]:
        """Call the function for each remaining source, until all are done or `max_usd` dollars are spent in all runs.

        What is in flight then is finished. If AWS refuses calls for now, fewer are made in parallel. Raises CallError.
        """
        items = self._until_spent(self.remaining(), max_usd)
        for item in items:  # one by one, until the function has shown that it has the plan's recipe
            yield self._process(item)
            if self._is_verified:
                break
        yield from _each(self._process, items, concurrency, self.limiter.stop)

    def _until_spent(self, items: Iterator[Item], max_usd: float) -> Iterator[Item]:
        for item in items:
            if self.progress.tally.usd >= max_usd:
                return
            yield item

    def _process(self, item: Item) -> Result:
        """Call the function for a source, and write down what happened, in any thread."""
        event = {"bucket": self._deployed.source_bucket, "keys": [item.key]}
        with call_errors(f"call {self._deployed.function} for {item.key}"):
            answer, payload, seconds = self.limiter.call(lambda: self._invoke(event))
        usd = self._function.dollars(seconds) + prices.LAMBDA_REQUEST + item.usd
        if isinstance(payload, dict) and payload.get("statusCode") == 200:
            self._verify(item)
            result = Result(item.key, DONE, "", usd)
        elif "FunctionError" in answer:
            reason = payload.get("errorMessage") if isinstance(payload, dict) else payload
            result = Result(item.key, FAILED, str(reason), usd)
        elif self._is_rejected(item):
            result = Result(item.key, REJECTED, "rejected; see the log or the rejected queue", usd)
        else:
            result = Result(item.key, FAILED, "failed; see the log or the failure queue", usd)
        self.progress.record(result)
        return result

    def _invoke(self, event: Mapping[str, Any]) -> tuple["InvocationResponseTypeDef", Any, float]:
        """Call the function once; return the response, its payload, and the seconds that are billed."""
        start = time.monotonic()
        answer = self._lambda.invoke(
            FunctionName=self._deployed.function, Payload=json.dumps(event).encode(), LogType="Tail"
        )
        payload = json.loads(answer["Payload"].read())
        return answer, payload, _billed_seconds(answer.get("LogResult", ""), time.monotonic() - start)

    def _verify(self, item: Item) -> None:
        """Check once in a run that the function makes what was planned."""
        plan = self._recorded.plan_for(item.key)
        if self._is_verified or plan is None or plan.manifest_key is None:
            self._is_verified = True
            return
        state = self._look_at(plan.manifest_key)
        made = state and self._recorded.plan_for(item.key, state.asked)
        if state is None or made is None or state.fingerprint != self._recorded.of_manifest(made):
            name = self._deployed.function
            raise CallError(f"{name} has another renditions.toml than the plan: run make deploy, then apply again")
        self._is_verified = True

    def _is_rejected(self, item: Item) -> bool:
        state = self._look_at(rejection_key(item.key))
        fingerprint = rejection_fingerprint(self._recipe, self._function.memory * 1024**2)
        return state is not None and (state.source_etag, state.fingerprint) == (item.etag, fingerprint)

    def _look_at(self, key: str) -> State | None:
        """Return what a manifest or the record of a rejection is of; None if it does not exist."""
        bucket = self._deployed.destination_bucket
        return self.limiter.call(lambda: look_at_manifest(self._store, bucket, key)).state

    def orphans(self) -> Iterator[str]:
        """Yield the keys that no recipe asks for any more; those of sources to process only once that is done."""
        for orphan in self._plan.orphans():
            if orphan.waits and not self.progress.is_done(orphan.source_key):
                continue
            is_made = _is_made(self._recorded.plan_for(orphan.source_key), orphan.key)
            if (not is_made or self._is_unasked(orphan)) and not self._is_of_another(orphan):
                yield orphan.key

    def _is_of_another(self, orphan: Orphan) -> bool:
        """Return whether the recipe writes a rendition of another source under this key; raises CallError.

        That source exists, or has a manifest: renditions may survive it.
        """
        source_bucket, destination_bucket = self._deployed.source_bucket, self._deployed.destination_bucket
        for other, manifest_key in self._keys.others_under(orphan.key, orphan.source_key):
            if self._head(ObjectRef(source_bucket, other)) or (
                manifest_key and self._head(ObjectRef(destination_bucket, manifest_key))
            ):
                return True
        if not self._keys.is_shared(orphan.key):
            return False
        head = self._head(ObjectRef(destination_bucket, orphan.key))
        provenance = Provenance.of(head) if head else None
        return provenance is not None and provenance.is_of_other(orphan.source_key)

    def _is_unasked(self, orphan: Orphan) -> bool:
        """Return whether a source does not ask for what the rules allow, or is deleted; raises CallError."""
        head = self._head(ObjectRef(self._deployed.source_bucket, orphan.source_key))
        if head is None:
            return self._recipe.on_source_delete == "remove"
        return not _is_made(self._recorded.plan_for(orphan.source_key, asked_renditions(head.metadata)), orphan.key)

    def _head(self, ref: ObjectRef) -> ObjectHead | None:
        with call_errors(f"look at {ref}"):
            return self.limiter.call(lambda: head_or_none(self._store, ref))

    def delete(self, keys: Iterable[str]) -> Iterator[int]:
        """Delete objects of the destination; yield how many, again and again. Raises CallError."""
        waiting = iter(keys)
        while chunk := list(islice(waiting, _MAX_DELETES)):
            self._delete(chunk)
            self.progress.tally.orphans += len(chunk)
            yield len(chunk)

    def _delete(self, keys: Sequence[str]) -> None:
        """Delete objects; S3 may refuse some keys of an accepted request."""
        bucket = self._deployed.destination_bucket
        left = list(keys)

        def delete() -> None:
            nonlocal left
            objects: DeleteTypeDef = {"Objects": [{"Key": key} for key in left], "Quiet": True}
            errors = self._s3.delete_objects(Bucket=bucket, Delete=objects).get("Errors", [])
            for error in errors:
                if error.get("Code") not in LATER_CODES:
                    raise CallError(f"cannot delete s3://{bucket}/{error.get('Key')}: {error.get('Message')}")
            left = [error["Key"] for error in errors]
            if left:
                raise RefusedError(f"{errors[0]['Code']} of {plural(len(left), 'key')} in {bucket}")

        with call_errors(f"delete {plural(len(left), 'orphan')} in {bucket}"):
            self.limiter.call(delete)


def _is_made(plan: SourcePlan | None, key: str) -> bool:
    """Return whether a plan has a key, in whatever version; True if it is not known."""
    return plan is None or key in plan.keys or plan.has_version(key)


def check_plan(plan: MigrationPlan, deployed: DeployedStack, recipe: Recipe) -> None:
    """Raise CallError if a plan is not of this stack and this renditions.toml."""
    for name, value in plan.content["stack"].items():
        if getattr(deployed, name) != value:
            words = name.replace("_", " ")
            raise CallError(f"the plan is of another stack: its {words} is {value}, not {getattr(deployed, name)}")
    if plan.content["recipe"] != recipe.id:
        raise CallError("renditions.toml has changed since the plan was made: run image-scaler plan again")


def _billed_seconds(log: str, elapsed: float) -> float:
    """Return how long the function ran as its log says; if it does not, how long the call took, which is more."""
    with contextlib.suppress(ValueError):
        if found := _BILLED.search(base64.b64decode(log).decode(errors="replace")):
            return int(found[1]) / 1000
    return elapsed


def _each(work: Callable[[T], R], items: Iterable[T], parallel: int, stop: Callable[[], None]) -> Iterator[R]:
    """Call `work` with each item in parallel threads; yield the results as they finish.

    After an exception or an interruption, `stop` ends what waits, and the threads are waited for.
    """
    waiting = iter(items)
    with ThreadPoolExecutor(parallel) as pool:
        running: set[Future[R]] = {pool.submit(work, item) for item in islice(waiting, parallel)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    running |= {pool.submit(work, item) for item in islice(waiting, 1)}
                    yield future.result()
        except BaseException:
            stop()
            raise
        finally:
            for future in running:
                future.cancel()
