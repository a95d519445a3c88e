"""A real browser for the tests of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.chromium import chromium

MILLISECONDS = 20_000
"""How long to wait for anything on a slow machine."""


@pytest.fixture(scope="module")  # not longer: its event loop would be in the way of tests that run one of their own
def browser() -> Iterator[Browser]:
    """Chromium; without one the test is skipped."""
    expect.set_options(timeout=MILLISECONDS)
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1280 x 800 pixels, on which no error may occur."""
    errors: list[str] = []
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
    )
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    page.bring_to_front()  # only a page with the focus may write to the clipboard
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
