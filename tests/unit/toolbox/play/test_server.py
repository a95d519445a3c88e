"""The server of `image-scaler play`: who may ask, what it refuses, and what it leaves behind."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner

from image_scaler.events import SourceEvent
from image_scaler.renditions.toml import parse_recipe
from image_scaler.scaler import build_scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef
from tests.support import drawing
from tests.support.drawing import YELLOW, decoded, is_near
from tests.unit.images.test_animation import animation
from tests.unit.toolbox.play.playing import PROGRAM, RECIPE, Play, playing
from toolbox.cli import main
from toolbox.file_store import FileStore


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """A server with one picture."""
    folder = tmp_path_factory.mktemp("play")
    (folder / "in").mkdir()
    (folder / "in" / "a.jpg").write_bytes(drawing.jpeg())
    with playing(folder, "in") as running:
        running.finished(1)
        yield running


@pytest.fixture(scope="module")
def _editable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    with playing(tmp_path_factory.mktemp("editable")) as running:
        yield running


@pytest.fixture
def running(_editable: Play) -> Play:
    """A server without a picture, and with RECIPE."""
    _editable.reset()
    return _editable


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with playing(tmp_path) as running:
        running.upload("a.jpg", drawing.jpeg())
        running.finished(1)
        workers = running.workers()
        assert workers
        assert list(running.folder.iterdir())
        assert running.end(number) == (0 if number == signal.SIGINT else 128 + number)
        assert running.process.stdout
        assert running.process.stderr
        assert (running.process.stdout.read(), running.process.stderr.read()) == ("", "")
        assert list(running.folder.iterdir()) == []
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_its_processes_end_if_it_is_killed(tmp_path: Path) -> None:
    with playing(tmp_path) as running:
        running.upload("a.jpg", drawing.jpeg())
        running.finished(1)
        workers = running.workers()
        running.end(signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(_is_alive(worker) for worker in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_ends_while_a_page_is_open(tmp_path: Path) -> None:
    with playing(tmp_path) as running:
        events = running.events()
        assert next(events)["event"] == "pictures"
        assert running.end() == 0
        list(events)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {"cookie": None}),
        ("GET", "/?token=wrong", {"cookie": None}),
        ("GET", "/events", {"cookie": None}),
        ("GET", "/events?token=wrong", {"cookie": "image-scaler-play=wrong"}),
        ("GET", "/events", {"origin": "https://evil.example"}),
        ("GET", "/events", {"origin": "null"}),
        ("PUT", "/recipe", {"origin": "https://evil.example"}),
        ("PUT", "/recipe", {"origin": None}),
        ("DELETE", "/pictures/1", {"origin": "http://127.0.0.1:1"}),
    ],
)
def test_a_foreign_request_is_forbidden(play: Play, method: str, path: str, headers: dict[str, str | None]) -> None:
    response = play.ask(method, path, b"" if method == "PUT" else None, **headers)
    assert response.status == 403
    assert response.getheader("Content-Type", "").startswith("text/plain")
    assert RECIPE.encode() not in response.text  # type: ignore[attr-defined]


def test_a_request_under_a_name_that_points_at_this_machine_is_refused(play: Play) -> None:
    response = play.ask("GET", "/", host="evil.example")
    assert response.status == 400
    assert response.getheader("Content-Type", "").startswith("text/plain")


def test_the_token_is_in_the_address_and_then_in_a_cookie_that_scripts_cannot_read(play: Play) -> None:
    response = play.ask("GET", f"/?token={play.token}", cookie=None)
    assert (response.status, response.getheader("Location")) == (303, "/")
    cookie = response.getheader("Set-Cookie") or ""
    assert cookie.startswith(play.cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_the_page_may_run_no_script_but_its_own(play: Play) -> None:
    response = play.ask("GET", "/")
    policy = response.getheader("Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; script-src 'self' 'nonce-")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert response.getheader("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/files/../renditions.toml",
        "/files/..%2F..%2F..%2Fetc%2Fpasswd",
        "/files/%2Fetc%2Fpasswd",
        "/static/..%2Fserver.py",
        "/static/index.html",
        "/packages/..%2F..%2Fpackage.json",
        "/packages/osls",
        "/sources/..%2Fa.jpg",
        "/references/x/edited/..%2F..%2Fa",
    ],
)
def test_nothing_is_served_by_its_path(play: Play, path: str) -> None:
    response = play.ask("GET", path)
    assert response.status in (400, 404)
    assert len(response.text) < 200  # type: ignore[attr-defined]


def test_a_rendition_is_served_with_the_type_of_its_bytes(play: Play) -> None:
    cell = play.finished(1).pictures["a.jpg"]["cells"]["card.webp"]
    response = play.ask("GET", f"/files/{cell['file']}")
    assert response.getheader("Content-Type") == "image/webp"
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert "sandbox" in (response.getheader("Content-Security-Policy") or "")
    assert len(response.text) == cell["bytes"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_svg_allowed", [False, True])
def test_svg_and_html_are_never_served(running: Play, is_svg_allowed: bool) -> None:
    files = {
        "page.html": b"<script>alert(1)</script>",
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>1</script></svg>',
        "photo.jpg": b"<html><script>alert(1)</script>",
    }
    running.reset(f"{RECIPE}[inputs]\nsvg = {str(is_svg_allowed).lower()}\n")
    ids = [running.upload(name, body) for name, body in files.items()]
    shown = running.finished(len(files)).pictures
    assert {running.ask("GET", f"/sources/{id_}").status for id_ in ids} == {404}
    made = {name for name, one in shown.items() if one["cells"]["card.webp"]["status"] == "made"}
    assert made == ({"drawing.svg"} if is_svg_allowed else set())


def test_the_renditions_have_the_bytes_of_scale(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "photo.jpg").write_bytes(drawing.jpeg(drawing.photo()))
    with playing(tmp_path, "in") as running:
        cells = running.finished(1).pictures["photo.jpg"]["cells"]
        scaled = subprocess.run(
            [str(PROGRAM), "scale", "in", "--out", "out", "--renditions", "renditions.toml", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        expected = {one["name"]: one["bytes"] for one in json.loads(scaled.stdout)["renditions"]}
        assert {id_.partition(".")[0]: cell["bytes"] for id_, cell in cells.items()} == expected


def test_a_lossless_rendition_has_a_perfect_score_and_a_worse_quality_a_worse_one(running: Play) -> None:
    recipe = '[renditions.web]\nwidths = [300]\n[renditions.lossless]\nwidth = 300\nformat = "webp"\nlossless = true\n'
    recipe += '[renditions.poor]\nwidth = 300\nformat = "webp"\nquality = 5\n'
    running.reset(recipe)
    running.upload("a.jpg", drawing.jpeg(drawing.photo()))
    cells = running.finished(1).pictures["a.jpg"]["cells"]
    assert cells["lossless.webp"]["score"] == pytest.approx(100, abs=0.5)
    assert cells["poor.webp"]["score"] < cells["web-300"]["score"] < cells["lossless.webp"]["score"]


def test_the_first_frame_of_an_animation_is_scored(running: Play) -> None:
    running.reset('[renditions.a]\nwidth = 100\nformats = ["avif", "webp"]\n')
    running.upload("a.gif", animation("gif"))
    cells = running.finished(1).pictures["a.gif"]["cells"]
    assert [(cell["animated"], cell["score"] > 50) for cell in cells.values()] == [(True, True), (True, True)]


def test_a_searched_quality_is_shown_with_the_score_that_it_has(running: Play) -> None:
    running.reset('[renditions.a]\nwidth = 300\nformat = "webp"\nquality = "high"\n')
    running.upload("a.jpg", drawing.jpeg(drawing.photo()))
    shown = running.finished(1)
    (column,) = shown.recipe["columns"]
    assert (column["description"], column["quality"]) == ("300 \N{MULTIPLICATION SIGN} any, score 70", None)
    (made,) = shown.pictures["a.jpg"]["cells"].values()
    assert 1 <= made["quality"] <= 95
    assert made["score"] > 65


def test_a_format_that_does_not_pay_is_shown_as_not_stored(running: Play) -> None:
    recipe = '[renditions.a]\nwidth = 300\nformats = ["png", "webp"]\nskip_larger = true\n'
    running.reset(recipe)
    running.upload("a.jpg", drawing.jpeg(drawing.photo()))
    shown = running.finished(1).pictures["a.jpg"]
    assert {id_: cell["is_larger"] for id_, cell in shown["cells"].items()} == {"a.png": True, "a.webp": False}
    assert "a/a.jpg.webp" in shown["manifest"]["picture"]
    assert ".png" not in shown["manifest"]["picture"]


def test_a_rendition_on_a_background_has_no_score(running: Play) -> None:
    running.reset('[renditions.a]\nwidth = 100\nformat = "jpeg"\n')
    running.upload("a.png", drawing.png(drawing.with_alpha(drawing.quadrants())))
    assert running.finished(1).pictures["a.png"]["cells"]["a.jpeg"]["score"] is None


def test_a_file_that_is_no_image_is_rejected_in_the_words_of_its_failure_record(tmp_path: Path, running: Play) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    settings = Settings(destination_bucket=str(tmp_path / "out"), recipe=parse_recipe(RECIPE))
    event = SourceEvent(ref=ObjectRef(str(tmp_path), "bad.jpg"), payload={})
    outcome = build_scaler(settings, FileStore()).scale(event)
    running.upload("bad.jpg", b"no image")
    cells = running.finished(1).pictures["bad.jpg"]["cells"]
    assert {(cell["status"], cell["text"]) for cell in cells.values()} == {("rejected", str(outcome.error))}


def test_a_source_that_is_only_copied_is_never_read(running: Play) -> None:
    running.reset("[renditions.original]\n")
    running.upload("bad.jpg", b"no image")
    assert running.finished(1).pictures["bad.jpg"]["cells"] == {"original": {"status": "copy", "bytes": 8}}


def test_100_files_at_once_all_become_pictures(running: Play) -> None:
    running.reset('[renditions.card]\nwidth = 12\nformat = "webp"\n')
    with ThreadPoolExecutor(20) as pool:
        body = drawing.jpeg(drawing.quadrants(16, 12))
        list(pool.map(lambda number: running.upload(f"{number}.jpg", body), range(100)))
    shown = running.wait(lambda shown: len(shown.pictures) == 100 and shown.is_rendered)
    assert {one["cells"]["card.webp"]["status"] for one in shown.pictures.values()} == {"made"}


def test_an_upload_beyond_the_limit_is_refused_with_the_limit_and_not_kept(running: Play) -> None:
    running.reset(f"{RECIPE}[limits]\nsource_bytes = 1000\n")
    sentence = running.refusal("PUT", "/pictures?key=a.jpg", bytes(1001))
    assert sentence.startswith("cannot add a.jpg: the source has 1,001 bytes but the limit is 1,000")
    assert [path for path in running.folder.rglob("*") if path.is_file()] == []


def test_an_upload_that_breaks_off_is_not_kept(running: Play) -> None:
    head = f"PUT /pictures?key=a.jpg HTTP/1.1\r\nHost: {running.host}\r\nOrigin: {running.origin}\r\n"
    head += f"Cookie: {running.cookie}\r\nContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(head.encode() + b"half")
    running.upload("b.jpg", drawing.jpeg())
    assert list(running.finished(1).pictures) == ["b.jpg"]


def test_a_picture_with_the_same_name_replaces_the_first_and_a_removed_one_leaves_no_file(running: Play) -> None:
    running.upload("a.jpg", drawing.jpeg())
    running.finished(1)
    id_ = running.upload("a.jpg", drawing.jpeg(drawing.photo()))
    assert running.finished(1).pictures["a.jpg"]["width"] == 1200
    running.ok("DELETE", f"/pictures/{id_}")
    assert running.refusal("DELETE", f"/pictures/{id_}") == "there is no such picture"
    assert [path for path in running.folder.rglob("*") if path.is_file()] == []


def test_a_recipe_with_mistakes_is_shown_with_its_mistakes(tmp_path: Path) -> None:
    with playing(tmp_path, recipe="[renditions.a]\nwidth = \n") as running:
        shown = running.wait(lambda shown: bool(shown.recipe))
        ((line, text),) = [(mistake["line"], mistake["text"]) for mistake in shown.recipe["mistakes"]]
        assert line == 2
        assert text.startswith("this is not valid TOML")
        running.ok("PUT", "/recipe", {"text": RECIPE})
        running.upload("a.jpg", drawing.jpeg())
        assert running.finished(1).recipe["mistakes"] == []


def test_a_mistake_keeps_the_last_results(running: Play) -> None:
    running.upload("a.jpg", drawing.jpeg())
    before = running.finished(1).pictures["a.jpg"]["cells"]
    running.ok("PUT", "/recipe", {"text": RECIPE.replace("width = 300", "width = 0")})
    shown = running.wait(lambda shown: shown.is_finished and bool(shown.recipe["mistakes"]))
    assert shown.pictures["a.jpg"]["cells"] == before
    assert "cannot save" in running.refusal("PUT", "/recipe/saved", {})


def test_an_overlay_is_shown_and_an_edit_of_it_renders_only_what_it_is_on(tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "logo.png").write_bytes(drawing.png(drawing.quadrants(40, 20)))
    with playing(tmp_path) as running:
        running.upload("a.jpg", drawing.jpeg())
        before = running.finished(1).pictures["a.jpg"]["cells"]
        overlay = 'overlay = { image = "overlays/logo.png", width = "50%" }'
        running.ok("PUT", "/recipe", {"text": RECIPE.replace("width = 120", f"{overlay}\nwidth = 120")})
        after = running.wait(
            lambda shown: shown.is_finished and shown.pictures["a.jpg"]["cells"]["card.webp"] != before["card.webp"]
        ).pictures["a.jpg"]["cells"]
        assert after["large.webp"] == before["large.webp"]
        shown = decoded(running.ask("GET", f"/files/{after['card.webp']['file']}").text)  # type: ignore[attr-defined]
        assert is_near(tuple(map(int, shown(100, 110))), YELLOW, 40)


def test_an_edit_renders_only_what_it_changes(running: Play) -> None:
    running.upload("a.jpg", drawing.jpeg())
    before = running.finished(1).pictures["a.jpg"]["cells"]
    running.ok("PUT", "/recipe", {"text": RECIPE.replace("width = 120", "width = 100")})
    after = running.wait(
        lambda shown: shown.is_finished and shown.pictures["a.jpg"]["cells"]["card.webp"].get("width") == 100
    ).pictures["a.jpg"]
    assert after["cells"]["large.webp"] == before["large.webp"]
    assert after["cells"]["card.webp"]["file"] != before["card.webp"]["file"]
    assert after["saved_cells"] == before


def test_saving_keeps_the_comments_and_everything_else(running: Play) -> None:
    file = running.folder.parent / "renditions.toml"
    running.ok("PUT", "/recipe/value", {"table": "card", "field": "quality", "value": 70})
    assert file.read_text() == RECIPE
    running.ok("PUT", "/recipe/saved", {})
    assert file.read_text() == RECIPE.replace('format = "webp"\n\n', 'format = "webp"\nquality = 70\n\n', 1)


def test_saving_never_overwrites_the_change_of_another_program_unasked(running: Play) -> None:
    file = running.folder.parent / "renditions.toml"
    running.ok("PUT", "/recipe", {"text": RECIPE + "# mine\n"})
    file.write_text(RECIPE + "# theirs\n")
    assert "was changed by another program" in running.refusal("PUT", "/recipe/saved", {})
    assert file.read_text().endswith("# theirs\n")
    running.ok("PUT", "/recipe/saved", {"force": True})
    assert file.read_text().endswith("# mine\n")


def test_revert_goes_back_to_the_file_also_if_another_program_changed_it(running: Play) -> None:
    file = running.folder.parent / "renditions.toml"
    running.ok("PUT", "/recipe", {"text": RECIPE + "# mine\n"})
    file.write_text(RECIPE + "# theirs\n")
    running.ok("DELETE", "/recipe")
    recipe = running.wait(lambda shown: shown.recipe.get("text", "").endswith("# theirs\n")).recipe
    assert recipe["saved_text"] == recipe["text"]
    file.unlink()
    assert "cannot read" in running.refusal("DELETE", "/recipe")


def test_saving_keeps_the_ends_of_lines_and_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_bytes(RECIPE.replace("\n", "\r\n").encode())
    (tmp_path / "link.toml").symlink_to("real.toml")
    with playing(tmp_path, "--renditions", "link.toml") as running:
        running.ok("PUT", "/recipe", {"text": RECIPE + "# new\n"})
        running.ok("PUT", "/recipe/saved", {})
        assert (tmp_path / "link.toml").is_symlink()
        assert (tmp_path / "real.toml").read_bytes() == (RECIPE + "# new\n").replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/recipe", b"[", "expected a JSON object"),
        ("/recipe", b"[" * 100_000, "expected a JSON object"),
        ("/recipe", bytes(600_000), "expected at most"),
        ("/recipe", {"text": 1}, "expected a text"),
        ("/recipe/value", {"table": "none", "field": "width", "value": 1}, "cannot set width of renditions.none"),
        ("/pictures/1/focal-point", {"x": 2, "y": 0}, "expected numbers from 0 to 1"),
        ("/pictures/1/focal-point", {"x": 1, "y": 0}, "there is no such picture"),
        ("/pictures?key=", b"", "expected a name"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_a_sentence(
    play: Play, path: str, body: bytes | dict[str, object], sentence: str
) -> None:
    assert sentence in play.refusal("PUT", path, body)


def test_the_focal_point_moves_the_crops_and_nothing_else(running: Play) -> None:
    id_ = running.upload("a.jpg", drawing.jpeg(drawing.photo()))
    before = running.finished(1).pictures["a.jpg"]["cells"]
    running.ok("PUT", f"/pictures/{id_}/focal-point", {"x": 0, "y": 0.5})
    after = running.wait(
        lambda shown: shown.is_finished and shown.pictures["a.jpg"]["focal_point"] is not None
    ).pictures["a.jpg"]["cells"]
    assert after["card.webp"]["file"] != before["card.webp"]["file"]
    assert after["large.webp"] == before["large.webp"]
    running.ok("PUT", f"/pictures/{id_}/focal-point", {"x": None, "y": None})
    shown = running.wait(lambda shown: shown.is_finished and shown.pictures["a.jpg"]["focal_point"] is None)
    assert shown.pictures["a.jpg"]["cells"] == before


def test_a_process_that_is_killed_costs_one_row_only(tmp_path: Path) -> None:
    slow = RECIPE + '[renditions.slow]\nwidth = 1200\nformat = "avif"\neffort = 9\n'
    with playing(tmp_path, recipe=slow) as running:
        running.upload("a.jpg", drawing.jpeg(drawing.photo(1200, 900)))  # which takes long enough to be interrupted
        running.wait(lambda shown: "a.jpg" in shown.pictures and shown.pictures["a.jpg"]["width"] is not None)
        for worker in running.workers():
            os.kill(worker, signal.SIGKILL)
        cells = running.finished(1).pictures["a.jpg"]["cells"]
        assert cells["slow.avif"] == {
            "status": "failed",
            "text": "the process that rendered it ended: signal SIGKILL",
        }
        running.ok("PUT", "/recipe", {"text": RECIPE})
        running.ok("PUT", "/recipe/saved", {})
        running.upload("b.jpg", drawing.jpeg())
        assert running.finished(2).pictures["b.jpg"]["cells"]["card.webp"]["status"] == "made"


def test_it_says_in_one_sentence_that_the_port_is_in_use(tmp_path: Path, play: Play) -> None:
    done = subprocess.run(
        [str(PROGRAM), "play", "--port", str(play.port)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"image-scaler: cannot listen on port {play.port} of 127.0.0.1: Address already in use; "
        "choose another --port, or 0 for a free one"
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.jpg"], "cannot read nowhere.jpg: no such file or folder"),
        (["--renditions", "nowhere.toml"], "cannot read nowhere.toml"),
        (["--html", "out.html"], "expected at least one picture for --html"),
    ],
)
def test_arguments_that_cannot_work_are_refused(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    with chdir(tmp_path):
        done = CliRunner().invoke(main, ["play", *arguments])
    assert done.exit_code == 2
    assert sentence in done.stderr


def test_a_browser_that_goes_away_is_no_loss(play: Play) -> None:
    events = play.events()
    next(events)
    events.close()
    assert play.finished(1).pictures.keys() == {"a.jpg"}
