"""`image-scaler plan --html`: the plan as a page."""

import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from playwright.sync_api import Page, expect

from image_scaler.events import SourceEvent
from image_scaler.exceptions import ConfigError
from image_scaler.renditions.toml import load_renditions
from image_scaler.scaler import Scaler
from image_scaler.settings import Settings
from image_scaler.storage.base import ObjectRef
from image_scaler.storage.s3 import S3Store
from tests.drawing import jpeg, photo
from tests.play.test_page import cell
from toolbox.deployed import DeployedStack
from toolbox.plan.page import write_page
from toolbox.plan.planner import Options, Plan, Planner

OLD = """
[renditions.card]
width = 120
format = "webp"
quality = 80
[renditions.square]
width = 64
height = 64
fit = "cover"
format = "webp"
"""
NEW = OLD.replace("quality = 80", "quality = 10") + '[[rules]]\nmatch = "a/**"\nrenditions = ["card", "square"]\n'
HOSTILE = "a/\u202e<img src=x onerror=alert(1)>\n.jpg"
SHOWN = "a/\\u202e<img src=x onerror=alert(1)>\\n.jpg"


class PlannedStack:
    """A stack whose sources have the renditions of an old recipe, and a renditions.toml that was edited."""

    def __init__(self, folder: Path) -> None:
        self.session = boto3.Session("testing", "testing", region_name="us-east-1")
        self.s3 = self.session.client("s3")
        for bucket in ("source", "destination"):
            self.s3.create_bucket(Bucket=bucket)
        role = self.session.client("iam").create_role(RoleName="function", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as package:
            package.writestr("handler.py", "")
        self.session.client("lambda").create_function(
            FunctionName="scaler",
            Role=role,
            Runtime="python3.13",
            Handler="handler.handle",
            Code={"ZipFile": code.getvalue()},
            MemorySize=1792,
        )
        self.file = folder / "renditions.toml"
        self.file.write_text(OLD)

    def upload(self, key: str, *, keeps_recipe: bool = True, **metadata: str) -> None:
        """Upload a picture, and process it."""
        body = jpeg(photo(240, 160, seed=len(key)))
        self.s3.put_object(Bucket="source", Key=key, Body=body, ContentType="image/jpeg", Metadata=metadata)
        settings = Settings(destination_bucket="destination", renditions=load_renditions(self.file))
        scaler = Scaler(settings, S3Store(self.s3), keeps_ledger=keeps_recipe)
        assert scaler.scale(SourceEvent(ref=ObjectRef("source", key), payload={})).error is None

    def plan(self) -> Plan:
        deployed = DeployedStack("source", "destination", "", "", "scaler")
        return Planner(deployed, load_renditions(self.file), self.session).plan(Options(), None)

    def write(self, html: Path, plan: Plan | None = None) -> int:
        plan = plan or self.plan()
        with ThreadPoolExecutor(1) as other:  # this thread has the event loop of the browser
            return other.submit(write_page, html, plan, Options(), self.file, self.s3).result()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[PlannedStack]:
    with mock_aws():
        yield PlannedStack(tmp_path)


def test_it_shows_the_counts_and_the_largest_changes_above_the_pictures(
    stack: PlannedStack, tmp_path: Path, page: Page
) -> None:
    for key in ("a/one.jpg", "two.jpg", HOSTILE):
        stack.upload(key)
    stack.file.write_text(NEW)
    assert stack.write(tmp_path / "plan.html") == 3
    page.context.set_offline(True)
    page.goto((tmp_path / "plan.html").as_uri())
    plan = page.locator(".plan")
    expect(plan).to_contain_text("3 sources")
    expect(plan).to_contain_text("source → destination")
    rendition, rule = plan.locator("table").all()
    expect(rendition.get_by_role("row", name="card").get_by_role("cell")).to_have_text(["0", "3", "0", "0", "0"])
    expect(rule.get_by_role("row", name="a/**").get_by_role("cell")).to_have_text(["2", "2", "0", "2", "2", "0", "0"])
    expect(plan.locator(".change")).to_have_count(3)
    expect(plan.locator(".change", has_text=SHOWN)).to_contain_text("between the two")
    for image in plan.locator(".change img").all():
        assert image.evaluate("(node) => node.naturalWidth") == 120
    expect(plan.locator("figcaption").nth(0)).to_contain_text("before 120 x 80 webp q80")
    expect(plan.locator("figcaption").nth(1)).to_contain_text("after 120 x 80 webp q10")
    expect(page.locator("#sheet tbody tr")).to_have_count(3)
    expect(cell(page, "two.jpg", "card.webp").locator(".edit")).to_have_attribute("title", "against the recipe before")
    cell(page, "two.jpg", "card.webp").get_by_role("button").click()
    choices = page.get_by_label("Right").locator("option")
    assert "card.webp of the recipe before" in choices.all_text_contents()
    expect(page.locator("#copy-command")).to_be_hidden()  # these are keys in a bucket, not files


def test_crops_keep_the_focal_point_of_the_upload(stack: PlannedStack, tmp_path: Path, page: Page) -> None:
    stack.upload("a.jpg", **{"focal-point": "0.9,0.1"})
    stack.file.write_text(NEW)
    stack.write(tmp_path / "plan.html")
    page.goto((tmp_path / "plan.html").as_uri())
    page.get_by_role("button", name="Focal point: a.jpg").click()
    expect(page.get_by_role("spinbutton").first).to_have_value("0.9")


def test_without_the_old_recipe_it_shows_the_new_renditions_and_what_is_stored(
    stack: PlannedStack, tmp_path: Path, page: Page
) -> None:
    stack.upload("a.jpg", keeps_recipe=False)
    stack.file.write_text(NEW)
    assert stack.write(tmp_path / "plan.html") == 1
    page.goto((tmp_path / "plan.html").as_uri())
    expect(page.locator(".change")).to_have_count(1)
    expect(cell(page, "a.jpg", "card.webp")).to_be_visible()
    expect(page.locator(".edit")).to_have_count(0)


def test_sources_with_another_recipe_before_have_their_crops_but_no_pictures(
    stack: PlannedStack, tmp_path: Path, page: Page
) -> None:
    stack.upload("a.jpg")
    stack.file.write_text(OLD.replace("quality = 80", "quality = 60"))
    stack.upload("newer.jpg")
    stack.file.write_text(NEW)
    assert stack.write(tmp_path / "plan.html") == 1
    page.goto((tmp_path / "plan.html").as_uri())
    expect(page.locator(".change")).to_have_count(2)
    expect(page.locator("#sheet tbody tr")).to_have_count(1)


def test_if_nothing_exists_it_shows_the_sample(stack: PlannedStack, tmp_path: Path, page: Page) -> None:
    for number in range(7):
        stack.s3.put_object(Bucket="source", Key=f"{number}.jpg", Body=jpeg(photo(90, 60)), ContentType="image/jpeg")
    assert stack.write(tmp_path / "plan.html") == 5
    page.goto((tmp_path / "plan.html").as_uri())
    expect(page.locator("#sheet tbody tr")).to_have_count(5)
    expect(page.locator(".change")).to_have_count(0)
    expect(page.locator(".plan table")).to_have_count(1)  # without rules


def test_a_source_that_was_deleted_in_the_meantime_is_left_out(stack: PlannedStack, tmp_path: Path) -> None:
    for key in ("a.jpg", "b.jpg"):
        stack.upload(key)
    stack.file.write_text(NEW)
    plan = stack.plan()
    stack.s3.delete_object(Bucket="source", Key="a.jpg")
    assert stack.write(tmp_path / "plan.html", plan) == 1
    stack.s3.delete_object(Bucket="source", Key="b.jpg")
    with pytest.raises(ConfigError, match="deleted in the meantime"):
        stack.write(tmp_path / "none.html", plan)
    assert [path.name for path in tmp_path.glob("*.html*")] == ["plan.html"]
