"""Send uploads to the stack and account for every one of them."""

import enum
import io
import random
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from botocore.exceptions import ClientError
from PIL import Image

from image_scaler.recipe_file import load_recipe
from image_scaler.renditions.spec import CopyTarget, Target
from toolbox.aws.failure_records import read_record, take
from toolbox.local.aws import LocalAws
from toolbox.stack import ROOT

MAX_PENDING = 16
"""Unfinished uploads. The local AWS runs two executions at a time, and each waiting upload costs it a little."""
PAUSE_SECONDS = 0.1
"""Between two looks at the destination: each costs the local AWS a request for every pending upload."""
MAX_IDLE_SECONDS = 100.0
"""How long to wait without progress: longer than the function's timeout and its retries."""


class Fate(enum.StrEnum):
    """The result of an upload."""

    WRITTEN = "written: every rendition is of this upload"
    REJECTED = "rejected, with a failure record"
    FAILED = "failed after all retries, with a failure record"
    REPLACED = "replaced by a newer upload of its key"
    LOST = "lost"


@dataclass
class Upload:
    """An upload and its fate."""

    key: str
    body: bytes
    is_image: bool
    etag: str = ""
    sent: float = 0.0
    seconds: float | None = None
    """From the upload to its last rendition; None if the same bytes had been uploaded before."""
    fate: Fate | None = None


def uploads(count: int, seed: int = 1) -> list[Upload]:
    """Return the uploads in their order: mostly small images under new keys.

    Of 20 uploads, about three replace an image by another one, one sends the same image again, and one or two
    cannot be processed: text, a truncated image, an empty file.
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
    """Return an image whose bytes no other number has."""
    size = (choose.randint(24, 96), choose.randint(24, 96))
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.paste((number % 256, number // 256 % 256, 128), (4, 4, 20, 20))
    file = io.BytesIO()
    image.save(file, choose.choice(["JPEG", "PNG", "WEBP"]), comment=f"{number}", quality=80)
    return file.getvalue() + f"{number}".encode()  # decoders ignore bytes after the image


class Load:
    """Send uploads to the stack of a local AWS, and find the fate of each."""

    def __init__(self, aws: LocalAws, unsent: Sequence[Upload], *, max_idle_seconds: float = MAX_IDLE_SECONDS) -> None:
        self._s3, self._sqs, self._env = aws.client("s3"), aws.client("sqs"), aws.env
        self._recipe = load_recipe(ROOT / "renditions.toml")
        self._unsent = deque(unsent)
        self._by_key: dict[str, list[Upload]] = defaultdict(list)
        self._records: dict[tuple[str, str | None], Fate] = {}
        self._pending: list[Upload] = []
        self._max_idle_seconds = max_idle_seconds
        self.problems: list[str] = []

    def run(self) -> Iterator[int]:
        """Send all uploads and wait for their fates; yield how many are known, at each look."""
        known, deadline = 0, time.monotonic() + self._max_idle_seconds
        with ThreadPoolExecutor(4) as pool:
            while (self._unsent or self._pending) and time.monotonic() < deadline:
                while self._unsent and len(self._pending) < MAX_PENDING:
                    self._send(self._unsent.popleft())
                self._take_records()
                list(pool.map(self._look, self._pending))
                left = [upload for upload in self._pending if upload.fate is None]
                if len(left) < len(self._pending):
                    known += len(self._pending) - len(left)
                    deadline = time.monotonic() + self._max_idle_seconds
                self._pending = left
                yield known
                time.sleep(PAUSE_SECONDS)
            self._take_records()
            # Look again when nothing is pending: an older event may have arrived late.
            list(pool.map(self._look_again, [versions[-1] for versions in self._by_key.values()]))
        for upload in self._unsent:
            upload.fate = Fate.LOST
            self.problems.append(f"{upload.key}: was not sent, because the uploads before it made no progress")

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
        """Set the fate of an upload if it has a failure record or all its renditions."""
        if upload.fate is None:
            upload.fate = self._record_of(upload)
        # Last rendition first: while it is missing, one request is enough.
        if upload.fate is None and all(self._is_of(upload, target) for target in reversed(self._targets(upload))):
            upload.fate = Fate.WRITTEN
            if [version.etag for version in self._by_key[upload.key]].count(upload.etag) == 1:
                upload.seconds = time.monotonic() - upload.sent

    def _look_again(self, upload: Upload) -> None:
        """Set the final fate of the last upload of a key."""
        wrong = [target.key for target in self._targets(upload) if not self._is_of(upload, target)]
        if not wrong:
            upload.fate = Fate.WRITTEN
            return
        upload.fate = self._record_of(upload) or Fate.LOST
        if upload.fate is Fate.LOST:
            self.problems.append(f"{upload.key}: neither a failure record nor {', '.join(wrong)}")

    def _targets(self, upload: Upload) -> Sequence[Target]:
        return self._recipe.plan_for(upload.key).of_version(upload.etag).targets

    def _is_of(self, upload: Upload, target: Target) -> bool:
        """Return whether a rendition exists and was made from this upload."""
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
        for body in take(self._sqs, self._env["FAILURE_QUEUE_URL"], self._env["REJECTED_QUEUE_URL"]):
            record = read_record(body)
            for source in record.sources:
                fate = Fate.REJECTED if record.is_rejected else Fate.FAILED
                self._records[source.ref.key, source.etag] = fate
