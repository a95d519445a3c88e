"""What the commands print with, and how they fail."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from image_scaler.text import on_one_line

out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


class CommandError(Exception):
    """A command cannot do its work; says why."""


def make_table(*headers: str) -> Table:
    """Return an empty table that wraps long keys and never cuts them."""
    table = Table(box=None, header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def print_json(value: dict[str, Any]) -> None:
    """Print an object as one line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")


def print_error(reason: str) -> None:
    """Print why a command, or a part of it, cannot be done."""
    err.print(f"image-scaler: {on_one_line(reason)}", style="red", markup=False)
