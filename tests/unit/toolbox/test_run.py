"""What `image-scaler run` prints for each file, whatever it is; tests/stack/end_to_end has the whole."""

from pathlib import Path

from rich.console import Console

from image_scaler.renditions.toml import parse_recipe
from tests.support.drawing import jpeg, photo
from toolbox.commands.run import Source, read_source, save, table_of
from toolbox.source_files import source_files
from toolbox.stack import INVOKES_NOTHING

RECIPE = parse_recipe(
    '[renditions.copy]\n[renditions.web]\nwidths = [40]\nformats = ["avif", "webp"]\nskip_larger = true'
)
PICTURE = jpeg(photo(80, 60))


def source(key: str = "a.jpg", body: bytes = PICTURE) -> Source:
    plan = RECIPE.plan_for(key)
    return Source(key, body, plan, expected=plan.keys)


def printed(sources: list[Source], results: dict[str, bytes]) -> list[str]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table_of(sources, results))
    return [" ".join(line.split()) for line in capture.get().splitlines()[1:]]


def test_a_source_without_renditions_has_one_row_with_the_reason() -> None:
    rejected, unmatched = source("text.jpg", b"text"), source("logo.svg", b"<svg/>")
    rejected.failure, unmatched.failure = "rejected: not an image", INVOKES_NOTHING
    assert printed([rejected, unmatched], {}) == [
        "text.jpg rejected: not an image - 4 bytes",
        f"logo.svg {INVOKES_NOTHING} - 6 bytes",
    ]


def test_each_rendition_has_a_row_and_one_that_is_larger_saves_nothing() -> None:
    found = source()
    results = {"copy/a.jpg": PICTURE, "web-40/a.jpg.webp": b"x" * (len(PICTURE) + 1), "manifests/a.jpg.json": b"{}"}
    found.arrived = dict.fromkeys(results, 1.5)
    rows = printed([found], results)
    assert rows[1].endswith("copy 1.5 s")
    assert rows[2] == "web-40/a.jpg.avif left out: no smaller"
    assert rows[3].endswith("larger 1.5 s")
    assert found.is_finished


def test_what_did_not_arrive_is_missing_until_the_manifest_has() -> None:
    found = source()
    found.arrived = {"copy/a.jpg": 1.0}
    assert "web-40/a.jpg.webp missing" in printed([found], {"copy/a.jpg": PICTURE})
    assert not found.is_finished


def test_files_folders_and_bad_files_are_taken_together(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.jpg").write_bytes(PICTURE)
    (tmp_path / "in" / "notes.txt").write_text("no image, and not taken from a folder")
    (tmp_path / "logo.svg").write_text("<svg/>")
    files = source_files([tmp_path / "in", tmp_path / "logo.svg"])
    assert [read_source(file, RECIPE).key for file in files] == ["sub/a.jpg", "logo.svg"]


def test_a_file_that_cannot_be_read_or_stored_has_the_reason(tmp_path: Path) -> None:
    name = "x" * 240 + ".jpg"
    folder = tmp_path
    for _ in range(4):  # a key of more than 1,024 bytes with its rendition's name
        folder /= "y" * 250
    folder.mkdir(parents=True)
    (folder / name).write_bytes(PICTURE)
    (long,) = source_files([tmp_path])
    assert "S3 allows 1024" in str(read_source(long, RECIPE).failure)
    (tmp_path / "a.jpg").write_bytes(PICTURE)
    found = next(file for file in source_files([tmp_path]) if file.ref.key == "a.jpg")
    found.path.unlink()
    assert read_source(found, RECIPE).failure == "cannot read the file: No such file or directory"


def test_a_rendition_whose_name_no_file_can_have_does_not_stop_the_others(tmp_path: Path) -> None:
    assert save(b"1", tmp_path, "web/a.jpg") is None
    assert save(b"1", tmp_path, f"web/{'x' * 300}.jpg") == "not saved: File name too long"
    assert save(b"1", tmp_path, "../a.jpg") == "not saved: its path leads out of the folder"
    assert (tmp_path / "web" / "a.jpg").read_bytes() == b"1"
