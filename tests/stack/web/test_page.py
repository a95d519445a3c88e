"""The page of examples/page in a real browser: from a dropped file to a picture, or to the reason why there is none."""

import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests import ROOT
from tests.repository.test_docs import code
from tests.stack.end_to_end.stack import Stack
from tests.stack.web.conftest import Presign
from tests.support import drawing
from tests.support.chromium import transfer_of

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SAMPLES = ROOT / "samples"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


def choose(page: Page, name: str, body: bytes, mime_type: str = "image/jpeg") -> Locator:
    """Choose a file; return the entry that the page shows for it."""
    page.set_input_files("input", {"name": name, "mimeType": mime_type, "buffer": body})
    return page.get_by_role("listitem").filter(has_text=name)


def drop(page: Page, name: str, body: bytes) -> Locator:
    """Drop a file on the page, as from a folder window."""
    page.dispatch_event("body", "drop", {"dataTransfer": transfer_of(page, {name: body}, "image/jpeg")})
    return page.get_by_role("listitem").filter(has_text=name)


def loaded(picture: Locator) -> dict[str, Any]:
    """Wait until an image has loaded; return its address, its size, and its text."""
    found: dict[str, Any] = picture.evaluate(
        """async (image) => {
            if (!image.complete) await new Promise((resolve) => image.addEventListener("load", resolve));
            const { currentSrc: url, naturalWidth: width, naturalHeight: height, alt } = image;
            return { url, width, height, alt };
        }"""
    )
    return found


def test_a_dropped_photo_shows_its_placeholder_and_then_one_file_that_fits(page: Page, images: str) -> None:
    held: list[Route] = []
    page.route(re.compile(r"/web-\d+/"), lambda route: held.append(route))
    entry = drop(page, "dusk.jpg", (SAMPLES / "Lighthouse at dusk.JPG").read_bytes())
    expect(entry).to_contain_text("Making smaller versions")
    expect(entry).to_contain_text(re.compile("4032 . 3024"))
    picture = entry.get_by_role("img", name="dusk")
    assert "data:image/png" in picture.evaluate("image => getComputedStyle(image).backgroundImage")
    assert picture.evaluate("image => getComputedStyle(image).backgroundColor") != "rgba(0, 0, 0, 0)"
    box = picture.bounding_box()
    assert box
    assert abs(box["width"] / box["height"] - 4032 / 3024) < 0.01
    for route in held:
        route.continue_()
    shown = loaded(picture)
    assert shown["url"].startswith(f"{images}web-640/")
    assert shown["url"].endswith(".avif")
    expect(picture).to_have_css("background-image", "none")  # from the load event on, a moment after it is complete
    assert picture.bounding_box() == box
    assert len(held) == 1


def test_a_sideways_photo_is_upright(page: Page) -> None:
    shown = loaded(choose(page, "owl.jpg", (SAMPLES / "owl.jpg").read_bytes()).get_by_role("img"))
    assert shown["width"] < shown["height"]


def test_a_small_picture_is_not_enlarged(page: Page) -> None:
    picture = choose(page, "small.png", drawing.png(drawing.photo(100, 75)), "image/png").get_by_role("img")
    assert loaded(picture)["width"] == 100
    assert picture.evaluate("image => image.clientWidth") == 100


def test_an_animation_moves(page: Page, images: str) -> None:
    entry = choose(
        page,
        "moving.gif",
        drawing.gif(300, 200, *(drawing.GifPicture(0, 0, 300, 200, colour) for colour in (0, 1))),
        "image/gif",
    )
    url = loaded(entry.get_by_role("img"))["url"]
    frames = page.evaluate(
        """async (url) => {
            const data = await (await fetch(url, { cache: "reload" })).arrayBuffer();
            const decoder = new ImageDecoder({ data, type: url.endsWith("avif") ? "image/avif" : "image/webp" });
            await decoder.tracks.ready;
            return decoder.tracks.selectedTrack.frameCount;
        }""",
        url,
    )
    assert frames > 1


@pytest.mark.parametrize(
    ("name", "body", "type_", "reason"),
    [
        ("text.jpg", b"no image", "image/jpeg", "This is not an image."),
        ("notes.txt", b"text", "text/plain", "Only images can be uploaded."),
        ("page.svg", b"<svg/>", "image/svg+xml", "Only images can be uploaded."),
        ("empty.jpg", b"", "image/jpeg", "This file is empty or larger than 20 MB."),
        ("huge.jpg", bytes(20_000_001), "image/jpeg", "This file is empty or larger than 20 MB."),
    ],
)
def test_a_file_that_becomes_no_picture_has_the_reason(
    page: Page, name: str, body: bytes, type_: str, reason: str
) -> None:
    entry = choose(page, name, body, type_)
    expect(entry.get_by_role("status")).to_contain_text(reason)
    expect(entry).to_have_attribute("data-state", re.compile("rejected|failed"))


