"""The stack with a distribution and uploads from pages, on a local AWS, and the example's page in a real browser."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

from tests.stack.end_to_end.stack import Stack
from tests.support.chromium import browser_fixture, open_page
from toolbox import cli
from toolbox.commands.demo import PARAMETERS, images_address, serving
from toolbox.local.aws import LocalAws

MILLISECONDS = 60_000
"""How long to wait for anything, such as all renditions of an upload, on a slow machine."""

Presign = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with LocalAws.start(retry_seconds=0.5, params=PARAMETERS) as aws:
        yield Stack(aws)


@pytest.fixture(scope="session")
def images(stack: Stack) -> str:
    """The address of the distribution."""
    return images_address(stack.aws)


@pytest.fixture(scope="session")
def address(stack: Stack) -> Iterator[str]:
    """The address of the example's page."""
    with serving(stack.aws) as (address, _):
        yield address


browser = browser_fixture(MILLISECONDS)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The example's page, on which no error may occur."""
    with open_page(browser, MILLISECONDS) as page:
        page.goto(address)
        yield page


@pytest.fixture
def presign(stack: Stack) -> Presign:
    """`image-scaler presign --json`, with the rights of the deployer."""

    def presign(*arguments: object) -> dict[str, Any]:
        environment = stack.env | {"AWS_PROFILE": None, "AWS_CONFIG_FILE": "/dev/null"}
        result = CliRunner().invoke(cli.main, ["presign", *map(str, arguments), "--json"], env=environment)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return presign
