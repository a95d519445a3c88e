"""`image-scaler backfill` makes the renditions of images whose upload invoked nothing."""

from pathlib import Path

from typer.testing import CliRunner, Result

from tests.drawing import jpeg, photo
from tests.end_to_end.stack import Stack
from toolbox.cli import main

UPLOADED = jpeg(photo(300, 200))


def backfill(stack: Stack, prefix: str, *options: str, **env: str) -> Result:
    return CliRunner().invoke(main, ["backfill", f"--prefix={prefix}", *options], env=stack.env | env)


def unnoticed(stack: Stack, key: str, body: bytes = UPLOADED) -> str:
    """Upload an image without invoking the function: the events match `.jpg` and `.JPG` only."""
    stack.upload(f"{key}.Jpg", body)
    return f"{key}.Jpg"


def test_it_counts_unfinished_sources_then_finishes_them_then_skips_them(stack: Stack) -> None:
    keys = [unnoticed(stack, f"backfill/made/{number} + ü") for number in range(3)]
    stack.upload("backfill/made/notes.txt", b"no image")
    counted = backfill(stack, "backfill/made/")
    assert counted.exit_code == 1, counted.output
    assert "3 sources, 3 without current renditions" in counted.output
    assert stack.keys_of(keys[0]) == set()
    done = backfill(stack, "backfill/made/", "--send")
    assert done.exit_code == 0, done.output
    assert "3 sources finished, 0 rejected or failed" in done.output
    for key in keys:
        assert stack.keys_of(key) == stack.expected_keys(key)
    again = backfill(stack, "backfill/made/")
    assert (again.exit_code, " 0 without current renditions" in again.output) == (0, True)
    assert " 3 without current renditions" in backfill(stack, "backfill/made/", "--all").output


def test_a_newer_image_or_another_recipe_is_unfinished(stack: Stack, tmp_path: Path) -> None:
    key = unnoticed(stack, "backfill/changed")
    assert backfill(stack, key, "--send").exit_code == 0
    assert backfill(stack, key).exit_code == 0
    renditions = tmp_path / "renditions.toml"
    renditions.write_text("[renditions.other]\nwidth = 50\n")
    assert backfill(stack, key, f"--renditions={renditions}").exit_code == 1
    unnoticed(stack, "backfill/changed", jpeg(photo(200, 300)))
    assert backfill(stack, key).exit_code == 1


def test_a_rejected_source_is_named_and_the_others_are_finished(stack: Stack) -> None:
    unnoticed(stack, "backfill/bad/broken", b"no image")
    fine = unnoticed(stack, "backfill/bad/fine")
    done = backfill(stack, "backfill/bad/", "--send", "--parallel=1")
    assert done.exit_code == 1
    assert "1 source finished, 1 rejected or failed" in done.output
    assert "backfill/bad/broken.Jpg: rejected or failed" in done.output
    assert stack.keys_of(fine) == stack.expected_keys(fine)


def test_a_missing_bucket_or_function_is_an_error(stack: Stack) -> None:
    unnoticed(stack, "backfill/nobody")
    for name in ("SOURCE_BUCKET", "FUNCTION_NAME"):
        done = backfill(stack, "backfill/nobody", "--send", **{name: "nothing-of-that-name"})
        assert done.exit_code == 2
        assert "cannot" in done.output
        assert "nothing-of-that-name" in done.output
