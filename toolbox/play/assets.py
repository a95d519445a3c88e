"""The files of the page, and where the browser finds each module.

The page has no bundler: its modules, and those of the packages in package.json, are served unchanged, and an import map
names them.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

from image_scaler.exceptions import ConfigError
from toolbox.stack import ROOT

STATIC = Path(__file__).with_name("static")
TEMPLATES = Path(__file__).with_name("templates")
_NODE_MODULES = ROOT / "node_modules"

PACKAGES = {
    "@codemirror/autocomplete": "@codemirror/autocomplete/dist/index.js",
    "@codemirror/commands": "@codemirror/commands/dist/index.js",
    "@codemirror/language": "@codemirror/language/dist/index.js",
    "@codemirror/legacy-modes/mode/toml": "@codemirror/legacy-modes/mode/toml.js",
    "@codemirror/state": "@codemirror/state/dist/index.js",
    "@codemirror/streamparser": "@codemirror/streamparser/dist/index.js",
    "@codemirror/view": "@codemirror/view/dist/index.js",
    "@lezer/common": "@lezer/common/dist/index.js",
    "@lezer/highlight": "@lezer/highlight/dist/index.js",
    "@marijn/find-cluster-break": "@marijn/find-cluster-break/src/index.js",
    "crelt": "crelt/index.js",
    "img-comparison-slider": "img-comparison-slider/dist/index.js",
    "style-mod": "style-mod/src/style-mod.js",
    "thumbhash": "thumbhash/thumbhash.js",
    "w3c-keyname": "w3c-keyname/index.js",
}
"""The modules of packages that the page imports, in node_modules."""

REPORT_PACKAGES = ("img-comparison-slider", "thumbhash")
"""Those of them that a page without an editor needs."""


def own_modules() -> Mapping[str, Path]:
    """Return the page's own modules by the names under which they import each other: `play/sheet`."""
    return {f"play/{path.stem}": path for path in sorted(STATIC.glob("*.js"))}


def package_file(name: str) -> Path:
    """Return the file of a package's module; raises ConfigError if the packages are not installed."""
    path = _NODE_MODULES / PACKAGES[name]
    if not path.exists():
        raise ConfigError(f"cannot find {name} in node_modules: run make setup")
    return path


def import_map(prefix: str) -> dict[str, dict[str, str]]:
    """Return the import map for a server: the URL of each module."""
    imports = {name: f"{prefix}static/{path.name}" for name, path in own_modules().items()}
    imports |= {name: f"{prefix}packages/{name}" for name in PACKAGES}
    return {"imports": imports}


def embedded_import_map() -> dict[str, dict[str, str]]:
    """Return an import map with the modules themselves, for a page without a server."""
    files = {name: path for name, path in own_modules().items() if name != "play/editor"}
    files |= {name: package_file(name) for name in REPORT_PACKAGES}
    return {"imports": {name: data_url(path.read_bytes(), "text/javascript") for name, path in files.items()}}


def data_url(body: bytes, media_type: str) -> str:
    """Return bytes as a URL."""
    return f"data:{media_type};base64,{base64.b64encode(body).decode()}"
