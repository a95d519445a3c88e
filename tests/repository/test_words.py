"""The project speaks plainly: words and turns of phrase that readers stumble over do not come back."""

import re
import subprocess
from pathlib import Path

from tests import ROOT

TEXTS = (".py", ".md", ".toml", ".yml", ".yaml", ".js", ".mjs", ".svg", ".in", "Makefile", "python", "run")
AVOIDED = re.compile(
    r"\bstands?\b|\blies\b|\bmend|\bby now\b|all the same|\bwhoever\b|[Ww]hat became|\banew\b"
    r"|\bwhere (it|that|there|none|nothing|one|no)\b"
)
"""Use exist, follow, be in; fix; current; anyway; again; if, when."""


def files() -> list[Path]:
    """Return the text files of the project, tracked or new."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = [ROOT / name for name in run.stdout.splitlines() if name.endswith(TEXTS)]
    return [path for path in found if path.exists() and path != Path(__file__)]


def test_no_text_has_one_of_the_avoided_words() -> None:
    texts = {path: path.read_text(encoding="utf-8").replace("_", " ").splitlines() for path in files()}  # names, too
    assert len(texts) > 100
    assert [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for path, lines in texts.items()
        for number, line in enumerate(lines, 1)
        if AVOIDED.search(line)
    ] == []