@pytest.fixture(scope="module")
def other_address() -> Iterator[str]:
    """The address of a server of the module alone, on another port: its pages have no policy of their own."""
    folder = partial(SimpleHTTPRequestHandler, directory=str(ROOT / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), folder) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def blank(page: Page, other_address: str) -> Page:
    """A page that may upload, and that is not the example's."""
    page.goto(other_address)
    return page


SEND = """async ([{ method, url, headers, fields }, body]) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields ?? {})) form.append(name, value);
    const file = new Blob([new Uint8Array(body)]);
    form.append("file", file);
    const { "Content-Length": _, ...sent } = headers ?? {};
    try {
        const response = await fetch(url, { method, headers: sent, body: fields ? form : file });
        return [response.status, response.headers.get("ETag")];
    } catch {
        return "blocked";
    }
}"""
READY = """async ([images, key, etag]) => {
    const { ready } = await import("/scaled-image.js");
    try {
        return (await ready(images, key, { etag })).source;
    } catch (error) {
        return [error.name, error.code];
    }
}"""


def test_a_page_uploads_with_a_put_and_with_a_post_and_sees_the_etag(
    blank: Page, stack: Stack, presign: Presign
) -> None:
    body = list(drawing.jpeg())
    for key, options in (("page/put.jpg", ["--bytes", len(body)]), ("page/post.jpg", ["--post"])):
        status, etag = blank.evaluate(SEND, [presign(key, *options), body])
        assert status == (200 if "put" in key else 204)
        assert etag == stack.s3.head_object(Bucket=stack.source, Key=key)["ETag"]


def test_a_page_of_another_origin_cannot_put_and_sees_no_response_and_no_manifest(
    blank: Page, other_address: str, images: str, stack: Stack, presign: Presign
) -> None:
    key, body = "page/foreign.jpg", list(drawing.jpeg())
    stack.upload("page/own.jpg", drawing.jpeg())
    stack.manifest("page/own.jpg")
    console: list[str] = []
    blank.on("console", lambda message: console.append(message.text))
    blank.goto(other_address.replace("127.0.0.1", "localhost"))
    assert blank.evaluate(SEND, [presign(key, "--bytes", len(body)), body]) == "blocked"
    assert not stack.s3.list_objects_v2(Bucket=stack.source, Prefix=key).get("Contents")
    # A browser sends a form before it looks at CORS: only the signature protects the bucket.
    assert blank.evaluate(SEND, [presign("page/form.jpg", "--post"), body]) == "blocked"
    assert stack.s3.list_objects_v2(Bucket=stack.source, Prefix="page/form.jpg").get("Contents")
    fetched = "async (url) => { try { return (await fetch(url)).status } catch { return 'blocked' } }"
    assert blank.evaluate(fetched, f"{images}manifests/page/own.jpg.json") == "blocked"
    assert sum("blocked by CORS policy" in text and "Access-Control-Allow-Origin" in text for text in console) == 3


def test_a_replaced_picture_is_ready_only_when_its_own_manifest_exists(
    blank: Page, images: str, stack: Stack, presign: Presign
) -> None:
    key = "page/replaced.jpg"
    stack.upload(key, drawing.jpeg(drawing.photo(60, 40)))
    stack.manifest(key)
    body = list(drawing.jpeg(drawing.photo(90, 50)))
    _, etag = blank.evaluate(SEND, [presign(key, "--bytes", len(body), "--overwrite"), body])
    source = blank.evaluate(READY, [images, key, etag])
    assert (source["width"], source["height"]) == (90, 50)


def test_an_old_rejection_does_not_count_for_a_new_upload(page: Page, images: str, stack: Stack) -> None:
    key = "page/repaired.jpg"
    stack.upload(key, b"no image")
    assert page.evaluate(READY, [images, key, None]) == ["Rejected", "not_an_image"]
    stack.upload(key, drawing.jpeg())
    etag = stack.s3.head_object(Bucket=stack.source, Key=key)["ETag"]
    assert page.evaluate(READY, [images, key, etag])["etag"] == etag.strip('"')


