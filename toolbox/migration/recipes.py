"""The recipes that were used before: what each of them made of a source."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from image_scaler import manifest
from image_scaler.exceptions import ConfigError, RejectedError
from image_scaler.renditions.keys import RECIPE_FOLDER
from image_scaler.renditions.spec import Renditions, SourcePlan, Spec
from image_scaler.renditions.toml import parse_renditions
from toolbox.aws.errors import call_errors
from toolbox.migration.listing import list_objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Recipe:
    """A renditions.toml, with the fingerprints of its renditions in the version of the code that used it."""

    def __init__(
        self,
        renditions: Renditions,
        fingerprints: Sequence[str] | None = None,
        version: int = manifest.VERSION,
    ) -> None:
        """`fingerprints`: of each spec; those of this version of the code by default."""
        self.renditions = renditions
        specs = renditions.specs
        self._version = version
        self._fingerprints = dict(zip(specs, fingerprints or [spec.fingerprint for spec in specs], strict=True))

    def fingerprint_of(self, spec: Spec) -> str:
        """Return the fingerprint of one of its specs."""
        return self._fingerprints[spec]

    def of_manifest(self, plan: SourcePlan) -> str:
        """Return the fingerprint in a manifest that it made."""
        parts = [(self._fingerprints[target.spec], target.key) for target in plan.targets]
        return manifest.fingerprint_of(parts, plan.ladder, self._version)

    def plan_for(self, key: str) -> SourcePlan | None:
        """Return what it makes of a source; None if S3 cannot store one of the keys."""
        try:
            return self.renditions.plan_for(key)
        except RejectedError:
            return None


class Made(NamedTuple):
    """What an earlier recipe made of a source."""

    recipe: Recipe
    plan: SourcePlan


class History:
    """All recipes that are kept in the destination bucket, the last one found first."""

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self._recipes = list(recipes)

    def find(self, key: str, fingerprint: str) -> Made | None:
        """Return what made the manifest of a source that has this fingerprint; None if it is not kept."""
        for index, candidate in enumerate(self._recipes):
            plan = candidate.plan_for(key)
            if plan is not None and candidate.of_manifest(plan) == fingerprint:
                self._recipes.insert(0, self._recipes.pop(index))  # that of the next source is probably the same
                return Made(candidate, plan)
        return None


def read_history(s3: "S3Client", bucket: str) -> History:
    """Return the recipes in a destination bucket."""
    return History(list(_read(s3, bucket)))


def _read(s3: "S3Client", bucket: str) -> Iterator[Recipe]:
    for listed in list_objects(s3, bucket, RECIPE_FOLDER):
        if not listed.key.endswith(".json") or "/" in listed.key.removeprefix(RECIPE_FOLDER):
            continue
        with call_errors(f"read s3://{bucket}/{listed.key}"):
            body = s3.get_object(Bucket=bucket, Key=listed.key)["Body"].read()
        try:
            record = json.loads(body)
            yield Recipe(parse_renditions(record["toml"]), record["recipes"], record["manifest_version"])
        except (ValueError, KeyError, TypeError, ConfigError):
            continue  # of a version with other options: what it made is read from the manifests
