"""The stack with a distribution and uploads from pages, on a local AWS, and the example's page in a real browser."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from tests.stack.end_to_end.stack import Stack
from tests.support.chromium import chromium
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


@pytest.fixture(scope="module")  # not longer: its event loop would be in the way of tests that run one of their own
def browser() -> Iterator[Browser]:
    """Chromium; without one the test is skipped."""
    expect.set_options(timeout=MILLISECONDS)
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The example's page, on which no error may occur."""
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    yield page
    context.close()
    assert errors == []


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
