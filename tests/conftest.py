"""Marks the tests that need more than this Python: see the markers in pyproject.toml."""

from itertools import chain

import pytest

NEEDS = {"LocalAws": "aws", "sync_playwright": "browser"}
"""Markers by the name that a module imports: its tests, and all that use one of its fixtures, have the marker."""


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark each test by what its fixtures start, so that none can lack its marker."""
    for item in items:
        if item.path.parent.name == "packaging":
            item.add_marker("packaging")
        fixtures = chain.from_iterable(item._fixtureinfo.name2fixturedefs.values())
        names = set().union(*(fixture.func.__globals__ for fixture in fixtures))
        for name in NEEDS.keys() & names:
            item.add_marker(NEEDS[name])
