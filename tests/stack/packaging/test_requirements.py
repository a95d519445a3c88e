"""requirements.txt: the complete lock of what is in the zip."""

import re
from importlib.metadata import requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image_scaler.storage.sdk import MIN_VERSION
from tests.stack.packaging.packages import ROOT

LAMBDA = {
    "implementation_name": "cpython",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
"""The function's platform, as the environment of requirement markers."""


def entries(name: str) -> dict[str, list[str]]:
    """Return the lines of each requirement of a lock, by its name."""
    joined = re.sub(r"\\\n", " ", (ROOT / name).read_text())
    lines = [line.split() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return {canonicalize_name(re.split(r"[=\[<>~! ]", line[0])[0]): line for line in lines}


def test_every_requirement_is_pinned_and_hashed() -> None:
    for name in ("requirements.txt", "requirements/dev.txt", "requirements/audit.txt", "requirements/oldest.txt"):
        for requirement in entries(name).values():
            assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.+]+", requirement[0])
            assert any(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in requirement), requirement[0]


def test_it_is_complete_and_has_no_more_than_is_needed() -> None:
    wanted = [Requirement(line) for line in lines_of("requirements/function.in")]
    needed: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        needed.add(canonicalize_name(requirement.name))
        for line in requires(requirement.name) or []:
            dependency = Requirement(line)
            extras = requirement.extras or {""}
            if not dependency.marker or any(dependency.marker.evaluate(LAMBDA | {"extra": e}) for e in extras):
                wanted.append(dependency)
    assert entries("requirements.txt").keys() == needed


def test_it_leaves_boto3_to_lambdas_own() -> None:
    assert entries("requirements.txt").keys().isdisjoint({"boto3", "botocore", "s3transfer", "urllib3"})


def test_its_first_lines_say_what_is_where() -> None:
    header = (ROOT / "requirements" / "header.txt").read_text()
    assert (ROOT / "requirements.txt").read_text().startswith(header)
    assert f"{MIN_VERSION} is the oldest" in header


def test_the_oldest_boto3_that_is_tested_is_the_oldest_that_the_function_accepts() -> None:
    oldest = entries("requirements/oldest.txt")
    assert (oldest["boto3"][0], oldest["botocore"][0]) == (f"boto3=={MIN_VERSION}", f"botocore=={MIN_VERSION}")


def test_tests_run_with_the_versions_that_the_function_has() -> None:
    function, development = entries("requirements.txt"), entries("requirements/dev.txt")
    assert {name: development[name][0] for name in function} == {name: line[0] for name, line in function.items()}


def test_the_locked_versions_are_the_installed_ones() -> None:
    locked = {name: line[0].partition("==")[2] for name, line in entries("requirements.txt").items()}
    assert {name: version(name) for name in locked} == locked


def lines_of(name: str) -> list[str]:
    return [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
