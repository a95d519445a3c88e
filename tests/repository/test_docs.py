"""The documentation says what the code does."""

import json
import re
from pathlib import Path

import boto3
import msgspec
import pytest
import typer
from botocore.validate import validate_parameters
from rich.filesize import decimal
from typer.testing import CliRunner

from image_scaler.images.quality_search import SearchEffort
from image_scaler.manifest import Source, build
from image_scaler.outcomes import Outcome, Report, Stage, StageTimer, Status
from image_scaler.renditions.formats import OUTPUT_FORMATS
from image_scaler.renditions.geometry import Fit, Position
from image_scaler.renditions.limits import DEFAULT_LIMITS
from image_scaler.renditions.made import Chosen, DroppedMap, MadeRendition
from image_scaler.renditions.overlay import OverlayImage, OverlayOptions
from image_scaler.renditions.recipe import PageOptions
from image_scaler.renditions.toml import RenditionTable, TopLevel, parse_recipe
from image_scaler.storage.base import ObjectRef
from image_scaler.telemetry import Metric, Telemetry
from tests import ROOT
from toolbox import cli, stack

PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in (ROOT, ROOT / "docs", ROOT / "samples")
    for path in sorted(folder.glob("*.md"))
}
README, CONFIGURATION = PAGES["README.md"], PAGES["docs/configuration.md"]
LINKS = [
    (page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link
]


STACK = stack.read()


def table(page: str, header: str) -> dict[str, str]:
    """Return the rows of a table by their first cell."""
    _, found, rest = PAGES[page].partition(f"| {header} |")
    assert found, f"{page} has no table with the header {header}"
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return {cells[1].strip(): row for row in rows if (cells := row.split("|"))}


def code(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)


@pytest.mark.parametrize(("tool", "language", "number"), [("aws-lambda-image", "json", 0), ("firebase", "sh", 1)])
def test_the_settings_of_other_tools_become_the_renditions_that_the_page_shows(
    tool: str, language: str, number: int, tmp_path: Path
) -> None:
    page = "docs/coming-from.md"
    (tmp_path / "settings").write_text(code(page, language)[number], encoding="utf-8")
    done = CliRunner().invoke(cli.main, ["import", tool, str(tmp_path / "settings")])
    assert (done.exit_code, done.stdout) == (0, code(page, "toml")[number])


def words(text: str) -> set[str]:
    """Return what is in backticks."""
    return set(re.findall(r"`([^`]+)`", text))


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_codes_of_errors_are_those_of_the_code() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "image_scaler").rglob("*.py"))
    used = set(re.findall(r"""\bcode ?= ?"(\w+)\"""", sources))
    tried_again = words(PAGES["docs/upload.md"].partition("since a retry may succeed:")[2].partition("\n")[0])
    assert {code for cell in table("docs/upload.md", "code") for code in words(cell)} | tried_again == used


def test_the_readme_is_a_page() -> None:
    assert len(README.splitlines()) <= 140


def test_the_sample_renditions_are_those_of_the_project() -> None:
    shipped = parse_recipe((ROOT / "renditions.toml").read_text(encoding="utf-8"))
    sample, *_, limits = code("docs/configuration.md", "toml")
    (short,) = code("README.md", "toml")
    assert parse_recipe(sample).specs == parse_recipe(short).specs == shipped.specs
    assert [target.key for target in parse_recipe(sample).plan_for("avatars/me.jpg").targets] == [
        "resized/avatars/me.jpg",
        "thumbnail/avatars/me.jpg.webp",
    ]
    assert parse_recipe(sample + limits).limits == DEFAULT_LIMITS


def test_every_recipe_to_copy_is_valid() -> None:
    recipes = code("docs/recipes.md", "toml")
    assert len(recipes) == PAGES["docs/recipes.md"].count("\n## ")
    for text in recipes:
        recipe = parse_recipe(text, read_overlay=lambda name: OverlayImage("0" * 64))
        assert recipe.plan_for("folder/photo.jpg").targets


