"""Renditions with a gain map in Chromium, as an HDR display and another one show them.

A screenshot is mapped to the range of a PNG, so it tells whether a map is read. The light itself is compared in
tests/properties/test_gain_maps.py.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import pyvips
from playwright.sync_api import Page, Route

from image_scaler.images.rendering import Rendition, SourceImage
from image_scaler.manifest import Source, build
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing, ultra_hdr
from tests.support.chromium import chromium, open_page
from tests.unit.images.test_gain_map import apple, iphone, noted

ORIGIN = "http://127.0.0.1"
RECIPE = """
[renditions.web]
widths = [100, 200]
formats = ["webp", "jpeg"]
hdr = "keep"

[[pictures]]
media = "(dynamic-range: high)"
ladder = "web"
hdr = true
"""


def rendered(body: bytes, options: str = "") -> bytes:
    table = f'[renditions.x]\nformat = "jpeg"\nhdr = "keep"\n{options}'
    (rendition,) = SourceImage(body).render(parse_recipe(table).plan_for("a.jpg").renditions)
    return rendition.body


BODY = ultra_hdr.source(320, 240, orientation=6)
WITH_MAP = {
    "xmp": rendered(ultra_hdr.source(200, 150, ultra_hdr.xmp(ultra_hdr.NUMBERS))),
    "iso": rendered(ultra_hdr.source(200, 150, ultra_hdr.iso(ultra_hdr.NUMBERS))),
    "three channels": rendered(ultra_hdr.source(200, 150, colourful=True)),
    "a crop": rendered(BODY, "width = 150\nheight = 90"),
    "bars": rendered(BODY, 'width = 200\nheight = 200\nfit = "contain"'),
    "progressive": rendered(BODY, "width = 200\nprogressive = true\nquality = 90"),
    "iPhone": rendered(iphone(apple())),
    "older iPhone": rendered(iphone(apple(None), noted((33, 1.0), (48, 0.0)))),
}
WITHOUT = {
    "no map": rendered(drawing.jpeg(ultra_hdr.bright_sky(200, 150)[0])),
    "a map that is dropped": rendered(iphone(apple(None))),
}


def manifest(body: bytes) -> tuple[dict[str, bytes], str]:
    """What RECIPE makes of a source: the objects by their keys, and the `<picture>`."""
    plan = parse_recipe(RECIPE).plan_for("a.jpg")
    made: list[Rendition] = list(SourceImage(body).render(plan.renditions))
    source = Source(key="a.jpg", etag="e", bytes=1, width=320, height=240)
    content: dict[str, Any] = json.loads(build(source, [one.made for one in made], plan.page, fingerprint="f"))
    return {one.made.key: one.body for one in made}, content["picture"]


def serve(page: Page, files: Mapping[str, bytes], html: str) -> None:
    """Show a page that has these files next to it."""

    def respond(route: Route) -> None:
        name = route.request.url.removeprefix(f"{ORIGIN}/")
        if name in files:
            route.fulfill(body=files[name])
        else:
            route.fulfill(
                body=f"<!doctype html><title>HDR</title><body style='margin: 0'>{html}", content_type="text/html"
            )

    page.route("**/*", respond)
    page.goto(f"{ORIGIN}/")
    page.evaluate("Promise.all([...document.images].map((image) => (image.loading = 'eager', image.decode())))")


def see(profile: str) -> dict[str, Any]:
    """What a browser with this display shows: each picture, and what a `<picture>` loads."""
    seen: dict[str, Any] = {}
    with chromium(f"--force-color-profile={profile}") as browser:
        for name, body in (WITH_MAP | WITHOUT).items():
            with open_page(browser, 10_000) as page:
                serve(page, {"a.jpg": body}, "<img src=a.jpg>")
                image = pyvips.Image.new_from_buffer(page.locator("img").screenshot(type="png"), "")
                seen[name] = image.numpy()[..., :3].astype(int)
        for name, body in (("with", BODY), ("without", drawing.jpeg())):
            files, html = manifest(body)
            with open_page(browser, 10_000) as page:
                serve(page, files, html)
                seen[f"loaded {name}"] = page.evaluate("document.images[0].currentSrc").removeprefix(f"{ORIGIN}/")
    return seen


@pytest.fixture(scope="module")
def displays() -> tuple[dict[str, Any], dict[str, Any]]:
    """What an HDR display and another one show."""
    return see("hdr10"), see("srgb")


@pytest.mark.parametrize("name", WITH_MAP)
def test_an_hdr_display_reads_the_map(displays: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    hdr, sdr = displays
    assert np.abs(hdr[name] - sdr[name]).max() >= 10


@pytest.mark.parametrize("name", WITHOUT)
def test_without_a_map_both_displays_show_the_same(displays: tuple[dict[str, Any], dict[str, Any]], name: str) -> None:
    hdr, sdr = displays
    assert np.array_equal(hdr[name], sdr[name])


def test_only_hdr_displays_load_the_jpeg_if_the_picture_offers_it(
    displays: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    hdr, sdr = displays
    assert hdr["loaded with"].endswith("a.jpg")
    assert sdr["loaded with"].endswith(".webp")
    assert hdr["loaded without"].endswith(".webp"), "a source without a map has nothing for an HDR display"
    assert sdr["loaded without"].endswith(".webp")
