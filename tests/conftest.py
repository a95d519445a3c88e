"""Marks each test by what it needs, and shares the tests between the workers of pytest-xdist."""

import os
from itertools import chain

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

NEEDS = {"LocalAws": "aws", "chromium": "browser"}
"""Markers by the name that a module imports: its tests, and all that use one of its fixtures, have the marker."""

# No test asserts a time. In CI the examples are the same each time: a failure is that of the change.
settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("project")

GROUPS = ("end_to_end/test_plan_and_apply.py", "end_to_end/", "packaging/", "web/", "faults/")
"""Folders, and a module, whose tests share what is slow to start: one worker has them. In the order of their begin."""


def _group(nodeid: str) -> str | None:
    return next((group for group in GROUPS if f"/{group}" in nodeid), None)


class ByFolder(LoadScopeScheduling):
    """Gives each of GROUPS to one worker, and every other test to the worker that is free."""

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid) or nodeid


@pytest.hookimpl(optionalhook=True)  # so the tests run without xdist too
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of processors; two more for all tests, some of which wait for others most of the time."""
    return (os.cpu_count() or 1) + 2 * (config.option.dist == "loadscope")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    return ByFolder(config, log) if config.option.dist == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark each test by what its fixtures start, so that none can lack its marker; the longest come first."""
    for item in items:
        fixtures = chain.from_iterable(item._fixtureinfo.name2fixturedefs.values())
        names = set().union(*(fixture.func.__globals__ for fixture in fixtures))
        for name in NEEDS.keys() & names:
            item.add_marker(NEEDS[name])
        if item.path.parent.name == "packaging":
            item.add_marker("packaging")
        if {"aws", "packaging"} & {marker.name for marker in item.iter_markers()}:
            item.add_marker(pytest.mark.timeout(300))
    items.sort(key=_order)


def _order(item: pytest.Function) -> int:
    if group := _group(item.nodeid):
        return GROUPS.index(group)
    is_quick = all(item.get_closest_marker(name) is None for name in ("aws", "browser", "packaging", "slow"))
    return len(GROUPS) + is_quick
