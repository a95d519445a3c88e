"""Chromium, for the tests that need a real browser."""

import os
import shutil
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, JSHandle, Page, sync_playwright

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
