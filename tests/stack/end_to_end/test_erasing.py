"""The script of docs/operations.md that erases a person's pictures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.test_docs import code
from tests.stack.end_to_end.stack import Stack
from tests.support.drawing import jpeg, quadrants


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (text,) = code("docs/operations.md", "python")
    path = tmp_path / "versions.py"
    path.write_text(text)
    return path


def run(script: Path, stack: Stack, *arguments: str, lines: str = "") -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=os.environ | stack.env,
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_no_version_of_a_persons_pictures_is_left_and_those_of_others_are(stack: Stack, script: Path) -> None:
    mine, theirs = "erased/mia/a ü+1.jpg", "erased/mio/a.jpg"
    for key in (mine, theirs):
        stack.upload(key, jpeg(quadrants(40, 30)))
        stack.renditions(key)
    stack.upload(mine, jpeg(quadrants(30, 40)))
    thumbnail = f"thumbnail/{mine}.webp"
    stack.eventually(lambda: stack.versions(thumbnail) == 2, f"the second version of {thumbnail}")
    stack.eventually(lambda: stack.versions(f"manifests/{mine}.json") == 2, f"the second manifest of {mine}")
    stack.s3.delete_object(Bucket=stack.source, Key=mine)
    stack.s3.delete_object(Bucket=stack.destination, Key=thumbnail)
    for bucket, versions in ((stack.source, 3), (stack.destination, 2 * len(stack.expected_keys(mine)) + 1)):
        found = run(script, stack, bucket, "erased/mia/")
        assert len(found.splitlines()) == versions
        assert run(script, stack, bucket, "--delete", lines=found) == ""
    for bucket in (stack.source, stack.destination):
        assert run(script, stack, bucket, "erased/mia/") == ""
    assert stack.keys_of(theirs) == stack.expected_keys(theirs)
