"""With its row in the table, a new format works everywhere, or one of these tests names the place that is missing."""

import re
from typing import get_args

import pytest

from image_scaler import manifest
from image_scaler.images.encoding import SAVERS
from image_scaler.images.quality_search import CURVES
from image_scaler.images.refusals import PARTS
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.toml import OutputFormat
from tests.properties.fuzz.seeds import seeds as drawn_seeds
from toolbox import stack
from toolbox.play.cells import SHOWN_FORMATS


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_a_format_of_renditions_is_known_in_every_place(format: Format) -> None:
    assert format in SAVERS, "add a function to image_scaler/images/encoding.py"
    assert format in get_args(OutputFormat), "add it to OutputFormat in image_scaler/renditions/toml.py"
    assert format.traits.loader, "add the loader of libvips to its row: a score decodes what was encoded"
    if format.traits.default_quality is not None:
        assert format in CURVES, "measure its curve for image_scaler/images/quality_search.py: python -m bench settings"
    assert format.traits.media_type in manifest.TYPES, "say in image_scaler/manifest.py which browsers show it"
    assert format in SHOWN_FORMATS, "say in toolbox/play/cells.py whether browsers show it"


@pytest.mark.parametrize("format", [format for format in Format if format is not Format.SVG])
def test_a_format_that_is_read_is_known_in_every_place(format: Format) -> None:
    assert format.traits.magic, "say in its row how its files begin"
    assert format in PARTS or format in (Format.TIFF, Format.BMP), "walk its parts in image_scaler/images/refusals.py"
    suffixes = {f".{extension}" for extension in format.traits.extensions}
    assert suffixes <= set(stack.suffixes()), "add its suffixes to the events in serverless.yml"
    seeds = [seed.body for seed in drawn_seeds(None)]
    is_format = re.compile(format.traits.magic, re.DOTALL).match
    assert any(map(is_format, seeds)), "add a file to tests/properties/fuzz/seeds.py"
