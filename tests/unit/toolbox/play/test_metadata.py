"""What `image-scaler play` says of an image's metadata."""

from pathlib import Path

from tests.support import drawing
from toolbox.play.metadata import MAX_VALUE_LENGTH, read_metadata
from toolbox.stack import ROOT

OWL = (ROOT / "samples" / "owl.jpg").read_bytes()


def test_a_photograph_tells_its_camera_place_profile_and_credits() -> None:
    found = {entry["subject"] for entry in read_metadata(OWL)}
    assert {"Place", "Camera", "Credits", "Colour profile"} <= found
    profile = next(entry["value"] for entry in read_metadata(OWL) if entry["subject"] == "Colour profile")
    assert "P3" in profile


def test_values_are_on_one_line_and_cut() -> None:
    image = drawing.saying(drawing.quadrants(), {"ifd0-Make": "A\n\x1b[2J" + "x" * 1000})
    (make,) = [entry["value"] for entry in read_metadata(drawing.jpeg(image, keep="exif")) if entry["name"] == "Make"]
    assert len(make) == MAX_VALUE_LENGTH + 1
    assert make.isprintable()


def test_a_drawing_says_nothing() -> None:
    assert read_metadata(drawing.png()) == []


def test_damaged_bytes_say_nothing(tmp_path: Path) -> None:
    assert read_metadata(b"no image") == []
