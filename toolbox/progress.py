"""Progress of a command: a spinner on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Print each step of a command on a console, and how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def __call__(self, what: str) -> Iterator[Callable[[str], None]]:
        """Show a step while its block runs; yield a function that shows the step's progress on a terminal."""
        start = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(what) as status:
                yield lambda progress: status.update(f"{what}: {progress}")
            self._console.print(f"[green]✓[/green] {what}  [dim]{time.monotonic() - start:.1f} s[/dim]")
        else:
            self._console.print(f"{what} ...", end="")
            try:
                yield lambda progress: None
            except BaseException:
                self._console.print()
                raise
            self._console.print(f" {time.monotonic() - start:.1f} s")
