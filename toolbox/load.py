"""`make load`: many uploads through the local AWS, and what became of every single one."""

import argparse
import enum
import io
import random
import statistics
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from botocore.exceptions import ClientError
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from image_scaler.renditions.spec import CopyTarget, Target
from image_scaler.renditions.toml import load_renditions
from toolbox import processes
from toolbox.local_aws import LocalAws, LocalAwsError
from toolbox.records import read_record, take
from toolbox.stack import ROOT
from toolbox.steps import Steps

UPLOADS = 2000
AT_ONCE = 16
"""Uploads that are on their way at a time. The local AWS makes two at a time, and each that waits costs it a little."""
PAUSE_SECONDS = 0.1
"""Between two looks at what has come: each costs the local AWS a request for every upload on its way."""
IDLE_SECONDS = 100.0
"""How long nothing may come before we give up: more than the function's timeout and its retries."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Fate(enum.StrEnum):
    """What became of an upload."""

    WRITTEN = "written: every rendition is of this upload"
    REJECTED = "rejected, with a failure record"
    FAILED = "failed after all tries, with a failure record"
    REPLACED = "replaced by a newer upload of its key"
    LOST = "lost"


@dataclass
class Upload:
    """One upload, and what became of it."""

    key: str
    body: bytes
    is_image: bool
    etag: str = ""
    sent: float = 0.0
    seconds: float | None = None
    """From the upload to its last rendition; None where the same had been uploaded before."""
    fate: Fate | None = None


def uploads(count: int, seed: int = 1) -> list[Upload]:
    """Return what is uploaded, in this order: mostly small images of new keys.

    Of 20 uploads, about three replace an image by another one, one sends the same again, and one or two are none
    that can be processed: text, a truncated image, nothing.
    """
    choose = random.Random(seed)  # noqa: S311  nothing secret
    made: list[Upload] = []
    for number in range(count):
        kind = choose.random()
        earlier = choose.choice(made) if made and kind < 0.2 else None
        if earlier and kind < 0.05:
            made.append(Upload(earlier.key, earlier.body, earlier.is_image))
            continue
        body = _image(number, choose)
        bad = choose.random() < 0.08
        if bad:
            body = choose.choice([f"Upload {number} is a text.".encode(), body[: len(body) * 2 // 3], b""])
        made.append(Upload(earlier.key if earlier else f"load/{number % 10}/{number}.jpg", body, not bad))
    return made


def _image(number: int, choose: random.Random) -> bytes:
    """Return an image of this number alone: no two have the same bytes."""
    size = (choose.randint(24, 96), choose.randint(24, 96))
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.paste((number % 256, number // 256 % 256, 128), (4, 4, 20, 20))
    file = io.BytesIO()
    image.save(file, choose.choice(["JPEG", "PNG", "WEBP"]), comment=f"{number}", quality=80)
    return file.getvalue() + f"{number}".encode()  # bytes behind the image, which decoders leave alone


class Load:
    """Sends uploads to the stack of a local AWS, and accounts for each of them."""

    def __init__(self, aws: LocalAws, todo: Sequence[Upload], *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._s3, self._sqs, self._env = aws.client("s3"), aws.client("sqs"), aws.env
        self._renditions = load_renditions(ROOT / "renditions.toml")
        self._todo = deque(todo)
        self._by_key: dict[str, list[Upload]] = defaultdict(list)
        self._records: dict[tuple[str, str | None], Fate] = {}
        self._pending: list[Upload] = []
        self._idle_seconds = idle_seconds
        self.problems: list[str] = []

    def run(self) -> Iterator[int]:
        """Send them all, and wait for what becomes of them; yields how many are settled, each time it looks."""
        settled, deadline = 0, time.monotonic() + self._idle_seconds
        with ThreadPoolExecutor(4) as pool:
            while (self._todo or self._pending) and time.monotonic() < deadline:
                while self._todo and len(self._pending) < AT_ONCE:
                    self._send(self._todo.popleft())
                self._take_records()
                list(pool.map(self._look, self._pending))
                left = [upload for upload in self._pending if upload.fate is None]
                if len(left) < len(self._pending):
                    settled += len(self._pending) - len(left)
                    deadline = time.monotonic() + self._idle_seconds
                self._pending = left
                yield settled
                time.sleep(PAUSE_SECONDS)
            self._take_records()
            # Once more, now that nothing is on its way: an older event may have come late.
            list(pool.map(self._look_again, [versions[-1] for versions in self._by_key.values()]))
        for upload in self._todo:
            upload.fate = Fate.LOST
            self.problems.append(f"{upload.key}: was not sent, as nothing more came of those before it")

    def _send(self, upload: Upload) -> None:
        versions = self._by_key[upload.key]
        for older in versions:
            older.fate = older.fate or self._record_of(older) or Fate.REPLACED
        versions.append(upload)
        upload.sent = time.monotonic()
        answer = self._s3.put_object(Bucket=self._env["SOURCE_BUCKET"], Key=upload.key, Body=upload.body)
        upload.etag = answer["ETag"].strip('"')
        self._pending.append(upload)

    def _look(self, upload: Upload) -> None:
        """Settle an upload, where all that is to become of it is there."""
        if upload.fate is None:
            upload.fate = self._record_of(upload)
        # The last first: while that is missing, one request tells that there is nothing to see yet.
        if upload.fate is None and all(self._is_of(upload, target) for target in reversed(self._targets(upload))):
            upload.fate = Fate.WRITTEN
            if [version.etag for version in self._by_key[upload.key]].count(upload.etag) == 1:
                upload.seconds = time.monotonic() - upload.sent

    def _look_again(self, upload: Upload) -> None:
        """Settle the last upload of a key for good."""
        wrong = [target.key for target in self._targets(upload) if not self._is_of(upload, target)]
        if not wrong:
            upload.fate = Fate.WRITTEN
            return
        upload.fate = self._record_of(upload) or Fate.LOST
        if upload.fate is Fate.LOST:
            self.problems.append(f"{upload.key}: neither a failure record nor {', '.join(wrong)}")

    def _targets(self, upload: Upload) -> Sequence[Target]:
        return self._renditions.plan_for(upload.key).targets

    def _is_of(self, upload: Upload, target: Target) -> bool:
        """Return whether a rendition is there, and was made from this upload."""
        try:
            head = self._s3.head_object(Bucket=self._env["DESTINATION_BUCKET"], Key=target.key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            return False
        etag: str = (
            head["ETag"].strip('"') if isinstance(target, CopyTarget) else head["Metadata"].get("source-etag", "")
        )
        return etag == upload.etag

    def _record_of(self, upload: Upload) -> Fate | None:
        return self._records.get((upload.key, upload.etag))

    def _take_records(self) -> None:
        for body in take(self._sqs, self._env["FAILURE_QUEUE_URL"]):
            record = read_record(body)
            for source in record.sources:
                fate = Fate.REJECTED if record.is_rejected else Fate.FAILED
                self._records[source.ref.key, source.etag] = fate


def main() -> None:
    """Run the load. Exits with 0 when no upload was lost, else with 1."""
    parser = argparse.ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--uploads", type=int, choices=range(1, 1_000_001), metavar="N", default=UPLOADS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with processes.signals_end_us():
        try:
            is_complete = run(options.uploads, options.seed)
        except LocalAwsError as error:
            err.print(f"make load: {error}", style="red", markup=False)
            is_complete = False
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    raise SystemExit(0 if is_complete else 1)


def run(count: int, seed: int) -> bool:
    """Send the uploads to a local AWS of their own; return whether none was lost."""
    todo = uploads(count, seed)
    with LocalAws.start(retry_seconds=0.2, step=Steps(out)) as aws:
        load = Load(aws, todo)
        start = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
            task = progress.add_task("Uploading", total=count)
            for settled in load.run():
                progress.update(task, completed=settled)
        _print(todo, time.monotonic() - start)
    for problem in load.problems:
        err.print(problem, style="red", markup=False)
    return not load.problems


def _print(done: Sequence[Upload], seconds: float) -> None:
    fates = Counter(upload.fate or Fate.LOST for upload in done)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for fate in Fate:
        table.add_row(fate.value, f"{fates[fate]:,}")
    table.add_row("uploads", f"{len(done):,} in {seconds:.0f} s, {len(done) / seconds:.1f} a second")
    latencies = sorted(upload.seconds for upload in done if upload.seconds is not None)
    if len(latencies) > 1:
        cuts = statistics.quantiles(latencies, n=100, method="inclusive")
        shown = {"half": cuts[49], "90 %": cuts[89], "99 %": cuts[98], "all": latencies[-1]}
        text = ", ".join(f"{share} within {value:.2f} s" for share, value in shown.items())
        table.add_row("from the upload to its last rendition", text)
    out.print(table)


if __name__ == "__main__":
    main()