def test_the_element_of_the_docs_shows_a_ladder_or_one_rendition(blank: Page, images: str, stack: Stack) -> None:
    stack.upload("page/docs.jpg", drawing.jpeg(drawing.photo(1200, 800)))
    stack.manifest("page/docs.jpg")
    (lines,) = [block for block in code("docs/web.md", "html") if "<scaled-image " in block]
    element = lines.splitlines()[-1].replace("https://images.example.com/", images).replace("dir/photo", "page/docs")
    blank.evaluate("() => import('/scaled-image.js')")
    for more, folder, width in (  # the widest is the last: a browser prefers a wider file that it has already
        ('width="500" priority', "web-640", 500),
        ('ladder="thumbnail" layout="fixed" width="160"', "thumbnail", 160),
        ("", "web-1280", 1200),
    ):
        markup = element.replace("<scaled-image ", f"<scaled-image {more} ")
        blank.evaluate("(markup) => { document.body.innerHTML = markup }", markup)
        picture = blank.get_by_role("img", name="The harbour at dawn")
        assert loaded(picture)["url"].startswith(f"{images}{folder}/")
        assert picture.evaluate("image => image.clientWidth") == width


def test_the_element_follows_its_source_and_loads_nothing_again_when_it_is_moved(
    blank: Page, images: str, stack: Stack
) -> None:
    for name, width in (("one", 60), ("two", 90)):
        stack.upload(f"page/{name}.jpg", drawing.jpeg(drawing.photo(width, 40)))
        stack.manifest(f"page/{name}.jpg")
    asked: list[str] = []
    blank.on("request", lambda request: asked.append(request.url))
    blank.evaluate("() => import('/scaled-image.js')")
    markup = f'<scaled-image base="{images}" source="page/one.jpg" alt=""></scaled-image><p>'
    blank.evaluate("(markup) => { document.body.innerHTML = markup }", markup)
    assert loaded(blank.locator("img"))["width"] == 60
    asked.clear()
    blank.evaluate("document.body.append(document.querySelector('scaled-image'))")
    blank.wait_for_timeout(1000)
    assert asked == []
    follow = "(element) => { element.setAttribute('source', 'page/two.jpg'); return element.children.length }"
    assert blank.locator("scaled-image").evaluate(follow) == 0
    blank.wait_for_function("document.querySelector('img')?.naturalWidth === 90")
    assert [url for url in asked if "one.jpg" in url] == []


def test_waiting_ends_with_a_signal_and_after_a_time(page: Page, images: str) -> None:
    names = page.evaluate(
        """async (images) => {
            const { ready } = await import("/scaled-image.js");
            const name = (promise) => promise.then(() => "ready", (error) => error.name);
            return Promise.all([
                name(ready(images, "never.jpg", { seconds: 1 })),
                name(ready(images, "never.jpg", { signal: AbortSignal.abort() })),
            ]);
        }""",
        images,
    )
    assert names == ["TimeoutError", "AbortError"]


def test_an_element_without_alt_says_so_and_one_that_is_removed_asks_no_more(page: Page, images: str) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        """(images) => {
            const picture = document.createElement("scaled-image");
            picture.setAttribute("base", images);
            picture.setAttribute("source", "never.jpg");
            document.body.append(picture);
        }""",
        images,
    )
    page.wait_for_function("document.querySelector('body > scaled-image').getAttribute('state') === 'waiting'")
    page.evaluate("document.querySelector('body > scaled-image').remove()")
    page.wait_for_timeout(1000)
    count = len(asked)
    page.wait_for_timeout(3000)
    assert len(asked) == count
    assert any("<scaled-image> needs alt" in text for text in errors)


@pytest.fixture(scope="module")
def filled(browser: Browser, address: str) -> Iterator[Callable[[str, str], Page]]:
    """Opens the page with a picture and a rejected file, in a size and a colour scheme."""
    contexts = []

    def filled(size: str, scheme: Any) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(address)
        loaded(choose(page, "badge.png", (SAMPLES / "badge.png").read_bytes(), "image/png").get_by_role("img"))
        expect(choose(page, "text.jpg", b"no image")).to_contain_text("not an image")
        return page

    yield filled
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_no_violation_and_nothing_is_wider_than_the_screen(
    filled: Callable[[str, str], Page], size: str, scheme: str
) -> None:
    page = filled(size, scheme)
    page.evaluate(AXE.read_text(encoding="utf-8"))  # the page's policy allows no other script
    found = page.evaluate(
        "async () => (await axe.run()).violations.map(({ id, nodes }) => [id, nodes.map((n) => n.html)])"
    )
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_is_usable_with_the_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    focused = page.evaluate("[document.activeElement.type, document.activeElement.labels[0].innerText]")
    assert focused[0] == "file"
    assert "Drop photos here" in focused[1]
    expect(page.locator("#drop")).to_have_css("outline-style", "solid")