def test_the_function_for_terraform_is_that_of_the_stack() -> None:
    (text,) = code("docs/deployment.md", "hcl")
    values = dict(re.findall(r"^ +(\w+) += (?:\[?\"|)([^\"\]\n]+)", text, re.MULTILINE))
    function, defaults = STACK["functions"]["resize"], STACK["params"]["default"]
    variables = (
        STACK["provider"]["environment"]
        | STACK["resources"][0]["extensions"]["ResizeLambdaFunction"]["Properties"]["Environment"]["Variables"]
    )
    assert set(re.findall(r"^ +([A-Z_]+) ", text, re.MULTILINE)) == variables.keys()
    assert (values["handler"], values["runtime"]) == (function["handler"], f"python{defaults['python']}")
    assert (values["architectures"], values["memory_size"]) == (defaults["architecture"], str(defaults["memorySize"]))
    assert (values["timeout"], values["ANY_SUFFIX"]) == (str(defaults["timeout"]), defaults["anySuffix"])
    assert values["maximum_retry_attempts"] == str(function["maximumRetryAttempts"])
    assert values["maximum_event_age_in_seconds"] == str(function["maximumEventAge"])


def test_the_table_of_fields_has_every_field_and_no_other() -> None:
    fields = {field.name for field in msgspec.structs.fields(RenditionTable)}
    assert {name for cell in table("docs/configuration.md", "field") for name in words(cell)} == fields


def test_the_table_of_the_top_level_has_every_setting_with_its_default() -> None:
    rows = table("docs/configuration.md", "top level")
    defaults = {field.name: field.default for field in msgspec.structs.fields(TopLevel)}
    assert {name for cell in rows for name in words(cell)} == defaults.keys()
    for name, default in defaults.items():
        assert f"`{str(default).lower()}`" in rows[f"`{name}`"].split("|")[3]


def test_the_table_of_an_overlay_has_every_field_with_its_default() -> None:
    rows = table("docs/configuration.md", "in `overlay`")
    fields = {field.name: field for field in msgspec.structs.fields(OverlayOptions)}
    assert {name for cell in rows for name in words(cell)} == fields.keys()
    for name, field in fields.items():
        if not field.required:
            assert f"{field.default}".removesuffix(".0") in words(rows[f"`{name}`"].split("|")[3])


def test_the_values_of_fit_format_and_position_are_complete() -> None:
    rows = table("docs/configuration.md", "field")
    assert " ".join(Fit) in words(rows["`fit`"])
    assert " ".join(OUTPUT_FORMATS) in words(rows["`format`"])
    assert {word.strip("`") for word in table("docs/configuration.md", "fit")} == set(Fit)
    assert set(re.findall(r"[a-z]+", rows["`position`"])) >= set(" ".join(Position).split())


def test_the_defaults_of_the_fields_are_those_of_the_code() -> None:
    rows = table("docs/configuration.md", "field")
    for name in ("fit", "position", "background"):
        default = next(field.default for field in msgspec.structs.fields(RenditionTable) if field.name == name)
        assert str(default) in words(rows[f"`{name}`"].split("|")[3])


def test_the_keys_of_the_examples_are_those_of_the_code() -> None:
    recipe = parse_recipe('[renditions.thumbnail]\nformat = "webp"\nwidth = 320')
    for cell, row in table("docs/configuration.md", "source").items():
        (key,) = words(cell)
        assert words(row.split("|")[2]) == {target.key for target in recipe.plan_for(key).targets}


LADDER = PageOptions(ladders=(("resized", ("resized",)),))


def test_the_sample_manifest_has_the_fields_of_a_manifest() -> None:
    sample, *_ = code("docs/web.md", "json")
    source = Source(key="dir/photo.jpg", etag="e", bytes=1)
    written = MadeRendition(name="resized", key="resized/dir/photo.jpg", bytes=1, width=1, height=1, type="image/jpeg")
    content = json.loads(build(source, [written], LADDER, fingerprint="r"))
    shown = json.loads(sample)
    assert shown.keys() == content.keys()
    assert shown["source"].keys() == content["source"].keys()
    assert shown["ladders"]["web"].keys() == content["ladders"]["resized"].keys()
    assert {frozenset(entry) for entry in shown["renditions"]} == {frozenset(content["renditions"][0])}


