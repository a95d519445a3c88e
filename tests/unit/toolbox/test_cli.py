"""The command image-scaler."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from image_scaler.renditions.formats import Format
from tests.support import drawing
from tests.support.drawing import YELLOW, decoded, is_near
from toolbox.cli import main

PROGRAM = Path(sys.executable).with_name("image-scaler")


def run(*arguments: str, cwd: Path) -> Result:
    """Call the command in this process: a new one takes a second."""
    with chdir(cwd):
        return CliRunner().invoke(main, arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images, a broken one, and a text file."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "my photo+1.jpg").write_bytes(drawing.jpeg())
    (tmp_path / "in" / "sub" / "logo.png").write_bytes(drawing.png())
    (tmp_path / "in" / "notes.txt").write_text("no image")
    (tmp_path / "bad.jpg").write_text("no image")
    (tmp_path / "r.toml").write_text('[renditions.resized]\n[renditions.small]\nwidth = 100\nformat = "webp"\n')
    return tmp_path


def test_scale_makes_the_renditions_of_a_folder(folder: Path) -> None:
    command = [PROGRAM, "scale", "in", "--out", "out", "--renditions", "r.toml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    written = sorted(path.relative_to(folder / "out").as_posix() for path in (folder / "out").rglob("*.*"))
    assert written == [
        "manifests/my photo+1.jpg.json",
        "manifests/sub/logo.png.json",
        "resized/my photo+1.jpg",
        "resized/sub/logo.png",
        "small/my photo+1.jpg.webp",
        "small/sub/logo.png.webp",
    ]
    assert decoded((folder / "out" / "small" / "my photo+1.jpg.webp").read_bytes()).width == 100
    assert "small/sub/logo.png.webp" in done.stdout
    assert "100 x 75" in done.stdout


def test_scale_rejects_the_second_file_of_a_shared_key(folder: Path) -> None:
    (folder / "in" / "sub" / "logo.jpg").write_bytes(drawing.jpeg())
    table = '[renditions.t]\nwidth = 9\nformat = "webp"\nkey = "{dir}t/{stem}.{ext}"'
    (folder / "shared.toml").write_text(f"shared_stems = true\n{table}")
    for _ in range(2):  # the files of the first run are overwritten
        done = run("scale", "in", "--out", "out", "--renditions", "shared.toml", "--json", cwd=folder)
        found = {line["source"]: line for line in map(json.loads, done.stdout.splitlines())}
        assert found["in/sub/logo.jpg"]["status"] == "ok"
        assert found["in/sub/logo.png"]["error"]["code"] == "shared_key"
        assert done.exit_code == 1


@pytest.mark.parametrize("tool", ["aws-lambda-image", "firebase"])
def test_import_says_what_it_cannot_read(tool: str, folder: Path) -> None:
    for path in ("in/my photo+1.jpg", "missing"):
        done = run("import", tool, path, cwd=folder)
        assert done.exit_code == 2
        assert "cannot read" in done.stderr


def test_import_exits_with_two_if_a_picture_changes(folder: Path) -> None:
    (folder / "config.json").write_text('{"resizes": [{"size": "50%"}, {"size": 300, "directory": "./small"}]}')
    done = run("import", "aws-lambda-image", "config.json", cwd=folder)
    assert done.exit_code == 2
    assert "#   resizes[0].size: there is no option for '50%'" in done.stdout
    assert "[renditions.small]" in done.stdout
    assert "resizes[0].size" in done.stderr


def test_scale_follows_symbolic_links(folder: Path) -> None:
    (folder / "links").mkdir()
    (folder / "links" / "linked.jpg").symlink_to(folder / "in" / "my photo+1.jpg")
    for path in ("links", "links/linked.jpg"):
        done = run("scale", path, "--out", f"out-{path}", "--renditions", "r.toml", cwd=folder)
        assert done.exit_code == 0, done.stdout
        assert (folder / f"out-{path}" / "small" / "linked.jpg.webp").exists()


def test_scale_prints_one_line_of_json_for_each_source(folder: Path) -> None:
    done = run("scale", "in/my photo+1.jpg", "bad.jpg", "--out", "out", "--renditions", "r.toml", "--json", cwd=folder)
    good, bad = map(json.loads, done.stdout.splitlines())
    assert done.exit_code == 1
    assert good["ms"] >= 0
    assert good | {"ms": 0} == {
        "source": "in/my photo+1.jpg",
        "status": "ok",
        "error": None,
        "renditions": [
            {
                "name": "resized",
                "key": "resized/my photo+1.jpg",
                "width": None,
                "height": None,
                "bytes": (folder / "in" / "my photo+1.jpg").stat().st_size,
                "type": None,
                "quality": None,
                "score": None,
                "searched": None,
                "animated": False,
            },
            {
                "name": "small",
                "key": "small/my photo+1.jpg.webp",
                "width": 100,
                "height": 75,
                "bytes": (folder / "out" / "small" / "my photo+1.jpg.webp").stat().st_size,
                "type": "image/webp",
                "quality": Format.WEBP.traits.default_quality,
                "score": None,
                "searched": None,
                "animated": False,
            },
        ],
        "ms": 0,
    }
    assert (bad["status"], bad["renditions"]) == ("rejected", [])
    assert "its 8 bytes are not an image" in bad["error"]["text"]


def test_scale_says_which_source_was_rejected_and_why(folder: Path) -> None:
    done = run("scale", "bad.jpg", "in/my photo+1.jpg", "--out", "out", "--renditions", "r.toml", cwd=folder)
    assert done.exit_code == 1
    assert "rejected: its 8 bytes are not an image" in done.stdout
    assert (folder / "out" / "small" / "my photo+1.jpg.webp").exists()
    assert not (folder / "out" / "resized" / "bad.jpg").exists()


def test_scale_never_takes_its_own_output_for_a_source(folder: Path) -> None:
    for _ in range(2):
        assert run("scale", "in", "--out", "in/out", "--renditions", "r.toml", cwd=folder).exit_code == 0
    assert len(list((folder / "in" / "out").rglob("*.webp"))) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.jpg"], "cannot read nowhere.jpg: no such file or folder"),
        (["empty"], "empty has no images outside the output folder out"),
        (["in/my photo+1.jpg", "in"], "would both have the key my photo+1.jpg"),
        (["in", "--renditions", "nowhere.toml"], "nowhere.toml"),
        (["in", "--renditions", "bad.jpg"], "bad.jpg:1: this is not valid TOML"),
    ],
)
def test_scale_refuses_what_cannot_work_before_it_writes_anything(
    folder: Path, arguments: list[str], sentence: str
) -> None:
    (folder / "empty").mkdir()
    done = run("scale", *arguments, "--out", "out", cwd=folder)
    assert done.exit_code == 2
    assert sentence in done.stderr.replace("\n", " ")
    assert not (folder / "out").exists()


def test_explain_prints_each_rendition_with_its_key(folder: Path) -> None:
    done = run("explain", "dir/IMG 1.HEIC", "--renditions", "r.toml", cwd=folder)
    assert done.exit_code == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "dir/IMG 1.HEIC resized resized/dir/IMG 1.HEIC copy, byte for byte, with all metadata" in lines
    assert "small small/dir/IMG 1.HEIC.webp 100 x any, webp" in lines
    assert "manifest manifests/dir/IMG 1.HEIC.json the list of renditions, in JSON" in lines


def test_explain_says_which_quality_is_searched(folder: Path) -> None:
    (folder / "q.toml").write_text("[renditions.web]\nwidths = [9]\nformats = ['webp', 'gif']")
    (folder / "h.toml").write_text("[renditions.web]\nwidth = 9\nquality = 'high'")
    found = [run("explain", "a.jpg", "--renditions", file, cwd=folder).stdout for file in ("q.toml", "h.toml")]
    assert ["quality from 30 to 95 for a score of 70" in text for text in found] == [False, True]


def test_explain_says_which_renditions_keep_a_gain_map(folder: Path) -> None:
    toml = '[renditions.w]\nwidths = [90]\nformats = ["webp", "jpeg"]\nhdr = "keep"'
    (folder / "hdr.toml").write_text(toml, encoding="utf-8")
    lines = run("explain", "a.jpg", "--renditions", "hdr.toml", cwd=folder).stdout.splitlines()
    assert ["gain map" in line for line in lines if "w-90" in line] == [False, True]


@pytest.fixture
def logo(folder: Path) -> Path:
    """A renditions.toml with an overlay of 40 pixels."""
    (folder / "overlays").mkdir()
    (folder / "overlays" / "logo.png").write_bytes(drawing.png(drawing.quadrants(40, 20)))
    overlay = 'overlay = { image = "overlays/logo.png", width = "10%", position = "top left" }'
    (folder / "logo.toml").write_text(f"[renditions.web]\nwidths = [300, 401, 800]\nformat = 'webp'\n{overlay}\n")
    return folder / "logo.toml"


def test_explain_says_which_overlay_is_drawn(logo: Path) -> None:
    done = run("explain", "a.jpg", "--renditions", logo.name, cwd=logo.parent)
    assert "300 x any, webp, overlays/logo.png of 10% at left top" in " ".join(done.stdout.split())


def test_scale_draws_an_overlay(logo: Path) -> None:
    assert run("scale", "in", "--out", "out", "--renditions", logo.name, cwd=logo.parent).exit_code == 0
    image = decoded((logo.parent / "out" / "web-300" / "sub" / "logo.png.webp").read_bytes())
    assert is_near(tuple(map(int, image(30, 17))), YELLOW, 40)


@pytest.mark.packaging
def test_check_says_if_an_overlay_is_smaller_than_asked_for(logo: Path) -> None:
    done = run("check", "--renditions", logo.name, "--region", "eu-west-1", cwd=logo.parent)
    assert done.exit_code == 0
    note = "Note: overlays/logo.png is 40 pixels wide and is not enlarged, but web-800 has room for 80"
    assert note in " ".join(done.stderr.split())


def test_check_refuses_an_overlay_that_cannot_be_used_with_its_line(logo: Path) -> None:
    (logo.parent / "overlays" / "logo.png").write_text("no image")
    done = run("check", "--renditions", logo.name, cwd=logo.parent)
    assert done.exit_code == 2
    message = "logo.toml:4: cannot use overlays/logo.png for renditions.web.overlay.image: it is none of JPEG, PNG"
    assert message in " ".join(done.stderr.split())


def test_explain_has_json_too(folder: Path) -> None:
    done = run("explain", "a.jpg", "b.png", "--renditions", "r.toml", "--json", cwd=folder)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"source": "a.jpg", "invokes": True, "rule": None, "name": "resized", "key": "resized/a.jpg", "format": None},
        {
            "source": "a.jpg",
            "invokes": True,
            "rule": None,
            "name": "small",
            "key": "small/a.jpg.webp",
            "format": "webp",
        },
        {
            "source": "a.jpg",
            "invokes": True,
            "rule": None,
            "name": "manifest",
            "key": "manifests/a.jpg.json",
            "format": "json",
        },
        {"source": "b.png", "invokes": True, "rule": None, "name": "resized", "key": "resized/b.png", "format": None},
        {
            "source": "b.png",
            "invokes": True,
            "rule": None,
            "name": "small",
            "key": "small/b.png.webp",
            "format": "webp",
        },
        {
            "source": "b.png",
            "invokes": True,
            "rule": None,
            "name": "manifest",
            "key": "manifests/b.png.json",
            "format": "json",
        },
    ]


def test_explain_takes_several_keys_and_says_which_of_them_would_be_rejected(folder: Path) -> None:
    done = run("explain", "a.jpg", "x" * 1024 + ".jpg", "b.jpg", "--renditions", "r.toml", cwd=folder)
    assert done.exit_code == 1
    assert done.stderr.count("image-scaler: ") == 1
    assert [line.split()[0] for line in done.stdout.splitlines() if " resized " in line] == ["a.jpg", "b.jpg"]


def test_explain_says_so_when_nothing_is_made(folder: Path) -> None:
    (folder / "r.toml").write_text('rules = [{match = "raw/**", renditions = []}]\n[renditions.resized]\n')
    done = run("explain", "raw/a.jpg", "--renditions", "r.toml", cwd=folder)
    text = " ".join(done.stdout.split())
    assert "raw/a.jpg the rule raw/** matches, and has no renditions: nothing is made" in text


def test_explain_says_which_rule_decides_and_if_none_does(folder: Path) -> None:
    (folder / "r.toml").write_text('rules = [{match = "raw/**", renditions = ["a"]}]\n[renditions.a]\n[renditions.b]\n')
    done = run("explain", "raw/a.jpg", "b.jpg", "--renditions", "r.toml", cwd=folder)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "raw/a.jpg the rule raw/** matches" in lines
    assert "b.jpg no rule matches: every rendition is made" in lines
    assert "b b/raw/a.jpg" not in done.stdout


@pytest.mark.packaging
def test_check_accepts_the_project(tmp_path: Path) -> None:
    done = run("check", "--region", "eu-west-1", cwd=tmp_path)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "the settings of stage dev are valid. Recipe: resized, thumbnail, web" in done.stdout


@pytest.mark.parametrize(
    ("param", "sentence"),
    [
        ("keepReplacedDays=0", "a number of days from 1 for keepReplacedDays but received '0'"),
        ("distribution=E123", "the ARN of a CloudFront distribution for distribution but received 'E123'"),
        ("corsOrigins=example.com", "origins separated by commas for corsOrigins but received 'example.com'"),
        ("sourceKmsKey=alias/mine", "the ARN of a KMS key for sourceKmsKey but received 'alias/mine'"),
        ("memorysize=1792", "has no parameter 'memorysize'. Did you mean 'memorySize'?"),
        ("memorySize", "a parameter like memorySize=3538 but received 'memorySize'"),
        ("architecture=arm", "expected arm64 or x86_64 for architecture but received 'arm'"),
        ("sourceBucket=Bad_Name", "the name of a bucket: lower-case letters, digits, - and . for sourceBucket but"),
        ("destinationBucket=", "for destinationBucket but received ''"),
        ("alarmTopic=foo", "the ARN of an SNS topic for alarmTopic but received 'foo'"),
        ("delivery=sns", "expected s3 or eventbridge for delivery but received 'sns'"),
        ("buffer=kinesis", "expected none or sqs for buffer but received 'kinesis'"),
        ("maxConcurrency=1", "expected a number from 2 to 1000 for maxConcurrency but received '1'"),
        ("sourceAccount=12", "expected the 12 digits of an account for sourceAccount but received '12'"),
        ("reservedConcurrency=0", "a number from 1 for reservedConcurrency but received '0'"),
    ],
)
def test_check_refuses_a_parameter_that_cannot_work(tmp_path: Path, param: str, sentence: str) -> None:
    done = run("check", "--param", param, cwd=tmp_path)
    assert done.exit_code == 2
    assert sentence in done.stderr


@pytest.mark.packaging
@pytest.mark.parametrize(
    ("param", "sentence"),
    [
        ("memorySize=64", "memorySize"),
        ("existingSourceBucket=image-scaler-dev-destination-${AWS::AccountId}-${AWS::Region}", "are both image-scaler"),
        ("destinationBucket=image-scaler-dev-source-${AWS::AccountId}-us-east-1", "are both image-scaler-dev-source"),
        ("sourceAccount=111122223333", "sourceAccount needs delivery: eventbridge"),
        ("logRetentionInDays=31", "'provider.logRetentionInDays': must be equal to one of the allowed values"),
    ],
)
def test_check_refuses_a_stack_that_cannot_work(tmp_path: Path, param: str, sentence: str) -> None:
    done = run("check", "--param", param, cwd=tmp_path)
    assert done.exit_code == 2
    assert sentence in done.stderr


@pytest.mark.packaging
def test_check_refuses_a_buffer_that_an_existing_bucket_cannot_fill(tmp_path: Path) -> None:
    done = run("check", "--param", "buffer=sqs", "--param", "existingSourceBucket=my-uploads", cwd=tmp_path)
    assert done.exit_code == 2
    assert "buffer: sqs for an existing source bucket needs delivery: eventbridge" in done.stderr


def test_check_refuses_a_stage_that_no_bucket_can_be_named_after(tmp_path: Path) -> None:
    done = run("check", "--stage", "My Stage", cwd=tmp_path)
    assert done.exit_code == 2
    assert "expected lower-case letters, digits and - for the stage but received 'My Stage'" in done.stderr


@pytest.mark.packaging
def test_check_refuses_a_stage_whose_bucket_names_would_be_too_long(tmp_path: Path) -> None:
    done = run("check", "--stage", "a-rather-long-stage-name", "--region", "ap-southeast-1", cwd=tmp_path)
    assert done.exit_code == 2
    assert "choose a shorter stage than a-rather-long-stage-name, or set sourceBucket" in done.stderr


@pytest.mark.packaging
def test_check_says_that_uploads_of_svg_invoke_nothing(folder: Path) -> None:
    (folder / "r.toml").write_text("[renditions.small]\nwidth = 1\n[inputs]\nsvg = true")
    done = run("check", "--renditions", "r.toml", "--region", "eu-west-1", cwd=folder)
    assert done.exit_code == 0
    assert "add events for .svg to serverless.yml" in done.stderr


@pytest.mark.parametrize(
    ("key", "is_noted"), [("dir/a.jpg", False), ("a.JPG", False), ("a.Jpg", False), ("a.JPg", True), ("dir/", True)]
)
def test_explain_says_if_no_event_matches_the_key(tmp_path: Path, key: str, is_noted: bool) -> None:
    done = run("explain", key, cwd=tmp_path)
    assert done.exit_code == 0
    assert ("an upload invokes nothing" in done.stdout) is is_noted
    assert done.stderr == ""


def test_names_are_printed_without_markup_or_control_characters(tmp_path: Path) -> None:
    noted = run("explain", "[red]a\x1b[2J.txt", cwd=tmp_path)
    assert "[red]a\\x1b[2J.txt" in noted.stdout
    missing = run("scale", "[red]a\x1b[2J.jpg", "--out", "out", cwd=tmp_path)
    assert missing.exit_code == 2
    assert "cannot read [red]a\\x1b[2J.jpg" in missing.stderr


@pytest.mark.parametrize("command", [("check",), ("explain", "a.jpg"), ("scale", "in", "--out", "out")])
def test_a_command_prints_each_mistake_in_renditions_toml_with_its_line(folder: Path, command: Sequence[str]) -> None:
    (folder / "r.toml").write_text("[renditions.small]\nwidth = 0\n[[rules]]\nmatch = 1\nrenditions = []\n")
    done = run(*command, "--renditions", "r.toml", cwd=folder)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-2:] == [
        "image-scaler: r.toml:2: expected an integer from 1 to 16383 for renditions.small.width but received 0",
        "image-scaler: r.toml:4: expected a pattern of keys like avatars/** for match in the 1st [[rules]] table "
        "but received 1",
    ]
