"""The page's HTML: the template with its values."""

import json
import re

from toolbox.play import assets
from toolbox.prices import PRICES


def page_html(*, import_map: str, styles: str, entry: str, nonce: str = "", state: str = "") -> str:
    """Return the page. `state` is empty if a server sends what the page shows."""
    html = (assets.STATIC / "index.html").read_text(encoding="utf-8")
    values = {
        "nonce": nonce,
        "importmap": import_map,
        "prices": script_json(PRICES._asdict()),
        "styles": styles,
        "state": state,
        "entry": entry,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], html)


def script_json(value: object) -> str:
    """Return JSON that cannot end the script element that it is in."""
    return json.dumps(value).replace("<", "\\u003c")
