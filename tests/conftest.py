"""Marks each test by what it needs, and shares the tests between the workers of pytest-xdist."""

from itertools import chain

import pytest

NEEDS = {"LocalAws": "aws", "sync_playwright": "browser"}
"""Markers by the name that a module imports: its tests, and all that use one of its fixtures, have the marker."""

GROUPS = ("end_to_end", "packaging", "faults")
"""Folders whose tests share what is slow to start, so one worker has them. In the order in which they begin."""


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark each test by what its fixtures start, so that none can lack its marker; the longest come first."""
    for item in items:
        folder = item.path.parent.name
        fixtures = chain.from_iterable(item._fixtureinfo.name2fixturedefs.values())
        names = set().union(*(fixture.func.__globals__ for fixture in fixtures))
        markers = [NEEDS[name] for name in NEEDS.keys() & names] + ["packaging"] * (folder == "packaging")
        for marker in markers:
            item.add_marker(marker)
        if {"aws", "packaging"} & {*markers}:
            item.add_marker(pytest.mark.timeout(300))
        if folder in GROUPS:
            # sls works in the .serverless of the checkout, so no two workers may run it there.
            item.add_marker(pytest.mark.xdist_group("end_to_end" if "local" in item.fixturenames else folder))
    items.sort(key=_order)


def _order(item: pytest.Function) -> int:
    group = item.get_closest_marker("xdist_group")
    if group:
        return GROUPS.index(group.args[0])
    return len(GROUPS) + all(item.get_closest_marker(name) is None for name in ("aws", "browser", "packaging", "slow"))
