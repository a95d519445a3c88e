"""A few of the cases of `make fuzz`."""

from pathlib import Path

import pytest

from tests.properties.corpus.manifest import corpus
from tests.properties.fuzz.__main__ import fuzz
from tests.properties.fuzz.cases import SMALL, Case, case, outcome
from tests.properties.fuzz.seeds import seeds
from tests.support.examples import FACTOR

CASES = 60 * FACTOR


@pytest.mark.slow
def test_damaged_images_become_renditions_or_are_rejected(tmp_path: Path) -> None:
    summary = fuzz(0, range(CASES), corpus(), found=tmp_path)
    assert not summary.failures, "\n".join(f"{failure.name}: {failure.reason}" for failure in summary.failures)
    assert summary.counts.total() == CASES
    # Neither is all damage beyond repair, nor all harmless.
    assert summary.counts["ok"] > CASES / 10
    assert summary.counts["DamagedImageError"] + summary.counts["UnsupportedImageError"] > CASES / 10


def test_the_same_seed_gives_the_same_cases() -> None:
    assert [case(5, number, None) for number in range(20)] == [case(5, number, None) for number in range(20)]
    assert case(5, 1, None) != case(6, 1, None)


def test_all_undamaged_images_are_read() -> None:
    targets = case(0, 0, None).targets
    outcomes = {seed.name: outcome(Case(seed.name, seed.body, targets, SMALL, None)) for seed in seeds(None)}
    assert {name: result for name, result in outcomes.items() if result != "ok"} == {
        "picture.svg": "UnsupportedImageError"
    }
