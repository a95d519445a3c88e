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

from tests.packaging.packages import ROOT, Package

AUDIT = ROOT / ".venv-audit" / "bin"
SETTINGS = ROOT / ".checkov.yaml"

if not (AUDIT / "checkov").exists():
    pytest.skip("make test installs the auditors into .venv-audit", allow_module_level=True)


def checkov(package: Package, settings: Path) -> set[str]:
    """The checks that the template fails."""
    command = [AUDIT / "checkov", "--file", package.template_path, "--config-file", settings, "--output", "json"]
    # Outside the repository, in which it would find .checkov.yaml by itself.
    run = subprocess.run(command, cwd=package.folder, capture_output=True, text=True, check=False)
    assert run.stdout.startswith(("{", "[")), run.stdout + run.stderr
    report = json.loads(run.stdout)
    assert report["summary"]["passed"] > 20
    assert report["summary"]["parsing_errors"] == 0
    return {check["check_id"] for check in report["results"]["failed_checks"]}


def test_checkov_has_no_other_findings(arm64: Package) -> None:
    assert checkov(arm64, SETTINGS) == set()


def test_every_check_that_is_skipped_would_fail_and_has_a_reason(arm64: Package, tmp_path: Path) -> None:
    settings = yaml.safe_load(SETTINGS.read_text())
    skipped = settings.pop("skip-check")
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(settings))
    assert checkov(arm64, tmp_path / "all.yaml") == set(skipped)
    for check in skipped:
        assert re.search(rf"#.*\n(  - CKV_\w+\n)?  - {check}\b", SETTINGS.read_text()), check


def policy(package: Package) -> dict[str, Any]:
    """The policy of the function's role, as it comes out on AWS."""
    (found,) = package.properties("IamRoleLambdaExecution")["Policies"]
    document: dict[str, Any] = found["PolicyDocument"]
    return document


def cloudsplaining(document: dict[str, Any], tmp_path: Path) -> str:
    (tmp_path / "policy.json").write_text(json.dumps(document))
    command = [AUDIT / "cloudsplaining", "scan-policy-file", "--input-file", tmp_path / "policy.json"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_cloudsplaining_finds_nothing_in_the_permissions_of_the_role(arm64: Package, tmp_path: Path) -> None:
    assert "no results found" in cloudsplaining(policy(arm64), tmp_path)


def test_cloudsplaining_would_find_a_permission_that_is_too_wide(arm64: Package, tmp_path: Path) -> None:
    document = policy(arm64)
    wide = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    found = cloudsplaining(document | {"Statement": [*document["Statement"], wide]}, tmp_path)
    assert "Exfiltration" in found
