"""`image-scaler import`: the settings of another tool as a renditions.toml."""

import sys
from pathlib import Path

from toolbox.console import CommandError, print_error
from toolbox.importers import aws_lambda_image, firebase

TOOLS = {"aws-lambda-image": aws_lambda_image.draft, "firebase": firebase.draft}


def import_settings(tool: str, path: Path) -> int:
    """Print the renditions.toml that makes the same pictures under the same keys; return the exit code.

    Raises CommandError if the settings cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    draft = TOOLS[tool](text)
    draft.check()
    sys.stdout.write(draft.text())
    for difference in draft.differences:
        print_error(difference)
    return 2 if draft.differences else 0
