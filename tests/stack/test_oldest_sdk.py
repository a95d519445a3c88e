"""The oldest SDK that the function accepts is enough for it."""

import subprocess
import sys

import pytest

from tests import ROOT

SDK = ROOT / ".venv-oldest"


@pytest.mark.aws
@pytest.mark.timeout(300)
@pytest.mark.skipif(not SDK.exists(), reason="make test installs the oldest SDK into .venv-oldest")
def test_the_tests_that_use_s3_pass_with_the_oldest_sdk() -> None:
    command = [sys.executable, "-m", "tests.stack.oldest_sdk", SDK]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
