"""Chromium, for the tests that need a real browser."""

import os
import shutil
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, JSHandle, Page, expect, sync_playwright

_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """Start Chromium: that of the environment variable CHROMIUM, or the system's; without one the test is skipped."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        reason = "there is no Chromium: apt-get install chromium, or set CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*_ARGUMENTS, *arguments])
        yield browser
        browser.close()


def browser_fixture(milliseconds: int) -> Any:
    """Return a fixture: Chromium, in whose pages `expect` waits for so long; without one the test is skipped."""

    @pytest.fixture(scope="module")  # not longer: its event loop would be in the way of tests that run one of their own
    def browser() -> Iterator[Browser]:
        expect.set_options(timeout=milliseconds)
        with chromium() as browser:
            yield browser

    return browser


@contextmanager
def open_page(browser: Browser, milliseconds: int, **options: Any) -> Iterator[Page]:
    """Open a page of 1280 x 800 pixels, whose actions wait for so long; no error may occur on it."""
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    context.set_default_timeout(milliseconds)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def transfer_of(page: Page, files: Mapping[str, bytes], mime_type: str = "") -> JSHandle:
    """Return what a drop of files on the page transfers."""
    return page.evaluate_handle(
        """([files, type]) => {
            const transfer = new DataTransfer();
            for (const [name, body] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(body), (character) => character.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type }));
            }
            return transfer;
        }""",
        [{name: b64encode(body).decode() for name, body in files.items()}, mime_type],
    )
