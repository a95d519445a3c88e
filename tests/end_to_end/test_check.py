"""`image-scaler check --stage` says what a deployment would change in the deployed stack."""

import pytest
from typer.testing import CliRunner, Result

from tests.end_to_end.stack import Stack
from toolbox.cli import main
from toolbox.local.package_cache import sls_environment


def check(stack: Stack, *options: str) -> Result:
    environment = {name: sls_environment()[name] for name in ("LOCAL_ARCHITECTURE",)}
    return CliRunner().invoke(main, ["check", *options], env=stack.env | environment)


def test_the_deployed_settings_are_compared_with_those_of_the_next_deployment(stack: Stack) -> None:
    same = check(stack, "--stage=local")
    assert (same.exit_code, "changes" in same.output) == (0, False), same.output
    topic = "arn:aws:sns:us-east-1:123456789012:images"
    other = check(stack, "--stage=local", "--param=memorySize=3538", f"--param=alarmTopic={topic}")
    assert other.exit_code == 0, other.output
    lines = [line for line in other.output.splitlines() if "changes" in line]
    assert lines == [
        f"A deployment changes alarmTopic from none to {topic}.",
        "A deployment changes memorySize from 1792 to 3538.",
    ]


@pytest.mark.parametrize(("options", "is_said"), [(["--stage=other"], True), ([], False)])
def test_a_stack_that_does_not_exist_is_no_mistake(stack: Stack, options: list[str], is_said: bool) -> None:
    run = check(stack, *options)
    assert run.exit_code == 0
    assert ("the deployed stack was not compared" in run.output) is is_said
