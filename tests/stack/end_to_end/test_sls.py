"""The commands of the Serverless Framework that people use beside `sls deploy`, on the deployed stack."""

import json
import re
import subprocess
import sys

import pytest

from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import jpeg, quadrants
from toolbox.local.package_cache import sls_environment
from toolbox.stack import ROOT, SLS

UPLOADED = jpeg(quadrants(120, 80))


def sls(stack: Stack, *arguments: str) -> str:
    run = subprocess.run(
        [SLS, *arguments, "--stage=local"],
        cwd=ROOT,
        env=sls_environment() | stack.env | {"VIRTUAL_ENV": sys.prefix},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_info_names_the_function_and_the_outputs(stack: Stack) -> None:
    text = sls(stack, "info", "--verbose")
    for name in (stack.function, stack.source, stack.destination, stack.failure_queue_url):
        assert name in text


def test_invoke_calls_the_deployed_function(stack: Stack) -> None:
    stack.upload("sls/invoked", UPLOADED)
    event = {"bucket": stack.source, "keys": ["sls/invoked"]}
    answer = json.loads(sls(stack, "invoke", "--function=resize", "--data", json.dumps(event)))
    assert answer["statusCode"] == 200
    assert stack.keys_of("sls/invoked") == stack.expected_keys("sls/invoked")


@pytest.mark.parametrize("example", ["direct-call", "s3-put", "event-bridge", "sns", "batch-operations-2.0"])
def test_invoke_local_runs_the_example_events(stack: Stack, example: str) -> None:
    stack.upload("Lighthouse at dusk.JPG", UPLOADED)
    text = sls(stack, "invoke", "local", "--function=resize", f"--path=events/{example}.json")
    *_, answer = re.split(r"^(?=\{$)", text, flags=re.MULTILINE)  # after the lines of the log, each of one line
    found = json.loads(answer)
    assert found.get("statusCode") == 200 or found["results"][0]["resultCode"] == "Succeeded"


def test_invoke_local_writes_to_the_deployed_destination(stack: Stack) -> None:
    stack.upload("sls/local", UPLOADED)
    event = {"bucket": stack.source, "keys": ["sls/local"]}
    sls(stack, "invoke", "local", "--function=resize", "--data", json.dumps(event))
    assert stack.keys_of("sls/local") == stack.expected_keys("sls/local")


def test_logs_shows_why_an_image_was_rejected(stack: Stack) -> None:
    stack.upload("sls/broken.jpg", b"exactly 29 bytes and no image")
    stack.failure_record("sls/broken.jpg")
    stack.eventually(
        lambda: "its 29 bytes are not an image" in sls(stack, "logs", "--function=resize"), "the line in the log"
    )


def test_logs_shows_the_line_of_an_upload_with_its_metrics(stack: Stack) -> None:
    stack.upload("sls/told.jpg", UPLOADED)
    stack.eventually(lambda: '"key": "sls/told.jpg"' in sls(stack, "logs", "--function=resize"), "the line in the log")
    lines = [line[line.index("{") :] for line in sls(stack, "logs", "--function=resize").splitlines() if "{" in line]
    told = [json.loads(line) for line in lines if '"key": "sls/told.jpg"' in line]
    assert [(line["status"], line["bytes_in"], line["Uploads"]) for line in told] == [("ok", len(UPLOADED), 1)]
    assert [line["service"] for line in told if "_aws" in line] == [stack.function]
