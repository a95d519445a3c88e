"""The project speaks plainly: words and turns of phrase that readers stumble over do not come back."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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


def test_the_project_has_texts() -> None:
    assert len(files()) > 100


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_text_has_none_of_the_avoided_words(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").replace("_", " ").splitlines()  # names are words, too
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if AVOIDED.search(line)] == []
