"""A real browser for the tests of the page."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support.chromium import browser_fixture, open_page

MILLISECONDS = 20_000
"""How long to wait for anything on a slow machine."""


browser = browser_fixture(MILLISECONDS)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of 1280 x 800 pixels, on which no error may occur."""
    with open_page(browser, MILLISECONDS, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.bring_to_front()  # only a page with the focus may write to the clipboard
        yield page
