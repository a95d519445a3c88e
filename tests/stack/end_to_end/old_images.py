"""A stack whose source bucket holds images that nobody has processed, and whose recipe can be changed."""

import io
import json
import os
import random
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import decoded, photo
from toolbox.local.aws import LocalAws
from toolbox.local.package_cache import local_package

SOURCES = int(os.environ.get("PLAN_SOURCES", 20))
"""How many sources the test processes; PLAN_SOURCES=2000 for the long check of CONTRIBUTING."""
FORMATS = {
    "jpg": "jpegsave_buffer",
    "JPEG": "jpegsave_buffer",
    "png": "pngsave_buffer",
    "webp": "webpsave_buffer",
    "gif": "gifsave_buffer",
    "avif": "heifsave_buffer",
    "tif": "tiffsave_buffer",
}

PROGRAM = Path(sys.executable).with_name("image-scaler")


class OldImages(Stack):
    """Uploads invoke nothing, so the images are like those from before the stack."""

    def __init__(self, aws: LocalAws, folder: Path) -> None:
        super().__init__(aws)
        self._folder = folder
        self.s3.put_bucket_notification_configuration(Bucket=self.source, NotificationConfiguration={})
        # The role may write what the shipped renditions.toml makes; the rights for {hash} are tested with the template.
        role = self.lambda_.get_function(FunctionName=self.function)["Configuration"]["Role"].rpartition("/")[2]
        tagging = {"Effect": "Allow", "Action": "s3:PutObjectTagging", "Resource": f"arn:aws:s3:::{self.destination}/*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [tagging]})
        aws.client("iam").put_role_policy(RoleName=role, PolicyName="versions", PolicyDocument=document)

    @property
    def renditions(self) -> Path:  # type: ignore[override]
        return self._folder / "renditions.toml"

    def use_recipe(self, toml: str) -> None:
        """Deploy the function with another renditions.toml, which the commands use as well."""
        self.renditions.write_text(toml)
        code = io.BytesIO()
        with (
            zipfile.ZipFile(local_package() / "image-scaler.zip") as shipped,
            zipfile.ZipFile(code, "w", zipfile.ZIP_DEFLATED) as changed,
        ):
            for info in shipped.infolist():
                body = toml if info.filename == "renditions.toml" else shipped.read(info)
                changed.writestr(info, body, compresslevel=1)
        self.lambda_.update_function_code(FunctionName=self.function, ZipFile=code.getvalue())

    def fill(self, folder: str, count: int) -> list[str]:
        """Upload images of every format; return their keys."""
        keys = []
        for number in range(count):
            extension = [*FORMATS][number % len(FORMATS)]
            image = photo(160 + number % 3 * 40, 120, seed=number)
            options = {"compression": "av1", "effort": 0} if extension == "avif" else {}
            keys.append(f"{folder}/{number % 7}/photo {number} +ü.{extension}")
            self.upload(keys[-1], bytes(getattr(image, FORMATS[extension])(**options)))
        return keys

    def command(self, *arguments: object, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PROGRAM, *map(str, arguments), f"--renditions={self.renditions}"],
            env=os.environ | self.env | env,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: object) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [PROGRAM, *map(str, arguments), f"--renditions={self.renditions}"],
            env=os.environ | self.env,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def plan(self, *arguments: object) -> dict[str, Any]:
        """Return what plan --json says."""
        run = self.command("plan", "--json", *arguments)
        assert run.returncode in (0, 2), run.stdout + run.stderr
        content: dict[str, Any] = json.loads(run.stdout)
        assert (run.returncode == 2) == (content["counts"]["to_process"] > 0)
        return content

    def destination_objects(self) -> dict[str, str]:
        """Return the ETag of each rendition that is not marked for deletion, and of each manifest."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.destination)
        found = {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}
        return {key: etag for key, etag in found.items() if not key.startswith(("recipes/", "rejected/"))}

    def is_marked(self, key: str) -> bool:
        return "superseded" in self.s3.head_object(Bucket=self.destination, Key=key)["Metadata"]


class Reader:
    """A page that reads manifests and then all that they list, again and again."""

    def __init__(self, stack: OldImages, keys: list[str]) -> None:
        self._keys = keys
        self._bucket = stack.destination
        self._env = stack.env
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sets = 0
        self.missing: list[str] = []
        self.mixed: list[str] = []
        self.failure: Exception | None = None

    @cached_property
    def _s3(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self._env["AWS_ENDPOINT_URL"],
            region_name=self._env["AWS_REGION"],
            aws_access_key_id=self._env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._env["AWS_SECRET_ACCESS_KEY"],
        )

    def _run(self) -> None:
        choose = random.Random(1)  # noqa: S311  nothing secret
        try:
            while not self._stop.is_set():
                self._read(choose.choice(self._keys))
        except Exception as error:
            self.failure = error

    def _read(self, key: str) -> None:
        manifest = self._get(f"manifests/{key}.json")
        if manifest is None:
            return
        content = json.loads(manifest["Body"].read())
        for entry in content["renditions"]:
            stored = self._get(entry["key"])
            if stored is None:
                self.missing.append(entry["key"])
                continue
            is_of_source = stored["Metadata"].get("source-etag") == content["source"]["etag"]
            if not is_of_source or decoded(stored["Body"].read()).width != entry["width"]:
                self.mixed.append(entry["key"])
        self.sets += 1

    def _get(self, key: str) -> Mapping[str, Any] | None:
        try:
            answer: Mapping[str, Any] = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchKey":
                raise
            return None
        return answer

    @contextmanager
    def reading(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()
        assert self.failure is None, self.failure
