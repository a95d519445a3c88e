"""The bytes that the engine makes of the same options: if they change, stored renditions are outdated."""

import pytest

from image_scaler.renditions.fingerprint import ENGINE_VERSION
from image_scaler.renditions.formats import OUTPUT_FORMATS
from tests.support.engine import ARCHITECTURE, FIXED, digests, recorded

RECORD = "record the digests: .venv/bin/python -m tests.support.engine"
CHANGED = f"""the engine makes other renditions of the same options than before. If that is meant:
1. Raise ENGINE_VERSION ({ENGINE_VERSION}) in image_scaler/renditions/fingerprint.py, so that stored renditions are
   replaced. Leave it only if stored renditions are as good, as after most updates of a library.
2. Then {RECORD}
3. If you raised it, say in CHANGELOG.md that all renditions are made again."""


def test_there_is_a_digest_for_each_format() -> None:
    assert set(OUTPUT_FORMATS) <= FIXED.keys(), f"add the format in tests/support/engine.py, then {RECORD}"


def test_the_same_options_give_the_recorded_bytes_and_qualities() -> None:
    known = recorded()
    assert known, f"ENGINE_VERSION is {ENGINE_VERSION}: {RECORD}"
    if ARCHITECTURE not in known:
        pytest.skip(f"no digests for {ARCHITECTURE}, only for {', '.join(known)}; {RECORD}")
    assert digests() == known[ARCHITECTURE], CHANGED
