"""The page of `image-scaler play` in a real browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from image_scaler.renditions.formats import Format
from tests.support import drawing
from tests.support.chromium import transfer_of
from tests.unit.toolbox.play.playing import RECIPE, Play, playing
from toolbox.stack import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
LADDER = """\
[renditions.web]
widths = [200, 400, 800]
formats = ["avif", "webp"]
[renditions.card]
width = 120
height = 120
format = "webp"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with playing(tmp_path_factory.mktemp("play")) as running:
        yield running


@pytest.fixture
def play(running: Play) -> Play:
    """A server without a picture, and with RECIPE."""
    running.reset()
    return running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A server with two pictures and a ladder, for the tests that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "in").mkdir()
    (folder / "in" / "photo.jpg").write_bytes(_photo())
    (folder / "in" / "bad.jpg").write_text("no image")
    with playing(folder, "in", recipe=LADDER) as running:
        running.finished(2)
        yield running


def _photo() -> bytes:
    exif = {"ifd0-Copyright": "Ana", "ifd0-Make": "Acme", "ifd3-GPSLatitude": "54/1 26/1 30/1"}
    return drawing.jpeg(drawing.saying(drawing.photo(), exif), keep="exif")


def drop(page: Page, **files: bytes) -> None:
    """Drop files on the page, as from a folder window."""
    transfer = transfer_of(page, {name.replace("_", "."): body for name, body in files.items()})
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_be_hidden()


def cell(page: Page, key: str, column: str) -> Locator:
    return page.locator(f'tr[data-picture="{key}"] td[data-column="{column}"]')


def write(page: Page, text: str) -> None:
    """Replace the text in the editor."""
    page.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)


def test_dropped_files_become_rows_with_a_cell_for_each_rendition(page: Page, play: Play) -> None:
    page.goto(play.address)
    expect(page.get_by_text("Drop pictures or a folder here")).to_be_visible()
    drop(page, a_jpg=drawing.jpeg(), b_png=drawing.png())
    expect(page.locator("td[data-bytes]")).to_have_count(6)
    for key, picture in play.finished(2).pictures.items():
        for column, made in picture["cells"].items():
            expect(cell(page, key, column)).to_have_attribute("data-bytes", str(made["bytes"]))
            assert cell(page, key, column).locator("img").evaluate("async (image) => (await image.decode(), 1)")
    expect(cell(page, "a.jpg", "large.webp")).to_contain_text(re.compile("300 . 225"))


def test_a_key_that_invokes_nothing_says_so_next_to_the_picture(page: Page, play: Play) -> None:
    page.goto(play.address)
    drop(page, **{"photo.jpg": drawing.jpeg(), "5f0c71b2": drawing.jpeg()})
    row = page.locator("tr[data-picture='5f0c71b2']")
    expect(row.get_by_text("an upload invokes nothing")).to_be_visible()
    expect(page.locator("tr[data-picture='photo.jpg']").get_by_text("an upload invokes nothing")).to_have_count(0)


