"""The recipes that were used before: what each of them made of a source."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from image_scaler import manifest
from image_scaler.exceptions import ConfigError, RejectedError
from image_scaler.history import read_recipe_record
from image_scaler.renditions.keys import RECIPE_FOLDER
from image_scaler.renditions.recipe import Recipe, SourcePlan
from image_scaler.renditions.spec import Spec
from toolbox.aws.errors import call_errors
from toolbox.migration.listing import list_objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class RecordedRecipe:
    """A renditions.toml, with the fingerprints of its renditions in the version of the code that used it."""

    def __init__(
        self,
        recipe: Recipe,
        fingerprints: Sequence[str] | None = None,
        version: int = manifest.VERSION,
    ) -> None:
        """`fingerprints`: of each spec; those of this version of the code by default."""
        self.recipe = recipe
        specs = recipe.specs
        self._version = version
        self._fingerprints = dict(zip(specs, fingerprints or [spec.fingerprint for spec in specs], strict=True))

    def fingerprint_of(self, spec: Spec) -> str:
        """Return the fingerprint of one of its specs."""
        return self._fingerprints[spec]

    def of_manifest(self, plan: SourcePlan) -> str:
        """Return the fingerprint in a manifest that it made."""
        parts = [(self._fingerprints[target.spec], target.key) for target in plan.targets]
        return manifest.fingerprint_of(parts, plan.page, self._version)

    def plan_for(self, key: str, asked: Collection[str] | None = None) -> SourcePlan | None:
        """Return what it makes of a source; None if S3 cannot store one of the keys.

        `asked`: the renditions that the source's metadata asks for; None if it does not say.
        """
        try:
            return self.recipe.plan_for(key, asked)
        except RejectedError:
            return None


class PastPlan(NamedTuple):
    """What an earlier recipe made of a source."""

    recipe: RecordedRecipe
    plan: SourcePlan


class RecipeHistory:
    """All recipes that are kept in the destination bucket, the last one found first."""

    def __init__(self, recipes: Sequence[RecordedRecipe]) -> None:
        self._recipes = list(recipes)

    @property
    def recipes(self) -> Sequence[RecordedRecipe]:
        """All of them."""
        return tuple(self._recipes)

    def find(self, key: str, fingerprint: str, asked: Collection[str] | None = None) -> PastPlan | None:
        """Return what made the manifest of a source that has this fingerprint; None if it is not kept."""
        for index, candidate in enumerate(self._recipes):
            plan = candidate.plan_for(key, asked)
            if plan is not None and candidate.of_manifest(plan) == fingerprint:
                self._recipes.insert(0, self._recipes.pop(index))  # that of the next source is probably the same
                return PastPlan(candidate, plan)
        return None


def read_history(s3: "S3Client", bucket: str) -> RecipeHistory:
    """Return the recipes in a destination bucket."""
    return RecipeHistory(list(_read(s3, bucket)))


def _read(s3: "S3Client", bucket: str) -> Iterator[RecordedRecipe]:
    for listed in list_objects(s3, bucket, RECIPE_FOLDER):
        if not listed.key.endswith(".json") or "/" in listed.key.removeprefix(RECIPE_FOLDER):
            continue
        with call_errors(f"read s3://{bucket}/{listed.key}"):
            body = s3.get_object(Bucket=bucket, Key=listed.key)["Body"].read()
        try:
            record = json.loads(body)
            yield RecordedRecipe(read_recipe_record(record), record["recipes"], record["manifest_version"])
        except (ValueError, KeyError, TypeError, ConfigError):
            continue  # of a version with other options: what it made is read from the manifests
