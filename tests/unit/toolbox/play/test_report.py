"""`image-scaler play --html`: the page as one file."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support import drawing
from tests.unit.toolbox.play.playing import PROGRAM
from tests.unit.toolbox.play.test_page import LADDER, cell


def write(folder: Path, recipe: str = LADDER) -> "subprocess.CompletedProcess[str]":
    (folder / "in").mkdir()
    (folder / "in" / "photo.jpg").write_bytes(drawing.jpeg(drawing.photo()))
    (folder / "in" / "<").mkdir()
    (folder / "in" / "<" / "script><!--.jpg").write_text("no image")  # its key would end the script that it is in
    (folder / "r.toml").write_text(recipe)
    return play(folder, "in", "out.html")


def play(folder: Path, source: str, html: str, umask: int = -1) -> "subprocess.CompletedProcess[str]":
    """Run the program in a process of its own: an event loop of Playwright's may be running in this one."""
    command = [str(PROGRAM), "play", source, "--renditions", "r.toml", "--html", html]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, umask=umask)


def test_it_opens_without_a_server_or_a_network(tmp_path: Path, page: Page) -> None:
    done = write(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "out.html: 2 pictures\n", "")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url[:20]))
    page.context.set_offline(True)
    page.goto((tmp_path / "out.html").as_uri())
    expect(page.locator("td[data-bytes]")).to_have_count(7)
    expect(page.locator('[data-status="rejected"]').first).to_contain_text("its 8 bytes are not an image")
    expect(page.locator("#editor pre")).to_contain_text("widths = [200, 400, 800]")
    expect(page.locator("#save")).to_be_hidden()
    cell(page, "photo.jpg", "web-400.webp").get_by_role("button").click()
    expect(page.locator(".stage:not(.busy)")).to_have_attribute("data-right", "web-400.webp")
    for image in page.locator(".stage .layer img").all():
        assert image.evaluate("(node) => node.naturalWidth") == 400
    page.keyboard.press("Escape")
    page.get_by_role("button", name="In a page: photo.jpg").click()
    page.get_by_label("Pixel density").select_option("1")
    expect(page.locator(".taken")).to_have_attribute("data-column", re.compile("web-400.avif"))
    assert {url.partition(":")[0] for url in requests} <= {"file", "data", "blob", "about"}


def test_the_umask_says_who_may_read_it(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(drawing.jpeg(drawing.photo(60, 40)))
    (tmp_path / "r.toml").write_text("[renditions.a]\nwidth = 30\n")
    assert play(tmp_path, "photo.jpg", "report.html", umask=0o077).returncode == 0
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600


def test_it_goes_through_a_pipe_and_to_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(drawing.jpeg(drawing.photo(60, 40)))
    (tmp_path / "r.toml").write_text("[renditions.a]\nwidth = 30\n")
    (tmp_path / "real.html").write_text("older")
    (tmp_path / "link.html").symlink_to("real.html")
    assert "<!doctype html>" in play(tmp_path, "photo.jpg", "/dev/stdout").stdout
    assert play(tmp_path, "photo.jpg", "link.html").returncode == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text().startswith("<!doctype html>")
    assert list(tmp_path.glob("*part*")) == list(tmp_path.glob(".*part*")) == []


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ("[renditions.a]\nwidht = 1\n", "r.toml:2: renditions.a has no field 'widht'. Did you mean 'width'?"),
        ("[", "r.toml:1: this is not valid TOML"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused(tmp_path: Path, recipe: str, sentence: str) -> None:
    (tmp_path / "photo.jpg").write_text("no image")
    (tmp_path / "r.toml").write_text(recipe)
    done = play(tmp_path, "photo.jpg", "out.html")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "out.html").exists()


def test_it_compares_with_the_last_commit(tmp_path: Path, page: Page) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(tmp_path)]
    (tmp_path / "r.toml").write_text(LADDER)
    for arguments in (["init", "--quiet"], ["add", "r.toml"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *arguments], check=True)
    assert write(tmp_path, LADDER + "quality = 20\n").returncode == 0
    page.goto((tmp_path / "out.html").as_uri())
    expect(page.locator(".tile").first).to_contain_text("against the last commit")
    expect(cell(page, "photo.jpg", "card.webp").locator(".edit")).to_have_attribute("title", "against the last commit")


def test_it_compares_with_the_logo_of_the_last_commit(tmp_path: Path, page: Page) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(tmp_path)]
    recipe = LADDER + '[renditions.mine]\nwidth = 90\nformat = "webp"\noverlay = { image = "overlays/logo.png" }\n'
    (tmp_path / "r.toml").write_text(recipe)
    logo = tmp_path / "overlays" / "logo.png"
    logo.parent.mkdir()
    logo.write_bytes(drawing.png(drawing.quadrants(20, 10)))
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *arguments], check=True)
    logo.write_bytes(drawing.png(drawing.photo(40, 20)))
    assert write(tmp_path, recipe).returncode == 0
    page.goto((tmp_path / "out.html").as_uri())
    expect(cell(page, "photo.jpg", "mine.webp").locator(".edit")).to_have_count(1)
    expect(cell(page, "photo.jpg", "card.webp").locator(".edit")).to_have_count(0)