def test_every_reason_for_a_dropped_gain_map_is_explained() -> None:
    assert {word for cell in table("docs/hdr.md", "`hdr_dropped`") for word in words(cell)} == set(DroppedMap)


def test_what_may_be_chosen_instead_of_the_usual_encoding_is_explained() -> None:
    (paragraph,) = (
        part for part in (ROOT / "docs/web.md").read_text(encoding="utf-8").split("\n- ") if part.startswith("`chosen`")
    )
    assert words(paragraph) >= {"chosen", *Chosen}


def test_the_sample_that_offers_gain_maps_is_a_recipe_of_jpegs_with_them() -> None:
    (sample,) = code("docs/hdr.md", "toml")
    plan = parse_recipe(sample).plan_for("a.jpg")
    assert {target.spec.hdr for target in plan.renditions} == {"keep"}
    assert [picture.hdr for picture in plan.page.pictures] == [True]


def test_the_table_of_parameters_has_every_parameter_with_its_default() -> None:
    rows = table("docs/deployment.md", "parameter")
    assert {word for cell in rows for word in words(cell)} == set(stack.parameters())
    for name, default in STACK["params"]["default"].items():
        if "Bucket" not in name:
            assert f"`{default}`" in rows[f"`{name}`"]


def test_every_file_of_the_stack_is_explained() -> None:
    named = {word for cell in table("docs/deployment.md", "file") for word in words(cell)}
    shared = {"python", "bytecode.py", "zip.js"}  # of use to the packaging only
    assert named == {path.name for path in (ROOT / "serverless").iterdir()} - shared


def test_the_suffixes_are_those_of_the_stack() -> None:
    (listed,) = re.findall(r"ends in `([^`]+)`", PAGES["docs/deployment.md"])
    (capitalised,) = re.findall(r"or in `([^`]+)`", PAGES["docs/deployment.md"])
    spellings = {case(suffix) for suffix in listed.split() for case in (str.lower, str.upper)}
    assert spellings | {*capitalised.split()} == set(stack.suffixes())


def test_the_response_headers_policy_is_one_that_cloudfront_accepts() -> None:
    _, policy = code("docs/web.md", "json")
    shapes = boto3.client("cloudfront", region_name="us-east-1").meta.service_model
    shape = shapes.operation_model("CreateResponseHeadersPolicy").input_shape
    validate_parameters({"ResponseHeadersPolicyConfig": json.loads(policy)}, shape)


def test_every_status_is_explained() -> None:
    assert {word for cell in table("docs/events.md", "status") for word in words(cell)} == set(Status)


def test_every_metric_is_explained() -> None:
    assert {name for cell in table("docs/operations.md", "metric") for name in words(cell)} == set(Metric)


def test_the_sample_line_of_the_log_has_the_fields_of_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    (sample,) = code("docs/operations.md", "jsonc")
    shown = json.loads(sample)
    assert shown["ms"].keys() == set(Stage)
    telemetry = Telemetry(shown["service"], shown["sdk"])
    telemetry.begin(shown["request_id"])
    effort = SearchEffort(shown["search"]["trials"], shown["search"]["ms"] / 1000)
    timer = StageTimer({Stage(stage): value / 1000 for stage, value in shown["ms"].items()})
    report = Report(source_bytes=shown["bytes_in"], search=effort, timer=timer)
    telemetry.observe(
        Outcome(
            source=ObjectRef(**shown["source"]),
            status=Status(shown["status"]),
            report=report,
        )
    )
    line = json.loads(capsys.readouterr().out)
    assert list(shown) == list(line)
    not_compared = {"timestamp", "written", "bytes_out", "RenditionsWritten", "BytesSaved", "_aws"}
    assert {name: value for name, value in shown.items() if name not in not_compared} == {
        name: value for name, value in line.items() if name not in not_compared
    }


