"""The page's HTML: the template with its values."""

import json
import re

from toolbox import prices
from toolbox.play import assets

MEMORY_GB = 1792 / 1024
"""The function's memory by default; see serverless.yml."""

PRICES = {
    "region": prices.REGION,
    "as_of": f"{prices.AS_OF:%B %Y}",
    "second": prices.LAMBDA_GB_SECOND["arm64"] * MEMORY_GB,
    "request": prices.LAMBDA_REQUEST + prices.S3_GET,
    "write": prices.S3_PUT,
    "gigabyte_month": prices.S3_GB_MONTH,
}
"""In dollars: a second of the function, its invocation with reading the source, and writing one object."""


def page_html(*, import_map: str, styles: str, entry: str, nonce: str = "", state: str = "", above: str = "") -> str:
    """Return the page. `state` is empty if a server sends what the page shows; `above` is HTML."""
    html = (assets.STATIC / "index.html").read_text(encoding="utf-8")
    values = {
        "nonce": nonce,
        "importmap": import_map,
        "prices": script_json(PRICES),
        "styles": styles,
        "state": state,
        "entry": entry,
        "above": above,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], html)


def script_json(value: object) -> str:
    """Return JSON that cannot end the script element that it is in."""
    return json.dumps(value).replace("<", "\\u003c")
