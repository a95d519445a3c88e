"""The README says what the code does."""

import json
import re
from pathlib import Path

import msgspec
import pytest
import yaml

from image_scaler.manifest import Source, manifest
from image_scaler.outcomes import Stage, WrittenObject
from image_scaler.renditions.formats import OUTPUT_FORMATS
from image_scaler.renditions.geometry import Fit, Position
from image_scaler.renditions.limits import DEFAULT_LIMITS
from image_scaler.renditions.toml import RenditionTable, parse_renditions
from image_scaler.telemetry import Metric

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


class Loader(yaml.SafeLoader):
    """Reads serverless.yml, whose !Sub, !Ref and !GetAtt are of no interest here."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: suffix)
STACK = yaml.load((ROOT / "serverless.yml").read_text(encoding="utf-8"), Loader)  # noqa: S506  a SafeLoader


def table(header: str) -> dict[str, str]:
    """The rows of a table by their first cell."""
    _, _, rest = README.partition(f"| {header} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return {cells[1].strip(): row for row in rows if (cells := row.split("|"))}


def words(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_the_sample_renditions_can_be_used_as_they_stand() -> None:
    sample, limits = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    renditions = parse_renditions(sample)
    assert [target.key for target in renditions.plan_for("avatars/me.jpg").targets] == [
        "resized/avatars/me.jpg",
        "thumbnail/avatars/me.jpg.webp",
    ]
    shipped = parse_renditions((ROOT / "renditions.toml").read_text(encoding="utf-8"))
    assert renditions.specs == shipped.specs
    assert parse_renditions(sample + limits).limits == DEFAULT_LIMITS


def test_the_table_of_fields_has_every_field_and_no_other() -> None:
    fields = {field.name for field in msgspec.structs.fields(RenditionTable)}
    assert {name for cell in table("field") for name in words(cell)} == fields


def test_the_table_of_settings_on_top_has_each_with_its_default() -> None:
    rows = table("on top")
    assert set(rows) == {"`manifest`", "`on_source_delete`"}
    renditions = parse_renditions("[renditions.a]")
    assert f"`{str(bool(renditions.plan_for('a.jpg').manifest_key)).lower()}`" in rows["`manifest`"].split("|")[3]
    assert renditions.plan_for("a.jpg").manifest_key
    assert f"`{renditions.on_source_delete}`" in rows["`on_source_delete`"].split("|")[3]


def test_the_sample_manifest_has_what_a_manifest_has() -> None:
    (sample,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    source = Source(key="dir/photo.jpg", etag="e", bytes=1)
    written = WrittenObject(name="resized", key="resized/dir/photo.jpg", bytes=1)
    content = json.loads(manifest(source, [written], ()))
    shown = json.loads(sample)
    assert shown.keys() == content.keys()
    assert shown["source"].keys() == content["source"].keys()
    assert {frozenset(entry) for entry in shown["renditions"]} == {frozenset(content["renditions"][0])}


def test_the_values_of_fit_format_and_position_are_all_there() -> None:
    rows = table("field")
    assert " ".join(Fit) in words(rows["`fit`"])
    assert " ".join(OUTPUT_FORMATS) in words(rows["`format`"])
    assert {word.strip("`") for word in table("fit")} == set(Fit)
    assert set(re.findall(r"[a-z]+", rows["`position`"])) >= set(" ".join(Position).split())


def test_the_defaults_in_the_table_are_those_of_the_code() -> None:
    rows = table("field")
    for name in ("fit", "position", "background"):
        default = next(field.default for field in msgspec.structs.fields(RenditionTable) if field.name == name)
        assert str(default) in words(rows[f"`{name}`"].split("|")[3])


def test_the_table_of_parameters_has_every_parameter_with_its_default() -> None:
    rows = table("parameter")
    defaults = STACK["params"]["default"]
    named = {word for cell in rows for word in words(cell)}
    assert named == defaults.keys() | {"reservedConcurrency", "existingSourceBucket", "alarmTopic"}
    for name, default in defaults.items():
        if "Bucket" not in name:
            assert f"`{default}`" in rows[f"`{name}`"]


def test_every_metric_is_explained() -> None:
    assert {name for cell in table("metric") for name in words(cell)} == set(Metric)


def test_the_sample_line_of_the_log_has_every_stage() -> None:
    (sample,) = re.findall(r"```jsonc\n(.*?)```", README, re.DOTALL)
    assert json.loads(sample)["ms"].keys() == set(Stage)


def test_the_suffixes_are_those_of_the_stack() -> None:
    (listed,) = re.findall(r"end in `([^`]+)`", README)
    suffixes = {event["s3"]["rules"][0]["suffix"] for event in STACK["functions"]["resize"]["events"][:-2]}
    assert suffixes == {case(suffix) for suffix in listed.split() for case in (str.lower, str.upper)}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", README))))
def test_every_make_command_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)|events/\S+\.json", README)) - {""}))
def test_every_file_that_is_linked_exists(path: str) -> None:
    assert (ROOT / path).exists()
