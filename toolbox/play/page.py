"""The page's HTML: with a server, and as one file."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, FileSystemLoader

from toolbox import stack
from toolbox.aws import prices
from toolbox.play import assets

MEMORY_GB = stack.read()["params"]["default"]["memorySize"] / 1024
"""The function's memory by default."""

PRICES = {
    "region": prices.REGION,
    "as_of": f"{prices.AS_OF:%B %Y}",
    "second": prices.LAMBDA_GB_SECOND["arm64"] * MEMORY_GB,
    "request": prices.LAMBDA_REQUEST + prices.S3_GET,
    "write": prices.S3_PUT,
    "gigabyte_month": prices.S3_GB_MONTH,
}
"""In dollars: a second of the function, its invocation with reading the source, and writing one object."""

_TEMPLATES = Environment(
    loader=FileSystemLoader(assets.TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_REPORT_POLICY = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:"


def _upload_events() -> dict[str, Any]:
    """Return which uploads invoke the function, as serverless.yml has it for all stages."""
    defaults = stack.read()["params"]["default"]
    return {
        "suffixes": stack.suffixes(),
        "is_any_case": defaults["delivery"] == "eventbridge",
        "is_any_suffix": str(defaults["anySuffix"]).lower() == "true",
        "sentence": stack.INVOKES_NOTHING,
    }


def served_page(nonce: str) -> str:
    """Return the page for a server, which sends what the page shows; `nonce` is in its Content-Security-Policy."""
    return _TEMPLATES.get_template("index.html").render(
        import_map=assets.import_map("/"), prices=PRICES, uploads=_upload_events(), nonce=nonce, state=None
    )


def report_page(state: Mapping[str, Any]) -> str:
    """Return the page as one file, with what it shows."""
    return _TEMPLATES.get_template("index.html").render(
        import_map=assets.embedded_import_map(),
        prices=PRICES,
        uploads=_upload_events(),
        state=state,
        policy=_REPORT_POLICY,
        styles=(assets.STATIC / "play.css").read_text(encoding="utf-8"),
    )
