"""The bytes that the engine makes of the same options: if they change, stored renditions are outdated."""

import os
import subprocess
import sys

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


AVIF = """
import hashlib, os
if {one_processor} and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from image_scaler.images.rendering import SourceImage
from image_scaler.renditions.toml import parse_recipe
from tests.support import drawing
table = '[renditions.x]\\nformat = "avif"\\neffort = 0'
for rendition in SourceImage(drawing.png(drawing.photo(700, 600))).render(parse_recipe(table).plan_for("a").renditions):
    print(hashlib.sha256(rendition.body).hexdigest())
"""


def test_an_avif_has_the_same_bytes_on_any_number_of_processors() -> None:
    def digest(*, one_processor: bool, **environ: str) -> str:
        code, variables = AVIF.format(one_processor=one_processor), os.environ | environ
        return subprocess.run(
            [sys.executable, "-c", code], env=variables, check=True, capture_output=True
        ).stdout.decode()

    alone = digest(one_processor=True)
    assert len(alone.strip()) == 64
    assert digest(one_processor=False, VIPS_CONCURRENCY="7") == alone


def test_there_is_a_digest_for_each_format() -> None:
    assert set(OUTPUT_FORMATS) <= FIXED.keys(), f"add the format in tests/support/engine.py, then {RECORD}"


def test_the_same_options_give_the_recorded_bytes_and_qualities() -> None:
    known = recorded()
    assert known, f"ENGINE_VERSION is {ENGINE_VERSION}: {RECORD}"
    if ARCHITECTURE not in known:
        pytest.skip(f"no digests for {ARCHITECTURE}, only for {', '.join(known)}; {RECORD}")
    assert digests() == known[ARCHITECTURE], CHANGED