def test_a_cell_has_quality_score_and_time(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    shown = shared.finished(2).pictures["photo.jpg"]["cells"]["web-400.webp"]
    assert 0 < shown["worst"] < shown["score"] < 100
    facts = cell(page, "photo.jpg", "web-400.webp").locator(".facts").last
    expect(facts).to_have_text(
        re.compile(rf"^q{Format.WEBP.traits.default_quality} . score {shown['score']:.0f} . [0-9.]+ m?s$")
    )


def test_a_rejected_file_shows_its_reason(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    expect(cell(page, "bad.jpg", "card.webp")).to_contain_text("its 8 bytes are not an image")
    expect(cell(page, "bad.jpg", "card.webp")).to_have_attribute("data-status", "rejected")


def test_an_edit_of_a_width_renders_only_that_column_again(page: Page, play: Play) -> None:
    play.upload("a.jpg", drawing.jpeg())
    play.finished(1)
    page.goto(play.address)
    expect(page.locator("td[data-bytes]")).to_have_count(3)
    first = _sources(page)
    write(page, RECIPE.replace("width = 120", "width = 100"))
    expect(cell(page, "a.jpg", "card.webp")).to_contain_text(re.compile("100 . 120"))
    expect(cell(page, "a.jpg", "card.webp").locator(".edit")).to_have_text(re.compile("[0-9.]+ %"))
    expect(page.locator("#dirty")).to_be_visible()
    assert cell(page, "a.jpg", "card.webp").locator("img").evaluate("async (image) => (await image.decode(), 1)")
    assert len(_sources(page) - first) == len(first - _sources(page)) == 1
    write(page, RECIPE.replace("[renditions.original] # a copy\n", ""))
    expect(page.locator(".tile").first).to_contain_text("by the edit")


def _sources(page: Page) -> set[str]:
    """The URLs of the pictures in the sheet."""
    return {str(image.get_attribute("src")) for image in page.locator("#sheet img").all()}


def test_a_mistake_is_under_its_line_and_the_old_results_stay(page: Page, play: Play) -> None:
    play.upload("a.jpg", drawing.jpeg())
    play.finished(1)
    page.goto(play.address)
    expect(page.locator("td[data-bytes]")).to_have_count(3)
    write(page, RECIPE.replace("width = 300", "width = 0").replace("height = 120", "hight = 120"))
    mistakes = page.locator(".mistake")
    expect(mistakes).to_have_count(2)
    expect(mistakes.nth(0)).to_have_text("renditions.card has no field 'hight'. Did you mean 'height'?")
    expect(mistakes.nth(1)).to_have_text(
        "expected an integer from 1 to 16383 for renditions.large.width but received 0"
    )
    assert [line.evaluate("(node) => node.previousElementSibling.textContent") for line in mistakes.all()] == [
        "hight = 120",
        "width = 0",
    ]
    expect(page.locator("#save")).to_be_disabled()
    expect(page.locator("td[data-bytes]")).to_have_count(3)
    write(page, RECIPE)
    expect(mistakes).to_have_count(0)


def test_the_editor_completes_fields_and_values_from_the_schema(page: Page, play: Play) -> None:
    page.goto(play.address)
    write(page, RECIPE)
    page.keyboard.press("ControlOrMeta+End")
    page.keyboard.type("qua")
    option = page.locator(".cm-tooltip-autocomplete li[aria-selected]")
    expect(option).to_contain_text("quality")
    expect(option).to_contain_text("an integer from 1 to 100")
    page.keyboard.press("Enter")
    page.keyboard.type("70")
    page.keyboard.press("Enter")
    page.keyboard.type("fit = ")
    page.keyboard.press("Control+Space")
    expect(page.locator(".cm-tooltip-autocomplete")).to_contain_text('"contain"')
    page.keyboard.press("Escape")
    page.keyboard.type('"cont')
    expect(option).to_contain_text('"contain"')


def test_save_writes_the_file_with_its_comments(page: Page, play: Play) -> None:
    page.goto(play.address)
    write(page, RECIPE + "# and more\n")
    expect(page.locator("#save")).to_be_enabled()
    page.keyboard.press("ControlOrMeta+s")
    expect(page.locator("#toast")).to_have_text("Saved renditions.toml")
    expect(page.locator("#dirty")).to_be_hidden()
    assert (play.folder.parent / "renditions.toml").read_text() == RECIPE + "# and more\n"


def test_revert_shows_the_saved_text(page: Page, play: Play) -> None:
    page.goto(play.address)
    write(page, RECIPE + "# not so\n")
    page.get_by_role("button", name="Revert").click()
    expect(page.locator(".cm-content")).not_to_contain_text("# not so")
    expect(page.locator("#revert")).to_be_disabled()


def test_what_is_typed_in_one_page_is_in_another(page: Page, play: Play) -> None:
    page.goto(play.address)
    other = page.context.new_page()
    other.goto(play.address)
    expect(other.locator(".cm-content")).to_contain_text("the sizes of the shop")
    write(page, RECIPE + "# from the first page\n")
    expect(other.locator(".cm-content")).to_contain_text("# from the first page")


def test_the_slider_moves_by_keyboard(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    cell(page, "photo.jpg", "web-800.webp").get_by_role("button").click()
    _looks_at(page, "source", "web-800.webp")
    slider = page.get_by_role("slider", name="Divider")
    clip = "(node) => getComputedStyle(node.shadowRoot.querySelector('.first-overlay-container')).clipPath"
    before = slider.evaluate(clip)
    page.keyboard.down("ArrowRight")
    expect(slider).not_to_have_attribute("aria-valuenow", "50")
    page.keyboard.up("ArrowRight")
    assert slider.evaluate(clip) != before


def _looks_at(page: Page, left: str, right: str) -> None:
    expect(page.locator(".stage:not(.busy)")).to_have_attribute("data-right", right)
    expect(page.locator(".stage")).to_have_attribute("data-left", left)


def test_zoom_and_pan_are_those_of_both_pictures(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    cell(page, "photo.jpg", "web-200.webp").get_by_role("button").click()
    _looks_at(page, "source", "web-200.webp")
    images = page.locator(".stage .layer img")

    def places() -> list[str]:
        return [image.evaluate("(node) => node.style.transform") for image in images.all()]

    seen = [places()]
    page.keyboard.press("1")
    expect(page.locator(".zoom")).to_have_text("100 %")
    seen.append(places())
    page.keyboard.press("+")
    seen.append(places())
    page.mouse.move(300, 300)
    page.mouse.wheel(0, -300)
    seen.append(places())
    page.mouse.down()
    page.mouse.move(340, 320)
    page.mouse.up()
    seen.append(places())
    page.keyboard.press("0")
    seen.append(places())
    for first, second in seen:
        assert first == second
    assert len({first for first, _ in seen[:-1]}) == 5
    assert seen[-1] == seen[0]


def test_the_difference_of_two_renditions_is_shown_by_its_key(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    cell(page, "photo.jpg", "web-400.avif").get_by_role("button").click()
    page.get_by_label("Left", exact=True).select_option("web-400.webp")
    _looks_at(page, "web-400.webp", "web-400.avif")
    page.get_by_role("slider", name="Divider").focus()
    page.keyboard.press("d")
    difference = page.locator(".difference")
    expect(difference).to_be_visible()
    assert difference.locator("img").nth(1).evaluate("(node) => getComputedStyle(node).mixBlendMode") == "difference"
    page.keyboard.press("]")
    _looks_at(page, "web-400.webp", "web-400.webp")


def test_the_saved_rendition_is_compared_with_the_edited_one(page: Page, play: Play) -> None:
    play.upload("a.jpg", drawing.jpeg(drawing.photo()))
    play.finished(1)
    page.goto(play.address)
    cell(page, "a.jpg", "large.webp").get_by_role("button").click()
    _looks_at(page, "source", "large.webp")
    page.get_by_label("Quality").fill("10")
    page.get_by_label("Left", exact=True).select_option("saved:large.webp")
    _looks_at(page, "saved:large.webp", "large.webp")
    sides = [page.locator(".stage .layer img").nth(index).get_attribute("src") for index in (0, 1)]
    assert sides[0] != sides[1]
    page.keyboard.press("Escape")
    expect(page.locator(".cm-content")).to_contain_text("quality = 10")
    expect(page.locator(".cm-content")).to_contain_text("# of the list")


def test_a_click_sets_the_focal_point_and_the_command_has_it(page: Page, play: Play) -> None:
    play.upload("my photo.jpg", drawing.jpeg(drawing.quadrants(800, 300)))
    play.finished(1)
    page.goto(play.address)
    page.get_by_role("button", name="Focal point: my photo.jpg").click()
    crop = page.locator('.crop img[data-column="card.webp"]')
    before = crop.get_attribute("src")
    box = page.locator(".target img").bounding_box()
    assert box
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    expect(crop).not_to_have_attribute("src", before or "")
    page.locator(".snippet").get_by_role("button", name="Copy").click()
    expect(page.locator("#toast")).to_have_text("Copied the command")
    assert page.evaluate("() => navigator.clipboard.readText()") == (
        "aws s3 cp 'my photo.jpg' 's3://SOURCE_BUCKET/my photo.jpg' --metadata '{\"focal-point\": \"0.25,0.75\"}'"
    )
    made = play.finished(1).pictures["my photo.jpg"]
    assert made["focal_point"] == [0.25, 0.75]
    body = play.ask("GET", f"/files/{made['cells']['card.webp']['file']}").text  # type: ignore[attr-defined]
    corners = drawing.corners(drawing.decoded(body))
    assert drawing.is_near(corners["left bottom"], drawing.BLUE, 25)
    assert drawing.is_near(corners["right bottom"], drawing.BLUE, 25)


def test_a_narrow_viewport_takes_a_narrower_rendition_and_no_avif_if_it_has_none(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    page.get_by_role("button", name="In a page: photo.jpg").click()
    page.get_by_label("Pixel density").select_option("1")
    page.get_by_label("Viewport").select_option("768")
    taken = page.locator(".taken")
    expect(taken).to_have_attribute("data-column", "web-800.avif")
    page.get_by_label("Viewport").select_option("360")
    expect(taken).to_have_attribute("data-column", "web-400.avif")
    page.get_by_label("sizes").select_option("50vw")
    expect(taken).to_have_attribute("data-column", "web-200.avif")
    page.get_by_label("AVIF").uncheck()
    expect(taken).to_have_attribute("data-column", "web-200.webp")
    expect(cell(page, "photo.jpg", "web-200.webp")).to_have_class("taken-now")
    expect(page.get_by_alt_text("ThumbHash")).to_be_visible()


def test_metadata_says_what_stays_and_what_goes(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    page.get_by_role("button", name="Metadata: photo.jpg").click()
    rows = page.locator(".metadata tbody tr")
    expect(rows.filter(has_text="GPSLatitude")).to_contain_text("removed")
    expect(rows.filter(has_text="Acme")).to_contain_text("removed")
    expect(rows.filter(has_text="Ana")).to_contain_text("stays")


def test_the_picture_the_recipe_and_the_command_are_copied(page: Page, shared: Play) -> None:
    page.goto(shared.address)
    page.locator("#copy-toml").click()
    expect(page.locator("#toast")).to_have_text("Copied the recipe")
    assert page.evaluate("() => navigator.clipboard.readText()") == LADDER
    page.get_by_role("button", name="In a page: photo.jpg").click()
    page.get_by_role("tab", name="Copy").click()
    page.locator(".snippet").first.get_by_role("button", name="Copy").click()
    expect(page.locator("#toast")).to_have_text("Copied the <picture>")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert "web-200/photo.jpg.avif 200w, web-400/photo.jpg.avif 400w" in copied


def test_the_server_that_ends_is_noticed(page: Page, tmp_path: Path) -> None:
    with playing(tmp_path) as running:
        page.goto(running.address)
        expect(page.locator(".cm-content")).to_be_visible()
        running.end()
        expect(page.locator("body.offline")).to_be_visible()


def _open_nothing(page: Page) -> None:
    expect(page.locator("td[data-bytes]").first).to_be_visible()


def _open_compare(page: Page) -> None:
    cell(page, "photo.jpg", "web-400.avif").get_by_role("button").click()
    _looks_at(page, "source", "web-400.avif")


def _open_tab(name: str) -> Callable[[Page], None]:
    def open_tab(page: Page) -> None:
        page.get_by_role("button", name="In a page: photo.jpg").click()
        page.get_by_role("tab", name=name).click()
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")

    return open_tab


def _open_recipe(page: Page) -> None:
    if page.locator("#show-recipe").is_visible():
        page.locator("#show-recipe").click()
    expect(page.locator(".cm-content")).to_be_visible()


VIEWS = {
    "the sheet": _open_nothing,
    "the compare view": _open_compare,
    "in a page": _open_tab("In a page"),
    "the focal point": _open_tab("Focal point"),
    "metadata": _open_tab("Metadata"),
    "what to copy": _open_tab("Copy"),
    "the recipe": _open_recipe,
}
WINDOWS = {
    "desktop": (1280, 800, "light"),
    "dark": (1280, 800, "dark"),
    "tablet": (768, 1024, "light"),
    "phone": (390, 844, "dark"),
}


@pytest.mark.parametrize(("width", "height", "theme"), WINDOWS.values(), ids=WINDOWS)
def test_axe_finds_no_barrier_and_nothing_is_wider_than_the_window(
    browser: Browser, shared: Play, width: int, height: int, theme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=theme,
        bypass_csp=True,  # for axe, which is injected
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(shared.address)
    page.add_script_tag(path=AXE)
    expect(cell(page, "photo.jpg", "web-800.webp")).to_have_attribute("data-bytes", re.compile("."))
    for name, view in VIEWS.items():
        view(page)
        found = page.evaluate("async () => (await axe.run({ iframes: false })).violations")
        assert [(name, one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, name
        page.keyboard.press("Escape")
    context.close()


def test_the_layout_does_not_move_while_renditions_arrive(page: Page, play: Play) -> None:
    page.goto(play.address)
    expect(page.locator(".cm-content")).to_be_visible()
    page.evaluate(
        """() => {
            window.moved = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) window.moved += entry.value;
            }).observe({ type: "layout-shift", buffered: false });
        }"""
    )
    for number in range(4):
        play.upload(f"{number}.jpg", drawing.jpeg())
    expect(page.locator("td[data-bytes]")).to_have_count(12)
    assert page.evaluate("() => window.moved") < 0.02
