"""The region: sls and the other commands find the same one, as the AWS CLI does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolbox.stack import ROOT, SLS

PROFILES = "[default]\nregion = eu-north-1\n[profile sweden]\nregion = eu-south-2\n"
NOTE = "Note: no AWS region is set: using us-east-1"
FOUND = "import sys; from toolbox.aws.session import open_session; print(open_session(*sys.argv[1:]).region_name)"


def run(command: list[str], folder: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    (folder / "config").write_text(PROFILES)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environment |= {"NODE_NO_WARNINGS": "1", "AWS_EC2_METADATA_DISABLED": "true"} | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


BOTH = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}


@pytest.mark.parametrize(
    ("options", "variables", "region"),
    [
        pytest.param(["--region", "ap-south-1"], BOTH, "ap-south-1", id="the given one"),
        pytest.param([], BOTH, "eu-west-1", id="AWS_REGION"),
        pytest.param([], BOTH | {"AWS_REGION": ""}, "eu-west-2", id="AWS_DEFAULT_REGION"),
        pytest.param([], {}, "eu-north-1", id="the default profile's"),
        pytest.param([], {"AWS_PROFILE": "sweden"}, "eu-south-2", id="that of AWS_PROFILE"),
        pytest.param([], {"AWS_CONFIG_FILE": os.devnull}, "us-east-1", id="us-east-1 with a note"),
    ],
)
def test_sls_and_the_other_commands_use(
    options: list[str], variables: dict[str, str], region: str, tmp_path: Path
) -> None:
    sls = run([str(SLS), "print", "--path", "provider.region", "--format", "text", *options], tmp_path, variables)
    ours = run([sys.executable, "-c", FOUND, *options[1:]], tmp_path, variables)
    for done in (sls, ours):
        assert done.stdout.strip() == region, done.stderr
        assert (NOTE in done.stderr) == ("AWS_CONFIG_FILE" in variables)


def test_a_profile_that_does_not_exist_ends_in_a_sentence(tmp_path: Path) -> None:
    unknown = {"AWS_PROFILE": "nowhere"}
    sls = run([str(SLS), "print"], tmp_path, unknown)
    assert sls.returncode != 0
    assert "the AWS profile nowhere does not exist" in sls.stdout + sls.stderr
    ours = run([str(Path(sys.executable).with_name("image-scaler")), "smoke"], tmp_path, unknown)
    assert ours.returncode == 2
    assert ours.stderr.startswith("image-scaler: cannot read the AWS profile: The config profile (nowhere)")


def test_a_deployment_without_credentials_ends_before_anything_is_packaged(tmp_path: Path) -> None:
    done = run(["make", "deploy"], tmp_path, {})
    assert done.returncode != 0
    assert "cannot find out which AWS account the credentials are of" in done.stderr
    assert "Packaging" not in done.stdout
