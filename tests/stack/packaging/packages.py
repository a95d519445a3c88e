"""Run `sls package` outside the working tree, and read its zip and its template."""

import json
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests import ROOT

ACCOUNT, REGION = "123456789012", "us-east-1"
SHIPPED = ("serverless.yml", "package.json", "serverless", "handler.py", "image_scaler", "renditions.toml")
INSTALLED = ("node_modules", ".venv")


@dataclass(frozen=True)
class Package:
    """A folder that `sls package` wrote."""

    folder: Path

    @property
    def zip_path(self) -> Path:
        return self.folder / "image-scaler.zip"

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The zip's files by their paths in it."""
        with zipfile.ZipFile(self.zip_path) as archive:
            return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}

    @property
    def template_path(self) -> Path:
        return self.folder / "cloudformation-template-update-stack.json"

    @cached_property
    def _template(self) -> dict[str, Any]:
        template: dict[str, Any] = json.loads(self.template_path.read_text())
        return template

    @cached_property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The template's resources, with names and ARNs in the place of functions."""
        resources: dict[str, dict[str, Any]] = self._resolved(self._template["Resources"])
        return resources

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The values of the template's outputs."""
        return {name: self._resolved(output["Value"]) for name, output in self._template["Outputs"].items()}

    def properties(self, name: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.resources[name]["Properties"]
        return properties

    def of_type(self, type_: str) -> list[str]:
        return [name for name, resource in self.resources.items() if resource["Type"] == type_]

    def _resolved(self, node: Any) -> Any:
        match node:
            case {"Ref": str(name)}:
                return self._reference(name)
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                return self._reference(f"{name}.{attribute}")
            case {"Fn::Join": [str(separator), [*parts]]}:
                return separator.join(map(self._resolved, parts))
            case {"Fn::Sub": [str(text), {**variables}]}:
                return self._substituted(text, {name: self._resolved(value) for name, value in variables.items()})
            case {"Fn::Sub": str(text)}:
                return self._substituted(text, {})
            case dict():
                given = {name: value for name, value in node.items() if value != {"Ref": "AWS::NoValue"}}
                return {name: self._resolved(value) for name, value in given.items()}
            case list():
                return [self._resolved(value) for value in node]
        return node

    def _substituted(self, text: str, variables: dict[str, str]) -> str:
        first, *rest = text.split("${")
        for part in rest:
            name, _, literal = part.partition("}")
            known = f"${{{name[1:]}}}" if name.startswith("!") else variables.get(name)
            first += (known or self._reference(name)) + literal
        return first

    def _reference(self, name: str) -> str:
        """Return a parameter's value, a bucket's name or ARN, or `<name>` for what only AWS knows."""
        known = {
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name in known:
            return known[name]
        resource = self._template["Resources"][name.partition(".")[0]]
        bucket = resource["Type"] == "AWS::S3::Bucket" and resource["Properties"].get("BucketName")
        if not bucket:
            return f"<{name}>"
        return f"arn:aws:s3:::{self._resolved(bucket)}" if name.endswith(".Arn") else self._resolved(bucket)


def package(
    folder: Path,
    *arguments: str,
    cache: Path | None = None,
    wheels: bool = True,
    renditions: str | None = None,
    overlay: bytes | None = None,
) -> Package:
    """Run `sls package` in a copy of what it reads, so that a deploy from the working tree is not disturbed.

    Without `wheels` nothing is installed into the zip: the template is the same, and there in a third of the time.
    `cache` is the folder that keeps downloads between packages; without it everything is downloaded again. `overlay` is
    the image `overlays/shop/logo.png`.
    """
    checkout = folder / "checkout"
    checkout.mkdir(parents=True)
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    for name in INSTALLED:
        (checkout / name).symlink_to(ROOT / name)
    if wheels:
        shutil.copy(ROOT / "requirements.txt", checkout)
    if renditions is not None:
        (checkout / "renditions.toml").write_text(renditions)
    if overlay is not None:
        path = checkout / "overlays" / "shop" / "logo.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(overlay)
    if cache:
        cache.mkdir(exist_ok=True)
        (checkout / ".local").mkdir()
        (checkout / ".local" / "cache").symlink_to(cache)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SLS_"))}
    environment |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NODE_NO_WARNINGS": "1",
    }
    run = subprocess.run(
        ["node_modules/.bin/sls", "package", "--package", str(folder / "package"), *arguments],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return Package(folder / "package")
