"""The counts of `image-scaler plan` by rule: they add up to those of all sources."""

from collections.abc import Sequence
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from image_scaler.manifest import fingerprint
from image_scaler.renditions.recipe import Recipe
from image_scaler.renditions.toml import parse_recipe
from tests.unit.toolbox.migration.test_plan import listed
from toolbox.migration.changes import Comparer, Counts
from toolbox.migration.planner import Totals
from toolbox.migration.recipes import RecipeHistory, RecordedRecipe
from toolbox.migration.report import counts_by_rendition, counts_by_rule, table
from toolbox.migration.states import State

RENDITIONS = """
[renditions.small]
width = 10
[renditions.large]
widths = [20, 40]
"""
RULES = """
[[rules]]
match = "avatars/**"
renditions = ["small"]
[[rules]]
match = "**/*.png"
renditions = ["small", "large"]
"""
OLD, NEW = (parse_recipe(text) for text in (RENDITIONS.replace("10", "9") + RULES, RENDITIONS + RULES))
PATTERNS = ("avatars/**", "**/*.png")
KEYS = st.lists(
    st.sampled_from(["avatars/a.jpg", "avatars/b.png", "c.png", "d/e.png", "f.jpg", "g/h.jpg", "g/avatars/i.jpg"]),
    unique=True,
)


def totals_of(keys: Sequence[str], existing: Sequence[str] = (), recipe: Recipe = NEW) -> Totals:
    """Count sources, of which some have the renditions of the old recipe; those in `done/` are up to date."""
    totals = Totals()
    new = RecordedRecipe(recipe)
    comparer = Comparer(new, RecipeHistory([RecordedRecipe(OLD)]), lambda key: {})
    for key in keys:
        plan = new.plan_for(key)
        assert plan
        totals.see(listed(key), plan.rule)
        if not key.startswith("done/"):
            state = State("e", fingerprint(OLD.plan_for(key))) if key in existing else None
            totals.add(comparer.change(listed(key), plan, state))
    return totals


def printed(table: Table) -> list[list[str]]:
    """Return the words of each line of a table."""
    console = Console(width=160, markup=False)
    with console.capture() as text:
        console.print(table)
    return [line.split() for line in text.get().splitlines()]


@given(KEYS, st.data())
def test_the_counts_of_the_rules_add_up_to_the_totals(keys: list[str], data: st.DataObject) -> None:
    existing = data.draw(st.lists(st.sampled_from(keys), unique=True)) if keys else []
    totals = totals_of(keys, existing)
    rules = totals.by_rule.values()
    assert sum(rule.sources for rule in rules) == totals.sources == len(keys)
    assert sum(rule.to_process for rule in rules) == totals.to_process
    for column in fields(Counts):
        assert sum(getattr(rule, column.name) for rule in rules) == getattr(totals.renditions, column.name)


def test_a_source_counts_under_the_first_rule_that_matches_it() -> None:
    by_rule = totals_of(["avatars/b.png", "c.png", "avatars/a.jpg"]).by_rule
    assert {pattern: counts.sources for pattern, counts in by_rule.items()} == {"avatars/**": 2, "**/*.png": 1}
    assert by_rule["avatars/**"].make == 2
    assert by_rule["**/*.png"].make == 3


def test_a_source_that_no_rule_matches_counts_under_none() -> None:
    by_rule = totals_of(["f.jpg"]).by_rule
    assert {pattern: counts.make for pattern, counts in by_rule.items()} == {None: 3}


def test_a_source_that_does_not_change_is_a_source_of_its_rule() -> None:
    rule = totals_of(["done/a.png", "b.png"]).by_rule["**/*.png"]
    assert (rule.sources, rule.to_process, rule.make) == (2, 1, 3)


@pytest.mark.parametrize(
    ("key", "pattern"), [("avatars/a.png", "avatars/**"), ("a/b.png", "**/*.png"), ("a.jpg", None)]
)
def test_renditions_tell_the_rule_of_a_source(key: str, pattern: str | None) -> None:
    assert NEW.patterns == PATTERNS
    assert NEW.plan_for(key).rule == pattern
    rule = NEW.rule_for(key)
    assert (rule.pattern.text if rule else None) == pattern


def test_the_table_has_every_rule_in_the_order_of_renditions_toml() -> None:
    totals = Totals.of_rules(NEW.patterns)
    totals.see(listed("a.jpg"), None)
    totals.see(listed("a.png"), "**/*.png")
    rows = counts_by_rule(totals)
    assert rows
    assert printed(table(rows)) == [
        ["rule", "sources", "to", "process", "make", "rewrite", "keep", "superseded", "orphan"],
        ["avatars/**", *"0000000"],
        ["**/*.png", *"1000000"],
        ["no", "rule", *"1000000"],
    ]


def test_without_rules_there_is_no_table_of_rules() -> None:
    recipe = parse_recipe(RENDITIONS)
    assert counts_by_rule(totals_of(["a.jpg", "b.png"], recipe=recipe)) is None


def test_a_rendition_may_be_called_all() -> None:
    totals = Totals(by_rendition={"all": Counts(rewrite=1), "b": Counts(keep=1)})
    assert [(name, sum(numbers)) for name, numbers in counts_by_rendition(totals).rows] == [
        ("all", 1),
        ("b", 1),
        ("all", 2),
    ]
