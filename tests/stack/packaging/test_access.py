"""What checkov and cloudsplaining say of who may do what in the stack.

Both pin an old boto3, and so have an environment of their own, .venv-audit. What is accepted, and why, is in
.checkov.yaml.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.stack.packaging.packages import ROOT, Package

AUDIT = ROOT / ".venv-audit" / "bin"
SETTINGS = ROOT / ".checkov.yaml"

if not (AUDIT / "checkov").exists():
    pytest.skip("make test installs the auditors into .venv-audit", allow_module_level=True)


def checkov(settings: Path, *packages: Package) -> set[str]:
    """The checks that a template fails."""
    files = [f"--file={package.template_path}" for package in packages]
    command = [AUDIT / "checkov", *files, "--config-file", settings, "--output", "json"]
    # Outside the repository, in which it would find .checkov.yaml by itself.
    run = subprocess.run(command, cwd=packages[0].folder, capture_output=True, text=True, check=False)
    assert run.stdout.startswith(("{", "[")), run.stdout + run.stderr
    report = json.loads(run.stdout)
    assert report["summary"]["passed"] > 20 * len(packages)
    assert report["summary"]["parsing_errors"] == 0
    return {check["check_id"] for check in report["results"]["failed_checks"]}


VARIANTS = ("arm64", "with_existing_bucket", "with_event_bridge", "with_everything_between", "with_a_cdn", "with_pages")


def test_checkov_has_no_other_findings(request: pytest.FixtureRequest) -> None:
    assert checkov(SETTINGS, *map(request.getfixturevalue, VARIANTS)) == set()


def test_every_check_that_is_skipped_would_fail_and_has_a_reason(
    arm64: Package, with_a_cdn: Package, tmp_path: Path
) -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    skipped = settings.pop("skip-check")
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(settings))
    assert checkov(tmp_path / "all.yaml", arm64, with_a_cdn) == set(skipped)
    for check in skipped:
        assert re.search(rf"#.*\n(  - CKV_\w+\n)?  - {check}\b", SETTINGS.read_text()), check


def policies(package: Package) -> list[dict[str, Any]]:
    """The policies of the stack's roles, as they come out on AWS."""
    return [
        json.loads(json.dumps(found["PolicyDocument"]).replace("<", "arn:aws:sqs:us-east-1:123456789012:"))
        for role in package.of_type("AWS::IAM::Role")
        for found in package.properties(role)["Policies"]
    ]


def cloudsplaining(document: dict[str, Any], tmp_path: Path) -> str:
    (tmp_path / "policy.json").write_text(json.dumps(document))
    command = [AUDIT / "cloudsplaining", "scan-policy-file", "--input-file", tmp_path / "policy.json"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_cloudsplaining_finds_nothing_in_the_permissions_of_the_roles(
    variant: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for document in policies(request.getfixturevalue(variant)):
        assert "no results found" in cloudsplaining(document, tmp_path)


def test_cloudsplaining_would_find_a_permission_that_is_too_wide(arm64: Package, tmp_path: Path) -> None:
    (document,) = policies(arm64)
    wide = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    found = cloudsplaining(document | {"Statement": [*document["Statement"], wide]}, tmp_path)
    assert "Exfiltration" in found