def test_a_file_has_one_size_in_all_samples() -> None:
    (sample,) = code("docs/operations.md", "jsonc")
    manifest, *_ = code("docs/web.md", "json")
    size = (ROOT / "samples" / "Lighthouse at dusk.JPG").stat().st_size
    sizes = {entry["key"].split("/")[0]: decimal(entry["bytes"]) for entry in json.loads(manifest)["renditions"]}
    shown = dict(re.findall(r"([\w-]+)/Lighthouse at dusk.JPG(?:.avif)? .* (\d+\.\d kB) ", README))
    assert json.loads(sample)["bytes_in"] == json.loads(manifest)["source"]["bytes"] == size
    assert {folder: shown[folder] for folder in sizes} == sizes


def test_every_make_command_exists() -> None:
    shown = " ".join(re.findall(r"```(?:sh|console)\n.*?```|`[^`]+`", "".join(PAGES.values()), re.DOTALL))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    found = set(re.findall(r"\bmake ([a-z]+)", shown))
    assert found
    assert found - targets == set()


def test_every_command_and_option_of_image_scaler_exists_and_every_command_is_documented() -> None:
    commands = typer.main.get_command(cli.main).commands  # type: ignore[attr-defined]
    text = "\n".join(PAGES.values())
    inline = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = re.findall(r"^(?:\$ )?(image-scaler .*)$", text, re.MULTILINE)
    found = {name for part in (*inline, *lines) for name in re.findall(r"image-scaler ([a-z]+)", part)}
    assert found == commands.keys()
    for name, line in re.findall(r"^(?:\$ )?image-scaler ([a-z]+)(.*)$", text, re.MULTILINE):
        options = {
            option for parameter in commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line


def is_dead(page: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (ROOT / page).parent / path if path else ROOT / page
    return not target.exists() or bool(anchor and anchor not in anchors(target.read_text(encoding="utf-8")))


def test_every_link_leads_somewhere() -> None:
    assert LINKS
    assert [f"{page}: {link}" for page, link in LINKS if is_dead(page, link)] == []


def test_every_file_that_is_named_exists() -> None:
    folders = "events|tests|toolbox|serverless|image_scaler|docs|bench"
    found = set(re.findall(rf"`((?:{folders})/[\w./-]+)`", "".join(PAGES.values())))
    assert found
    assert [path for path in sorted(found) if not (ROOT / path).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked = {link.partition("#")[0] for page, link in LINKS if page == "README.md"}
    assert {page for page in PAGES if page.startswith("docs/")} <= linked


def test_the_figures_of_the_bench_are_those_of_its_results() -> None:
    results = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    rows = {
        name: row for name, row in table("docs/performance.md", "format").items() if name in ("JPEG", "WebP", "AVIF")
    }
    assert len(rows) == 3
    for row in rows.values():
        assert row in results
    cpu, total = ([row.split(" | ")[column].strip(" |") for row in rows.values()] for column in (1, 5))
    total_cpu, lowest, highest = re.findall(r"takes (\S+) times .* and (\S+) to (\S+) times by picture", results)[0]
    performance = " ".join(PAGES["docs/performance.md"].split())
    assert f"costs {total_cpu} times the CPU" in performance
    assert f"up to {highest} times for pictures" in performance
    assert f"{float(lowest):.1f} to" in performance
    lowest_scores = re.findall(r"^\| \w+ \| \d+ \| [^|]+ % \| [^|]+ % \| [^|]+ % \| (\S+) \|", results, re.MULTILINE)
    assert len(lowest_scores) == 3
    assert f"the lowest had {min(lowest_scores)}" in performance
    sentence = " ".join(PAGES["README.md"].split())
    assert f"takes {total[0]} of [sharp]" in sentence
    assert "bytes in JPEG, {} in WebP and {} in AVIF, at {}, {} and {} of its CPU".format(*total[1:], *cpu) in sentence
