"""Progress for people: a spinner on a terminal, plain lines anywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Tells on a console what goes on, and what took how long."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def __call__(self, what: str) -> Iterator[Callable[[str], None]]:
        """Tell that a step goes on while entered; what is given tells on a terminal how far it is."""
        start = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(what) as status:
                yield lambda how_far: status.update(f"{what}: {how_far}")
            self._console.print(f"[green]✓[/green] {what}  [dim]{time.monotonic() - start:.1f} s[/dim]")
        else:
            self._console.print(f"{what} ...", end="")
            try:
                yield lambda how_far: None
            except BaseException:
                self._console.print()
                raise
            self._console.print(f" {time.monotonic() - start:.1f} s")
