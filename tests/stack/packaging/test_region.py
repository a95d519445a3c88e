"""The region: sls and the other commands find the same one, as the AWS CLI does."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
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
        pytest.param([], {"AWS_DEFAULT_REGION": ""}, "eu-north-1", id="the default profile's"),
        pytest.param([], {"AWS_PROFILE": "sweden", "AWS_DEFAULT_PROFILE": "x"}, "eu-south-2", id="that of AWS_PROFILE"),
        pytest.param([], {"AWS_DEFAULT_PROFILE": "sweden"}, "eu-south-2", id="that of AWS_DEFAULT_PROFILE"),
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
        assert done.stderr.count(NOTE) == ("AWS_CONFIG_FILE" in variables)


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


class Aws(BaseHTTPRequestHandler):
    """Says the account of a known access key, and refuses all other requests: the smallest part of the real API."""

    def do_POST(self) -> None:
        (key,) = re.findall(r"Credential=(\w+)/", self.headers["Authorization"])
        request = self.rfile.read(int(self.headers["Content-Length"]))
        status, name = 403, "Error"
        result = f"<Error><Code>ExpiredToken</Code><Message>The token of {key} is expired</Message></Error>"
        if b"GetCallerIdentity" in request and key in ACCOUNTS:
            status, name = 200, "GetCallerIdentity"
            result = f"<GetCallerIdentityResult><Account>{ACCOUNTS[key]}</Account></GetCallerIdentityResult>"
        body = f"<{name}Response>{result}</{name}Response>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


ACCOUNTS = {"OFPROFILE": "111111111111", "OFENVIRONMENT": "222222222222"}
KEYS = {"AWS_ACCESS_KEY_ID": "OFENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture
def credentials(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment with an AWS on this machine, and a file with the keys of the profile sweden."""
    file = tmp_path / "credentials"
    file.write_text("[sweden]\naws_access_key_id = OFPROFILE\naws_secret_access_key = secret\n")
    with HTTPServer(("127.0.0.1", 0), Aws) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield {"AWS_ENDPOINT_URL": url, "AWS_SHARED_CREDENTIALS_FILE": str(file)}
        server.shutdown()
        thread.join()


def make_deploy(folder: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run `make deploy` with a parameter that the check refuses before it runs sls."""
    return run(["make", "deploy", "PARAMS=--param=unknown=1"], folder, variables)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        pytest.param(KEYS, "222222222222, the region is eu-north-1", id="keys"),
        pytest.param({"AWS_PROFILE": "sweden"}, "111111111111, the region is eu-south-2", id="a profile"),
        pytest.param(KEYS | {"AWS_PROFILE": "sweden"}, "111111111111, the region is eu-south-2", id="both"),
    ],
)
def test_a_deployment_names_the_account_and_the_region_that_sls_deploys_to(
    credentials: dict[str, str], variables: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    assert f"The account is {sentence}." in make_deploy(tmp_path, credentials | variables).stdout


def test_sls_prefers_a_profile_to_keys(credentials: dict[str, str], tmp_path: Path) -> None:
    done = run([str(SLS), "info"], tmp_path, credentials | KEYS | {"AWS_PROFILE": "sweden"})
    assert "The token of OFPROFILE is expired" in done.stdout + done.stderr


def test_a_deployment_with_expired_credentials_ends_before_anything_is_checked(
    credentials: dict[str, str], tmp_path: Path
) -> None:
    done = make_deploy(tmp_path, credentials | KEYS | {"AWS_ACCESS_KEY_ID": "OLD"})
    assert done.returncode != 0
    assert "cannot find out which AWS account the credentials are of" in done.stderr
    assert "The token of OLD is expired" in done.stderr
    assert "no parameter" not in done.stderr
