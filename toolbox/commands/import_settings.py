"""`image-scaler import`: the settings of another tool as a renditions.toml."""

import sys
from pathlib import Path

from toolbox.console import CommandError, print_error
from toolbox.importers import aws_lambda_image, firebase

TOOLS = {"aws-lambda-image": aws_lambda_image.import_recipe, "firebase": firebase.import_recipe}


def import_settings(tool: str, path: Path) -> int:
    """Print the renditions.toml that makes the same pictures under the same keys; return the exit code.

    Raises CommandError if the settings cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}: {error}") from error
    imported = TOOLS[tool](text)
    imported.check()
    sys.stdout.write(imported.text())
    for difference in imported.differences:
        print_error(difference)
    return 2 if imported.differences else 0
